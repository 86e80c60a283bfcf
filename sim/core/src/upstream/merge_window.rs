//! When a health change reaches the balancers (semantics: envoy-upstream 0.4). Envoy: ClusterManagerImpl::scheduleUpdate.

use crate::ids::Nanos;

/// Per cluster: the last publication and the armed timer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MergeWindow {
    last_ns: Option<Nanos>,
    timer_ns: Option<Nanos>,
}

/// What to do about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publication {
    /// Publish everything now.
    Now,
    /// The armed timer will.
    At(Nanos),
}

impl MergeWindow {
    /// A change of health, weight or metadata of hosts that stay.
    pub(super) fn mergeable(&mut self, now_ns: Nanos, window_ns: Nanos) -> Publication {
        // Envoy compares whole milliseconds, `elapsed > window`.
        let outside =
            self.last_ns.is_none_or(|last| now_ns.saturating_sub(last) / 1_000_000 > window_ns / 1_000_000);
        if window_ns == 0 || outside {
            self.published(now_ns);
            return Publication::Now;
        }
        // The full window again, from this change.
        let at = *self.timer_ns.get_or_insert(now_ns + window_ns);
        Publication::At(at)
    }

    /// Everything is being published at `now_ns`: hosts came or went, or the timer fired.
    pub(super) fn published(&mut self, now_ns: Nanos) {
        self.last_ns = Some(now_ns);
        self.timer_ns = None;
    }

    /// When held-back changes are due.
    pub(super) fn timer(&self) -> Option<Nanos> {
        self.timer_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;
    const WINDOW: Nanos = 1_000 * MS;

    #[test]
    fn the_first_change_after_a_quiet_second_is_seen_at_once() {
        let mut merge = MergeWindow::default();
        assert_eq!(merge.mergeable(0, WINDOW), Publication::Now);
        assert_eq!(merge.mergeable(400 * MS, WINDOW), Publication::At(1_400 * MS));
        assert_eq!(merge.mergeable(700 * MS, WINDOW), Publication::At(1_400 * MS), "joins the armed timer");
        // Later than one window after the last publication: now, and the timer is cancelled.
        assert_eq!(merge.mergeable(1_100 * MS, WINDOW), Publication::Now);
        assert_eq!(merge.timer(), None);
    }

    #[test]
    fn exactly_one_window_is_still_inside() {
        let mut merge = MergeWindow::default();
        merge.published(0);
        assert_eq!(merge.mergeable(WINDOW, WINDOW), Publication::At(2 * WINDOW));
        let mut merge = MergeWindow::default();
        merge.published(0);
        assert_eq!(merge.mergeable(WINDOW + MS, WINDOW), Publication::Now);
    }

    #[test]
    fn no_window_holds_nothing_back() {
        let mut merge = MergeWindow::default();
        merge.published(5);
        assert_eq!(merge.mergeable(5, 0), Publication::Now);
    }
}
