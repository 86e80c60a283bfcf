//! Random service times within reach of a timer: an enumeration has one time where there are many, and a timeout that it
//! does not see decides otherwise. What to do about it is the caller's.

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::ids::Nanos;

use super::Sim;
use super::app::SERVICE;
use super::state::Answerer;
use crate::draws::Chance;
use crate::plan::Law;
use crate::sample::{reach, sample};

/// Network and further hops between an application and whoever waits for it, ns.
const SLACK_NS: Nanos = 10_000_000;

/// What one walk has met.
#[derive(Debug, Default)]
pub(crate) struct Races {
    /// When an answer may come, and whose.
    answers: Vec<(Nanos, Nanos, Str)>,
    timers: Vec<Nanos>,
}

impl Races {
    /// Someone whose answer may come before a timer or after it.
    pub(crate) fn open(&self) -> Option<&Str> {
        let within = |(from, to, _): &&(Nanos, Nanos, Str)| self.timers.iter().any(|t| from < t && t <= to);
        self.answers.iter().find(within).map(|(_, _, who)| who)
    }
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// A service time of whoever answers.
    pub(super) fn service_time(&mut self, who: Answerer, law: &Law, key: u64) -> Nanos {
        if self.chance.enumerates() {
            let (least, most) = reach(law);
            if least < most {
                let now = self.queue.now();
                let latest = now.saturating_add(most).saturating_add(SLACK_NS);
                let name = self.answerer_name(who);
                self.races.answers.push((now.saturating_add(least), latest, name));
            }
        }
        sample(law, self.chance.draw(key, SERVICE))
    }

    /// A timer that ends what it is set for.
    pub(super) fn note_timer(&mut self, delay: Nanos) {
        if self.chance.enumerates() {
            self.races.timers.push(self.queue.now().saturating_add(delay));
        }
    }
}
