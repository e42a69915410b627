mod cases;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use proptest::{prelude::*, sample::Index};

use super::*;

const TOKEN: &str = "qX7-Rv2_mZ9/kT4+pL8wN3s%dY6";

fn redactor(values: &[&str]) -> Arc<Redactor> {
    let names: Vec<String> = (0..values.len()).map(|n| format!("KEY{n}")).collect();
    let values = names
        .iter()
        .map(String::as_str)
        .zip(values.iter().map(|it| it.as_bytes()));
    Arc::new(Redactor::of_values(values))
}

fn clean(redactor: &Redactor, text: impl AsRef<[u8]>) -> (Vec<u8>, Hits) {
    let mut hits = Hits::default();
    let clean = redactor.bytes(text.as_ref(), &mut hits).into_owned();
    (clean, hits)
}

fn shown(redactor: &Redactor, text: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(&clean(redactor, text).0).into_owned()
}

fn each(value: &str, mut f: impl FnMut(u8) -> String) -> String {
    value.bytes().map(&mut f).collect()
}

fn each_char(value: &str, mut f: impl FnMut(u32) -> String) -> String {
    value.chars().map(|c| f(c.into())).collect()
}

fn units(value: &str, mut f: impl FnMut(u16) -> String) -> String {
    value.encode_utf16().map(&mut f).collect()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn reserved(value: &str) -> String {
    each(value, |b| match b {
        b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    })
}

fn utf16(value: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    value.encode_utf16().flat_map(order).collect()
}

fn base32(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let digit = |chunk: &[u8]| {
        let chunk = format!("{:0<5}", std::str::from_utf8(chunk).unwrap());
        let at = usize::from_str_radix(&chunk, 2).unwrap();
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[at])
    };
    bits.as_bytes().chunks(5).map(digit).collect()
}

fn joined(value: &str, between: &str) -> String {
    let parts: Vec<String> = value.chars().map(String::from).collect();
    parts.join(between)
}

fn mixed(value: &str) -> String {
    let escape = |(at, c): (usize, char)| {
        let code = u32::from(c);
        match at % 5 {
            0 => each(&c.to_string(), |b| format!("%{b:02x}")),
            1 if code < 0x1_0000 => format!("\\u{code:04x}"),
            2 => format!("&#x{code:X};"),
            3 => format!("\u{200b}{c}"),
            _ => c.to_string(),
        }
    };
    value.chars().enumerate().map(escape).collect()
}

/// Every form by its name, made in another way than the search makes them.
#[expect(clippy::too_many_lines, reason = "a line or two for each form")]
fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let reversed: String = value.chars().rev().collect();
    let spaced_hex = |between: &str| {
        let parts: Vec<String> = value.bytes().map(|b| format!("{b:02x}")).collect();
        parts.join(between)
    };
    let decimals: Vec<String> = value.bytes().map(|b| b.to_string()).collect();
    let json = serde_json::to_string(value).unwrap();
    let texts = [
        ("as it is", value.to_owned()),
        ("upper", value.to_ascii_uppercase()),
        ("lower", value.to_ascii_lowercase()),
        ("reversed", reversed.clone()),
        ("base64", STANDARD.encode(value)),
        ("base64 no padding", STANDARD_NO_PAD.encode(value)),
        ("base64 url", URL_SAFE.encode(value)),
        ("base64 url no padding", URL_SAFE_NO_PAD.encode(value)),
        ("base64 after one", STANDARD.encode(format!("a{value}"))),
        ("base64 after two", STANDARD.encode(format!("ab{value}z"))),
        ("basic auth", STANDARD.encode(format!("user:{value}"))),
        (
            "base64 url after one",
            URL_SAFE.encode(format!("a{value}zz")),
        ),
        (
            "base64 wrapped",
            STANDARD
                .encode(value)
                .as_bytes()
                .chunks(7)
                .map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap()))
                .collect(),
        ),
        ("base64 of reversed", STANDARD.encode(&reversed)),
        (
            "base64 reversed",
            STANDARD_NO_PAD.encode(value).chars().rev().collect(),
        ),
        ("base32", base32(value.as_bytes())),
        (
            "base32 after three",
            base32(format!("abc{value}").as_bytes()),
        ),
        ("hex", hex(value)),
        ("hex upper", hex(value).to_ascii_uppercase()),
        ("hex of reversed", hex(&reversed)),
        ("hex colons", spaced_hex(":")),
        ("hex spaces", spaced_hex(" ")),
        ("hex dashes", spaced_hex("-")),
        ("hex 0x", each(value, |b| format!("0x{b:02x}, "))),
        ("hex \\x", each(value, |b| format!("\\x{b:02x}"))),
        ("decimals", format!("[{}]", decimals.join(", "))),
        ("octal", each(value, |b| format!("\\{b:03o}"))),
        ("percent", reserved(value)),
        ("percent lower", reserved(value).to_ascii_lowercase()),
        ("percent all", each(value, |b| format!("%{b:02X}"))),
        ("percent twice", reserved(&reserved(value))),
        ("percent all twice", each(value, |b| format!("%25{b:02x}"))),
        (
            "percent of percent all",
            each(&each(value, |b| format!("%{b:02x}")), |b| {
                format!("%{b:02x}")
            }),
        ),
        ("percent u", units(value, |u| format!("%u{u:04x}"))),
        (
            "percent of base64",
            each(&STANDARD.encode(value), |b| format!("%{b:02x}")),
        ),
        ("quoted printable", each(value, |b| format!("={b:02X}"))),
        ("json", json[1..json.len() - 1].to_owned()),
        ("json all", units(value, |u| format!("\\u{u:04X}"))),
        ("json in json", units(value, |u| format!("\\\\u{u:04x}"))),
        (
            "json in json in json",
            units(value, |u| format!("\\\\\\\\u{u:04x}")),
        ),
        ("json slashes", value.replace('/', "\\/")),
        (
            "latin-1 taken for characters",
            each(value, |b| format!("\\u{b:04x}")),
        ),
        ("es6", each_char(value, |b| format!("\\u{{{b:x}}}"))),
        ("python", each_char(value, |b| format!("\\U{b:08x}"))),
        ("entities decimal", each_char(value, |b| format!("&#{b};"))),
        ("entities hex", each_char(value, |b| format!("&#x{b:x};"))),
        ("entities zeros", each_char(value, |b| format!("&#{b:06};"))),
        (
            "entities twice",
            each_char(value, |b| format!("&amp;#{b};")),
        ),
        (
            "entities named",
            value
                .replace('+', "&plus;")
                .replace('/', "&sol;")
                .replace('%', "&percnt;"),
        ),
        (
            "entities in percent",
            each(&each_char(value, |b| format!("&#{b};")), |b| {
                format!("%{b:02x}")
            }),
        ),
        ("mixed", mixed(value)),
        ("spelled", joined(value, " ")),
        ("spelled dashes", joined(value, "-")),
        ("spelled commas", joined(value, ", ")),
        ("spelled list", format!("[\"{}\"]", joined(value, "\", \""))),
        ("one a line", joined(value, "\n")),
        ("one a json line", joined(value, "\\n")),
        ("zero width", joined(value, "\u{200b}")),
        ("soft hyphens", joined(value, "\u{ad}")),
        ("soft hyphen entities", joined(value, "&shy;")),
        ("zero width escapes", joined(value, "\\u200b")),
        ("zero width percent", joined(value, "%E2%80%8B")),
        ("tags", joined(value, "\u{e0041}")),
        ("base64 of base64", STANDARD.encode(STANDARD.encode(value))),
        (
            "base64 of url",
            STANDARD.encode(URL_SAFE_NO_PAD.encode(value)),
        ),
        (
            "base64 of base64 within",
            STANDARD.encode(format!("x{}", STANDARD.encode(format!("y{value}")))),
        ),
        ("base64 of hex", STANDARD.encode(hex(value))),
        (
            "base64 of upper hex",
            STANDARD.encode(format!("z{}", hex(value).to_ascii_uppercase())),
        ),
        ("hex of base64", hex(STANDARD.encode(value))),
        ("hex of url", hex(URL_SAFE_NO_PAD.encode(value))),
        (
            "base64 of utf-16",
            STANDARD.encode(utf16(value, u16::to_le_bytes)),
        ),
    ];
    let mut all: Vec<(&str, Vec<u8>)> = texts
        .into_iter()
        .map(|(name, text)| (name, text.into_bytes()))
        .collect();
    all.push(("utf-16 le", utf16(value, u16::to_le_bytes)));
    all.push(("utf-16 be", utf16(value, u16::to_be_bytes)));
    all.push((
        "utf-32",
        value
            .chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect(),
    ));
    all
}

#[test]
fn every_form_is_found() {
    for value in [
        TOKEN,
        "sk-live-51HxyzABCDEFghij",
        "12345678",
        "a+b/c d%e&f<g>\"h'i\\j",
        "pässwörd-ñandú",
    ] {
        let redactor = redactor(&[value]);
        for (name, form) in forms(value) {
            let (out, hits) = clean(&redactor, &form);
            let shown = String::from_utf8_lossy(&out).into_owned();
            assert_eq!(
                hits.iter().collect::<Vec<_>>(),
                [("KEY0", 1)],
                "{value}: {name}: {shown}"
            );
            assert!(shown.contains("[secret KEY0]"), "{value}: {name}: {shown}");
            let rest = shown.replace("[secret KEY0]", "");
            assert!(rest.len() <= 12, "{value}: {name}: {shown}");
        }
    }
}

fn streamed(redactor: &Arc<Redactor>, text: &[u8], cuts: &[usize]) -> (Vec<u8>, Hits) {
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        out.extend(stream.push(&text[from..cut]));
        from = cut;
    }
    out.extend(stream.finish());
    assert_eq!(stream.held(), 0);
    (out, stream.hits().clone())
}

/// What may stand around a value: beginnings of escapes, gaps, and anything.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "%", "%4", "%u", "%u00", "%25", "\\", "\\u", "\\u00", "\\x", "\\u{", "\\0", "&", "&#",
            "&#x", "&am", "&amp;", "&#0", "=", "=\r\n", "+", "-", " ", "\n", "\u{200b}", "\u{ad}",
            "\u{e9}", "a", "0x", "f0",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
        "[ -~]{0,6}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z0-9]{8,40}",
        4 => "[A-Za-z0-9+/=_.-]{8,40}",
        1 => "(sk-|ghp_|xoxb-)[A-Za-z0-9]{20,48}",
        2 => "[!-~]{8,24}",
        1 => "[ -~]{8,24}",
        1 => "[a-zäöüßéñ世界👋]{8,16}",
    ]
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_form_gets_through_wherever_it_is_cut(
        value in secret(),
        which in any::<Index>(),
        before in garbage(),
        after in garbage(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let redactor = redactor(&[&value]);
        let forms = forms(&value);
        let (name, form) = &forms[which.index(forms.len())];
        let text = [&before[..], form, &after].concat();
        let (out, hits) = clean(&redactor, &text);
        let shown = String::from_utf8_lossy(&out).into_owned();
        prop_assert!(!hits.is_empty(), "{name}: {text:?} -> {shown}");
        prop_assert!(!has(&out, value.as_bytes()) && !has(&out, form), "{name}: {shown}");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&streamed(&redactor, &text, &cuts), &(out.clone(), hits.clone()));
        let every: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(&streamed(&redactor, &text, &every), &(out.clone(), hits));
        prop_assert_eq!(clean(&redactor, &out), (out, Hits::default()));
    }

    #[test]
    fn what_has_no_secret_stays_as_it_is(
        value in "[A-Za-z0-9]{16,40}",
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            "[ -~\n]{0,600}".prop_map(String::into_bytes),
            prop::collection::vec(garbage(), 0..40).prop_map(|parts| parts.concat()),
        ],
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let redactor = redactor(&[&value]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(clean(&redactor, &text), (text.clone(), Hits::default()));
        prop_assert_eq!(streamed(&redactor, &text, &cuts), (text, Hits::default()));
    }

    #[test]
    fn any_bytes_can_be_a_value(
        value in prop::collection::vec(any::<u8>(), 8..40),
        before in garbage(),
        after in garbage(),
    ) {
        let redactor = Redactor::of_values([("KEY0", value.as_slice())]);
        for form in [value.clone(), hex(&value).into_bytes(), STANDARD.encode(&value).into_bytes()] {
            let (out, hits) = clean(&redactor, [&before[..], &form, &after].concat());
            prop_assert!(!hits.is_empty());
            prop_assert!(!has(&out, &form));
        }
    }
}
