use super::*;
use crate::{Layer, Layers, MAX_REDIRECTS, Policy, Problem};

fn problem(text: &str) -> Problem {
    let problems = Policy::from_toml(text).unwrap_err();
    assert_eq!(problems.count(), 1, "{problems:#?}");
    problems.iter().next().unwrap().clone()
}

#[test]
fn the_way_out_is_read_and_written() {
    let text = r#"
[egress]
ca = ["./internal-ca.pem", "/etc/ca.pem"]
proxy = "http://proxy.internal:3128"
proxy_resolves = true
[secrets]
unknown = "redact"
rules = "./rules.toml"
arguments = "ask"
[session]
combine = "deny"
concurrency = 3
"#;
    let policy = Policy::from_toml(text).unwrap().with_base("/srv");
    let printed = policy.to_toml();
    assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
    let layers = Layers::from(policy);
    let egress = layers.egress();
    assert_eq!(egress.ca, ["./internal-ca.pem", "/etc/ca.pem"]);
    assert_eq!(egress.base.as_deref(), Some("/srv"));
    assert_eq!(
        egress.proxy.unwrap().as_str(),
        "http://proxy.internal:3128/"
    );
    assert!(egress.proxy_resolves);
    let rule = egress.rule.unwrap();
    assert_eq!(rule.to_string(), "toolcell.toml:2 egress");
    assert_eq!(rule.layer, Some(Layer::Project));
    let (unknown, rule) = layers.unknown_secrets_rule();
    assert_eq!((unknown, rule.line), (UnknownSecrets::Redact, 7));
    let (effect, rule) = layers.secret_arguments_rule();
    assert_eq!((effect, rule.line), (Effect::Ask, 9));
    let (effect, rule) = layers.combine_rule();
    assert_eq!((effect, rule.line), (Effect::Deny, 11));
    assert_eq!(rule.layer, Some(Layer::Project));
    let rules = layers.secret_rules();
    assert_eq!((rules[0].0, rules[0].1), ("./rules.toml", Some("/srv")));
    assert_eq!(layers.session_limits().concurrency, Some(3));
}

#[test]
fn unwritten_words_have_a_rule_too() {
    let layers = Layers::new();
    assert_eq!(layers.egress(), EgressPolicy::default());
    let (effect, rule) = layers.combine_rule();
    assert_eq!(effect, Effect::Ask);
    assert_eq!(rule.to_string(), "default: combine = \"ask\"");
    let (effect, rule) = layers.secret_arguments_rule();
    assert_eq!(effect, Effect::Deny);
    assert_eq!(rule.to_string(), "default: arguments = \"deny\"");
    let (unknown, rule) = layers.unknown_secrets_rule();
    assert_eq!(unknown, UnknownSecrets::Warn);
    assert_eq!(rule.to_string(), "default: unknown = \"warn\"");
    assert!(layers.secret_rules().is_empty());
}

#[test]
fn wrong_words_about_the_way_out_are_told() {
    for (text, message, help) in [
        ("[egress]\ncas = []", "no key `cas`", "did you mean `ca`?"),
        (
            "[egress]\nca = [\"a.pem\", \"a.pem\"]",
            "stands here twice",
            "remove one",
        ),
        ("[egress]\nca = \"a.pem\"", "must be a list", "brackets"),
        (
            "[egress]\nca = [\"~/a.pem\"]",
            "neither is expanded",
            "in full",
        ),
        (
            "[egress]\nproxy = \"https://proxy:1\"",
            "begin with http://",
            "like",
        ),
        (
            "[egress]\nproxy = \"socks5://proxy:1\"",
            "begin with http://",
            "like",
        ),
        (
            "[egress]\nproxy = \"http://proxy:1/path\"",
            "more than a host",
            "like",
        ),
        ("[egress]\nproxy = \"http://\"", "is not a URL", "like"),
        (
            "[egress]\nproxy = \"http://me:hunter2@proxy:1\"",
            "user name or password",
            "like",
        ),
        (
            "[egress]\nproxy_resolves = true",
            "only beside `proxy`",
            "remove",
        ),
        (
            "[secrets]\nunknown = \"redcat\"",
            "cannot be `redcat`",
            "did you mean `redact`?",
        ),
        (
            "[secrets]\narguments = \"never\"",
            "cannot be `never`",
            "words here",
        ),
        ("[secrets]\nrules = \"\"", "is empty", "in full"),
        (
            "[session]\ncombin = \"ask\"",
            "no key `combin`",
            "did you mean `combine`?",
        ),
        (
            "[session]\ncombine = \"maybe\"",
            "cannot be `maybe`",
            "words here",
        ),
    ] {
        let found = problem(text);
        assert!(found.message().contains(message), "{text}: {found:?}");
        assert!(found.help().unwrap().contains(help), "{text}: {found:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn there_are_at_most_so_many_authorities() {
    let files = |count: usize| {
        let files: Vec<String> = (0..count).map(|it| format!("\"{it}.pem\"")).collect();
        format!("[egress]\nca = [{}]", files.join(", "))
    };
    let most = Policy::from_toml(&files(MAX_CA_FILES)).unwrap();
    assert_eq!(Layers::from(most).egress().ca.len(), MAX_CA_FILES);
    let found = problem(&files(MAX_CA_FILES + 1));
    assert!(found.message().contains("at most 16"), "{found:?}");
}

#[test]
fn redirects_have_a_ceiling_and_no_place_in_a_denial() {
    let net = |rest: &str| format!("[tool.a]\nnet = [{{ to = \"https://a.b\"{rest} }}]");
    for redirects in [0, 1, MAX_REDIRECTS] {
        let policy = Policy::from_toml(&net(&format!(", redirects = {redirects}"))).unwrap();
        assert_eq!(policy.tool("a").unwrap().net()[0].redirects, redirects);
        let printed = policy.to_toml();
        assert_eq!(printed.contains("redirects"), redirects > 0);
        assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
    }
    for (rest, message) in [
        (", redirects = 11", "above the ceiling of 10"),
        (", redirects = 256", "above the ceiling of 10"),
        (", redirects = -1", "not a number from 0"),
        (", redirects = \"3\"", "must be a whole number"),
        (
            ", approve = \"deny\", redirects = 1",
            "follows no redirects",
        ),
    ] {
        let found = problem(&net(rest));
        assert!(found.message().contains(message), "{rest}: {found:?}");
    }
}

#[test]
fn a_rule_that_follows_less_is_not_shadowed() {
    let rules = |first: u8, second: u8| {
        format!(
            "[tool.a]\nnet = [{{ to = \"https://a.b\", redirects = {first} }}, {{ to = \"https://a.b\", paths = [\"/x/**\"], redirects = {second} }}]"
        )
    };
    assert!(Policy::from_toml(&rules(3, 1)).is_ok());
    for (first, second) in [(3, 3), (1, 3), (0, 0)] {
        let found = problem(&rules(first, second));
        assert!(found.message().contains("never decides"), "{found:?}");
    }
}

#[test]
fn only_files_at_or_above_the_first_that_lists_tools_say_how_requests_leave() {
    let egress = "[egress]\nproxy = \"http://one:1\"\n";
    let other = "[egress]\nca = [\"x.pem\"]\n";
    let file = |name: &str, text: &str| Policy::parse(name, text).unwrap();
    let proxy = |layers: &Layers| layers.egress().proxy.is_some();
    let listing = |text: &str| format!("{text}[tool.a]\n");
    // As the highest that lists tools, and above it.
    for user in [listing(egress), egress.to_owned()] {
        let layers = Layers::new()
            .with(Layer::User, file("user", &user))
            .with(Layer::Project, file("project", &listing("")));
        assert!(proxy(&layers));
        assert!(layers.errors().is_empty());
    }
    // Below, alone or besides.
    for user in [listing(""), listing(egress), egress.to_owned()] {
        let layers = Layers::new()
            .with(Layer::User, file("user", &user))
            .with(Layer::Project, file("project", &listing(other)));
        assert_eq!(proxy(&layers), user.contains("egress"));
        assert!(layers.egress().ca.is_empty(), "{user}");
        let errors = layers.errors();
        assert_eq!(errors.len(), 1, "{user}");
        assert_eq!((errors[0].file(), errors[0].line()), ("project", 1));
        assert!(errors[0].message().contains("no say"), "{errors:?}");
        assert_eq!(layers.problems().len(), 1);
    }
}

#[test]
fn of_words_the_strictest_holds() {
    let file = |combine: &str, unknown: &str, arguments: &str| {
        let table = |name: &str, keys: &[(&str, &str)]| {
            let keys = keys.iter().filter(|(_, word)| !word.is_empty());
            let keys: Vec<String> = keys
                .map(|(key, word)| format!("{key} = \"{word}\""))
                .collect();
            format!("[{name}]\n{}\n", keys.join("\n"))
        };
        let text = table("session", &[("combine", combine)])
            + &table("secrets", &[("unknown", unknown), ("arguments", arguments)]);
        Policy::from_toml(&text).unwrap()
    };
    let holds = |layers: &Layers| {
        (
            layers.combine(),
            layers.unknown_secrets(),
            layers.secret_arguments(),
        )
    };
    let loose = ("allow", "off", "allow");
    let strict = ("deny", "redact", "deny");
    let of = |words: (&str, &str, &str)| file(words.0, words.1, words.2);
    let one = Layers::from(of(loose));
    let loosest = (Effect::Allow, UnknownSecrets::Off, Effect::Allow);
    let strictest = (Effect::Deny, UnknownSecrets::Redact, Effect::Deny);
    assert_eq!(holds(&one), loosest);
    assert_eq!(
        holds(&one.clone().with(Layer::Session, of(("", "", "")))),
        loosest
    );
    let both = one.with(Layer::Session, of(strict));
    assert_eq!(holds(&both), strictest);
    assert!(both.problems().is_empty());
    // Below a file that says nothing, nothing is looser than the default.
    let defaults = holds(&Layers::new());
    for upper in [("", "", ""), ("ask", "warn", "deny")] {
        let layers = Layers::from(of(upper)).with(Layer::Session, of(loose));
        assert_eq!(holds(&layers), defaults);
        let problems = layers.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].message().contains("stays \"ask\""),
            "{problems:?}"
        );
    }
}
