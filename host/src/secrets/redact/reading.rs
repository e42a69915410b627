//! What a place in a text can be read as: itself, what an escape stands for, or a gap between two characters.

use crate::text::is_deceptive;

/// The furthest that is looked ahead for the end of one escape.
const AHEAD: usize = 64;
/// How deep escapes of escapes are followed.
const DEPTH: usize = 3;

/// A byte that is neither letter nor digit.
const SEPARATOR: u8 = 1;
/// A byte that can begin an escape, or an invisible character.
const LEAD: u8 = 2;

/// What each byte can be besides itself.
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let it = byte as u8;
        #[expect(clippy::indexing_slicing, reason = "it is below 256")]
        let kind = &mut kinds[byte];
        *kind = match it {
            b'%' | b'\\' | b'&' | b'=' | b'+' => SEPARATOR | LEAD,
            0xc2 | 0xcd | 0xd8 | 0xe1..=0xe3 | 0xef | 0xf0 | 0xf3 => LEAD,
            _ if it.is_ascii() && !it.is_ascii_alphanumeric() => SEPARATOR,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

fn kind(byte: u8) -> u8 {
    KINDS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether a byte can be read as nothing but itself.
pub(super) fn is_plain(byte: u8) -> bool {
    kind(byte) == 0
}

/// Whether a byte can be read as itself and as a gap, and as nothing else.
pub(super) fn is_separator(byte: u8) -> bool {
    kind(byte) == SEPARATOR
}

/// What lies between two characters of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Something to part them.
    Between,
    /// The end of a line.
    Line,
}

impl Gap {
    /// What a separator is.
    pub(super) fn of(byte: u8) -> Self {
        if byte == b'\n' {
            Self::Line
        } else {
            Self::Between
        }
    }
}

/// One way to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    bytes: [u8; 4],
    count: u8,
    /// How many bytes of the text it takes.
    pub(super) len: usize,
    /// Whether it is no part of a value.
    pub(super) gap: Option<Gap>,
}

impl Reading {
    /// What it stands for, in lower case.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.count)).unwrap_or(&[])
    }

    fn gap(gap: Gap, len: usize) -> Self {
        Self {
            bytes: [0; 4],
            count: 0,
            len,
            gap: Some(gap),
        }
    }

    fn byte(byte: u8, len: usize) -> Self {
        Self {
            bytes: [byte.to_ascii_lowercase(), 0, 0, 0],
            count: 1,
            len,
            gap: None,
        }
    }

    fn character(c: char, len: usize) -> Self {
        let mut bytes = [0; 4];
        let count = c.to_ascii_lowercase().encode_utf8(&mut bytes).len();
        Self {
            bytes,
            // At most four.
            count: u8::try_from(count).unwrap_or(4),
            len,
            gap: None,
        }
    }
}

/// What an escape stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte(u8),
    Char(char),
}

impl Unit {
    fn code(self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from(byte),
            Self::Char(c) => u32::from(c),
        }
    }
}

/// A text and whether more of it may come.
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    whole: bool,
    end: usize,
    short: bool,
}

impl<'a> Text<'a> {
    /// `whole` where nothing comes after these bytes.
    pub(super) fn new(bytes: &'a [u8], whole: bool) -> Self {
        Self {
            bytes,
            whole,
            end: 0,
            short: false,
        }
    }

    /// The byte at a place.
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Collects how this place can be read other than as its first byte. Gives `false` where that depends on what has not
    /// come yet.
    pub(super) fn read(&mut self, at: usize, readings: &mut Vec<Reading>) -> bool {
        readings.clear();
        let Some(byte) = self.byte(at) else {
            return true;
        };
        let kind = kind(byte);
        if kind & SEPARATOR != 0 {
            readings.push(Reading::gap(Gap::of(byte), 1));
        }
        if kind & LEAD == 0 {
            return true;
        }
        self.end = at.saturating_add(AHEAD);
        self.short = false;
        if byte.is_ascii() {
            self.escapes(at, byte, readings);
        } else if let Some((c, len)) = self.raw_char(at)
            && let Some(gap) = gap(c)
        {
            readings.push(Reading::gap(gap, len));
        }
        !self.short
    }

    /// Follows escapes, and what they stand for as the beginnings of escapes.
    fn escapes(&mut self, at: usize, byte: u8, readings: &mut Vec<Reading>) {
        let (mut lead, mut len) = (byte, 1);
        for _ in 0..DEPTH {
            if lead == b'+' {
                readings.push(Reading::byte(b' ', len));
            }
            let Some((unit, more)) = self.escape(lead, at + len, DEPTH) else {
                return;
            };
            len += more;
            self.add(unit, at, len, readings);
            match unit {
                Unit::Byte(next) if next.is_ascii() => lead = next,
                Unit::Char(next) if next.is_ascii() => lead = next as u8,
                _ => return,
            }
        }
    }

    fn add(&mut self, unit: Unit, at: usize, len: usize, readings: &mut Vec<Reading>) {
        match unit {
            Unit::Byte(byte) if byte.is_ascii() => {
                readings.push(Reading::byte(byte, len));
                if let Some(gap) = gap(char::from(byte)) {
                    readings.push(Reading::gap(gap, len));
                }
            }
            Unit::Byte(byte) => {
                readings.push(Reading::byte(byte, len));
                // In some languages `\xe4` is a character, in others a byte.
                readings.push(Reading::character(char::from(byte), len));
                if let Some((c, len)) = self.escaped_char(byte, at, len)
                    && let Some(gap) = gap(c)
                {
                    readings.push(Reading::gap(gap, len));
                }
            }
            Unit::Char(c) => {
                readings.push(Reading::character(c, len));
                // A byte that was taken for a character of Latin-1.
                if let '\u{80}'..='\u{ff}' = c
                    && let Ok(byte) = u8::try_from(c)
                {
                    readings.push(Reading::byte(byte, len));
                }
                if let Some(gap) = gap(c) {
                    readings.push(Reading::gap(gap, len));
                }
            }
        }
    }

    /// The byte at a place within reach.
    fn peek(&mut self, at: usize) -> Option<u8> {
        if at >= self.end {
            return None;
        }
        let byte = self.byte(at);
        if byte.is_none() && !self.whole {
            self.short = true;
        }
        byte
    }

    fn raw_char(&mut self, at: usize) -> Option<(char, usize)> {
        let count = utf8_len(self.peek(at)?)?;
        let mut bytes = [0; 4];
        for (offset, byte) in bytes.iter_mut().enumerate().take(count) {
            *byte = self.peek(at + offset)?;
        }
        one_char(bytes.get(..count)?).map(|c| (c, count))
    }

    /// The character whose first byte was written as an escape, where the others are too.
    fn escaped_char(&mut self, first: u8, at: usize, len: usize) -> Option<(char, usize)> {
        let count = utf8_len(first)?;
        let mut bytes = [first, 0, 0, 0];
        let mut end = at + len;
        for byte in bytes.iter_mut().take(count).skip(1) {
            let lead = self.peek(end)?;
            let (Unit::Byte(next), more) = self.escape(lead, end + 1, 1)? else {
                return None;
            };
            *byte = next;
            end += 1 + more;
        }
        one_char(bytes.get(..count)?).map(|c| (c, end - at))
    }

    /// The character of an escape at a place, which may be escaped itself.
    fn inner(&mut self, at: usize, depth: usize) -> Option<(char, usize)> {
        let byte = self.peek(at)?;
        if depth > 0
            && matches!(byte, b'%' | b'\\' | b'&')
            && let Some((unit, more)) = self.escape(byte, at + 1, depth - 1)
        {
            return char::from_u32(unit.code()).map(|c| (c, 1 + more));
        }
        Some((char::from(byte), 1))
    }

    /// Reads what follows the lead of an escape: what it stands for, and how long it is after its lead.
    fn escape(&mut self, lead: u8, at: usize, depth: usize) -> Option<(Unit, usize)> {
        match lead {
            b'%' => match self.inner(at, depth)? {
                ('u' | 'U', len) => self.four_digits('%', at, len, depth),
                _ => self.two_digits(at, depth),
            },
            b'=' => self.two_digits(at, depth),
            b'\\' => self.backslash(at, depth),
            b'&' => self.entity(at, depth),
            _ => None,
        }
    }

    fn two_digits(&mut self, at: usize, depth: usize) -> Option<(Unit, usize)> {
        let (code, len) = self.number(at, 16, 2, 2, depth)?;
        u8::try_from(code).ok().map(|byte| (Unit::Byte(byte), len))
    }

    /// A number of so many digits.
    fn number(
        &mut self,
        at: usize,
        radix: u32,
        least: usize,
        most: usize,
        depth: usize,
    ) -> Option<(u32, usize)> {
        let (mut code, mut len, mut digits) = (0_u32, 0, 0);
        while digits < most
            && let Some((c, more)) = self.inner(at + len, depth)
            && let Some(digit) = c.to_digit(radix)
        {
            code = code.saturating_mul(radix).saturating_add(digit);
            len += more;
            digits += 1;
        }
        (digits >= least).then_some((code, len))
    }

    fn backslash(&mut self, at: usize, depth: usize) -> Option<(Unit, usize)> {
        let (c, len) = self.inner(at, depth)?;
        let simple = |c| Some((Unit::Char(c), len));
        match c {
            'x' | 'X' => {
                let (unit, more) = self.two_digits(at + len, depth)?;
                Some((unit, len + more))
            }
            'u' => self.unicode(at, len, depth),
            'U' => {
                let (code, more) = self.number(at + len, 16, 8, 8, depth)?;
                Some((Unit::Char(char::from_u32(code)?), len + more))
            }
            '0'..='7' => {
                let (code, len) = self.number(at, 8, 1, 3, depth)?;
                let byte = u8::try_from(code).ok()?;
                Some((Unit::Byte(byte), len))
            }
            'n' => simple('\n'),
            'r' => simple('\r'),
            't' => simple('\t'),
            'b' => simple('\u{8}'),
            'f' => simple('\u{c}'),
            'v' => simple('\u{b}'),
            'a' => simple('\u{7}'),
            'e' => simple('\u{1b}'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => simple(c),
            _ => None,
        }
    }

    /// What follows `\u`.
    fn unicode(&mut self, at: usize, len: usize, depth: usize) -> Option<(Unit, usize)> {
        let start = at + len;
        if let ('{', open) = self.inner(start, depth)? {
            let (code, digits) = self.number(start + open, 16, 1, 8, depth)?;
            let ('}', close) = self.inner(start + open + digits, depth)? else {
                return None;
            };
            let c = char::from_u32(code)?;
            return Some((Unit::Char(c), len + open + digits + close));
        }
        self.four_digits('\\', at, len, depth)
    }

    /// Four digits after a lead and a letter, and the same again where they are one half of a pair.
    fn four_digits(
        &mut self,
        lead: char,
        at: usize,
        letter: usize,
        depth: usize,
    ) -> Option<(Unit, usize)> {
        let (code, digits) = self.number(at + letter, 16, 4, 4, depth)?;
        let mut len = letter + digits;
        if !(0xd800..0xdc00).contains(&code) {
            return char::from_u32(code).map(|c| (Unit::Char(c), len));
        }
        // A lead that was escaped stands there more than once.
        let mut leads = 0;
        let (next, more) = loop {
            match self.inner(at + len, 0)? {
                (c, more) if c == lead && leads < 8 => (len, leads) = (len + more, leads + 1),
                next => break next,
            }
        };
        if leads == 0 || !next.eq_ignore_ascii_case(&'u') {
            return None;
        }
        len += more;
        let (low, digits) = self.number(at + len, 16, 4, 4, depth)?;
        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        let c = char::from_u32(0x1_0000 + ((code - 0xd800) << 10) + low)?;
        Some((Unit::Char(c), len + digits))
    }

    fn entity(&mut self, at: usize, depth: usize) -> Option<(Unit, usize)> {
        let (first, len) = self.inner(at, depth)?;
        if first == '#' {
            let (x, more) = self.inner(at + len, depth)?;
            let (radix, skip) = if x.eq_ignore_ascii_case(&'x') {
                (16, more)
            } else {
                (10, 0)
            };
            let (code, digits) = self.number(at + len + skip, radix, 1, 8, depth)?;
            let len = len + skip + digits;
            let end = self.semicolon(at + len, depth);
            return char::from_u32(code).map(|c| (Unit::Char(c), len + end));
        }
        let mut name = [0; NAME_MAX];
        let (mut count, mut len) = (0, 0);
        while let Some((c, more)) = self.inner(at + len, depth)
            && c.is_ascii_alphanumeric()
        {
            *name.get_mut(count)? = c as u8;
            count += 1;
            len += more;
        }
        let name = name.get(..count)?;
        let (_, c) = ENTITIES
            .iter()
            .find(|(known, _)| known.as_bytes() == name)?;
        let end = self.semicolon(at + len, depth);
        Some((Unit::Char(*c), len + end))
    }

    /// The length of a semicolon, which is often left away.
    fn semicolon(&mut self, at: usize, depth: usize) -> usize {
        match self.inner(at, depth) {
            Some((';', len)) => len,
            _ => 0,
        }
    }
}

fn utf8_len(first: u8) -> Option<usize> {
    match first {
        0xc2..=0xdf => Some(2),
        0xe0..=0xef => Some(3),
        0xf0..=0xf4 => Some(4),
        _ => None,
    }
}

fn one_char(bytes: &[u8]) -> Option<char> {
    std::str::from_utf8(bytes).ok()?.chars().next()
}

/// Whether a character may stand between two of a value.
fn gap(c: char) -> Option<Gap> {
    let between = match c {
        '\n' => return Some(Gap::Line),
        _ if c.is_ascii() => !c.is_ascii_alphanumeric(),
        '\u{fe00}'..='\u{fe0f}' | '\u{2010}'..='\u{2015}' => true,
        '·' | '•' | '…' | '、' | '。' | '，' => true,
        _ => c.is_whitespace() || is_deceptive(c),
    };
    between.then_some(Gap::Between)
}

/// The longest name of an entity, in letters.
const NAME_MAX: usize = 14;

/// Named entities that stand for ASCII, for a space or for nothing to be seen.
const ENTITIES: &[(&str, char)] = &[
    ("amp", '&'),
    ("AMP", '&'),
    ("apos", '\''),
    ("ast", '*'),
    ("bsol", '\\'),
    ("colon", ':'),
    ("comma", ','),
    ("commat", '@'),
    ("dollar", '$'),
    ("equals", '='),
    ("excl", '!'),
    ("grave", '`'),
    ("gt", '>'),
    ("GT", '>'),
    ("Hat", '^'),
    ("hyphen", '\u{2010}'),
    ("lbrace", '{'),
    ("lbrack", '['),
    ("lcub", '{'),
    ("lowbar", '_'),
    ("lpar", '('),
    ("lsqb", '['),
    ("lt", '<'),
    ("LT", '<'),
    ("midast", '*'),
    ("nbsp", '\u{a0}'),
    ("NewLine", '\n'),
    ("num", '#'),
    ("percnt", '%'),
    ("period", '.'),
    ("plus", '+'),
    ("quest", '?'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("rbrace", '}'),
    ("rbrack", ']'),
    ("rcub", '}'),
    ("rpar", ')'),
    ("rsqb", ']'),
    ("semi", ';'),
    ("shy", '\u{ad}'),
    ("sol", '/'),
    ("Tab", '\t'),
    ("verbar", '|'),
    ("vert", '|'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
    ("ZeroWidthSpace", '\u{200b}'),
    ("NoBreak", '\u{2060}'),
];
