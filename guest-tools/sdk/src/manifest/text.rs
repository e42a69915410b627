//! Writing TOML in constant functions: no allocation, no formatting, no iterators there.

use super::{Annotations, Definition, Manifest, WORLD};
use crate::schema::{Choice, Literal, Property, Schema};

/// Text of at most `N` bytes. What does not fit is counted all the same, so that a first pass with
/// `N = 0` finds the length for the second.
#[derive(Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    /// Whether a list or an inline table was opened just now.
    opened: bool,
}

impl Manifest {
    /// How long the manifest is, in bytes.
    #[must_use]
    pub const fn toml_length(&self) -> usize {
        self.toml::<0>().length
    }

    /// The manifest in TOML; `N` is its [`toml_length`](Self::toml_length).
    #[must_use]
    pub const fn toml<const N: usize>(&self) -> Text<N> {
        let mut text = Text {
            bytes: [0; N],
            length: 0,
            opened: false,
        };
        text.line("name", self.name);
        text.line("version", self.version);
        text.line("world", WORLD);
        text.line("description", self.description);
        let mut tools = self.tools;
        while let [tool, rest @ ..] = tools {
            text.tool(tool);
            tools = rest;
        }
        if !self.request.is_empty() {
            text.push("\n[request]\n");
            text.push(self.request);
        }
        text
    }
}

impl<const N: usize> Text<N> {
    /// The text. Empty, should `N` be too small for it.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match str::from_utf8(&self.bytes) {
            Ok(text) if self.length == N => text,
            _ => "",
        }
    }

    const fn byte(&mut self, byte: u8) {
        if let Some((_, [place, ..])) = self.bytes.split_at_mut_checked(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    const fn push(&mut self, text: &str) {
        let mut bytes = text.as_bytes();
        while let [byte, rest @ ..] = bytes {
            self.byte(*byte);
            bytes = rest;
        }
    }

    /// A TOML basic string.
    const fn quoted(&mut self, text: &str) {
        self.byte(b'"');
        self.escaped(text);
        self.byte(b'"');
    }

    const fn escaped(&mut self, text: &str) {
        let mut bytes = text.as_bytes();
        while let [byte, rest @ ..] = bytes {
            match *byte {
                b'\n' => self.push("\\n"),
                b'\t' => self.push("\\t"),
                b'"' | b'\\' => {
                    self.byte(b'\\');
                    self.byte(*byte);
                }
                control @ (0..0x20 | 0x7f) => {
                    self.push("\\u00");
                    self.byte(hex(control >> 4));
                    self.byte(hex(control & 0xf));
                }
                plain => self.byte(plain),
            }
            bytes = rest;
        }
    }

    const fn number(&mut self, number: i64) {
        if number < 0 {
            self.byte(b'-');
        }
        let mut divisor = 1;
        while number.unsigned_abs() / divisor >= 10 {
            divisor *= 10;
        }
        while divisor > 0 {
            self.byte(b'0' + (number.unsigned_abs() / divisor % 10) as u8);
            divisor /= 10;
        }
    }

    const fn flag(&mut self, flag: bool) {
        self.push(if flag { "true" } else { "false" });
    }

    const fn line(&mut self, key: &str, value: &str) {
        self.push(key);
        self.push(" = ");
        self.quoted(value);
        self.byte(b'\n');
    }

    const fn tool(&mut self, tool: &Definition) {
        self.push("\n[[tool]]\n");
        self.line("name", tool.name);
        self.line("description", tool.description);
        self.push("input = ");
        self.schema(&tool.input, None);
        self.byte(b'\n');
        if let Some(output) = &tool.output {
            self.push("output = ");
            self.schema(output, None);
            self.byte(b'\n');
        }
        self.push("annotations = ");
        self.annotations(&tool.annotations);
        self.byte(b'\n');
    }

    const fn annotations(&mut self, annotations: &Annotations) {
        let Annotations {
            read_only,
            idempotent,
            open_world,
            destructive,
        } = annotations;
        self.open("{ ");
        self.key("read-only");
        self.flag(*read_only);
        self.key("idempotent");
        self.flag(*idempotent);
        self.key("open-world");
        self.flag(*open_world);
        self.key("destructive");
        self.flag(*destructive);
        self.close(" }");
    }

    /// A schema as an inline table, with what the property that holds it adds.
    const fn schema(&mut self, schema: &Schema, property: Option<&Property>) {
        self.open("{ ");
        let (mut min, mut max) = (None, None);
        match schema {
            Schema::Any => {}
            Schema::Text => self.text(property),
            Schema::Flag => self.kind("boolean"),
            Schema::Number => self.kind("number"),
            Schema::Integer(least, greatest) => {
                self.kind("integer");
                (min, max) = (*least, *greatest);
            }
            Schema::List(item) => {
                self.kind("array");
                self.key("items");
                self.element(item, property);
                if let Some(property) = property {
                    self.bound("maxItems", property.max_items);
                }
            }
            Schema::Map(value) => {
                self.kind("object");
                self.key("additionalProperties");
                self.element(value, property);
            }
            Schema::Object(properties) => self.object(properties),
            Schema::Choice(choices) => self.choices(choices),
        }
        if let Some(property) = property {
            if property.min.is_some() {
                min = property.min;
            }
            if property.max.is_some() {
                max = property.max;
            }
            self.notes(property);
        }
        self.bound("minimum", min);
        self.bound("maximum", max);
        self.close(" }");
    }

    /// What is in a list or a map: the bounds of its texts stand at the property that holds it.
    const fn element(&mut self, schema: &Schema, property: Option<&Property>) {
        if let Schema::Text = schema {
            self.open("{ ");
            self.text(property);
            self.close(" }");
        } else {
            self.schema(schema, None);
        }
    }

    const fn text(&mut self, property: Option<&Property>) {
        self.kind("string");
        if let Some(property) = property {
            if let Some(pattern) = property.pattern {
                self.key("pattern");
                self.quoted(pattern);
            }
            self.bound("maxLength", property.max_length);
        }
    }

    const fn kind(&mut self, kind: &str) {
        self.key("type");
        self.quoted(kind);
    }

    const fn bound(&mut self, key: &str, bound: Option<i64>) {
        if let Some(bound) = bound {
            self.key(key);
            self.number(bound);
        }
    }

    /// What a property is for. JSON Schema has no place for what the words of a choice mean: they
    /// are explained here as well.
    const fn description(&mut self, property: &Property) {
        let mut choices: &[Choice] = match property.schema {
            Schema::Choice(choices) => choices,
            _ => &[],
        };
        let mut empty = true;
        if !property.description.is_empty() {
            self.key("description");
            self.byte(b'"');
            self.escaped(property.description);
            empty = false;
        }
        while let [choice, rest @ ..] = choices {
            if !choice.description.is_empty() {
                if empty {
                    self.key("description");
                    self.byte(b'"');
                    empty = false;
                } else {
                    self.push("\\n");
                }
                self.push("- `");
                self.escaped(choice.name);
                self.push("`: ");
                self.escaped(choice.description);
            }
            choices = rest;
        }
        if !empty {
            self.byte(b'"');
        }
    }

    /// The description and the default of a property.
    const fn notes(&mut self, property: &Property) {
        self.description(property);
        if let Some(default) = &property.default {
            self.key("default");
            match default {
                Literal::Text(text) => self.quoted(text),
                Literal::Flag(flag) => self.flag(*flag),
                Literal::Number(number) => self.number(*number),
            }
        }
    }

    const fn object(&mut self, properties: &[Property]) {
        self.kind("object");
        self.key("properties");
        self.open("{ ");
        let mut rest = properties;
        while let [property, more @ ..] = rest {
            self.key(property.name);
            self.schema(property.schema, Some(property));
            rest = more;
        }
        self.close(" }");
        self.key("required");
        self.open("[");
        let mut rest = properties;
        while let [property, more @ ..] = rest {
            if property.required {
                self.separate();
                self.quoted(property.name);
            }
            rest = more;
        }
        self.close("]");
        self.key("additionalProperties");
        self.flag(false);
    }

    const fn choices(&mut self, choices: &[Choice]) {
        self.kind("string");
        self.key("enum");
        self.open("[");
        let mut rest = choices;
        while let [choice, more @ ..] = rest {
            self.separate();
            self.quoted(choice.name);
            rest = more;
        }
        self.close("]");
    }

    /// Starts a list or an inline table: what comes next needs no comma before it.
    const fn open(&mut self, bracket: &str) {
        self.push(bracket);
        self.opened = true;
    }

    const fn close(&mut self, bracket: &str) {
        self.push(bracket);
        self.opened = false;
    }

    const fn separate(&mut self) {
        if !self.opened {
            self.push(", ");
        }
        self.opened = false;
    }

    /// The next key of an inline table.
    const fn key(&mut self, key: &str) {
        self.separate();
        if is_bare(key) {
            self.push(key);
        } else {
            self.quoted(key);
        }
        self.push(" = ");
    }
}

/// The bytes of `text` as an array, which is what a section holds.
#[must_use]
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut array = [0; N];
    if array.len() == text.len() {
        array.copy_from_slice(text.as_bytes());
    }
    array
}

/// Whether TOML takes `key` without quotes.
const fn is_bare(key: &str) -> bool {
    let mut bytes = key.as_bytes();
    while let [byte, rest @ ..] = bytes {
        if !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_') {
            return false;
        }
        bytes = rest;
    }
    !key.is_empty()
}

const fn hex(digit: u8) -> u8 {
    if digit < 10 {
        b'0' + digit
    } else {
        b'a' + digit - 10
    }
}
