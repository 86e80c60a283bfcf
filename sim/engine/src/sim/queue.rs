//! The future event list: a 4-ary heap of keys (time, sequence, slot), a FIFO for events of the present instant, and a lane
//! for each delay that many events share.
//!
//! Events of one delay are due in the order they are scheduled, so a lane is a FIFO whose first event alone has a key in
//! the heap: latencies and timeouts cost no sifting. Nearly all timers are for nothing; those at the front of their lane
//! are dropped when another one is set, so that a lane is about as long as there is work in flight, not as rate times delay
//! (research/performance 1.3).

use std::collections::VecDeque;

use mesh_core::ids::Nanos;

/// Bits of a key that name a slot; the 64 above the sequence are the time.
const SLOT_BITS: u32 = 28;
/// Delays that have a lane; events with others stand in the heap.
const MOST_LANES: usize = 32;
/// Slots from here on are lanes.
const FIRST_LANE: u32 = (1 << SLOT_BITS) - MOST_LANES as u32;
/// Sequences begin anew, the order staying, before they reach this.
const MOST_SEQUENCE: u64 = 1 << (64 - SLOT_BITS);
/// Timers looked at when one is set: two, so that a lane shrinks.
const DROPS: usize = 2;

/// Events of one delay.
struct Lane<E> {
    events: VecDeque<(Nanos, u64, E)>,
    /// A key of the lane is in the heap: that of the first event, or of an earlier one that was dropped.
    listed: bool,
}

/// Events in order of (time, sequence of scheduling).
pub(crate) struct Queue<E> {
    heap: Vec<u128>,
    present: VecDeque<(u64, E)>,
    slots: Vec<Option<E>>,
    free: Vec<u32>,
    delays: Vec<Nanos>,
    lanes: Vec<Lane<E>>,
    now_ns: Nanos,
    /// The latest key of a timer that was dropped.
    dropped: u128,
    sequence: u64,
    /// Events not taken yet, timers included.
    waiting: usize,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue {
            heap: Vec::new(),
            present: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            delays: Vec::new(),
            lanes: Vec::new(),
            now_ns: 0,
            dropped: 0,
            sequence: 0,
            waiting: 0,
        }
    }
}

fn key(time: Nanos, sequence: u64, slot: u32) -> u128 {
    u128::from(time) << 64 | u128::from(sequence << SLOT_BITS | u64::from(slot))
}

fn time_of(key: u128) -> Nanos {
    (key >> 64) as Nanos
}

fn slot_of(key: u128) -> u32 {
    key as u32 & ((1 << SLOT_BITS) - 1)
}

impl<E> Queue<E> {
    /// The time of the event taken last.
    pub(crate) fn now(&self) -> Nanos {
        self.now_ns
    }

    /// Events not taken yet.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Whether something comes before a timer that was dropped would have fired.
    pub(crate) fn is_due(&self) -> bool {
        let present = self.present.front().map(|(sequence, _)| key(self.now_ns, *sequence, 0));
        present.into_iter().chain(self.heap.first().copied()).any(|key| key <= self.dropped)
    }

    /// Moves time to where the last of the timers that were dropped would have fired.
    pub(crate) fn advance(&mut self) {
        self.now_ns = self.now_ns.max(time_of(self.dropped));
    }

    /// Schedules at a time not before now.
    pub(crate) fn at(&mut self, time: Nanos, event: E) {
        let sequence = self.next_sequence();
        self.waiting += 1;
        if time <= self.now_ns {
            self.present.push_back((sequence, event));
            return;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(event);
                slot
            }
            None => {
                self.slots.push(Some(event));
                self.slots.len() as u32 - 1
            }
        };
        assert!(slot < FIRST_LANE, "more than {FIRST_LANE} events at once");
        self.push(key(time, sequence, slot));
    }

    /// Schedules after a delay.
    pub(crate) fn after(&mut self, delay: Nanos, event: E) {
        self.at(self.now_ns.saturating_add(delay), event);
    }

    /// Schedules after a delay that many events share.
    pub(crate) fn fixed(&mut self, delay: Nanos, event: E) {
        match if delay > 0 { self.lane(delay) } else { None } {
            Some(lane) => self.enter(lane, delay, event),
            None => self.after(delay, event),
        }
    }

    /// Schedules after a delay that many timers share; timers that are `idle` by now need not fire.
    pub(crate) fn timer(&mut self, delay: Nanos, event: E, idle: impl Fn(&E) -> bool) {
        let Some(at) = self.lane(delay) else { return self.after(delay, event) };
        let lane = &mut self.lanes[at];
        for _ in 0..DROPS {
            if let Some((time, sequence, _)) = lane.events.front().filter(|(_, _, e)| idle(e)) {
                self.dropped = self.dropped.max(key(*time, *sequence, 0));
                lane.events.pop_front();
                self.waiting -= 1;
            }
        }
        self.enter(at, delay, event);
    }

    /// The lane of a delay, if there is room for one.
    fn lane(&mut self, delay: Nanos) -> Option<usize> {
        if let Some(at) = self.delays.iter().position(|d| *d == delay) {
            return Some(at);
        }
        if self.lanes.len() >= MOST_LANES {
            return None;
        }
        self.delays.push(delay);
        self.lanes.push(Lane { events: VecDeque::new(), listed: false });
        Some(self.lanes.len() - 1)
    }

    fn enter(&mut self, at: usize, delay: Nanos, event: E) {
        let time = self.now_ns.saturating_add(delay);
        let sequence = self.next_sequence();
        self.waiting += 1;
        let lane = &mut self.lanes[at];
        lane.events.push_back((time, sequence, event));
        if !std::mem::replace(&mut lane.listed, true) {
            self.push(key(time, sequence, FIRST_LANE + at as u32));
        }
    }

    /// The next event, and moves time there.
    pub(crate) fn pop(&mut self) -> Option<E> {
        loop {
            let first = self.heap.first().copied();
            if let Some((sequence, _)) = self.present.front()
                && first.is_none_or(|first| key(self.now_ns, *sequence, 0) < first)
            {
                self.waiting -= 1;
                return self.present.pop_front().map(|(_, event)| event);
            }
            let first = first?;
            let slot = slot_of(first);
            let event = if slot < FIRST_LANE {
                self.pop_heap();
                self.free.push(slot);
                self.slots[slot as usize].take()
            } else {
                self.pop_lane(slot, first)
            };
            if event.is_some() {
                self.now_ns = time_of(first);
                self.waiting -= 1;
                return event;
            }
        }
    }

    /// The first event of a lane if the key, which is the heap's first, is its own; the next one's takes its place.
    fn pop_lane(&mut self, slot: u32, first: u128) -> Option<E> {
        let lane = &mut self.lanes[(slot - FIRST_LANE) as usize];
        let own = lane.events.front().is_some_and(|(time, sequence, _)| key(*time, *sequence, slot) == first);
        let event = if own { lane.events.pop_front().map(|(_, _, e)| e) } else { None };
        match lane.events.front() {
            Some((time, sequence, _)) => {
                let next = key(*time, *sequence, slot);
                self.sift_down(next);
            }
            None => {
                lane.listed = false;
                self.pop_heap();
            }
        }
        event
    }

    fn next_sequence(&mut self) -> u64 {
        if self.sequence >= MOST_SEQUENCE - 1 {
            self.renumber();
        }
        self.sequence += 1;
        self.sequence
    }

    /// Gives everything that waits a new sequence, the order staying.
    fn renumber(&mut self) {
        let mut order: Vec<u128> = self.heap.drain(..).filter(|k| slot_of(*k) < FIRST_LANE).collect();
        for (i, lane) in self.lanes.iter_mut().enumerate() {
            lane.listed = false;
            order.extend(lane.events.iter().map(|(t, s, _)| key(*t, *s, FIRST_LANE + i as u32)));
        }
        for (sequence, event) in std::mem::take(&mut self.present) {
            let slot = self.slots.len() as u32;
            self.slots.push(Some(event));
            order.push(key(self.now_ns, sequence, slot));
        }
        order.sort_unstable();
        let mut entered = vec![0; self.lanes.len()];
        for (n, old) in order.into_iter().enumerate() {
            let slot = slot_of(old);
            if slot >= FIRST_LANE {
                // Events of one lane come in the order of the lane.
                let lane = &mut self.lanes[(slot - FIRST_LANE) as usize];
                let at: &mut usize = &mut entered[(slot - FIRST_LANE) as usize];
                lane.events[*at].1 = n as u64;
                *at += 1;
                if std::mem::replace(&mut lane.listed, true) {
                    continue;
                }
            }
            // Sorted keys are a heap.
            self.heap.push(key(time_of(old), n as u64, slot));
        }
        self.sequence = self.waiting as u64;
        self.dropped = key(time_of(self.dropped), self.sequence, 0);
    }

    fn push(&mut self, key: u128) {
        let mut at = self.heap.len();
        self.heap.push(key);
        while at > 0 {
            let parent = (at - 1) / 4;
            if self.heap[parent] <= key {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = key;
    }

    /// Removes the first key.
    fn pop_heap(&mut self) {
        if let Some(last) = self.heap.pop()
            && !self.heap.is_empty()
        {
            self.sift_down(last);
        }
    }

    /// Puts a key in the place of the first.
    fn sift_down(&mut self, key: u128) {
        let heap = self.heap.as_mut_slice();
        let mut at = 0;
        loop {
            let first = at * 4 + 1;
            let least = match heap.get(first..) {
                Some([a, b, c, d, ..]) => {
                    let (i, x) = if b < a { (1, b) } else { (0, a) };
                    let (j, y) = if d < c { (3, d) } else { (2, c) };
                    first + if y < x { j } else { i }
                }
                Some([a, rest @ ..]) => {
                    let (mut least, mut of) = (a, first);
                    for (i, k) in rest.iter().enumerate() {
                        if k < least {
                            (least, of) = (k, first + 1 + i);
                        }
                    }
                    of
                }
                _ => break,
            };
            if heap[least] >= key {
                break;
            }
            heap[at] = heap[least];
            at = least;
        }
        heap[at] = key;
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_SEQUENCE, Queue};
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    proptest! {
        #[test]
        fn pops_like_a_binary_heap(
            begin in prop::sample::select(vec![0, MOST_SEQUENCE - 50]),
            steps in prop::collection::vec((0u64..50, 0u8..3, 0usize..3), 1..400),
        ) {
            let mut queue = Queue { sequence: begin, ..Queue::default() };
            let mut oracle = BinaryHeap::new();
            let (mut n, mut now) = (0u64, 0u64);
            for (delay, way, pops) in steps {
                match way {
                    0 => queue.after(delay, n),
                    1 => queue.fixed(delay, n),
                    _ => queue.timer(delay, n, |_| false),
                }
                oracle.push(Reverse((now + delay, n)));
                n += 1;
                prop_assert_eq!(queue.len(), oracle.len());
                for _ in 0..pops {
                    let expected = oracle.pop().map(|Reverse((t, e))| { now = t; e });
                    prop_assert_eq!(queue.pop(), expected);
                    prop_assert_eq!(queue.now(), now);
                }
            }
        }

        /// Timers of odd numbers are idle from the beginning: those that fire nevertheless do so in order and in time,
        /// and few are kept.
        #[test]
        fn idle_timers_are_dropped_and_no_others(delays in prop::collection::vec(0usize..2, 1..300)) {
            let mut queue = Queue::default();
            let idle = |n: &usize| !n.is_multiple_of(8);
            let mut fired = Vec::new();
            for (n, delay) in delays.iter().enumerate() {
                queue.after(1, usize::MAX);
                queue.timer([100, 1_000][*delay], n, idle);
                while let Some(n) = queue.pop().filter(|n| *n != usize::MAX) {
                    fired.push((queue.now(), n));
                }
            }
            while let Some(n) = queue.pop() {
                fired.push((queue.now(), n));
            }
            prop_assert!(fired.windows(2).all(|w| w[0].0 <= w[1].0));
            let awake = fired.iter().filter(|(_, n)| !idle(n)).count();
            prop_assert_eq!(awake, delays.iter().enumerate().filter(|(n, _)| !idle(n)).count());
            prop_assert!(fired.iter().all(|(at, n)| *at == *n as u64 + [100, 1_000][delays[*n]]));
        }
    }
}
