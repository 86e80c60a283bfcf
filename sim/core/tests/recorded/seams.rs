//! What decisions take from outside: every combination of choices.

use mesh_core::cx::{Draws, Purpose};

/// Visits every combination of choices.
#[derive(Default)]
pub(crate) struct Every {
    script: Vec<usize>,
    arity: Vec<usize>,
    at: usize,
}

impl Every {
    /// Advances to the next combination.
    pub(crate) fn next(&mut self) -> bool {
        self.at = 0;
        while let (Some(last), Some(arity)) = (self.script.pop(), self.arity.pop()) {
            if last + 1 < arity {
                self.script.push(last + 1);
                self.arity.push(arity);
                return true;
            }
        }
        false
    }
}

impl Draws for Every {
    fn draw(&mut self, _purpose: Purpose) -> u64 {
        0
    }
    fn choose(&mut self, _purpose: Purpose, ends: &[u64]) -> usize {
        if self.at == self.script.len() {
            self.script.push(0);
            self.arity.push(ends.len());
        }
        self.at += 1;
        self.script[self.at - 1]
    }
}
