//! Puts calls of tools together from their pieces, whichever way a server cuts and numbers them.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{assemble::keepable, names::Names};
use crate::{
    model::{ModelError, strict::strict_object},
    wire::{Block, ToolUse, Unparsed},
};

/// More calls than this in one turn are refused.
const MAX_CALLS: usize = 1_024;

/// The fields of a piece that have a meaning here; the others are kept.
const KNOWN: [&str; 4] = ["index", "id", "type", "function"];

/// The calls of one turn.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: Vec<Call>,
    /// The ids that no new call may have.
    taken: HashSet<String>,
    /// The number of the next id of our own.
    minted: usize,
    /// The calls that the chunk at hand had a piece of.
    touched: Vec<usize>,
}

#[derive(Debug, Default)]
struct Call {
    /// The server's number for it.
    index: Option<u64>,
    /// The id that the server gave it, which need not be the only one of its kind.
    said: String,
    id: String,
    name: String,
    arguments: String,
    scan: Scan,
    /// What was wrong with arguments that came as an object.
    wrong: Option<String>,
    extra: Map<String, Value>,
}

/// One element of `tool_calls`.
#[derive(Debug)]
pub(super) struct Piece<'p> {
    index: Option<u64>,
    id: &'p str,
    name: &'p str,
    arguments: Option<&'p Value>,
    fields: Option<&'p Map<String, Value>>,
}

/// What became of a piece.
pub(super) struct Placed {
    /// Which call it belongs to.
    pub(super) at: usize,
    /// Whether the call is new.
    pub(super) new: bool,
    /// Whether the call's name is known since now.
    pub(super) named: bool,
}

impl<'p> Piece<'p> {
    /// An element of `tool_calls`.
    pub(super) fn of(entry: &'p Value) -> Self {
        let function = entry.get("function").unwrap_or(&Value::Null);
        Self {
            index: entry.get("index").and_then(Value::as_u64),
            id: entry.get("id").and_then(Value::as_str).unwrap_or(""),
            fields: entry.as_object(),
            ..Self::function(function)
        }
    }

    /// The older `function_call`, which has no id and no number.
    pub(super) fn function(function: &'p Value) -> Self {
        Self {
            index: None,
            id: "",
            name: function.get("name").and_then(Value::as_str).unwrap_or(""),
            arguments: function.get("arguments").filter(|it| !it.is_null()),
            fields: None,
        }
    }

    /// Whether the arguments came as a value instead of the text of one.
    pub(super) fn is_whole(&self) -> bool {
        self.arguments.is_some_and(|it| !it.is_string())
    }

    fn has_arguments(&self) -> bool {
        match self.arguments {
            Some(Value::String(text)) => !text.trim().is_empty(),
            other => other.is_some(),
        }
    }
}

impl Calls {
    /// Calls none of which has one of these ids.
    pub(super) fn new(taken: HashSet<String>) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// A new chunk begins.
    pub(super) fn next_chunk(&mut self) {
        self.touched.clear();
    }

    /// Whether the model asks for anything.
    pub(super) fn any(&self) -> bool {
        !self.list.is_empty()
    }

    /// The id and name of a call.
    pub(super) fn called(&self, at: usize) -> Option<(&str, &str)> {
        self.list
            .get(at)
            .map(|call| (call.id.as_str(), call.name.as_str()))
    }

    /// The length of all names and arguments so far, in bytes.
    pub(super) fn len(&self) -> usize {
        let lengths = self
            .list
            .iter()
            .map(|call| call.name.len().saturating_add(call.arguments.len()));
        lengths.fold(0, usize::saturating_add)
    }

    /// Takes a piece. `wrong` says what is wrong with arguments that came as a value.
    pub(super) fn take(
        &mut self,
        piece: &Piece<'_>,
        wrong: Option<String>,
    ) -> Result<Placed, ModelError> {
        let found = self.find(piece);
        let at = match found {
            Some(at) => at,
            None => self.open(piece)?,
        };
        let placed = Placed {
            at,
            new: found.is_none(),
            named: false,
        };
        let Some(call) = self.list.get_mut(at) else {
            return Ok(placed);
        };
        self.touched.push(at);
        if call.said.is_empty() {
            call.said = piece.id.to_owned();
        }
        let named = call.name.is_empty() && !piece.name.is_empty();
        if named {
            call.name = piece.name.to_owned();
        }
        match piece.arguments {
            Some(Value::String(text)) => call.push(text),
            Some(value) => call.push(&value.to_string()),
            None => {}
        }
        call.wrong = call.wrong.take().or(wrong);
        for (key, value) in piece.fields.into_iter().flatten() {
            if !KNOWN.contains(&key.as_str()) && keepable(value) {
                call.extra.insert(key.clone(), value.clone());
            }
        }
        Ok(Placed { named, ..placed })
    }

    /// The call that a piece goes on with; none where it begins a new one. Servers number all calls 0, leave numbers or
    /// ids out, or say name and id with every piece, so a number alone does not tell calls apart.
    fn find(&self, piece: &Piece<'_>) -> Option<usize> {
        let newest = |fits: &dyn Fn(&Call) -> bool| self.list.iter().rposition(fits);
        let numbered = newest(&|call| {
            piece.index.is_none() || call.index == piece.index || call.index.is_none()
        });
        if piece.id.is_empty() && piece.name.is_empty() {
            return numbered;
        }
        let same = newest(&|call| {
            call.said == piece.id && (piece.index.is_none() || call.index == piece.index)
        });
        let at = match piece.id.is_empty() {
            false => same.or(numbered.filter(|at| self.said_nothing(*at))),
            true => numbered,
        }?;
        let call = self.list.get(at)?;
        let same_name = piece.name.is_empty() || call.name.is_empty() || call.name == piece.name;
        let over = call.scan.complete || piece.is_whole() && !call.arguments.is_empty();
        // Of two calls in one chunk none is the other, and what is complete does not go on.
        let again = self.touched.contains(&at) || over && piece.has_arguments();
        (same_name && !again).then_some(at)
    }

    /// Whether the server gave a call no id so far.
    fn said_nothing(&self, at: usize) -> bool {
        self.list.get(at).is_some_and(|call| call.said.is_empty())
    }

    fn open(&mut self, piece: &Piece<'_>) -> Result<usize, ModelError> {
        if piece.id.is_empty() && piece.name.is_empty() {
            return Err(ModelError::Protocol(
                "a piece of a tool call that never began".into(),
            ));
        }
        if self.list.len() >= MAX_CALLS {
            return Err(ModelError::Protocol(format!(
                "more than {MAX_CALLS} tool calls in one turn"
            )));
        }
        let id = self.fresh(piece.id);
        self.list.push(Call {
            index: piece.index,
            id,
            ..Call::default()
        });
        Ok(self.list.len().saturating_sub(1))
    }

    /// The server's id, or one of our own where it gave none or one that another call has.
    fn fresh(&mut self, said: &str) -> String {
        let mut id = said.to_owned();
        while id.is_empty() || self.taken.contains(&id) {
            id = format!("call_{}", self.minted);
            self.minted = self.minted.saturating_add(1);
        }
        self.taken.insert(id.clone());
        id
    }

    /// The whole call. Its input that cannot be read is noted, and put into an object.
    pub(super) fn finish(
        &mut self,
        at: usize,
        names: &Names,
        unparsed: &mut Vec<Unparsed>,
    ) -> Option<Block> {
        let call = std::mem::take(self.list.get_mut(at)?);
        let input = match (call.arguments.trim().is_empty(), call.wrong) {
            (true, None) => Ok(json!({})),
            (_, Some(wrong)) => Err(wrong),
            (false, None) => strict_object(&call.arguments),
        };
        let input = input.unwrap_or_else(|error| {
            let id = call.id.clone();
            unparsed.push(Unparsed { id, error });
            json!({ "INVALID_JSON": call.arguments })
        });
        let mut extra = Map::new();
        if !call.extra.is_empty() {
            extra.insert(super::OWN.to_owned(), call.extra.into());
        }
        Some(Block::ToolUse(ToolUse {
            id: call.id,
            name: names.back(&call.name).to_owned(),
            input,
            extra,
        }))
    }
}

impl Call {
    fn push(&mut self, text: &str) {
        self.arguments.push_str(text);
        self.scan.push(text);
    }
}

/// Watches where an object ends, in one pass over its pieces.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    complete: bool,
}

impl Scan {
    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.complete = self.complete || self.depth == 0;
                }
                _ => {}
            }
        }
    }
}
