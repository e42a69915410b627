//! Words out of the little HTML that engines put into titles and snippets.

/// The entities that engines use. Others stay as they are.
const ENTITIES: [(&str, char); 10] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("hellip", '…'),
    ("middot", '·'),
    ("ndash", '–'),
    ("mdash", '—'),
];

/// The longest entity that is looked for, in bytes.
const ENTITY_BYTES: usize = 10;

/// How many characters of HTML are looked through for one that is shown.
const MARKUP: usize = 16;

/// A text without tags, with its entities resolved and its blanks as one, of at most `most` characters.
pub(crate) fn words(html: &str, most: usize) -> String {
    // More than this has no part in what is shown, and is not looked through.
    let end = html.char_indices().nth(most.saturating_mul(MARKUP));
    let html = end.and_then(|(at, _)| html.get(..at)).unwrap_or(html);
    let untagged = without_tags(html);
    let text = decoded(&untagged);
    let mut words = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !words.is_empty() && !word.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    match words.char_indices().nth(most) {
        Some((at, _)) => {
            words.truncate(at);
            words.trim_end().to_owned() + "…"
        }
        None => words,
    }
}

/// Leaves out what is a tag: a `<` with a letter, a slash or an exclamation mark behind it, up to its `>`.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        let next = tag.chars().nth(1);
        let is_tag = next.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        match tag.find('>').filter(|_| is_tag) {
            Some(end) => {
                // Words on both sides of a line break are two.
                if ["<br", "<p", "</p", "<li", "<div", "</div"]
                    .iter()
                    .any(|it| tag.starts_with(it))
                {
                    text.push(' ');
                }
                rest = tag.get(end + 1..).unwrap_or_default();
            }
            None => {
                text.push('<');
                rest = tag.get(1..).unwrap_or_default();
            }
        }
    }
    text.push_str(rest);
    text
}

fn decoded(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, entity) = rest.split_at(at);
        decoded.push_str(before);
        let end = entity.bytes().take(ENTITY_BYTES).position(|it| it == b';');
        let name = end.and_then(|end| entity.get(1..end));
        match (name.and_then(character), end) {
            (Some(character), Some(end)) => {
                decoded.push(character);
                rest = entity.get(end + 1..).unwrap_or_default();
            }
            _ => {
                decoded.push('&');
                rest = entity.get(1..).unwrap_or_default();
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

fn character(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return ENTITIES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, character)| *character);
    };
    let number = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(number.ok()?).filter(|c| !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn tags_go_and_words_stay() {
        for (html, plain) in [
            ("a <strong>b</strong> c", "a b c"),
            ("one<br/>two<!-- x -->", "one two"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
            ("a <b", "a <b"),
            ("<", "<"),
            ("  a\n\tb\u{0} \u{1b}[2J", "a b [2J"),
            ("<script>x</script>", "x"),
        ] {
            assert_eq!(words(html, 100), plain, "{html}");
        }
    }

    #[test]
    fn entities_are_resolved_once() {
        for (html, plain) in [
            (
                "a &amp; b&#39;s &#x27;c&#x27; &quot;d&quot;",
                "a & b's 'c' \"d\"",
            ),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
            ("&lt;b&gt;", "<b>"),
            ("a&nbsp;b &hellip;", "a b …"),
            (
                "& &; &unknown; &#0; &#xD800; &#99999999999;",
                "& &; &unknown; &#0; &#xD800; &#99999999999;",
            ),
            ("AT&T", "AT&T"),
            ("&ä;", "&ä;"),
        ] {
            assert_eq!(words(html, 100), plain, "{html}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(words("äöü", 3), "äöü");
        assert_eq!(words("äö ü", 3), "äö…");
        assert_eq!(words(&"<".repeat(50_000), 2), "<<…");
        assert_eq!(words(&"<a".repeat(5_000_000), 2), "<a…");
        assert_eq!(words(&format!("{}x", "<b>".repeat(5)), 1), "x");
    }
}
