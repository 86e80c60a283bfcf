//! First matching route of a long list.
//!
//! A route can only match when the path equals its text, begins with its prefix or with the literal front of its
//! regex, and so every route hangs under one such text. Groups that stay large are divided once more: regexes by the
//! literal text at their end, the others by the value of an exact header condition. Candidates are then tested in
//! order with [`route_matches`], and a group whose first route cannot beat the best one so far is not looked at.

use std::collections::BTreeMap;

use crate::ids::Str;
use crate::index::table::{EndTable, MAX_END, TextTable};
use crate::ir::{HeaderCondition, PathMatch, Route, StringPattern};
use crate::matching::{RouteInput, route_matches};

/// Shorter lists are scanned.
pub(super) const SCAN_BELOW: usize = 12;
/// Groups up to this size are not divided.
const SMALL_GROUP: usize = 8;

/// The routes of one virtual host.
#[derive(Debug)]
pub(super) struct PathIndex {
    groups: Vec<Group>,
    exact: TextTable,
    fronts: EndTable,
}

/// Routes under one text, positions ascending.
#[derive(Debug)]
struct Group {
    first: u32,
    plain: Vec<u32>,
    lists: Vec<Vec<u32>>,
    ends: EndTable,
    headers: Vec<(Str, TextTable)>,
}

impl PathIndex {
    /// The index; `None` when scanning is as good.
    pub(super) fn new(routes: &[Route]) -> Option<PathIndex> {
        if routes.len() < SCAN_BELOW {
            return None;
        }
        let (mut exact, mut fronts) = (BTreeMap::new(), BTreeMap::new());
        for (route, i) in routes.iter().zip(0u32..) {
            let folded = !route.matcher.case_sensitive;
            let (map, key): (&mut BTreeMap<Vec<u8>, Vec<u32>>, Vec<u8>) = match &route.matcher.path {
                PathMatch::Regex(regex) => (&mut fronts, regex.literal_ends().0),
                _ if folded => (&mut fronts, vec![]),
                PathMatch::Path(text) => (&mut exact, text.as_bytes().to_vec()),
                PathMatch::Prefix(text) | PathMatch::PathSeparatedPrefix(text) => {
                    (&mut fronts, text.as_bytes().to_vec())
                }
            };
            map.entry(key).or_default().push(i);
        }
        let mut groups = vec![];
        let mut number = |map: BTreeMap<Vec<u8>, Vec<u32>>| -> Vec<(Vec<u8>, u32)> {
            let add = |(key, ids): (Vec<u8>, Vec<u32>)| {
                groups.push(Group::new(ids, routes));
                (key, groups.len() as u32 - 1)
            };
            map.into_iter().map(add).collect()
        };
        let (exact, fronts) = (number(exact), number(fronts));
        Some(PathIndex {
            groups,
            exact: TextTable::new(exact.iter().map(|(key, group)| (key.as_slice(), *group))),
            fronts: EndTable::new(fronts.iter().map(|(key, group)| (key.as_slice(), *group))),
        })
    }

    /// Position of the first route that matches.
    pub(super) fn find(&self, routes: &[Route], input: &RouteInput<'_>) -> Option<u32> {
        let path = input.path_only.as_bytes();
        let mut best = u32::MAX;
        let mut visit = |group: u32| {
            if let Some(group) = self.groups.get(group as usize).filter(|group| group.first < best) {
                best = group.find(routes, input, best);
            }
        };
        self.exact.get(path).into_iter().for_each(&mut visit);
        self.fronts.visit_fronts(path, visit);
        (best != u32::MAX).then_some(best)
    }
}

impl Group {
    fn new(ids: Vec<u32>, routes: &[Route]) -> Group {
        let first = ids.first().copied().unwrap_or(u32::MAX);
        let mut group =
            Group { first, plain: vec![], lists: vec![], ends: EndTable::default(), headers: vec![] };
        if ids.len() <= SMALL_GROUP {
            group.plain = ids;
            return group;
        }
        let mut by_end: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        let mut by_header: BTreeMap<Str, BTreeMap<Str, Vec<u32>>> = BTreeMap::new();
        for i in ids {
            let Some(route) = routes.get(i as usize) else { continue };
            if let Some(end) = literal_end(route) {
                by_end.entry(end).or_default().push(i);
            } else if let Some((name, value)) = exact_header(route) {
                by_header.entry(name).or_default().entry(value).or_default().push(i);
            } else {
                group.plain.push(i);
            }
        }
        let ends: Vec<(Vec<u8>, u32)> =
            by_end.into_iter().map(|(key, ids)| (key, group.add_list(ids))).collect();
        group.ends = EndTable::new(ends.iter().map(|(key, list)| (key.as_slice(), *list)));
        for (name, values) in by_header {
            let values: Vec<(Str, u32)> =
                values.into_iter().map(|(value, ids)| (value, group.add_list(ids))).collect();
            let table = TextTable::new(values.iter().map(|(value, list)| (value.as_bytes(), *list)));
            group.headers.push((name, table));
        }
        group
    }

    fn add_list(&mut self, ids: Vec<u32>) -> u32 {
        self.lists.push(ids);
        self.lists.len() as u32 - 1
    }

    /// The first matching route of the group before `best`, or `best`.
    fn find(&self, routes: &[Route], input: &RouteInput<'_>, best: u32) -> u32 {
        let mut best = first_match(&self.plain, routes, input, best);
        let list = |i: u32| self.lists.get(i as usize).map_or(&[][..], Vec::as_slice);
        self.ends.visit_ends(input.path_only.as_bytes(), |i| {
            best = first_match(list(i), routes, input, best);
        });
        for (name, table) in &self.headers {
            input.headers.lines(name, &mut |value| {
                if let Some(i) = table.get(value.as_bytes()) {
                    best = first_match(list(i), routes, input, best);
                }
                false
            });
        }
        best
    }
}

fn first_match(ids: &[u32], routes: &[Route], input: &RouteInput<'_>, best: u32) -> u32 {
    let mut earlier = ids.iter().copied().take_while(|i| *i < best);
    let matches = |i: &u32| routes.get(*i as usize).is_some_and(|r| route_matches(&r.matcher, input).is_ok());
    earlier.find(matches).unwrap_or(best)
}

/// The literal text at a regex's end, read backwards and cut to what the table takes.
fn literal_end(route: &Route) -> Option<Vec<u8>> {
    let PathMatch::Regex(regex) = &route.matcher.path else { return None };
    let end = regex.literal_ends().1;
    (!end.is_empty()).then(|| end.into_iter().rev().take(MAX_END).collect())
}

/// A header that must have exactly this value on some line.
fn exact_header(route: &Route) -> Option<(Str, Str)> {
    route.matcher.headers.iter().find_map(|header| match &header.condition {
        HeaderCondition::Value(text)
            if !header.invert && !header.treat_missing_as_empty && !text.ignore_case =>
        {
            match &text.pattern {
                StringPattern::Exact(value) => Some((header.name.clone(), value.clone())),
                _ => None,
            }
        }
        _ => None,
    })
}
