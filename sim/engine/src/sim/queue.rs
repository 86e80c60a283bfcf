//! The future event list: a 4-ary heap ordered by (time, sequence), and a FIFO for events of the present instant.

use std::collections::VecDeque;

use mesh_core::ids::Nanos;

/// Events in order of (time, sequence of scheduling).
pub(crate) struct Queue<E> {
    heap: Vec<(u128, E)>,
    present: VecDeque<(u128, E)>,
    now_ns: Nanos,
    sequence: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue { heap: Vec::new(), present: VecDeque::new(), now_ns: 0, sequence: 0 }
    }
}

impl<E> Queue<E> {
    /// The time of the event taken last.
    pub(crate) fn now(&self) -> Nanos {
        self.now_ns
    }

    /// Events not taken yet.
    pub(crate) fn len(&self) -> usize {
        self.heap.len() + self.present.len()
    }

    /// Schedules at a time not before now.
    pub(crate) fn at(&mut self, time: Nanos, event: E) {
        let time = time.max(self.now_ns);
        let key = u128::from(time) << 64 | u128::from(self.sequence);
        self.sequence += 1;
        if time == self.now_ns {
            self.present.push_back((key, event));
        } else {
            self.heap.push((key, event));
            self.sift_up(self.heap.len() - 1);
        }
    }

    /// Schedules after a delay.
    pub(crate) fn after(&mut self, delay: Nanos, event: E) {
        self.at(self.now_ns.saturating_add(delay), event);
    }

    /// The next event, and moves time there.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let present = self.present.front().map(|(k, _)| *k);
        let future = self.heap.first().map(|(k, _)| *k);
        match (present, future) {
            (Some(p), Some(f)) if f < p => self.pop_heap(),
            (Some(_), _) => self.present.pop_front().map(|(_, e)| e),
            (None, _) => self.pop_heap(),
        }
    }

    fn pop_heap(&mut self) -> Option<E> {
        if self.heap.is_empty() {
            return None;
        }
        let (key, event) = self.heap.swap_remove(0);
        if !self.heap.is_empty() {
            self.sift_down(0);
        }
        self.now_ns = (key >> 64) as Nanos;
        Some(event)
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 4;
            if self.heap[parent].0 <= self.heap[at].0 {
                break;
            }
            self.heap.swap(parent, at);
            at = parent;
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let first = at * 4 + 1;
            let last = (first + 4).min(self.heap.len());
            let mut least = at;
            for child in first..last {
                if self.heap[child].0 < self.heap[least].0 {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(least, at);
            at = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    proptest! {
        #[test]
        fn pops_like_a_binary_heap(steps in prop::collection::vec((0u64..50, 0usize..3), 1..400)) {
            let mut queue = Queue::default();
            let mut oracle = BinaryHeap::new();
            let (mut n, mut now) = (0u64, 0u64);
            for (delay, pops) in steps {
                queue.after(delay, n);
                oracle.push(Reverse((now + delay, n)));
                n += 1;
                for _ in 0..pops {
                    let expected = oracle.pop().map(|Reverse((t, e))| { now = t; e });
                    prop_assert_eq!(queue.pop(), expected);
                    prop_assert_eq!(queue.now(), now);
                }
            }
        }
    }
}
