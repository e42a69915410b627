//! Reads `[request]`.

use super::{
    EnvRequest, FileRequest, MAX_WHY_BYTES, NetRequest, Requests, SecretRequest, parse::plain_text,
};
use crate::{
    access::{self, MAX_LIST},
    policy::suggestion,
    reader::{Entry, Reader, Section, shown},
};

pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> Requests {
    let keys = ["net", "files", "env", "calls", "secrets"];
    let Some(section) = root
        .get("request")
        .and_then(|entry| reader.section(entry.node, &entry.path, &keys))
    else {
        return Requests::default();
    };
    Requests {
        net: each(reader, &section, "net", net_request),
        files: each(reader, &section, "files", file_request),
        env: each(reader, &section, "env", env_request),
        calls: section
            .get("calls")
            .map(|entry| access::call_names(reader, &entry))
            .unwrap_or_default()
            .into_iter()
            .map(|(_, name)| name)
            .collect(),
        secrets: each(reader, &section, "secrets", secret_request),
    }
}

fn each<T: PartialEq>(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    read: impl Fn(&mut Reader<'_>, &Entry<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(entry) = section.get(key) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for element in reader.list(&entry, MAX_LIST).unwrap_or_default() {
        let Some(item) = read(reader, &element) else {
            continue;
        };
        if all.contains(&item) {
            reader.report(
                element.node.span(),
                "the same request stands here twice",
                "remove one",
            );
        } else {
            all.push(item);
        }
    }
    all
}

fn net_request(reader: &mut Reader<'_>, element: &Entry<'_>) -> Option<NetRequest> {
    let keys = ["to", "methods", "paths", "why"];
    let section = reader.section(element.node, &element.path, &keys)?;
    let why = why(reader, &section);
    let scope = access::net_scope(reader, &section, true)?;
    Some(NetRequest { scope, why })
}

fn file_request(reader: &mut Reader<'_>, element: &Entry<'_>) -> Option<FileRequest> {
    let section = reader.section(element.node, &element.path, &["access", "guest", "why"])?;
    let why = why(reader, &section);
    let access = access::file_access(reader, &section);
    let guest = match section.get("guest") {
        Some(entry) => Some(access::guest_path(reader, &entry)?),
        None => None,
    };
    Some(FileRequest {
        access: access?,
        guest,
        why,
    })
}

fn env_request(reader: &mut Reader<'_>, element: &Entry<'_>) -> Option<EnvRequest> {
    let (name_entry, why) = if element.node.value.is_str() {
        (element.clone(), None)
    } else {
        let section = reader.section(element.node, &element.path, &["name", "why"])?;
        reader.required(&section, "name")?;
        (section.get("name")?, why(reader, &section))
    };
    let name = reader.string(&name_entry)?;
    if !access::is_env_name(name) {
        reader.report(
            name_entry.node.span(),
            format!("`{}` is not a name of an environment variable", shown(name)),
            "use letters, digits and `_`, as in `LANG`",
        );
        return None;
    }
    Some(EnvRequest {
        name: name.to_owned(),
        why,
    })
}

fn secret_request(reader: &mut Reader<'_>, element: &Entry<'_>) -> Option<SecretRequest> {
    let keys = ["name", "to", "header", "basic", "query", "json", "why"];
    let section = reader.section(element.node, &element.path, &keys)?;
    let why = why(reader, &section);
    let name = reader.required(&section, "name");
    let to = match section.get("to") {
        Some(entry) if entry.node.value.as_str() == Some("any") => Some(None),
        Some(entry) => access::secret_endpoint(reader, &entry).map(Some),
        None => {
            reader.missing(&section, "to");
            None
        }
    };
    let place = suggestion(reader, &section);
    let name = name?;
    if !access::is_env_name(name) {
        let span = section.get("name")?.node.span();
        reader.report(
            span,
            format!("`{}` is not a name of a secret", shown(name)),
            "use letters, digits and `_`, as in `API_KEY`",
        );
    }
    Some(SecretRequest {
        name: name.to_owned(),
        to: to?,
        place: place?,
        why,
    })
}

fn why(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<String> {
    section
        .get("why")
        .and_then(|entry| plain_text(reader, &entry, MAX_WHY_BYTES))
}
