//! Reads `files = [{ host, guest, access }]`.

use super::{FileGrant, ScratchGrant, parse::host_path, tool::access_approve};
use crate::{
    FileAccess,
    access::{self, MAX_LIST},
    guarded::{guarded_place, guarded_places},
    names,
    reader::{Entry, Reader, Section, shown},
};

/// The grants of a list. Guest directories must not lie in one another: a guest that opened the outer one reaches the
/// inner path through it, in the outer grant's host directory, so that one guest path would mean two files with two
/// different permissions.
pub(super) fn grants(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<FileGrant> {
    let mut grants: Vec<FileGrant> = Vec::new();
    for element in reader.list(entry, MAX_LIST).unwrap_or_default() {
        let Some(grant) = grant(reader, &element) else {
            continue;
        };
        let clash = grants.iter().find(|other| {
            access::is_within(&other.guest, &grant.guest)
                || access::is_within(&grant.guest, &other.guest)
        });
        match clash {
            Some(other) if other.guest == grant.guest => {
                let message = format!(
                    "line {} already puts a directory at `{}`",
                    other.rule.line, grant.guest
                );
                reader.report(
                    element.node.span(),
                    message,
                    "give each directory a guest path of its own",
                );
            }
            Some(other) => {
                let message = format!(
                    "the guest paths `{}` and `{}` (line {}) lie in one another",
                    grant.guest, other.guest, other.rule.line
                );
                reader.report(
                    element.node.span(),
                    message,
                    "put them side by side, for example \"/work\" and \"/data\"",
                );
            }
            None => grants.push(grant),
        }
    }
    grants
}

fn grant(reader: &mut Reader<'_>, element: &Entry<'_>) -> Option<FileGrant> {
    let keys = ["host", "guest", "access", "approve", "unlock"];
    let section = reader.section(element.node, &element.path, &keys)?;
    let host = reader.required(&section, "host").map(str::to_owned);
    let host = section
        .get("host")
        .zip(host)
        .and_then(|(entry, host)| host_path(reader, &entry, &host));
    let guest = match section.get("guest") {
        Some(entry) => access::guest_path(reader, &entry),
        None => {
            reader.missing(&section, "guest");
            None
        }
    };
    let access = access::file_access(reader, &section);
    let approve = access_approve(reader, &section);
    let unlock = unlock(reader, &section, access);
    Some(FileGrant {
        host: host?,
        base: None,
        guest: guest?,
        access: access?,
        approve,
        unlock,
        rule: reader.rule(&element.node.span(), &element.path),
    })
}

/// The guarded places that a grant names, each as the list spells it.
fn unlock(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    access: Option<FileAccess>,
) -> Vec<String> {
    let Some(entry) = section.get("unlock") else {
        return Vec::new();
    };
    let Some(named) = reader.strings(&entry, MAX_LIST) else {
        return Vec::new();
    };
    if access == Some(FileAccess::Read) || named.is_empty() {
        let help = "leave `unlock` out, or name places that a grant with write access opens";
        let message = "this `unlock` has no effect: it opens nothing for writing";
        reader.report(entry.node.span(), message, help);
    }
    let mut places: Vec<String> = Vec::new();
    for (element, text) in named {
        let Some(guarded) = guarded_place(text) else {
            let near = names::nearest(text, guarded_places().map(|it| it.place));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "docs/policy.md lists the guarded places; everything else is open in a grant with write access"
                    .to_owned(),
            };
            let message = format!("`{}` is not a guarded place", shown(text));
            reader.report(element.node.span(), message, help);
            continue;
        };
        if places.iter().any(|it| it == guarded.place) {
            let message = format!("`{}` stands here twice", guarded.place);
            reader.report(element.node.span(), message, "remove one");
        } else {
            places.push(guarded.place.to_owned());
        }
    }
    places
}

/// `scratch = "/tmp"`, which must lie beside the granted directories for the reason that they lie beside each other.
pub(super) fn scratch(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    files: &[FileGrant],
) -> Option<ScratchGrant> {
    let guest = access::guest_path(reader, entry)?;
    let clash = files.iter().find(|other| {
        access::is_within(&other.guest, &guest) || access::is_within(&guest, &other.guest)
    });
    if let Some(other) = clash {
        let message = format!(
            "the guest paths `{guest}` and `{}` (line {}) lie in one another",
            other.guest, other.rule.line
        );
        let help = "put them side by side, for example \"/work\" and \"/tmp\"";
        reader.report(entry.node.span(), message, help);
        return None;
    }
    Some(ScratchGrant {
        guest,
        rule: reader.rule(&entry.key_span, &entry.path),
    })
}
