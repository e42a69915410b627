//! Reads `toolcell.lock`.

use super::{
    Digest, LOCK_VERSION, Lock, LockedPackage, MAX_IMPORT_BYTES, MAX_LOCK_BYTES, MAX_LOCK_IMPORTS,
    MAX_LOCK_PACKAGES,
};
use crate::{
    FileKind, MAX_PATH_BYTES, Problems, manifest, names,
    problem::Source,
    reader::{Entry, Reader, Section, shown},
};

const LOCK_AGAIN: &str = "remove the file and run `toolcell lock` to look at the packages again";

/// What is recorded beside the manifest.
const OWN_KEYS: [&str; 6] = ["from", "component", "manifest", "tools", "bytes", "imports"];

pub(super) fn lock(name: &str, text: &str) -> Result<Lock, Problems> {
    let source = Source::new(FileKind::Lock, name, text);
    let mut reader = Reader::new(&source);
    let lock = read(&mut reader, text);
    reader.finish()?;
    // Whatever keeps the lock from being built was reported, so this line is reached with a lock only.
    lock.ok_or_else(|| Problems::internal(&source))
}

fn read(reader: &mut Reader<'_>, text: &str) -> Option<Lock> {
    if text.len() > MAX_LOCK_BYTES {
        reader.report(
            0..0,
            format!(
                "the lock file has {} bytes; at most {MAX_LOCK_BYTES} are allowed",
                text.len()
            ),
            LOCK_AGAIN,
        );
        return None;
    }
    let document = reader.document(text)?;
    let root = Section::root(&document);
    // First of all: a newer file may have other keys, and then only its version is worth a word.
    check_version(reader, &root)?;
    reader.check_keys(&root, &["version", "package"]);
    let mut lock = Lock::new();
    if let Some(entry) = root.get("package") {
        packages(reader, &entry, &mut lock);
    }
    Some(lock)
}

fn check_version(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<()> {
    let Some(entry) = root.get("version") else {
        reader.missing(root, "version");
        return None;
    };
    let version = reader.number(&entry)?;
    if version == LOCK_VERSION {
        return Some(());
    }
    let help = if version > LOCK_VERSION {
        "a newer toolcell wrote it: update this one, or lock the packages again with it"
    } else {
        LOCK_AGAIN
    };
    reader.report(
        entry.node.span(),
        format!("this lock file has version {version}, and this host reads version {LOCK_VERSION}"),
        help,
    );
    None
}

fn packages(reader: &mut Reader<'_>, entry: &Entry<'_>, lock: &mut Lock) {
    let Some(section) = reader.any_section(entry.node, &entry.path) else {
        return;
    };
    let entries = section.entries();
    if entries.len() > MAX_LOCK_PACKAGES {
        reader.report(
            entry.key_span.clone(),
            format!(
                "{} packages are recorded; at most {MAX_LOCK_PACKAGES} are allowed",
                entries.len()
            ),
            LOCK_AGAIN,
        );
        return;
    }
    for entry in entries {
        if !names::is_kebab_case(entry.key) {
            reader.report(
                entry.key_span.clone(),
                format!("`{}` is not a package name", shown(entry.key)),
                LOCK_AGAIN,
            );
        } else if let Some(package) = package(reader, &entry) {
            lock.insert(package);
        }
    }
}

fn package(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<LockedPackage> {
    let section = reader.any_section(entry.node, &entry.path)?;
    let keys = [OWN_KEYS.as_slice(), &manifest::RECORDED_KEYS].concat();
    reader.check_keys(&section, &keys);
    let from = from(reader, &section);
    let component = digest(reader, &section, "component");
    let recorded_manifest = digest(reader, &section, "manifest");
    let recorded_tools = digest(reader, &section, "tools");
    let bytes = match section.get("bytes") {
        Some(entry) => reader.number(&entry),
        None => {
            reader.missing(&section, "bytes");
            None
        }
    };
    let imports = imports(reader, &section);
    let manifest = manifest::read_recorded(reader, &section, entry.key);
    let package = LockedPackage::new(from?, component?, bytes?, imports?, &manifest?);
    // Somebody changed what people read and left what the host compares, or the other way round.
    for (key, recorded, real) in [
        ("manifest", recorded_manifest?, package.manifest_digest),
        ("tools", recorded_tools?, package.tools_digest),
    ] {
        if recorded != real {
            reader.report(
                section.get(key)?.node.span(),
                format!(
                    "`{}` is not the digest of what is recorded here: the file was changed by hand",
                    section.path_of(key)
                ),
                LOCK_AGAIN,
            );
        }
    }
    Some(package)
}

fn from(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<String> {
    let text = reader.required(section, "from")?;
    if !text.is_empty()
        && text.len() <= MAX_PATH_BYTES
        && names::hidden_character(text).is_none()
        && !text.contains(['\n', '\t'])
    {
        return Some(text.to_owned());
    }
    let span = section.get("from")?.node.span();
    reader.report(
        span,
        format!("`{}` is no place that a package comes from", shown(text)),
        LOCK_AGAIN,
    );
    None
}

fn digest(reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<Digest> {
    let text = reader.required(section, key)?;
    let digest = Digest::parse(text);
    if digest.is_none() {
        let span = section.get(key)?.node.span();
        reader.report(
            span,
            format!("`{}` is not a digest", shown(text)),
            "a digest is `sha256:` and 64 lower-case hexadecimal digits",
        );
    }
    digest
}

fn imports(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Vec<String>> {
    let Some(entry) = section.get("imports") else {
        reader.missing(section, "imports");
        return None;
    };
    let mut imports = Vec::new();
    for (element, name) in reader.strings(&entry, MAX_LOCK_IMPORTS)? {
        let plain = !name.is_empty()
            && name.len() <= MAX_IMPORT_BYTES
            && name.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if plain {
            imports.push(name.to_owned());
        } else {
            reader.report(
                element.node.span(),
                format!("`{}` is no name of an import", shown(name)),
                LOCK_AGAIN,
            );
        }
    }
    Some(imports)
}
