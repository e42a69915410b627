//! What files say, as text: for whoever has to find out later whether they still say the same.

use super::Layers;
use crate::{Rule, policy::wording};

impl Layers {
    /// The line of a file that a rule stands on, without the blanks around it; nothing for a rule that holds without being
    /// written, and for one of a file that is not among these.
    pub fn line(&self, rule: &Rule) -> Option<&str> {
        let layer = rule.layer.filter(|_| rule.is_written())?;
        let mut files = self.iter();
        let (_, policy) =
            files.find(|(other, policy)| *other == layer && *policy.name() == *rule.file)?;
        let span = policy.source.line_span(rule.line);
        policy.source.text.get(span).filter(|line| !line.is_empty())
    }

    /// Everything that these files say about one package, and about consent for all packages. Files that say the same
    /// about them give the same text, whatever else stands in them, however it is laid out, and wherever they lie.
    pub fn wording(&self, package: &str) -> String {
        let mut text = String::new();
        for (layer, policy) in self.iter() {
            let said = wording(policy, package);
            if !said.is_empty() {
                // No table begins with this.
                text.push_str(&format!("# {layer}\n{said}"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::{Layer, Layers, Policy, Rule};

    const TOOL: &str = "[tool.fetch]\nfrom = \"builtin:fetch\"\napprove = \"ask\"\nnet = [\n  { to = \"https://a.example\", approve = \"ask\" },\n]\n";

    fn layers(text: &str) -> Layers {
        Layers::from(Policy::from_toml(text).unwrap())
    }

    #[test]
    fn a_rule_leads_back_to_its_line() {
        let layers = layers(TOOL);
        let rule = |line| Rule {
            layer: Some(Layer::Project),
            file: "toolcell.toml".into(),
            line,
            key: "x".into(),
        };
        let own = layers.iter().next().unwrap().0;
        let of = |line| Rule {
            layer: Some(own),
            ..rule(line)
        };
        assert_eq!(layers.line(&of(3)), Some("approve = \"ask\""));
        let entry = "{ to = \"https://a.example\", approve = \"ask\" },";
        assert_eq!(layers.line(&of(5)), Some(entry));
        for nowhere in [of(0), of(99), Rule::learning()] {
            assert_eq!(layers.line(&nowhere), None, "{nowhere}");
        }
        let elsewhere = Rule {
            file: "other.toml".into(),
            ..of(3)
        };
        assert_eq!(layers.line(&elsewhere), None);
    }

    #[test]
    fn the_wording_changes_with_what_is_said_and_with_nothing_else() {
        let same = [
            format!("# a remark\n\n{TOOL}"),
            format!("{TOOL}\n[tool.calc]\nfrom = \"builtin:calc\"\n"),
            TOOL.replace("  {", "{"),
        ];
        let wording = |text: &str| layers(text).wording("fetch");
        for text in same {
            assert_eq!(wording(&text), wording(TOOL), "{text}");
        }
        let other = [
            TOOL.replace("a.example", "b.example"),
            TOOL.replace("approve = \"ask\"\n", ""),
            format!("{TOOL}files = [{{ host = \"x\", guest = \"/x\", access = \"read\" }}]\n"),
            format!("[default]\napprove = \"ask\"\n{TOOL}"),
        ];
        for text in other {
            assert_ne!(wording(&text), wording(TOOL), "{text}");
        }
        let narrowed = Layers::new()
            .with(Layer::User, Policy::from_toml(TOOL).unwrap())
            .with(Layer::Project, Policy::from_toml(TOOL).unwrap());
        assert_ne!(narrowed.wording("fetch"), wording(TOOL));
        let moved = Layers::from(Policy::from_toml(TOOL).unwrap().with_base("/elsewhere"));
        assert_eq!(moved.wording("fetch"), wording(TOOL));
    }
}
