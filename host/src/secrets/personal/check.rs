//! What a match must pass besides its pattern.

use serde::Deserialize;

/// A check. It says how much of a match is what was searched for, from its beginning: a pattern cannot know where an
/// account number ends and the next word begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Check {
    /// The check digit of payment cards, ISO/IEC 7812.
    Luhn,
    /// The length by country and the check digits of ISO 13616.
    Iban,
    /// As many digits as a telephone number has, 7 to 15 (E.164).
    Phone,
    /// Numbers that are given to people.
    Ssn,
}

impl Check {
    /// The length in bytes of what passes, if anything does.
    pub(super) fn passes(self, text: &str) -> Option<usize> {
        match self {
            Self::Luhn => longest_card(text),
            Self::Iban => iban(text),
            Self::Phone => (7..=15)
                .contains(&digits(text).count())
                .then_some(text.len()),
            Self::Ssn => {
                let given = !text.starts_with("000")
                    && !text.starts_with("666")
                    && !text.ends_with("0000")
                    && !text.contains("-00-");
                given.then_some(text.len())
            }
        }
    }
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|digit| u32::from(digit - b'0'))
}

/// A number may be followed by another one, such as a date: the longest beginning that is a card's counts.
fn longest_card(text: &str) -> Option<usize> {
    let ends = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_digit())
        .map(|(at, _)| at + 1);
    let ends: Vec<usize> = ends.skip(12).collect();
    ends.into_iter().rev().find(|end| {
        // What goes on with a digit is another number.
        let whole = !text.as_bytes().get(*end).is_some_and(u8::is_ascii_digit);
        whole && text.get(..*end).is_some_and(luhn)
    })
}

fn luhn(text: &str) -> bool {
    let sum: u32 = digits(text)
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => digit,
            _ => digit * 2 % 10 + digit / 5,
        })
        .sum();
    let mut all = digits(text);
    let first = all.next();
    sum.is_multiple_of(10) && all.any(|digit| Some(digit) != first)
}

/// How many characters an account number of a country has, by the registry of ISO 13616.
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

fn iban(text: &str) -> Option<usize> {
    let country = text.get(..2)?.to_ascii_uppercase();
    let (_, length) = LENGTHS.iter().find(|(code, _)| *code == country)?;
    let mut end = 0;
    let mut account = String::new();
    for (at, character) in text.char_indices() {
        if account.len() == *length {
            break;
        }
        if character.is_ascii_alphanumeric() {
            account.push(character.to_ascii_uppercase());
            end = at + 1;
        }
    }
    // One letter or digit more, and it is something else.
    let goes_on = text
        .as_bytes()
        .get(end)
        .is_some_and(u8::is_ascii_alphanumeric);
    (account.len() == *length && !goes_on && mod_97(&account) == Some(1)).then_some(end)
}

/// The remainder by 97, once the first four characters stand at the end and letters are numbers from 10.
fn mod_97(account: &str) -> Option<u32> {
    let (head, rest) = account.split_at_checked(4)?;
    rest.chars()
        .chain(head.chars())
        .try_fold(0, |so_far, character| {
            let value = character.to_digit(36)?;
            let shift = if value < 10 { 10 } else { 100 };
            Some((so_far * shift + value) % 97)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_sorted_and_each_country_stands_once() {
        assert!(LENGTHS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_wrong_digit_is_no_account() {
        let good = "DE89370400440532013000";
        assert_eq!(Check::Iban.passes(good), Some(22));
        assert_eq!(
            Check::Iban.passes("GB82 WEST 1234 5698 7654 32 and"),
            Some(27)
        );
        assert_eq!(Check::Iban.passes("NO9386011117947"), Some(15));
        for at in 2..good.len() {
            let mut bad = good.as_bytes().to_vec();
            bad[at] = if bad[at] == b'9' { b'8' } else { bad[at] + 1 };
            let bad = String::from_utf8(bad).unwrap();
            assert_eq!(Check::Iban.passes(&bad), None, "{bad}");
        }
        assert_eq!(Check::Iban.passes("DE893704004405320130001"), None);
        assert_eq!(Check::Iban.passes("ZZ89370400440532013000"), None);
    }

    #[test]
    fn a_card_has_its_check_digit() {
        for card in [
            "4111111111111111",
            "5500 0000 0000 0004",
            "378282246310005",
            "6011-1111-1111-1117",
        ] {
            assert_eq!(Check::Luhn.passes(card), Some(card.len()), "{card}");
        }
        for other in ["4111111111111112", "4444444444444444 4", "2026112119350001"] {
            assert_eq!(Check::Luhn.passes(other), None, "{other}");
        }
        // A date behind it is none of it.
        assert_eq!(Check::Luhn.passes("4111 1111 1111 1111 12"), Some(19));
    }
}
