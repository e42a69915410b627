//! Personal data in what a host stores, or sends for somebody to watch.

use std::path::Path;

use toolcell_policy::{Layers, Scrub, Sink};

use super::load::{absolute, read_rules};
use crate::{
    Error, ErrorKind, Result,
    secrets::{PERSONAL_RULE_FILE_BYTES_MAX, PersonalData, PersonalRules, Redaction},
};

/// What the policy wants done about personal data, by sink.
#[derive(Clone, Debug, Default)]
pub(super) struct Privacy {
    sinks: Vec<(Sink, PersonalData)>,
}

impl Privacy {
    /// As the policy says, with the rules of its files.
    ///
    /// # Errors
    ///
    /// `invalid_policy` where a file of rules cannot be used, or a kind is named that no rule knows.
    pub(super) fn of(layers: &Layers, base_dir: Option<&Path>) -> Result<Self> {
        let mut rules = PersonalRules::builtin();
        for (written, base, rule) in layers.personal_rules() {
            let wrong = |why: String| {
                let message = format!("{rule}: the rules in `{written}` cannot be used: {why}");
                Error::new(ErrorKind::InvalidPolicy, message).with_help(
                    "`privacy.rules` names a file with rules in the form of the built-in ones.",
                )
            };
            let path = absolute(base_dir, written, base).map_err(|error| error.at(rule))?;
            let text = read_rules(&path, PERSONAL_RULE_FILE_BYTES_MAX)
                .map_err(|error| wrong(error.to_string()))?;
            rules = rules
                .with_rules(&text)
                .map_err(|error| wrong(error.to_string()))?;
        }
        let kinds = layers.personal_kinds();
        check(&rules, &kinds)?;
        let search = |sink: Sink| match layers.privacy(sink).0 {
            Scrub::Off => None,
            Scrub::Mask => Some((sink, rules.mask(&kinds))),
            Scrub::Drop => Some((sink, rules.drop(&kinds))),
        };
        Ok(Self {
            sinks: Sink::ALL.into_iter().filter_map(search).collect(),
        })
    }

    /// What everything passes on its way into a sink: the search for secrets, and what the policy says besides.
    pub(super) fn on_the_way_to(&self, sink: Sink, redaction: &Redaction) -> Redaction {
        match self.sinks.iter().find(|(other, _)| *other == sink) {
            Some((_, personal)) => redaction.without(personal.clone()),
            None => redaction.clone(),
        }
    }
}

fn check(rules: &PersonalRules, kinds: &[String]) -> Result<()> {
    let known: Vec<&str> = rules.kinds().into_iter().map(|(kind, _)| kind).collect();
    let Some(unknown) = kinds.iter().find(|kind| !known.contains(&kind.as_str())) else {
        return Ok(());
    };
    let message =
        format!("no rule knows the kind of personal data `{unknown}`, which `privacy.kinds` names");
    let help = format!("The kinds are: {}.", known.join(", "));
    Err(Error::new(ErrorKind::InvalidPolicy, message).with_help(help))
}

#[cfg(test)]
mod tests;
