//! Notices a model that asks for the same call over and over.
//!
//! Two calls are identical when tool and input are. A repetition can be sensible (waiting for something to change), so
//! the calls run; from the third in a row on, the result carries a note that says so, which is usually enough to make
//! a model try something else. The eighth in a row is not run and ends the run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::ToolUse;

/// How many identical calls in a row are how many too many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatLimits {
    /// From this one on, results carry a note. Default 3.
    pub note: u32,
    /// This one ends the run. Default 8.
    pub stop: u32,
}

impl Default for RepeatLimits {
    fn default() -> Self {
        Self { note: 3, stop: 8 }
    }
}

/// The last call and how often it came in a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Repeats {
    last: Option<(String, Value)>,
    times: u32,
}

impl Repeats {
    /// Counts a call; says how often it came in a row, this time included.
    pub(crate) fn count(&mut self, call: &ToolUse) -> u32 {
        let same = self
            .last
            .as_ref()
            .is_some_and(|(name, input)| *name == call.name && *input == call.input);
        if same {
            self.times = self.times.saturating_add(1);
        } else {
            self.last = Some((call.name.clone(), call.input.clone()));
            self.times = 1;
        }
        self.times
    }
}

/// The note for the model.
pub(crate) fn note(times: u32) -> String {
    format!(
        "Note from the host: this is call {times} in a row with the same tool and the same input. \
         If the result does not help, try something else."
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(name: &str, input: Value) -> ToolUse {
        ToolUse {
            id: "a".into(),
            name: name.into(),
            input,
            extra: serde_json::Map::new(),
        }
    }

    #[test]
    fn only_an_unbroken_row_counts() {
        let mut repeats = Repeats::default();
        let same = call("time_now", json!({ "zone": "UTC", "x": 1 }));
        assert_eq!(repeats.count(&same), 1);
        assert_eq!(
            repeats.count(&call("time_now", json!({ "x": 1, "zone": "UTC" }))),
            2
        );
        assert_eq!(
            repeats.count(&call("time_now", json!({ "zone": "CET" }))),
            1
        );
        assert_eq!(repeats.count(&same), 1);
        assert_eq!(repeats.count(&call("calc", same.input.clone())), 1);
    }
}
