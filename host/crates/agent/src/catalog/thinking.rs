//! How a model can be told to think.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::wire::Thinking;

/// Which ways of thinking a model can be told, as far as that is known. In JSON a list of words of the Messages API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThinkingKinds {
    /// As long as it finds right.
    pub adaptive: bool,
    /// At most a number of tokens.
    pub enabled: bool,
    /// Not before it answers, only between the calls of tools.
    pub between_tools: bool,
    /// Not at all.
    pub disabled: bool,
}

impl ThinkingKinds {
    /// Whether the model can be told this.
    pub fn takes(self, thinking: Thinking) -> bool {
        match thinking {
            Thinking::Adaptive => self.adaptive,
            Thinking::Tokens(_) => self.enabled,
            Thinking::BetweenTools => self.between_tools,
            Thinking::Off => self.disabled,
        }
    }

    /// The words of the Messages API.
    pub fn words(self) -> Vec<&'static str> {
        let words = [
            ("adaptive", self.adaptive),
            ("enabled", self.enabled),
            ("between_tools", self.between_tools),
            ("disabled", self.disabled),
        ];
        let taken = words.into_iter().filter(|(_, taken)| *taken);
        taken.map(|(word, _)| word).collect()
    }
}

impl Serialize for ThinkingKinds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.words().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ThinkingKinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut kinds = Self::default();
        for word in Vec::<String>::deserialize(deserializer)? {
            let kind = match word.as_str() {
                "adaptive" => &mut kinds.adaptive,
                "enabled" => &mut kinds.enabled,
                "between_tools" => &mut kinds.between_tools,
                "disabled" => &mut kinds.disabled,
                _ => {
                    return Err(D::Error::custom(format_args!(
                        "`{word}` is no way of thinking; there are adaptive, enabled, between_tools and disabled"
                    )));
                }
            };
            *kind = true;
        }
        Ok(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words() {
        let kinds: ThinkingKinds = serde_json::from_str(r#"["disabled","adaptive"]"#).unwrap();
        assert!(kinds.takes(Thinking::Adaptive) && kinds.takes(Thinking::Off));
        assert!(!kinds.takes(Thinking::Tokens(5)) && !kinds.takes(Thinking::BetweenTools));
        let text = serde_json::to_string(&kinds).unwrap();
        assert_eq!(text, r#"["adaptive","disabled"]"#);
        let error = serde_json::from_str::<ThinkingKinds>(r#"["auto"]"#).unwrap_err();
        assert!(error.to_string().contains("`auto` is no way"), "{error}");
    }
}
