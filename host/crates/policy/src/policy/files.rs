//! Reads `files = [{ host, guest, access }]`.

use super::{FileGrant, parse::host_path, tool::access_approve};
use crate::{
    access::{self, MAX_LIST},
    reader::{Entry, Reader},
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
    let keys = ["host", "guest", "access", "approve"];
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
    Some(FileGrant {
        host: host?,
        base: None,
        guest: guest?,
        access: access?,
        approve,
        rule: reader.rule(&element.node.span(), &element.path),
    })
}
