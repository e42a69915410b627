//! The bytes of an encrypted file. Whatever they are, reading ends, takes bounded memory, and says what is wrong.

use std::collections::BTreeMap;

use chacha20poly1305::{
    Key as CipherKey, KeyInit as _, XChaCha20Poly1305, XNonce, aead::AeadInOut as _,
};
use toolcell::SECRET_BYTES_MAX;
use zeroize::Zeroizing;

/// The largest file that is read or written, in bytes.
pub(crate) const FILE_BYTES_MAX: usize = 4 << 20;
/// The most values of one file.
pub(crate) const VALUES_MAX: usize = 1000;
/// The longest name of a value, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 128;

const MAGIC: &[u8; 15] = b"toolcell-vault\0";
const VERSION: u8 = 1;
pub(crate) const SALT_BYTES: usize = 16;
pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// What a passphrase costs to try: memory in KiB, passes over it, and lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Cost {
    /// Of new files: 64 MiB, three times over, about a tenth of a second.
    pub(crate) const NEW: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 1,
    };
    /// The most that a file may ask for. A file that somebody else wrote must not use the machine up.
    pub(crate) const MAX: Self = Self {
        memory_kib: 256 * 1024,
        passes: 10,
        lanes: 4,
    };

    fn is_allowed(self) -> bool {
        let Self {
            memory_kib,
            passes,
            lanes,
        } = self;
        (1..=Self::MAX.lanes).contains(&lanes)
            && (1..=Self::MAX.passes).contains(&passes)
            && (lanes.saturating_mul(8)..=Self::MAX.memory_kib).contains(&memory_kib)
    }
}

/// How the key of a file is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// It lies in the keyring of the operating system.
    Keyring,
    /// It is made of a passphrase with Argon2id.
    Passphrase(Cost),
}

/// How the key of a file is made, and what makes it this file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) source: KeySource,
    pub(crate) salt: [u8; SALT_BYTES],
}

/// The key of a file.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// What is known of a file without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) recipe: Recipe,
    /// Each name, and since when its value is there, in seconds since 1970.
    pub(crate) names: BTreeMap<String, u64>,
}

/// One value, and since when it is there.
pub(crate) struct Entry {
    pub(crate) since: u64,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

/// All values of a file.
pub(crate) type Entries = BTreeMap<String, Entry>;

/// Why bytes are no such file, or not one that this key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("it is no file of toolcell's secrets")]
    Magic,
    #[error("it was written by a later version of toolcell (format {0})")]
    Version(u8),
    #[error("it ends too early")]
    Truncated,
    #[error("it has more than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("it has more than {VALUES_MAX} values")]
    TooMany,
    #[error(
        "it asks for more than {} MiB of memory, {} passes or {} lanes for its passphrase",
        Cost::MAX.memory_kib / 1024,
        Cost::MAX.passes,
        Cost::MAX.lanes
    )]
    Cost,
    #[error("it is damaged")]
    Damaged,
    #[error("the key does not open it: it is another one, or the file was changed")]
    Key,
}

/// Whether a value may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with(['-', '.'])
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Wrong::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        self.take(N)?.try_into().map_err(|_| Wrong::Truncated)
    }

    fn byte(&mut self) -> Result<u8, Wrong> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Wrong> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Wrong> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

/// Reads what is known of a file without its key. None of it is certain before [`open`] succeeds.
pub(crate) fn header(file: &[u8]) -> Result<Header, Wrong> {
    if file.len() > FILE_BYTES_MAX {
        return Err(Wrong::TooLarge);
    }
    let mut bytes = Bytes(file);
    let header = read_header(&mut bytes)?;
    // The rest is there as well.
    bytes.take(NONCE_BYTES + TAG_BYTES)?;
    Ok(header)
}

fn read_header(bytes: &mut Bytes<'_>) -> Result<Header, Wrong> {
    if bytes.take(MAGIC.len()).ok() != Some(MAGIC) {
        return Err(Wrong::Magic);
    }
    let version = bytes.byte()?;
    if version != VERSION {
        return Err(Wrong::Version(version));
    }
    let kind = bytes.byte()?;
    let cost = Cost {
        memory_kib: bytes.u32()?,
        passes: bytes.u32()?,
        lanes: bytes.u32()?,
    };
    let nothing = Cost {
        memory_kib: 0,
        passes: 0,
        lanes: 0,
    };
    let source = match kind {
        0 if cost == nothing => KeySource::Keyring,
        1 if cost.is_allowed() => KeySource::Passphrase(cost),
        1 => return Err(Wrong::Cost),
        _ => return Err(Wrong::Damaged),
    };
    let salt = bytes.array()?;
    let count = bytes.u32()?;
    if usize::try_from(count).map_or(true, |count| count > VALUES_MAX) {
        return Err(Wrong::TooMany);
    }
    let mut names = BTreeMap::new();
    for _ in 0..count {
        let since = bytes.u64()?;
        let length = usize::from(bytes.byte()?);
        let name = std::str::from_utf8(bytes.take(length)?).map_err(|_| Wrong::Damaged)?;
        let last: Option<&String> = names.last_key_value().map(|(name, _)| name);
        // In order, so that there is one way to write a file, and no name twice.
        if !is_name(name) || last.is_some_and(|last| last.as_str() >= name) {
            return Err(Wrong::Damaged);
        }
        names.insert(name.to_owned(), since);
    }
    Ok(Header {
        recipe: Recipe { source, salt },
        names,
    })
}

/// Reads all values.
pub(crate) fn open(file: &[u8], key: &Key) -> Result<(Recipe, Entries), Wrong> {
    if file.len() > FILE_BYTES_MAX {
        return Err(Wrong::TooLarge);
    }
    let mut bytes = Bytes(file);
    let header = read_header(&mut bytes)?;
    let nonce: [u8; NONCE_BYTES] = bytes.array()?;
    let sealed = bytes.0;
    let (sealed, tag) = sealed
        .len()
        .checked_sub(TAG_BYTES)
        .and_then(|at| sealed.split_at_checked(at))
        .ok_or(Wrong::Truncated)?;
    let before = file.len().saturating_sub(sealed.len() + TAG_BYTES);
    let associated = file.get(..before).ok_or(Wrong::Truncated)?;
    let tag: [u8; TAG_BYTES] = tag.try_into().map_err(|_| Wrong::Truncated)?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    cipher(key)
        .decrypt_inout_detached(
            &XNonce::from(nonce),
            associated,
            plain.as_mut_slice().into(),
            &tag.into(),
        )
        .map_err(|_| Wrong::Key)?;
    let mut values = Bytes(&plain);
    let mut entries = Entries::new();
    for (name, since) in header.names {
        let length = usize::try_from(values.u32()?).map_err(|_| Wrong::Damaged)?;
        if length > SECRET_BYTES_MAX {
            return Err(Wrong::Damaged);
        }
        let value = Zeroizing::new(values.take(length)?.to_vec());
        entries.insert(name, Entry { since, value });
    }
    if !values.0.is_empty() {
        return Err(Wrong::Damaged);
    }
    Ok((header.recipe, entries))
}

/// Writes a file, under a nonce that was never used with this key.
pub(crate) fn seal(recipe: &Recipe, key: &Key, entries: &Entries) -> Result<Vec<u8>, Wrong> {
    if entries.len() > VALUES_MAX {
        return Err(Wrong::TooMany);
    }
    let mut file = MAGIC.to_vec();
    file.push(VERSION);
    let (kind, cost) = match recipe.source {
        KeySource::Keyring => (0, [0; 3]),
        KeySource::Passphrase(cost) => (1, [cost.memory_kib, cost.passes, cost.lanes]),
    };
    file.push(kind);
    for number in cost {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(&recipe.salt);
    file.extend_from_slice(
        &u32::try_from(entries.len())
            .map_err(|_| Wrong::TooMany)?
            .to_le_bytes(),
    );
    let mut room = 0_usize;
    for (name, entry) in entries {
        if !is_name(name) || entry.value.len() > SECRET_BYTES_MAX {
            return Err(Wrong::Damaged);
        }
        file.extend_from_slice(&entry.since.to_le_bytes());
        file.push(u8::try_from(name.len()).map_err(|_| Wrong::Damaged)?);
        file.extend_from_slice(name.as_bytes());
        room = room.saturating_add(4).saturating_add(entry.value.len());
    }
    let nonce: [u8; NONCE_BYTES] = rand::random();
    file.extend_from_slice(&nonce);
    // Room for all of it at once: a buffer that grows leaves a copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    for entry in entries.values() {
        let length = u32::try_from(entry.value.len()).map_err(|_| Wrong::Damaged)?;
        plain.extend_from_slice(&length.to_le_bytes());
        plain.extend_from_slice(&entry.value);
    }
    if file
        .len()
        .saturating_add(plain.len())
        .saturating_add(TAG_BYTES)
        > FILE_BYTES_MAX
    {
        return Err(Wrong::TooLarge);
    }
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(nonce), &file, plain.as_mut_slice().into())
        .map_err(|_| Wrong::TooLarge)?;
    file.extend_from_slice(&plain);
    file.extend_from_slice(&tag);
    Ok(file)
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&CipherKey::from(**key))
}

#[cfg(test)]
mod tests;
