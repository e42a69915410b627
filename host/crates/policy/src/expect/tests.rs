use super::*;
use crate::Policy;

fn policy(expectations: &str) -> Layers {
    let text = format!(
        "[tool.web]\nnet = [{{ to = \"https://a.example\" }}, {{ to = \"https://b.example\", approve = \"ask\" }}]\nfiles = [{{ host = \".\", guest = \"/work\", access = \"read\" }}]\nenv = {{ A = \"1\" }}\ncalls = [\"time_now\"]\napprove = {{ \"*\" = \"allow\", post = \"ask\", drop = \"deny\" }}\n{expectations}"
    );
    Policy::from_toml(&text).unwrap().into()
}

fn expectation(tool: &str, access: &str, is: &str) -> String {
    format!("[[expect]]\ntool = \"{tool}\"\n{access}\nis = \"{is}\"\n")
}

#[test]
fn each_kind_of_access_can_be_expected() {
    for (tool, access, is) in [
        ("web", "net = \"https://a.example/x\"", "allow"),
        (
            "web",
            "net = \"https://a.example/x\"\nmethod = \"POST\"",
            "deny",
        ),
        ("web", "net = \"https://b.example/x\"", "ask"),
        ("web", "net = \"https://169.254.169.254/\"", "deny"),
        ("web", "file = \"/work/x\"", "allow"),
        ("web", "file = \"/work/x\"\naccess = \"write\"", "deny"),
        ("web", "env = \"A\"", "allow"),
        ("web", "env = \"B\"", "deny"),
        ("web", "call = \"time_now\"", "allow"),
        ("web", "call = \"calc\"", "deny"),
        ("web_get", "env = \"A\"", "allow"),
        ("web_post", "env = \"A\"", "ask"),
        ("web_post", "env = \"B\"", "deny"),
        ("web_drop", "env = \"A\"", "deny"),
        ("unknown", "env = \"A\"", "deny"),
    ] {
        let outcomes = policy(&expectation(tool, access, is)).test(&[]);
        assert_eq!(outcomes.len(), 1);
        assert!(
            outcomes[0].passed,
            "{tool} {access}: {:?}",
            outcomes[0].verdict
        );
        assert!(outcomes[0].requests_assumed);
    }
}

#[test]
fn a_package_at_hand_counts_with_what_it_requests() {
    let text = "name = \"web\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"get\"\ninput = { type = \"object\" }\n[request]\nenv = [\"B\"]";
    let manifest = Manifest::from_toml(text).unwrap();
    let layers = policy(&expectation("web", "env = \"A\"", "allow"));
    let outcomes = layers.test(std::slice::from_ref(&manifest));
    assert!(!outcomes[0].passed && !outcomes[0].requests_assumed);
    assert_eq!(
        outcomes[0].verdict.rule.to_string(),
        "default: denied unless the package requests it"
    );
    let by_tool = policy(&expectation("web_get", "env = \"A\"", "deny")).test(&[manifest]);
    assert!(by_tool[0].passed && !by_tool[0].requests_assumed);
}

#[test]
fn a_failed_expectation_tells_its_line() {
    let outcomes = policy(&expectation("web", "env = \"B\"", "allow")).test(&[]);
    assert!(!outcomes[0].passed);
    assert_eq!(
        outcomes[0].expectation.rule.to_string(),
        "toolcell.toml:7 expect[0]"
    );
    let json = serde_json::to_value(&outcomes).unwrap();
    assert_eq!(json[0]["verdict"]["effect"], "deny");
}

#[test]
fn accesses_are_written_as_people_say_them() {
    for (text, shown) in [
        ("https://a.example/x", "GET https://a.example/x"),
        ("POST https://a.example/x", "POST https://a.example/x"),
        ("read /work/../x", ""),
        ("read /work/./x/", "read /work/x"),
        ("write /work", "write /work"),
        (" env  LANG ", "env LANG"),
        ("call time_now", "call time_now"),
        ("call Time", ""),
        ("env A-B", ""),
        ("post https://a.example/", ""),
        ("ftp://a.example/", ""),
        ("read", ""),
        ("", ""),
    ] {
        let access = Access::parse(text)
            .map(|it| it.to_string())
            .unwrap_or_default();
        assert_eq!(access, shown, "{text}");
    }
}
