//! Which values are refused.
//!
//! Every known value is searched for in all that comes back from a tool, and replaced. A short or an ordinary one would be
//! found where it is not meant: that destroys answers, and tells whoever sees the replacement what the value is.

use super::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};

/// How many different bytes a value has at least.
pub const SECRET_DISTINCT_MIN: usize = 5;
/// How many bits a value has at least: its length times the Shannon entropy of its own bytes.
pub const SECRET_BITS_MIN: u32 = 20;
/// How many bytes a value has at least that consists of digits alone, or of letters of one case alone.
pub const SECRET_PLAIN_BYTES_MIN: usize = 16;

/// How much of a value may count up or down, as `23456789` does: no more than half of its steps.
const STEPS_PART: usize = 2;
/// Values with more bytes than this are not looked up among common words.
const WORDS_BYTES_MAX: usize = 64;
/// With so many letters and digits besides common words a value is no longer common, and neither is one of which more than
/// a third is no common word.
const BESIDES_WORDS_MIN: usize = 8;

/// Why a value is refused. It says nothing of the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakSecret {
    /// See [`SECRET_BYTES_MIN`].
    #[error("it has fewer than {SECRET_BYTES_MIN} bytes")]
    TooShort,
    /// See [`SECRET_BYTES_MAX`].
    #[error("it has more than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    /// A line break or a NUL inside, which no header can carry.
    #[error("it has a line break or a NUL inside")]
    Broken,
    /// See [`SECRET_DISTINCT_MIN`] and [`SECRET_BITS_MIN`].
    #[error(
        "it repeats itself: it needs {SECRET_DISTINCT_MIN} different bytes and {SECRET_BITS_MIN} bits of entropy"
    )]
    Repetitive,
    /// Its bytes count up or down.
    #[error("more than half of it counts up or down")]
    Sequence,
    /// See [`SECRET_PLAIN_BYTES_MIN`].
    #[error("digits alone, or letters of one case alone, need {SECRET_PLAIN_BYTES_MIN} bytes")]
    Plain,
    /// One of the values that everybody tries first, or that stand where a value is still to be written.
    #[error("it is made of common words, as a placeholder or a default password is")]
    Common,
}

/// Checks a value against all rules, the simplest first.
pub(super) fn check(value: &[u8]) -> Result<(), WeakSecret> {
    if value.len() < SECRET_BYTES_MIN {
        return Err(WeakSecret::TooShort);
    }
    if value.len() > SECRET_BYTES_MAX {
        return Err(WeakSecret::TooLong);
    }
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(WeakSecret::Broken);
    }
    if repetitive(value) {
        return Err(WeakSecret::Repetitive);
    }
    if sequence(value) {
        return Err(WeakSecret::Sequence);
    }
    // Before the plain ones, since it says more.
    if value.len() <= WORDS_BYTES_MAX && common(value) {
        return Err(WeakSecret::Common);
    }
    let all = |of: fn(&u8) -> bool| value.iter().all(of);
    let plain =
        all(u8::is_ascii_digit) || all(u8::is_ascii_lowercase) || all(u8::is_ascii_uppercase);
    if plain && value.len() < SECRET_PLAIN_BYTES_MIN {
        return Err(WeakSecret::Plain);
    }
    Ok(())
}

fn repetitive(value: &[u8]) -> bool {
    let mut counts = [0u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let used: Vec<f64> = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count))
        .collect();
    let length: f64 = used.iter().sum();
    let bits: f64 = used
        .iter()
        .map(|count| count * (length / count).log2())
        .sum();
    used.len() < SECRET_DISTINCT_MIN || bits < f64::from(SECRET_BITS_MIN)
}

fn sequence(value: &[u8]) -> bool {
    let steps = value.windows(2).filter(|pair| match pair {
        [a, b] => a.abs_diff(*b) <= 1,
        _ => false,
    });
    steps.count() > value.len() / STEPS_PART
}

/// Whether a value is made of common words and little else. Letter case counts for nothing, and neither do the usual
/// replacements such as `0` for `o`.
fn common(value: &[u8]) -> bool {
    // Once as it is, so that `changeme123` has its digits, and once with digits read as the letters they look like.
    let plain: Vec<u8> = value.iter().map(u8::to_ascii_lowercase).collect();
    let read = plain
        .iter()
        .map(|byte| looks_like(*byte))
        .collect::<Vec<u8>>();
    [plain, read].into_iter().any(|mut text| {
        text.retain(u8::is_ascii_alphanumeric);
        let left = besides_words(&text);
        let words = text.len().saturating_sub(left);
        left < BESIDES_WORDS_MIN && left.saturating_mul(2) <= words
    })
}

fn looks_like(byte: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' | b'!' => b'i',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        other => other,
    }
}

/// The fewest bytes that are left when common words are taken out.
fn besides_words(text: &[u8]) -> usize {
    // The fewest that are left over before each end.
    let mut best: Vec<usize> = vec![0];
    for end in 1..=text.len() {
        let skipped = best.last().map_or(0, |before| before.saturating_add(1));
        let taken = WORDS.iter().filter_map(|word| {
            let start = end.checked_sub(word.len())?;
            let found = text.get(start..end)? == word.as_bytes();
            best.get(start).copied().filter(|_| found)
        });
        let fewest = taken.min().map_or(skipped, |taken| taken.min(skipped));
        best.push(fewest);
    }
    best.last().copied().unwrap_or_default()
}

/// Common words, in lower case.
const WORDS: &[&str] = &[
    // Default passwords, and what everybody tries first.
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pass",
    "admin",
    "administrator",
    "root",
    "user",
    "guest",
    "login",
    "welcome",
    "letmein",
    "changeme",
    "change",
    "secret",
    "default",
    "master",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "iloveyou",
    "sunshine",
    "princess",
    "trustno",
    "superman",
    "batman",
    "shadow",
    "hunter",
    "abc",
    "qwerty",
    "qwertz",
    "azerty",
    "qwertyuiop",
    "asdf",
    "asdfgh",
    "asdfghjkl",
    "zxcv",
    "zxcvbn",
    "zxcvbnm",
    "qaz",
    "wsx",
    "edc",
    "123",
    "1234",
    "12345",
    "123456",
    // What stands where a value is still to be written.
    "placeholder",
    "example",
    "sample",
    "dummy",
    "fake",
    "test",
    "testing",
    "demo",
    "todo",
    "fixme",
    "replace",
    "insert",
    "enter",
    "put",
    "your",
    "my",
    "the",
    "this",
    "here",
    "with",
    "me",
    "is",
    "a",
    "xxx",
    "foo",
    "bar",
    "baz",
    "foobar",
    "hello",
    "world",
    "please",
    "now",
    "some",
    "not",
    "use",
    "only",
    "dev",
    "local",
    "prod",
    "none",
    "null",
    "undefined",
    "empty",
    "unset",
    "value",
    // What such a value is called.
    "api",
    "key",
    "apikey",
    "token",
    "access",
    "auth",
    "bearer",
    "authorization",
    "credential",
    "credentials",
    "client",
    "private",
    "public",
    "github",
    "gitlab",
    "openai",
    "anthropic",
    "google",
    "aws",
    "azure",
    "slack",
    "env",
    "string",
    "var",
];
