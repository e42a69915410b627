//! Which answers are withheld, since no search could find a secret in them.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING},
};

use crate::capability::http::credentials::Refusal;

/// How the letters of a text may be written: so that those of ASCII are what they are in ASCII, or as UTF-16, which is
/// searched too. All of these at any place of a list are fine; `*` stands for any rest.
const CHARSETS: [&str; 21] = [
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "utf-16",
    "utf-16le",
    "utf-16be",
    "latin1",
    "iso-8859-*",
    "iso8859-*",
    "windows-*",
    "cp125*",
    "koi8-*",
    "macintosh",
    "shift_jis",
    "shift-jis",
    "euc-*",
    "gbk",
    "gb2312",
    "gb18030",
    "big5",
];

/// Media types of compressed files. Most also show in how they begin.
const COMPRESSED: [&str; 20] = [
    "application/br",
    "application/brotli",
    "application/gzip",
    "application/x-gzip",
    "application/x-gunzip",
    "application/zip",
    "application/x-zip",
    "application/x-zip-compressed",
    "application/zlib",
    "application/deflate",
    "application/zstd",
    "application/x-bzip",
    "application/x-bzip2",
    "application/x-xz",
    "application/x-lzma",
    "application/x-compress",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/x-rar-compressed",
    "application/x-gtar-compressed",
];

/// How compressed files begin.
const MAGIC: [(&[u8], &str); 12] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x9d", "compress"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
];

/// So many bytes of a body decide.
const MAGIC_BYTES: usize = 10;

/// An answer that is withheld.
pub(super) fn refusal(rule: &str, why: String) -> Refusal {
    let reason = format!(
        "the answer {why}, so that it cannot be searched for secrets; answers from a secret's destination that cannot be \
         searched are withheld"
    );
    Refusal::new(rule, reason)
}

/// Why the head of an answer says that its body cannot be searched.
pub(super) fn by_head<B>(response: &Response<B>, credentialed: bool) -> Option<String> {
    let headers = response.headers();
    let why = if !all(headers, &CONTENT_ENCODING, "identity") {
        "is encoded, although none was asked for (`content-encoding`)"
    } else if !all(headers, &TRANSFER_ENCODING, "chunked") {
        "is encoded on its way (`transfer-encoding`)"
    } else if response.status() == StatusCode::PARTIAL_CONTENT
        || headers.contains_key(CONTENT_RANGE)
        || is_type(headers, "multipart/byteranges")
    {
        "is a part of a larger one, although none was asked for"
    } else if response.status() == StatusCode::IM_USED {
        "is a difference to another one, although none was asked for"
    } else if charset(headers).is_some_and(|charset| !is_known(&charset)) {
        "is written in an unusual character encoding (`content-type`)"
    } else if credentialed
        && (COMPRESSED.iter().any(|name| is_type(headers, name))
            || ["+gzip", "+zip", "+zstd"]
                .iter()
                .any(|suffix| essence(headers).is_some_and(|it| it.ends_with(suffix))))
    {
        "is a compressed file (`content-type`)"
    } else {
        return None;
    };
    Some(why.to_owned())
}

/// Whether a list holds nothing but this one word.
fn all(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let words = headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    words
        .filter(|it| !it.is_empty())
        .all(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

fn types(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    headers.get_all(CONTENT_TYPE).iter().map(text)
}

fn essence(headers: &HeaderMap) -> Option<String> {
    let first = types(headers).next()?;
    Some(first.split(';').next()?.trim().to_owned())
}

fn is_type(headers: &HeaderMap, name: &str) -> bool {
    types(headers).any(|it| it.split([';', ',']).any(|part| part.trim() == name))
}

/// The first character encoding that is named, and of several one that is not known.
fn charset(headers: &HeaderMap) -> Option<String> {
    let named: Vec<String> = types(headers)
        .flat_map(|it| {
            let parts = it.split([';', ',']).map(str::to_owned);
            parts.collect::<Vec<_>>()
        })
        .filter_map(|part| {
            let (key, value) = part.split_once('=')?;
            let plain = || value.trim().trim_matches(['"', '\'']).trim().to_owned();
            (key.trim() == "charset").then(plain)
        })
        .collect();
    let unknown = named.iter().find(|charset| !is_known(charset));
    unknown.or(named.first()).cloned()
}

fn is_known(charset: &str) -> bool {
    charset.is_empty()
        || CHARSETS.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => charset.starts_with(start),
            None => charset == *known,
        })
}

/// How a body begins, as far as it has arrived.
#[derive(Default)]
pub(in crate::capability::http) struct Beginning {
    bytes: Vec<u8>,
}

impl Beginning {
    /// Takes the next bytes. The answer is there once enough of them are: fine, or what the body is.
    pub(super) fn add(&mut self, data: &[u8]) -> Option<Result<(), String>> {
        let wanted = MAGIC_BYTES.saturating_sub(self.bytes.len());
        self.bytes.extend(data.iter().take(wanted));
        let found = MAGIC
            .iter()
            .find(|(magic, _)| self.bytes.starts_with(magic));
        match found {
            Some((_, kind)) => Some(Err(format!("is compressed ({kind})"))),
            // After the first three bytes comes the size of its blocks.
            None if self.bytes.starts_with(b"BZh") && self.bytes.ends_with(b"1AY&SY") => {
                Some(Err("is compressed (bzip2)".to_owned()))
            }
            None => (self.bytes.len() >= MAGIC_BYTES).then_some(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withheld(status: u16, headers: &[(&str, &str)], credentialed: bool) -> bool {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        by_head(&response.body(()).unwrap(), credentialed).is_some()
    }

    #[test]
    fn what_is_encoded_is_withheld() {
        for encoding in [
            "gzip",
            "GZIP",
            "br",
            "zstd",
            "deflate",
            "compress",
            "x-gzip",
            "identity, gzip",
            "gzip, identity",
            "aes128gcm",
            "what-is-this",
            "utf-8",
        ] {
            assert!(
                withheld(200, &[("content-encoding", encoding)], false),
                "{encoding}"
            );
        }
        let twice = [("content-encoding", "identity"), ("content-encoding", "br")];
        assert!(withheld(200, &twice, false));
        for encoding in ["identity", " Identity ", "", "identity, identity"] {
            assert!(
                !withheld(200, &[("content-encoding", encoding)], true),
                "{encoding}"
            );
        }
        assert!(withheld(
            200,
            &[("transfer-encoding", "gzip, chunked")],
            false
        ));
        assert!(!withheld(200, &[("transfer-encoding", "chunked")], true));
    }

    #[test]
    fn parts_are_withheld() {
        assert!(withheld(206, &[], false));
        assert!(withheld(226, &[], false));
        assert!(withheld(200, &[("content-range", "bytes 0-1/2")], false));
        assert!(withheld(
            200,
            &[("content-type", "Multipart/ByteRanges; boundary=x")],
            false
        ));
        assert!(!withheld(
            200,
            &[("content-type", "multipart/mixed; boundary=x")],
            true
        ));
        assert!(!withheld(302, &[("location", "/x")], true));
    }

    #[test]
    fn letters_are_written_in_a_way_that_is_searched() {
        for (content_type, fine) in [
            ("text/plain", true),
            ("text/plain; charset=utf-8", true),
            ("text/plain; charset=\"UTF-8\"", true),
            ("text/plain; Charset=UTF-16LE", true),
            ("text/html; charset=iso-8859-15", true),
            ("text/html; charset=windows-1252", true),
            ("text/plain; charset=utf-7", false),
            ("text/plain; charset=utf-32", false),
            ("text/plain; charset=ibm037", false),
            ("text/plain; charset=cp500", false),
            ("text/plain; charset=x-user-defined", false),
            ("text/plain; charset=utf-8; charset=utf-7", false),
            ("text/plain; charset=utf-7; charset=utf-8", false),
        ] {
            let head = [("content-type", content_type)];
            assert_eq!(!withheld(200, &head, false), fine, "{content_type}");
        }
    }

    #[test]
    fn compressed_files_are_withheld_where_a_secret_went_along() {
        for content_type in [
            "application/zip",
            "application/gzip; x=y",
            "application/x+gzip",
        ] {
            assert!(withheld(200, &[("content-type", content_type)], true));
            assert!(!withheld(200, &[("content-type", content_type)], false));
        }
        for content_type in ["application/pdf", "image/png", "application/octet-stream"] {
            assert!(!withheld(200, &[("content-type", content_type)], true));
        }
    }

    #[test]
    fn a_body_is_known_by_how_it_begins_in_pieces_too() {
        for (body, fine) in [
            (&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], false),
            (b"\x28\xb5\x2f\xfd......", false),
            (b"PK\x03\x04......", false),
            (b"BZh91AY&SY", false),
            (b"{\"a\":\"bcd\"}", true),
            (b"xylophones", true),
            (b"BZh9 is no", true),
            (b"\x89PNG\r\n\x1a\n..", true),
        ] {
            let mut beginning = Beginning::default();
            let all = beginning.add(body);
            assert_eq!(matches!(all, Some(Ok(()))), fine, "{body:?}");
            let mut beginning = Beginning::default();
            let one = body.iter().find_map(|byte| beginning.add(&[*byte]));
            assert_eq!(matches!(one, Some(Ok(()))), fine, "{body:?}");
        }
    }
}
