//! What a package asks for, compared.

use super::{ChangeKind, Changes, quoted};
use crate::{
    EnvRequest, FileAccess, FileRequest, NetRequest, SecretRequest, access::is_within,
    lock::LockedPackage,
};

/// Something that a package asks for.
trait Wish {
    /// Whether it asks for the same.
    fn same(&self, other: &Self) -> bool;
    /// Whether whoever has this has the other, too.
    fn covers(&self, other: &Self) -> bool {
        self.same(other)
    }
    /// What it asks for, after "asks to".
    fn words(&self) -> String;
    /// The reason its author gives.
    fn why(&self) -> Option<&str> {
        None
    }
}

impl Wish for FileRequest {
    fn same(&self, other: &Self) -> bool {
        self.access == other.access && self.guest == other.guest
    }

    fn covers(&self, other: &Self) -> bool {
        self.access >= other.access
            && match (&self.guest, &other.guest) {
                (None, _) => true,
                (Some(mine), Some(theirs)) => is_within(theirs, mine),
                (Some(_), None) => false,
            }
    }

    fn words(&self) -> String {
        let verb = match self.access {
            FileAccess::Read => "read",
            FileAccess::Write => "read and write",
        };
        match &self.guest {
            Some(guest) => format!("{verb} {}", quoted(guest, 0)),
            None => format!("{verb} any directory that is granted"),
        }
    }

    fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

impl Wish for NetRequest {
    fn same(&self, other: &Self) -> bool {
        self.scope == other.scope
    }

    fn covers(&self, other: &Self) -> bool {
        self.scope.covers(&other.scope)
    }

    fn words(&self) -> String {
        format!("send {}", self.scope)
    }

    fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

impl Wish for EnvRequest {
    fn same(&self, other: &Self) -> bool {
        self.name == other.name
    }

    fn words(&self) -> String {
        format!("see the variable {}", self.name)
    }

    fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

impl Wish for SecretRequest {
    fn same(&self, other: &Self) -> bool {
        self.name == other.name && self.to == other.to && self.place == other.place
    }

    fn words(&self) -> String {
        let place = self.place.as_ref().map_or(String::new(), |place| {
            let (key, text) = place.written();
            format!(" as {key} {}", quoted(&text, 0))
        });
        let to = self.destination();
        format!("use the secret {} for {to}{place}", self.name)
    }

    fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

/// Calls of tools are wishes by their names.
struct Call<'a>(&'a str);

impl Wish for Call<'_> {
    fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn words(&self) -> String {
        format!("call the tool {}", self.0)
    }
}

/// And so are imports: what a component cannot import it cannot do.
struct Import<'a>(&'a str);

impl Wish for Import<'_> {
    fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn words(&self) -> String {
        format!("import {}", self.0)
    }
}

fn calls(package: &LockedPackage) -> Vec<Call<'_>> {
    let calls = &package.manifest.request.calls;
    calls.iter().map(|call| Call(call)).collect()
}

fn imports(package: &LockedPackage) -> Vec<Import<'_>> {
    package.imports.iter().map(|it| Import(it)).collect()
}

pub(super) fn compare(changes: &mut Changes, old: &LockedPackage, new: &LockedPackage) {
    let (was, is) = (&old.manifest.request, &new.manifest.request);
    compare_list(changes, &was.files, &is.files);
    compare_list(changes, &was.net, &is.net);
    compare_list(changes, &was.env, &is.env);
    compare_list(changes, &was.secrets, &is.secrets);
    compare_list(changes, &calls(old), &calls(new));
    compare_list(changes, &imports(old), &imports(new));
}

fn compare_list<W: Wish>(changes: &mut Changes, old: &[W], new: &[W]) {
    for wish in new {
        if let Some(same) = old.iter().find(|it| it.same(wish)) {
            if same.why() != wish.why() {
                let why = |it: &W| quoted(it.why().unwrap_or_default(), 0);
                changes.add(
                    ChangeKind::Package,
                    format!(
                        "its reason to {} was {}; it is now {}",
                        wish.words(),
                        why(same),
                        why(wish)
                    ),
                );
            }
        } else if old.iter().any(|it| it.covers(wish)) {
            changes.add(
                ChangeKind::AsksLess,
                format!("asks more narrowly to {}", wish.words()),
            );
        } else {
            changes.add(
                ChangeKind::AsksMore,
                format!("now also asks to {}{}", wish.words(), reason(wish)),
            );
        }
    }
    // Of two wishes where the new one covers the old one, the new one was told.
    for wish in old {
        if !new.iter().any(|it| it.covers(wish)) {
            changes.add(
                ChangeKind::AsksLess,
                format!("no longer asks to {}", wish.words()),
            );
        }
    }
}

pub(super) fn introduce(changes: &mut Changes, new: &LockedPackage) {
    let wishes = &new.manifest.request;
    introduce_list(changes, &wishes.files);
    introduce_list(changes, &wishes.net);
    introduce_list(changes, &wishes.env);
    introduce_list(changes, &wishes.secrets);
    introduce_list(changes, &calls(new));
}

fn introduce_list<W: Wish>(changes: &mut Changes, new: &[W]) {
    for wish in new {
        changes.add(
            ChangeKind::AsksMore,
            format!("asks to {}{}", wish.words(), reason(wish)),
        );
    }
}

fn reason<W: Wish>(wish: &W) -> String {
    wish.why()
        .map_or(String::new(), |why| format!(": {}", quoted(why, 0)))
}
