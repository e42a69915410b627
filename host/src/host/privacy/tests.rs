use toolcell_policy::Policy;

use super::*;

const TEXT: &str = "ada@example.org from 10.0.0.7";

fn privacy(policy: &str, base: Option<&Path>) -> Result<Privacy> {
    Privacy::of(&Layers::from(Policy::from_toml(policy).unwrap()), base)
}

#[test]
fn each_sink_has_its_own_word() {
    let policy = "[privacy]\naudit = \"mask\"\narchive = \"drop\"";
    let privacy = privacy(policy, None).unwrap();
    let at = |sink| {
        let way = privacy.on_the_way_to(sink, &Redaction::new());
        way.text(TEXT).into_owned()
    };
    assert_eq!(at(Sink::Audit), "[email] from 10.0.0.7");
    assert_eq!(at(Sink::Archive), "[dropped: email]");
    assert_eq!(at(Sink::Transcript), TEXT);
}

#[test]
fn an_operator_adds_kinds_and_rules() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nkind = \"from\"\ndescription = \"d\"\nregex = 'from'\n";
    std::fs::write(directory.path().join("own.toml"), rules).unwrap();
    let policy = "[privacy]\naudit = \"mask\"\nkinds = [\"ip\", \"from\"]\nrules = \"./own.toml\"";
    let way = privacy(policy, Some(directory.path()))
        .unwrap()
        .on_the_way_to(Sink::Audit, &Redaction::new());
    assert_eq!(way.text(TEXT), "ada@example.org [from] [ip]");
}

#[test]
fn what_cannot_be_searched_for_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bad.toml"), "[[rule]]\nkind = 5").unwrap();
    for (policy, words) in [
        ("[privacy]\nkinds = [\"e-mail\"]", "`e-mail`"),
        ("[privacy]\nrules = \"./none.toml\"", "none.toml"),
        ("[privacy]\nrules = \"./bad.toml\"", "not understood"),
        ("[privacy]\nrules = \".\"", "it is no file"),
    ] {
        let error = privacy(policy, Some(directory.path())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPolicy, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
