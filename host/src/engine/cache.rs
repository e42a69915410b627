//! Compiled components kept between runs.
//!
//! A compiled component is native code, and whoever can write an entry runs code as this user. So the directory
//! belongs to this user alone, and each entry ends with a MAC under a key that never leaves the directory. An entry
//! that does not fit is compiled anew; a cache that cannot be used is a warning, never a failure.

mod prune;

use std::{
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    path::Path,
};

use cap_std::{
    ambient_authority,
    fs::{Dir, DirBuilder, DirBuilderExt, Metadata, MetadataExt, OpenOptions, OpenOptionsExt},
};
use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::OFlags;
use sha2::Sha256;
use wasmtime::{Engine, component::Component};

use super::limits;

const KEY_FILE: &str = "key";
/// As long as a block of SHA-256, which is what HMAC works with.
const KEY_BYTES: usize = 64;
const MAC_BYTES: usize = 32;
/// Nobody but the owner may read, write or enter.
const OTHERS: u32 = 0o077;

/// A directory of compiled components, or none.
pub(crate) struct Cache {
    state: State,
}

enum State {
    Off,
    Unusable(String),
    Ready { dir: Dir, key: [u8; KEY_BYTES] },
}

impl Cache {
    /// A cache that keeps nothing.
    pub(crate) fn off() -> Self {
        Self { state: State::Off }
    }

    /// Opens the cache in `path` and creates it where it does not exist.
    pub(crate) fn open(path: &Path) -> Self {
        let state = match open_private(path) {
            Ok((dir, key)) => State::Ready { dir, key },
            Err(error) => {
                tracing::warn!(%error, "compiled components are not kept: the cache directory cannot be used");
                State::Unusable(format!("not used: {error}"))
            }
        };
        Self { state }
    }

    /// `off`, `ready`, or why it cannot be used.
    pub(crate) fn state(&self) -> String {
        match &self.state {
            State::Off => "off".to_owned(),
            State::Unusable(why) => why.clone(),
            State::Ready { .. } => "ready".to_owned(),
        }
    }

    /// The compiled form of the component with this digest, where an authentic one is kept for this engine.
    pub(crate) fn load(&self, engine: &Engine, digest: &[u8; 32]) -> Option<Component> {
        let compiled = self.load_bytes(engine, digest)?;
        deserialize(engine, &compiled)
            .inspect_err(|error| {
                let entry = entry_name(engine, digest);
                tracing::warn!(%error, entry, "a cache entry does not fit and is ignored");
            })
            .ok()
    }

    /// The same as bytes, which this process does not load.
    pub(crate) fn load_bytes(&self, engine: &Engine, digest: &[u8; 32]) -> Option<Vec<u8>> {
        let State::Ready { dir, key } = &self.state else {
            return None;
        };
        let name = entry_name(engine, digest);
        let mut bytes = match read_private(dir, &name, limits::CACHE_ENTRY_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, entry = name, "a cache entry cannot be read and is ignored");
                return None;
            }
        };
        let length = authentic(key, &name, &bytes).map(<[u8]>::len).or_else(|| {
            tracing::warn!(
                entry = name,
                "a cache entry is not authentic and is ignored"
            );
            None
        })?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// Keeps a compiled component.
    pub(crate) fn store(&self, engine: &Engine, digest: &[u8; 32], component: &Component) {
        if !matches!(self.state, State::Ready { .. }) {
            return;
        }
        match component.serialize() {
            Ok(compiled) => self.store_bytes(engine, digest, compiled),
            Err(error) => tracing::warn!(%error, "a compiled component cannot be kept"),
        }
    }

    /// The same from bytes.
    pub(crate) fn store_bytes(&self, engine: &Engine, digest: &[u8; 32], mut compiled: Vec<u8>) {
        let State::Ready { dir, key } = &self.state else {
            return;
        };
        let name = entry_name(engine, digest);
        let mac = mac(key, &name, &compiled).finalize().into_bytes();
        compiled.extend_from_slice(&mac);
        if let Err(error) = write_private(dir, &name, &compiled) {
            tracing::warn!(%error, "a compiled component cannot be kept");
        }
    }
}

#[expect(
    unsafe_code,
    reason = "loading compiled code is unsafe by nature; see the safety argument"
)]
pub(super) fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` demands bytes that wasmtime's compiler made and that nobody changed since. There are three
    // callers. `Cache::load` has just checked them against a MAC over the entry's name and content, under a key that lies
    // in a directory which only this user can enter, and only `Cache::store_bytes` makes such entries; the name holds the
    // engine's compatibility hash. A host that had them compiled by a worker process of its own has them from that worker
    // alone: should hostile input have taken over the compiler there, it would have taken over this process had it been
    // compiled here. And a worker process has them from its host, which started it and from nobody else's hand, in a
    // file that is sealed; what they could do is confined whatever they are. In all three the bytes are in memory that
    // nobody else can change, and wasmtime checks the engine's settings and version again.
    unsafe { Component::deserialize(engine, compiled) }
}

/// The entry's file name: which component, compiled for which settings on which kind of processor.
fn entry_name(engine: &Engine, digest: &[u8; 32]) -> String {
    let mut hasher = HashBytes(sha2::Digest::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let settings: [u8; 32] = sha2::Digest::finalize(hasher.0).into();
    format!(
        "{}-{}{}",
        hex(digest),
        hex(settings.get(..16).unwrap_or_default()),
        prune::EXTENSION
    )
}

/// Gathers what wasmtime hashes in a hash that is the same in every process.
struct HashBytes(Sha256);

impl Hasher for HashBytes {
    fn write(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

fn mac(key: &[u8; KEY_BYTES], name: &str, compiled: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(&(*key).into());
    mac.update(name.as_bytes());
    mac.update(&[0]);
    mac.update(compiled);
    mac
}

fn authentic<'a>(key: &[u8; KEY_BYTES], name: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (compiled, tag) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
    mac(key, name, compiled).verify_slice(tag).ok()?;
    Some(compiled)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn open_private(path: &Path) -> io::Result<(Dir, [u8; KEY_BYTES])> {
    let dir = match Dir::open_ambient_dir(path, ambient_authority()) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_private(path)?,
        Err(error) => return Err(error),
    };
    check_private(&dir.dir_metadata()?)?;
    let key = match read_key(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fresh: [u8; KEY_BYTES] = rand::random();
            keep_first(&dir, KEY_FILE, &fresh)?;
            read_key(&dir)?
        }
        other => other?,
    };
    // A directory that was mounted read-only since should be told now, not after the first compilation.
    let probe = format!("probe.{:016x}", rand::random::<u64>());
    write_private(&dir, &probe, &[]).and_then(|()| dir.remove_file(&probe))?;
    Ok((dir, key))
}

fn create_private(path: &Path) -> io::Result<Dir> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no directory");
    let name = path.file_name().ok_or_else(invalid)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Dir::create_ambient_dir_all(parent, ambient_authority())?;
    let parent = Dir::open_ambient_dir(parent, ambient_authority())?;
    match parent.create_dir_with(name, DirBuilder::new().mode(0o700)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.open_dir(name)
}

fn read_key(dir: &Dir) -> io::Result<[u8; KEY_BYTES]> {
    read_private(dir, KEY_FILE, KEY_BYTES as u64)?
        .try_into()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its key file is damaged"))
}

/// What lies in the cache must belong to this user, and nobody else may touch it.
fn check_private(metadata: &Metadata) -> io::Result<()> {
    let denied = |why| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return denied("it belongs to another user");
    }
    if metadata.mode() & OTHERS != 0 {
        return denied("other users may use it; its mode should be 0700, and 0600 for files");
    }
    Ok(())
}

fn read_private(dir: &Dir, name: &str, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(
        OFlags::NOFOLLOW
            .union(OFlags::NONBLOCK)
            .bits()
            .cast_signed(),
    );
    let file = dir.open_with(name, &options)?;
    let metadata = file.metadata()?;
    check_private(&metadata)?;
    if !metadata.is_file() || metadata.len() > max_bytes {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is no file, or too large",
        ));
    }
    if name.ends_with(prune::EXTENSION) {
        prune::touch(&file);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file so that a reader sees all of it or nothing, unless it exists: where several processes write it at the
/// same time, the first one's stays, and all of them read that.
fn keep_first(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let own = format!("{name}.{:016x}.own", rand::random::<u64>());
    write_private(dir, &own, bytes)?;
    let linked = dir.hard_link(&own, dir, name);
    dir.remove_file(&own)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file so that a reader sees all of it or nothing.
fn write_private(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.{:016x}.new", rand::random::<u64>());
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = dir.open_with(&temporary, &options)?;
        file.write_all(bytes)?;
        drop(file);
        dir.rename(&temporary, dir, name)
    })();
    if written.is_err() {
        // The disk may be full: leave no half of a file behind. Nothing can be done if that fails, too.
        let _ = dir.remove_file(&temporary);
    } else if name.ends_with(prune::EXTENSION)
        && let Err(error) = prune::prune(dir, name, prune::Bounds::DEFAULT)
    {
        tracing::warn!(%error, "old compiled components cannot be removed");
    }
    written
}

#[cfg(test)]
mod tests;
