//! Which requests may be sent, and which credentials go along.
//!
//! Rules are taken apart into pieces of one method and one path each. A piece is covered by a rule or it is not, so each
//! has one answer on either side, and the answers are compared.

use std::collections::HashSet;

use super::{Changes, Direction, Side};
use crate::{
    Effect, Method, NetGrant, NetScope, PathPattern, Rule, SecretGrant, policy::ToolPolicy,
};

/// The most pieces that are compared; more than that is no policy that a person could review.
const MAX_PIECES: usize = 4_000;

/// One answer of one side for a piece.
#[derive(Clone, Copy)]
struct Answer<'r> {
    effect: Effect,
    rule: Option<&'r Rule>,
    redirects: u8,
    special: bool,
}

const NOT_GRANTED: Answer<'static> = Answer {
    effect: Effect::Deny,
    rule: None,
    redirects: 0,
    special: false,
};

/// A change of a piece, before those that are alike are told together.
struct Step<'r> {
    piece: NetScope,
    old: Answer<'r>,
    new: Answer<'r>,
}

pub(super) fn compare(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let (old_tables, new_tables) = (Tables::of(old), Tables::of(new));
    match pieces(&old_tables, &new_tables) {
        Some(pieces) => steps(changes, new.package, pieces, &old_tables, &new_tables),
        None => {
            let text = format!(
                "{} has too many rules for requests to be compared",
                new.package
            );
            changes.add(Direction::Widened, text, (old.rule(), new.rule()));
        }
    }
    secrets(
        changes,
        new.package,
        old.grants.secrets(),
        new.grants.secrets(),
    );
}

/// The tables of one side that all have to grant a request.
struct Tables<'l>(Vec<&'l ToolPolicy>, bool);

impl<'l> Tables<'l> {
    fn of(side: &Side<'l>) -> Self {
        let listing = side.layers.iter();
        let listing = listing.filter(|(_, policy)| policy.tools().next().is_some());
        let tables: Vec<Option<&ToolPolicy>> = listing
            .map(|(_, policy)| policy.tool(side.package))
            .collect();
        let complete = !tables.is_empty() && tables.iter().all(Option::is_some);
        Self(tables.into_iter().flatten().collect(), complete)
    }

    fn rules(&self) -> impl Iterator<Item = &'l NetGrant> {
        self.0.iter().flat_map(|table| table.net())
    }

    fn answer(&self, piece: &NetScope) -> Answer<'l> {
        if !self.1 {
            return NOT_GRANTED;
        }
        let answers = self.0.iter().map(|table| answer_of(table, piece));
        let stricter = |a: Answer<'l>, b: Answer<'l>| Answer {
            effect: a.effect.max(b.effect),
            rule: if b.effect > a.effect { b.rule } else { a.rule },
            redirects: a.redirects.min(b.redirects),
            special: a.special && b.special,
        };
        answers.reduce(stricter).unwrap_or(NOT_GRANTED)
    }

    /// The parts of a piece that are granted, where it is not as a whole.
    fn parts(&self, piece: &NetScope) -> Vec<String> {
        let mut parts = Vec::new();
        for grant in self.rules().filter(|it| it.approve < Effect::Deny) {
            let Some(both) = piece.narrowed_by(&grant.scope) else {
                continue;
            };
            if self.answer(&both).effect < Effect::Deny {
                let part = places(&both);
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
        parts
    }
}

fn answer_of<'l>(table: &'l ToolPolicy, piece: &NetScope) -> Answer<'l> {
    let covering: Vec<&NetGrant> = table
        .net()
        .iter()
        .filter(|it| it.scope.covers(piece))
        .collect();
    let Some(strictest) = covering.iter().max_by_key(|it| it.approve) else {
        return NOT_GRANTED;
    };
    let granted = strictest.approve < Effect::Deny;
    let redirects = covering.iter().map(|it| it.redirects).min();
    Answer {
        effect: strictest.approve,
        rule: Some(&strictest.rule),
        redirects: redirects.filter(|_| granted).unwrap_or_default(),
        special: granted && covering.iter().any(|it| it.allows_special_addresses()),
    }
}

/// Every piece in which the sides may differ: each rule's own, and what rules that restrict have in common with others.
fn pieces(old: &Tables<'_>, new: &Tables<'_>) -> Option<Vec<NetScope>> {
    let rules: Vec<&NetGrant> = new.rules().chain(old.rules()).collect();
    let mut known = HashSet::new();
    let mut pieces = Vec::new();
    let mut add = |scope: &NetScope| {
        for path in &scope.paths {
            for method in &scope.methods {
                if known.insert((scope.to.clone(), *method, path.clone())) {
                    pieces.push(NetScope {
                        to: scope.to.clone(),
                        methods: vec![*method],
                        paths: vec![path.clone()],
                    });
                }
            }
        }
        known.len() <= MAX_PIECES
    };
    for rule in &rules {
        if !add(&rule.scope) {
            return None;
        }
    }
    for (at, one) in rules.iter().enumerate() {
        for other in rules.iter().skip(at + 1) {
            let both = one.scope.narrowed_by(&other.scope);
            if both.is_some_and(|both| !add(&both)) {
                return None;
            }
        }
    }
    Some(pieces)
}

fn steps(
    changes: &mut Changes,
    package: &str,
    pieces: Vec<NetScope>,
    old: &Tables<'_>,
    new: &Tables<'_>,
) {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for piece in pieces {
        let (was, is) = (old.answer(&piece), new.answer(&piece));
        if was.effect != is.effect || was.redirects != is.redirects || was.special != is.special {
            let (old, new) = (was, is);
            steps.push(Step { piece, old, new });
        }
    }
    let same = |a: &Step<'_>, b: &Step<'_>| {
        (a.old.effect, a.new.effect, a.old.redirects, a.new.redirects)
            == (b.old.effect, b.new.effect, b.old.redirects, b.new.redirects)
            && (a.old.special, a.new.special) == (b.old.special, b.new.special)
    };
    // What a larger piece says already is not told again; of two that are the same requests the first is told.
    let told: Vec<&Step<'_>> = steps
        .iter()
        .enumerate()
        .filter(|(at, step)| {
            !steps.iter().enumerate().any(|(other_at, other)| {
                other_at != *at
                    && other.piece.covers(&step.piece)
                    && same(other, step)
                    && (other_at < *at || !step.piece.covers(&other.piece))
            })
        })
        .map(|(_, step)| step)
        .collect();
    let mut grouped: Vec<(Vec<Method>, &Step<'_>)> = Vec::new();
    for step in told {
        let alike = |other: &&mut (Vec<Method>, &Step<'_>)| {
            other.1.piece.to == step.piece.to
                && other.1.piece.paths == step.piece.paths
                && same(other.1, step)
                && other.1.old.rule == step.old.rule
                && other.1.new.rule == step.new.rule
        };
        match grouped.iter_mut().find(alike) {
            Some((methods, _)) => methods.extend(&step.piece.methods),
            None => grouped.push((step.piece.methods.clone(), step)),
        }
    }
    for (mut methods, step) in grouped {
        methods.sort_unstable();
        let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
        tell(changes, package, &names.join(", "), step, old, new);
    }
}

/// `https://api.example.com/v1/**`
fn places(scope: &NetScope) -> String {
    let to = scope
        .to
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let places: Vec<String> = scope
        .paths
        .iter()
        .map(|path| format!("{to}{path}"))
        .collect();
    places.join(", ")
}

fn tell(
    changes: &mut Changes,
    package: &str,
    methods: &str,
    step: &Step<'_>,
    old: &Tables<'_>,
    new: &Tables<'_>,
) {
    let place = places(&step.piece);
    let rules = (step.old.rule, step.new.rule);
    let (was, is) = (step.old.effect, step.new.effect);
    let list = |word: &str, parts: Vec<String>| match parts.as_slice() {
        [] => String::new(),
        parts => format!(" ({word} {})", parts.join(", ")),
    };
    let text = match (was, is) {
        (Effect::Deny, Effect::Allow | Effect::Ask) => {
            let consent = if is == Effect::Ask {
                " when a person consents"
            } else {
                ""
            };
            let special = if step.new.special {
                ", private addresses included"
            } else {
                ""
            };
            let before = list("before only to", old.parts(&step.piece));
            format!("{package} may now {methods} to {place}{special}{consent}{before}")
        }
        (Effect::Allow | Effect::Ask, Effect::Deny) => {
            let still = list("still to", new.parts(&step.piece));
            format!("{package} may no longer {methods} to {place}{still}")
        }
        (Effect::Ask, Effect::Allow) => {
            format!("{package} no longer asks before it sends {methods} to {place}")
        }
        (Effect::Allow, Effect::Ask) => {
            format!("{package} now asks before it sends {methods} to {place}")
        }
        _ => String::new(),
    };
    if was != is {
        changes.add(Direction::of(&was, &is), text, rules);
    }
    if was == Effect::Deny || is == Effect::Deny {
        return;
    }
    let (followed, follows) = (step.old.redirects, step.new.redirects);
    if followed != follows {
        let text = format!(
            "redirects followed for {package}'s {methods} to {place}: {followed} -> {follows}"
        );
        changes.add(Direction::of(&follows, &followed), text, rules);
    }
    if step.old.special != step.new.special {
        let (word, direction) = if step.new.special {
            ("now", Direction::Widened)
        } else {
            ("no longer", Direction::Narrowed)
        };
        let text = format!("{place} may {word} lead {package} to private addresses");
        changes.add(direction, text, rules);
    }
}

fn secrets(changes: &mut Changes, package: &str, old: &[SecretGrant], new: &[SecretGrant]) {
    for secret in new {
        match old.iter().find(|it| it.name == secret.name) {
            None => {
                let (name, place) = (&secret.name, secret.place.words());
                let of = uses(&secret.scope);
                let text = format!("{name} may now be put {place} of {package}'s requests: {of}");
                changes.gained(text, &secret.rule);
            }
            Some(before) => secret_changed(changes, package, before, secret),
        }
    }
    for secret in old {
        if !new.iter().any(|it| it.name == secret.name) {
            let text = format!("{} may no longer be used for {package}", secret.name);
            changes.lost(text, &secret.rule);
        }
    }
}

fn secret_changed(changes: &mut Changes, package: &str, old: &SecretGrant, new: &SecretGrant) {
    let name = &new.name;
    let rules = (Some(&old.rule), Some(&new.rule));
    if old.source != new.source {
        let text = format!(
            "{package}'s {name} comes from {} now, not from {}",
            new.source, old.source
        );
        changes.add(Direction::Changed, text, rules);
    }
    if old.place != new.place {
        // Only the name of a place is told, and its format with the line.
        let text = match (old.place.words(), new.place.words()) {
            (was, is) if was == is => format!("{package}'s {name} is put {is} in another format"),
            (was, is) => format!("{package}'s {name} is put {is} now, not {was}"),
        };
        let logged = matches!(new.place, crate::SecretPlace::Query { .. })
            && !matches!(old.place, crate::SecretPlace::Query { .. });
        let direction = if logged {
            Direction::Widened
        } else {
            Direction::Changed
        };
        changes.add(direction, text, rules);
    }
    if let Some(more) = beyond(&new.scope, &old.scope) {
        let text = format!(
            "{name} may now also be used for {package}'s {}",
            uses(&more)
        );
        changes.add(Direction::Widened, text, rules);
    }
    if let Some(less) = beyond(&old.scope, &new.scope) {
        let text = format!(
            "{name} may no longer be used for {package}'s {}",
            uses(&less)
        );
        changes.add(Direction::Narrowed, text, rules);
    }
}

/// `GET, POST https://api.example.com/v1/**`
fn uses(scope: &NetScope) -> String {
    let methods = if scope.methods == Method::ALL {
        "any method".to_owned()
    } else {
        let names: Vec<&str> = scope.methods.iter().map(|method| method.name()).collect();
        names.join(", ")
    };
    format!("{methods} {}", places(scope))
}

/// What of one scope certainly is not all in the other.
fn beyond(mine: &NetScope, theirs: &NetScope) -> Option<NetScope> {
    if theirs.covers(mine) {
        return None;
    }
    if mine.to != theirs.to {
        return Some(mine.clone());
    }
    let paths = mine.paths.iter();
    let paths: Vec<PathPattern> = paths
        .filter(|path| !theirs.paths.iter().any(|it| it.covers(path)))
        .cloned()
        .collect();
    let methods = mine.methods.iter().copied();
    let methods: Vec<Method> = methods.filter(|it| !theirs.methods.contains(it)).collect();
    // New methods for the old paths, new paths for the old methods, or both.
    let (no_methods, no_paths) = (methods.is_empty(), paths.is_empty());
    Some(NetScope {
        to: mine.to.clone(),
        methods: if no_paths && !no_methods {
            methods
        } else {
            mine.methods.clone()
        },
        paths: if no_methods && !no_paths {
            paths
        } else {
            mine.paths.clone()
        },
    })
}
