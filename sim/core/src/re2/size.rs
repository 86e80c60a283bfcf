//! The size of RE2's program for a pattern, and the literal text at a pattern's ends.
//!
//! The size follows RE2's compiler (re2/compile.cc) before its simplifications of common prefixes: one instruction
//! per byte range, one per alternative, loop and group end. It is an upper estimate.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Instructions of the program.
pub(super) fn program_size(hir: &Hir) -> u64 {
    let sum = |subs: &[Hir]| subs.iter().map(program_size).fold(0u64, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(text) => text.0.len() as u64,
        HirKind::Class(Class::Bytes(set)) => set.ranges().len().max(1) as u64 * 2 - 1,
        HirKind::Class(Class::Unicode(set)) => set.ranges().len().max(1) as u64 * 2 - 1,
        HirKind::Capture(group) => program_size(&group.sub).saturating_add(2),
        HirKind::Concat(subs) => sum(subs),
        HirKind::Alternation(subs) => sum(subs).saturating_add(subs.len() as u64 - 1),
        HirKind::Repetition(rep) => {
            let one = program_size(&rep.sub);
            match rep.max {
                Some(max) => {
                    let optional = u64::from(max.saturating_sub(rep.min));
                    one.saturating_mul(u64::from(max)).saturating_add(optional)
                }
                None => one.saturating_mul(u64::from(rep.min.max(1))).saturating_add(1),
            }
        }
    }
}

/// Bytes that every match begins and ends with. A literal pattern has all of them at both ends.
pub(super) fn literal_ends(hir: &Hir) -> (Vec<u8>, Vec<u8>) {
    let (prefix, _) = end(hir, false);
    let (mut suffix, _) = end(hir, true);
    suffix.reverse();
    (prefix, suffix)
}

/// The literal text at one end, read inwards, and whether it is all there is.
fn end(hir: &Hir, backwards: bool) -> (Vec<u8>, bool) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => (vec![], true),
        HirKind::Literal(text) => {
            let mut bytes = text.0.to_vec();
            if backwards {
                bytes.reverse();
            }
            (bytes, true)
        }
        HirKind::Capture(group) => end(&group.sub, backwards),
        HirKind::Concat(subs) => {
            let mut all = vec![];
            let count = subs.len();
            for i in 0..count {
                let Some(sub) = subs.get(if backwards { count - 1 - i } else { i }) else { break };
                let (text, whole) = end(sub, backwards);
                all.extend(text);
                if !whole {
                    return (all, false);
                }
            }
            (all, true)
        }
        HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => (vec![], false),
    }
}
