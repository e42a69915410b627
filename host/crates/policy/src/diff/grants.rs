//! Directories, variables, calls of other tools, and where a package runs.

use super::{Changes, Direction, Side};
use crate::{Clock, Effect, FileAccess, FileGrant, Isolation, Random};

pub(super) fn compare(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    files(changes, old, new);
    scratch(changes, old, new);
    env(changes, old, new);
    calls(changes, old, new);
    isolation(changes, old, new);
    let package = new.package;
    let rules = (old.rule(), new.rule());
    if old.grants.clock() != new.grants.clock() {
        let word = match new.grants.clock() {
            Clock::Real => "the real time",
            Clock::Frozen(_) => "another time, which stands",
        };
        changes.add(
            Direction::Changed,
            format!("{package} sees {word} now"),
            rules,
        );
    }
    if old.grants.random() != new.grants.random() {
        let word = match new.grants.random() {
            Random::Real => "real random numbers",
            Random::Seeded(_) => "other random numbers, which repeat",
        };
        changes.add(
            Direction::Changed,
            format!("{package} gets {word} now"),
            rules,
        );
    }
}

fn may(access: FileAccess) -> &'static str {
    match access {
        FileAccess::Read => "read",
        FileAccess::Write => "read and write",
    }
}

fn files(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let package = new.package;
    for grant in new.grants.files() {
        let FileGrant { guest, host, .. } = grant;
        match old.grants.files().iter().find(|it| it.guest == *guest) {
            Some(before) if before.host == *host && before.base == grant.base => {
                file_changed(changes, package, before, grant);
            }
            before => {
                let was = before.map(|it| format!(", and no longer {}", it.host));
                let text = format!(
                    "{package} may now {} {guest}, which is {host} on this machine{}",
                    may(grant.access),
                    was.unwrap_or_default()
                );
                let rules = (before.map(|it| &it.rule), Some(&grant.rule));
                changes.add(Direction::Widened, text, rules);
                if !grant.unlock.is_empty() {
                    let text = format!(
                        "{package} may now change the guarded {} in {guest}",
                        grant.unlock.join(", ")
                    );
                    changes.gained(text, &grant.rule);
                }
            }
        }
    }
    for grant in old.grants.files() {
        if !new.grants.files().iter().any(|it| it.guest == grant.guest) {
            let text = format!(
                "{package} may no longer {} {}",
                may(grant.access),
                grant.guest
            );
            changes.lost(text, &grant.rule);
        }
    }
}

fn file_changed(changes: &mut Changes, package: &str, old: &FileGrant, new: &FileGrant) {
    let guest = &new.guest;
    let rules = (Some(&old.rule), Some(&new.rule));
    if new.access > old.access {
        changes.add(
            Direction::Widened,
            format!("{package} may now write to {guest}"),
            rules,
        );
    } else if new.access < old.access {
        let text = format!("{package} may no longer write to {guest}");
        changes.add(Direction::Narrowed, text, rules);
    }
    let asks = |grant: &FileGrant| grant.approve == Effect::Ask;
    match (asks(old), asks(new)) {
        (true, false) => {
            let text = format!("{package} no longer asks because of {guest}");
            changes.add(Direction::Widened, text, rules);
        }
        (false, true) => {
            let text = format!("{package} now asks before each call because of {guest}");
            changes.add(Direction::Narrowed, text, rules);
        }
        _ => {}
    }
    let beyond = |a: &FileGrant, b: &FileGrant| -> Vec<String> {
        let places = a.unlock.iter().filter(|it| !b.unlock.contains(it));
        places.cloned().collect()
    };
    let (more, less) = (beyond(new, old), beyond(old, new));
    if !more.is_empty() {
        let text = format!(
            "{package} may now change the guarded {} in {guest}",
            more.join(", ")
        );
        changes.add(Direction::Widened, text, rules);
    }
    if !less.is_empty() {
        let places = less.join(", ");
        let text = format!("{package} may no longer change the guarded {places} in {guest}");
        changes.add(Direction::Narrowed, text, rules);
    }
}

fn scratch(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let package = new.package;
    let (was, is) = (old.grants.scratch(), new.grants.scratch());
    if was.map(|it| &it.guest) == is.map(|it| &it.guest) {
        return;
    }
    if let Some(grant) = is {
        let text = format!(
            "each call of {package} has a directory of its own at {}",
            grant.guest
        );
        changes.gained(text, &grant.rule);
    }
    if let Some(grant) = was {
        let text = format!(
            "calls of {package} have no directory of their own at {} any more",
            grant.guest
        );
        changes.lost(text, &grant.rule);
    }
}

fn env(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let package = new.package;
    for grant in new.grants.env() {
        let name = &grant.name;
        match old.grants.env().iter().find(|it| it.name == *name) {
            None => changes.gained(
                format!("{package} sees the variable {name} now"),
                &grant.rule,
            ),
            Some(before) if before.value != grant.value => {
                let text = format!("{package} sees another value of the variable {name}");
                let rules = (Some(&before.rule), Some(&grant.rule));
                changes.add(Direction::Changed, text, rules);
            }
            Some(_) => {}
        }
    }
    for grant in old.grants.env() {
        if !new.grants.env().iter().any(|it| it.name == grant.name) {
            let text = format!("{package} no longer sees the variable {}", grant.name);
            changes.lost(text, &grant.rule);
        }
    }
}

fn calls(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let package = new.package;
    for grant in new.grants.calls() {
        if !old.grants.calls().iter().any(|it| it.tool == grant.tool) {
            changes.gained(
                format!("{package} may now call {}", grant.tool),
                &grant.rule,
            );
        }
    }
    for grant in old.grants.calls() {
        if !new.grants.calls().iter().any(|it| it.tool == grant.tool) {
            changes.lost(
                format!("{package} may no longer call {}", grant.tool),
                &grant.rule,
            );
        }
    }
}

/// Where it runs, from the weaker to the stronger. Where nothing is said, it depends on where the package comes from.
fn isolation(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let package = new.package;
    let of = |side: &Side<'_>| side.grants.isolation().map(|(it, rule)| (it, rule.clone()));
    let (was, is) = (of(old), of(new));
    let rank = |it: Option<Isolation>| match it {
        Some(Isolation::Thread) => 0,
        None => 1,
        Some(Isolation::Process) => 2,
    };
    let word = |it: Option<Isolation>| match it {
        Some(Isolation::Thread) => "in the host's own process",
        None => "where its kind of package runs",
        Some(Isolation::Process) => "in a process of its own",
    };
    let (mine, theirs) = (is.as_ref().map(|it| it.0), was.as_ref().map(|it| it.0));
    if mine == theirs {
        return;
    }
    let text = format!("{package} runs {} now, not {}", word(mine), word(theirs));
    let rules = (was.as_ref().map(|it| &it.1), is.as_ref().map(|it| &it.1));
    changes.add(Direction::of(&rank(theirs), &rank(mine)), text, rules);
}
