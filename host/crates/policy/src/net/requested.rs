//! The path of a request as rules see it: decoded, and refused where servers disagree on what it means.

use url::Url;

/// A request's path, decoded and split at its slashes, in every reading that a server may give it.
#[derive(Debug)]
pub(crate) struct RequestPath {
    plain: Vec<Vec<u8>>,
    collapsed: Option<Vec<Vec<u8>>>,
}

/// How often a path may be escaped within itself; more layers than this are refused rather than peeled.
const MAX_ESCAPE_LAYERS: usize = 4;

impl RequestPath {
    /// The path, or why no rule is applied to it.
    pub(crate) fn of(url: &Url) -> Result<Self, &'static str> {
        let raw = url.path().strip_prefix('/').unwrap_or_default();
        let plain = raw
            .split('/')
            .map(decode_segment)
            .collect::<Result<Vec<_>, _>>()?;
        let inner = plain.len().saturating_sub(1);
        let has_empty = plain.iter().take(inner).any(Vec::is_empty);
        let collapsed = (has_empty && plain.len() > 1).then(|| {
            let mut kept: Vec<Vec<u8>> = plain
                .iter()
                .take(inner)
                .filter(|segment| !segment.is_empty())
                .cloned()
                .collect();
            kept.extend(plain.last().cloned());
            kept
        });
        Ok(Self { plain, collapsed })
    }

    pub(crate) fn readings(&self) -> impl Iterator<Item = &[Vec<u8>]> {
        std::iter::once(self.plain.as_slice()).chain(self.collapsed.as_deref())
    }
}

/// Decodes once for matching, and looks through further layers of escapes for what must not be there: a server behind
/// a proxy may decode again.
fn decode_segment(segment: &str) -> Result<Vec<u8>, &'static str> {
    let once = decode(segment.as_bytes());
    let mut layer = once.clone();
    for _ in 0..MAX_ESCAPE_LAYERS {
        check_decoded(&layer)?;
        let next = decode(&layer);
        if next == layer {
            return Ok(once);
        }
        layer = next;
    }
    Err("the path is escaped too many times over")
}

fn check_decoded(segment: &[u8]) -> Result<(), &'static str> {
    if segment.iter().any(|byte| matches!(byte, b'/' | b'\\')) {
        return Err("the path hides a slash or backslash in an escape");
    }
    if segment.iter().any(|byte| byte.is_ascii_control()) {
        return Err("the path hides a control character in an escape");
    }
    // Some servers cut parameters off a segment before they resolve dots, so `..;x` counts as `..`.
    let name = segment
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    if matches!(name, b"." | b"..") {
        return Err("the path hides a `.` or `..` segment");
    }
    Ok(())
}

/// Resolves `%XX`; what is no escape stays as it is.
fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match rest {
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [byte, tail @ ..] => {
                decoded.push(*byte);
                rest = tail;
            }
            [] => return decoded,
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}
