//! Entities such as `&amp;` and `&#8364;`.

use std::borrow::Cow;

/// The longest name in [`NAMED`], in bytes.
const NAME_BYTES: usize = 8;

/// The names that pages use; a name that is not here stays as it is.
const NAMED: [(&str, &str); 104] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("iexcl", "¡"),
    ("cent", "¢"),
    ("pound", "£"),
    ("curren", "¤"),
    ("yen", "¥"),
    ("brvbar", "¦"),
    ("sect", "§"),
    ("uml", "¨"),
    ("copy", "©"),
    ("ordf", "ª"),
    ("laquo", "«"),
    ("not", "¬"),
    ("shy", ""),
    ("reg", "®"),
    ("macr", "¯"),
    ("deg", "°"),
    ("plusmn", "±"),
    ("sup1", "¹"),
    ("sup2", "²"),
    ("sup3", "³"),
    ("acute", "´"),
    ("micro", "µ"),
    ("para", "¶"),
    ("middot", "·"),
    ("ordm", "º"),
    ("raquo", "»"),
    ("frac14", "¼"),
    ("frac12", "½"),
    ("frac34", "¾"),
    ("iquest", "¿"),
    ("times", "×"),
    ("divide", "÷"),
    ("szlig", "ß"),
    ("agrave", "à"),
    ("aacute", "á"),
    ("acirc", "â"),
    ("atilde", "ã"),
    ("auml", "ä"),
    ("aring", "å"),
    ("aelig", "æ"),
    ("ccedil", "ç"),
    ("egrave", "è"),
    ("eacute", "é"),
    ("ecirc", "ê"),
    ("euml", "ë"),
    ("iacute", "í"),
    ("icirc", "î"),
    ("iuml", "ï"),
    ("ntilde", "ñ"),
    ("oacute", "ó"),
    ("ocirc", "ô"),
    ("otilde", "õ"),
    ("ouml", "ö"),
    ("oslash", "ø"),
    ("ugrave", "ù"),
    ("uacute", "ú"),
    ("ucirc", "û"),
    ("uuml", "ü"),
    ("yacute", "ý"),
    ("Agrave", "À"),
    ("Aacute", "Á"),
    ("Auml", "Ä"),
    ("Aring", "Å"),
    ("AElig", "Æ"),
    ("Ccedil", "Ç"),
    ("Eacute", "É"),
    ("Ntilde", "Ñ"),
    ("Ouml", "Ö"),
    ("Oslash", "Ø"),
    ("Uuml", "Ü"),
    ("ndash", "–"),
    ("mdash", "—"),
    ("lsquo", "‘"),
    ("rsquo", "’"),
    ("sbquo", "‚"),
    ("ldquo", "“"),
    ("rdquo", "”"),
    ("bdquo", "„"),
    ("bull", "•"),
    ("hellip", "…"),
    ("prime", "′"),
    ("euro", "€"),
    ("trade", "™"),
    ("larr", "←"),
    ("uarr", "↑"),
    ("rarr", "→"),
    ("darr", "↓"),
    ("harr", "↔"),
    ("rArr", "⇒"),
    ("minus", "−"),
    ("infin", "∞"),
    ("asymp", "≈"),
    ("ne", "≠"),
    ("le", "≤"),
    ("ge", "≥"),
    ("check", "✓"),
    ("ensp", " "),
    ("thinsp", " "),
];

/// `text` with its entities resolved.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else {
        return Cow::Borrowed(text);
    };
    let (plain, mut rest) = text.split_at(first);
    let mut decoded = plain.to_owned();
    while let Some(after) = rest.strip_prefix('&') {
        match entity(after) {
            Some((meaning, length)) => {
                decoded.push_str(&meaning);
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                decoded.push('&');
                rest = after;
            }
        }
        let (plain, after) = rest.split_at(rest.find('&').unwrap_or(rest.len()));
        decoded.push_str(plain);
        rest = after;
    }
    Cow::Owned(decoded)
}

/// What the entity behind an `&` means, and how long it is with its `;`.
fn entity(text: &str) -> Option<(Cow<'static, str>, usize)> {
    if let Some(number) = text.strip_prefix('#') {
        let (digits, base, skip) = match number.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16, 2),
            None => (number, 10, 1),
        };
        let length = digits
            .bytes()
            .take(8)
            .take_while(|b| char::from(*b).is_digit(base))
            .count();
        let code = u32::from_str_radix(digits.get(..length)?, base).ok()?;
        let end = usize::from(digits.get(length..)?.starts_with(';'));
        // Control characters have no business in a text; browsers do not show them either.
        let character = char::from_u32(code).filter(|c| !c.is_control() || c.is_whitespace());
        let meaning = character.unwrap_or('\u{fffd}').to_string();
        return Some((Cow::Owned(meaning), skip + length + end));
    }
    let end = text
        .bytes()
        .take(NAME_BYTES + 1)
        .position(|byte| byte == b';')?;
    let name = text.get(..end)?;
    let (_, meaning) = NAMED.iter().find(|(known, _)| *known == name)?;
    Some((Cow::Borrowed(meaning), end + 1))
}
