use super::*;
use crate::{Access, Layers, LimitUnit, Limits, Method, Problem, SharedLimits};

fn problems(text: &str) -> Vec<Problem> {
    match Policy::from_toml(text) {
        Ok(policy) => panic!("no problem found; read as\n{}", policy.to_toml()),
        Err(problems) => problems.iter().cloned().collect(),
    }
}

/// The only problem of a file.
fn problem(text: &str) -> Problem {
    let mut all = problems(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// What the span of a problem covers.
fn marked<'t>(text: &'t str, problem: &Problem) -> &'t str {
    &text[problem.span()]
}

#[test]
fn the_policy_of_the_guide_is_read_in_full() {
    let policy = Policy::parse(
        "team.toml",
        r#"
[default]
approve = "ask"
[default.limits]
time = "30s"
cpu = "10s"
memory = "256MiB"
output = 262144
requests = 64
rate = "60/min"
fuel = 1_000_000

[audit]
path = "./audit.jsonl"

[tool.files]
from = "builtin:files"
files = [{ host = "./workspace", guest = "/work", access = "write", approve = "ask" }]
approve = { "*" = "allow", write = "ask" }

[tool.web]
from = "./web.wasm"
net = [{ to = "https://*.example.com", methods = ["POST", "GET"], paths = ["/v1/**", "/health"] }]
env = { LANG = "C.UTF-8" }
calls = ["time_now"]
clock = "frozen:2026-01-01T00:00:00Z"
random = "seeded:7"
isolation = "thread"
limits = { memory = "1GiB" }

[[expect]]
tool = "web"
net = "https://a.example.com/v1/x"
method = "POST"
is = "allow"

[[expect]]
tool = "files_read"
file = "/etc/passwd"
is = "deny"
"#,
    )
    .unwrap();
    assert_eq!(policy.name(), "team.toml");
    assert_eq!(policy.audit_path(), Some("./audit.jsonl"));
    let names: Vec<&str> = policy.tools().map(|(name, _)| name).collect();
    assert_eq!(names, ["files", "web"]);
    let files = policy.tool("files").unwrap();
    assert_eq!(files.from(), Some(&Origin::Builtin("files".to_owned())));
    assert_eq!(
        files.files()[0].rule.to_string(),
        "team.toml:18 tool.files.files[0]"
    );
    let web = policy.tool("web").unwrap();
    assert_eq!(web.from(), Some(&Origin::Path("./web.wasm".to_owned())));
    assert_eq!(
        web.net()[0].scope.to_string(),
        "GET, POST https://*.example.com, paths /v1/**, /health"
    );
    assert_eq!(web.clock, Some(Clock::Frozen(1_767_225_600_000_000_000)));
    assert_eq!(web.random, Some(Random::Seeded(7)));
    assert_eq!(web.env()[0].value, "C.UTF-8");
    assert_eq!(web.calls()[0].tool, "time_now");
    let expected = Access::Net {
        method: Method::Post,
        url: "https://a.example.com/v1/x".parse().unwrap(),
    };
    assert_eq!(policy.expectations()[0].access, expected);
    let printed = policy.to_toml();
    assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
}

#[test]
fn an_empty_file_is_a_policy_that_grants_nothing() {
    let policy = Policy::from_toml("").unwrap();
    assert_eq!(policy.tools().count(), 0);
    assert_eq!(policy.to_toml(), "");
}

#[test]
fn every_problem_of_a_file_is_reported_at_once_in_its_order() {
    let text = r#"
[defualt.limits]
time = "30s"

[tool.Files]
from = "builtin:files"

[tool.github]
net = [{ to = "api.github.com", methods = ["get"] }]
aprove = "ask"
limits = { memroy = "1GiB", time = 30, output = "0B" }

[[expect]]
tool = "github"
is = "forbid"
"#;
    let found: Vec<(u32, String)> = problems(text)
        .iter()
        .map(|problem| (problem.line(), problem.to_string()))
        .collect();
    let expected = [
        (2, "there is no key `defualt` at the top of a policy"),
        (5, "`Files` is not a package name"),
        (9, "`api.github.com` names no scheme"),
        (9, "`get` is not a method that can be granted"),
        (10, "there is no key `aprove` in `tool.github`"),
        (11, "there is no key `memroy` in `tool.github.limits`"),
        (11, "`30` is not a duration"),
        (11, "`tool.github.limits.output` cannot be zero"),
        (13, "`expect[0]` names no access"),
        (15, "`expect[0].is` cannot be `forbid`"),
    ];
    let expected: Vec<(u32, String)> = expected
        .iter()
        .map(|(line, message)| (*line, (*message).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_misspelt_key_is_marked_and_the_right_one_offered() {
    for (text, wrong, right) in [
        ("[deflaut]", "deflaut", "default"),
        ("[tool.a]\nfile = []", "file", "files"),
        (
            "[tool.a]\nnet = [{ to = \"https://a.b\", method = [\"GET\"] }]",
            "method",
            "methods",
        ),
        ("[default.limits]\ncalldepth = 1", "calldepth", "call_depth"),
        ("[audit]\npaht = \"x\"\npath = \"x\"", "paht", "path"),
    ] {
        let problem = problem(text);
        assert_eq!(marked(text, &problem), wrong);
        assert_eq!(
            problem.help(),
            Some(format!("did you mean `{right}`?").as_str())
        );
        assert_eq!(problem.code(), "invalid_policy");
    }
}

#[test]
fn what_this_version_does_not_enforce_cannot_be_written() {
    for text in [
        "[tool.a]\nkv = {}",
        "[tool.a]\nfrom = \"oci://registry.example/a@sha256:00\"",
        "[tool.a]\nfrom = \"https://example.com/a.wasm\"",
    ] {
        assert!(
            problem(text)
                .message()
                .contains("not supported by this version"),
            "{text}"
        );
    }
}

#[test]
fn rules_that_can_never_decide_are_errors() {
    for (text, part) in [
        (
            "net = [{ to = \"https://a.b\", methods = [] }]",
            "empty list of methods",
        ),
        (
            "net = [{ to = \"https://a.b\", paths = [] }]",
            "empty list of paths",
        ),
        (
            "net = [{ to = \"https://a.b\" }, { to = \"https://a.b\" }]",
            "line 2 covers it",
        ),
        (
            "net = [{ to = \"https://a.b.c\" }, { to = \"https://*.b.c\" }]",
            "never decides anything",
        ),
        (
            "net = [{ to = \"https://a.b\", approve = \"deny\" }, { to = \"https://a.b\", paths = [\"/x\"] }]",
            "never decides anything",
        ),
        (
            "net = [{ to = \"https://a.b\", methods = [\"GET\", \"GET\"] }]",
            "twice",
        ),
        (
            "net = [{ to = \"https://a.b\", paths = [\"/a\", \"/a\"] }]",
            "twice",
        ),
        ("calls = [\"a\", \"a\"]", "twice"),
        (
            "files = [{ host = \"a\", guest = \"/w\", access = \"read\" }, { host = \"b\", guest = \"/w\", access = \"read\" }]",
            "already puts a directory",
        ),
        (
            "files = [{ host = \"a\", guest = \"/w\", access = \"read\" }, { host = \"b\", guest = \"/w/x\", access = \"read\" }]",
            "lie in one another",
        ),
        (
            "files = [{ host = \"a\", guest = \"/w\", access = \"read\" }, { host = \"b\", guest = \"/\", access = \"read\" }]",
            "lie in one another",
        ),
    ] {
        let text = format!("[tool.x]\n{text}");
        let found = problem(&text);
        assert!(found.message().contains(part), "{text}: {found:?}");
    }
}

#[test]
fn rules_that_restrict_others_are_not_shadowed() {
    let text = r#"
[tool.x]
net = [
  { to = "https://a.example.com", methods = ["GET", "DELETE"] },
  { to = "https://a.example.com", methods = ["DELETE"], approve = "ask" },
  { to = "https://a.example.com", paths = ["/admin/**"], approve = "deny" },
]
"#;
    assert_eq!(
        Policy::from_toml(text)
            .unwrap()
            .tool("x")
            .unwrap()
            .net()
            .len(),
        3
    );
}

const BAD_VALUES: &[(&str, &str)] = &[
    (
        "net = [{ methods = [\"GET\"] }]",
        "`tool.x.net[0].to` is missing",
    ),
    ("net = [{ to = \"any\" }]", "cannot grant any host"),
    (
        "net = [{ to = 1 }]",
        "must be a string, and is a whole number",
    ),
    ("net = {}", "must be a list, and is a table"),
    ("net = [1]", "must be a table, and is a whole number"),
    (
        "net = [{ to = \"https://a.b\", methods = [\"CONNECT\"] }]",
        "not a method that can be granted",
    ),
    (
        "net = [{ to = \"https://a.b\", methods = \"GET\" }]",
        "must be a list",
    ),
    (
        "net = [{ to = \"https://a.b\", paths = [\"v1\"] }]",
        "not a path pattern",
    ),
    (
        "net = [{ to = \"https://a.b\", approve = \"maybe\" }]",
        "cannot be `maybe`",
    ),
    (
        "files = [{ guest = \"/w\", access = \"read\" }]",
        "host` is missing",
    ),
    (
        "files = [{ host = \"a\", access = \"read\" }]",
        "guest` is missing",
    ),
    (
        "files = [{ host = \"a\", guest = \"/w\" }]",
        "access` is missing",
    ),
    (
        "files = [{ host = \"a\", guest = \"w\", access = \"read\" }]",
        "not an absolute, normalised path",
    ),
    (
        "files = [{ host = \"a\", guest = \"/w/\", access = \"read\" }]",
        "not an absolute, normalised path",
    ),
    (
        "files = [{ host = \"a\", guest = \"/a/../b\", access = \"read\" }]",
        "not an absolute, normalised path",
    ),
    (
        "files = [{ host = \"a\", guest = \"/w\", access = \"execute\" }]",
        "cannot be `execute`",
    ),
    (
        "files = [{ host = \"\", guest = \"/w\", access = \"read\" }]",
        "is empty",
    ),
    (
        "files = [{ host = \"~/x\", guest = \"/w\", access = \"read\" }]",
        "neither is expanded",
    ),
    (
        "files = [{ host = \"$HOME\", guest = \"/w\", access = \"read\" }]",
        "neither is expanded",
    ),
    (
        "env = { \"1X\" = \"a\" }",
        "not a name of an environment variable",
    ),
    ("env = { X = 1 }", "must be a string"),
    ("env = { X = \"a\\u0000b\" }", "cannot be handed to a guest"),
    ("calls = [\"Time Now\"]", "not a tool's public name"),
    ("clock = \"frozen:yesterday\"", "is not a clock"),
    ("clock = \"unreal\"", "is not a clock"),
    ("random = \"seeded:-1\"", "not a source of random numbers"),
    ("random = \"seeded:\"", "not a source of random numbers"),
    ("approve = \"yes\"", "cannot be `yes`"),
    ("approve = { Merge = \"ask\" }", "not the name of a tool"),
    ("approve = 1", "must be a table"),
    ("isolation = \"vm\"", "cannot be `vm`"),
    (
        "from = \"builtin:Files\"",
        "not the name of a built-in package",
    ),
    ("from = \"ftp://x\"", "not a place that packages come from"),
    ("from = \"\"", "is empty"),
    ("limits = { time = \"soon\" }", "is not a duration"),
    ("limits = { memory = \"lots\" }", "is not a size"),
    ("limits = { memory = -1 }", "not a number from 0"),
    ("limits = { rate = \"often\" }", "is not a rate"),
    ("limits = { requests = 1.5 }", "must be a whole number"),
    ("limits = { requests = \"64\" }", "must be a whole number"),
];

#[test]
fn bad_values_are_refused_each_with_a_hint() {
    for (text, part) in BAD_VALUES {
        let text = format!("[tool.x]\n{text}");
        let found = problem(&text);
        assert!(found.message().contains(part), "{text}: {found:?}");
        assert_eq!(found.line(), 2);
        let self_explaining = found.message().contains("must be");
        assert!(
            found.help().is_some() || self_explaining,
            "{text}: {found:?}"
        );
    }
}

#[test]
fn each_limit_can_be_set_up_to_its_ceiling_and_not_beyond() {
    for info in Limits::CATALOGUE {
        let write = |number: u64| {
            let value = match info.unit {
                LimitUnit::Count => number.to_string(),
                LimitUnit::Bytes => format!("\"{number}B\""),
                LimitUnit::Duration => format!("\"{number}ms\""),
                LimitUnit::Rate => format!("\"{number}/s\""),
            };
            format!("[default.limits]\n{} = {value}", info.key)
        };
        assert!(Policy::from_toml(&write(1)).is_ok(), "{}", info.key);
        assert!(Policy::from_toml(&write(info.max)).is_ok(), "{}", info.key);
        let above = write(info.max + 1);
        let found = problem(&above);
        assert!(
            found.message().contains("above the ceiling"),
            "{above}: {found:?}"
        );
        assert!(problem(&write(0)).message().contains("cannot be zero"));
    }
}

#[test]
fn sessions_and_the_host_have_limits_of_their_own() {
    for (table, catalogue) in [
        ("session", SharedLimits::SESSION),
        ("host", SharedLimits::HOST),
    ] {
        for info in catalogue {
            let write = |number: u64| match info.unit {
                LimitUnit::Rate => format!("[{table}]\n{} = \"{number}/s\"", info.key),
                _ => format!("[{table}]\n{} = {number}", info.key),
            };
            for number in [1, info.max] {
                let policy = Policy::from_toml(&write(number)).unwrap();
                let again = Policy::from_toml(&policy.to_toml()).unwrap();
                for policy in [policy, again] {
                    let layers = Layers::from(policy);
                    let (session, host) = (layers.session_limits(), layers.host_limits());
                    let (mine, other) = match table {
                        "session" => (session, (host, SharedLimits::host())),
                        _ => (host, (session, SharedLimits::session())),
                    };
                    assert_eq!(mine.get(info.key), Some(number), "{table}.{}", info.key);
                    assert_eq!(other.0, other.1, "{table}.{}", info.key);
                }
            }
            let found = write(info.max + 1);
            assert!(problem(&found).message().contains("above the ceiling"));
            assert!(problem(&write(0)).message().contains("cannot be zero"));
        }
        let found = problem(&format!("[{table}]\nmemory = 1"));
        assert!(found.message().contains("no key"), "{found:?}");
    }
}

#[test]
fn lists_and_files_have_ceilings() {
    let calls: Vec<String> = (0..=crate::MAX_LIST)
        .map(|n| format!("\"tool_{n}\""))
        .collect();
    let found = problem(&format!("[tool.x]\ncalls = [{}]", calls.join(",")));
    assert!(found.message().contains("at most 64 are allowed"));
    let tools: String = (0..=MAX_POLICY_TOOLS)
        .map(|n| format!("[tool.t{n}a]\n"))
        .collect();
    assert!(problem(&tools).message().contains("at most 256"));
    let expectations = "[[expect]]\ntool='a'\nenv='A'\nis='deny'\n".repeat(MAX_EXPECTATIONS + 1);
    assert!(problem(&expectations).message().contains("at most 1024"));
    let long = format!("#{}", "x".repeat(MAX_POLICY_BYTES));
    assert!(problem(&long).message().contains("bytes; at most"));
    let guest = format!("/{}", "x".repeat(crate::MAX_PATH_BYTES));
    let text =
        format!("[tool.x]\nfiles = [{{ host = \"a\", guest = \"{guest}\", access = \"read\" }}]");
    assert!(
        problem(&text)
            .message()
            .contains("not an absolute, normalised path")
    );
    let value = "x".repeat(crate::MAX_ENV_VALUE_BYTES + 1);
    assert!(
        problem(&format!("[tool.x]\nenv.A = \"{value}\""))
            .message()
            .contains("cannot be handed")
    );
}

#[test]
fn syntax_errors_have_places_too() {
    let text = "[tool.x]\nfrom = \n\n[tool.y\n";
    let found = problems(text);
    assert_eq!(found[0].line(), 2);
    assert!(found.iter().any(|problem| problem.line() == 4), "{found:?}");
    let twice = "[tool.x]\n[tool.x]\n";
    assert_eq!(problem(twice).line(), 2);
}

#[test]
fn names_that_look_alike_cannot_stand_side_by_side() {
    assert!(
        problem("[tool.tool1]\n[tool.tooll]")
            .message()
            .contains("look alike")
    );
}

#[test]
fn a_package_called_with_underscores_is_explained() {
    let found = problem("[tool.my_tool]");
    assert_eq!(
        found.help(),
        Some("tables are named after packages: [tool.my-tool]")
    );
}

#[test]
fn at_most_so_many_problems_are_kept_and_the_rest_counted() {
    let text: String = (0..100).map(|n| format!("key{n} = 1\n")).collect();
    let problems = Policy::from_toml(&text).unwrap_err();
    assert_eq!(problems.iter().count(), crate::MAX_PROBLEMS);
    assert_eq!(problems.count(), 100);
}

#[test]
fn expectations_name_one_access() {
    for (text, part) in [
        ("tool = \"a\"\nis = \"deny\"", "names no access"),
        (
            "tool = \"a\"\nis = \"deny\"\nenv = \"A\"\ncall = \"b\"",
            "more than one access",
        ),
        ("is = \"deny\"\nenv = \"A\"", "`expect[0].tool` is missing"),
        ("tool = \"a\"\nenv = \"A\"", "`expect[0].is` is missing"),
        (
            "tool = \"A b\"\nis = \"deny\"\nenv = \"A\"",
            "is not a tool or package",
        ),
        (
            "tool = \"a\"\nis = \"deny\"\nenv = \"A B\"",
            "not the name of a variable",
        ),
        (
            "tool = \"a\"\nis = \"deny\"\ncall = \"A B\"",
            "not a tool's public name",
        ),
        (
            "tool = \"a\"\nis = \"deny\"\nnet = \"example.com\"",
            "is not a URL",
        ),
        (
            "tool = \"a\"\nis = \"deny\"\nnet = \"https://a.b\"\nmethod = \"get\"",
            "cannot be `get`",
        ),
        (
            "tool = \"a\"\nis = \"deny\"\nfile = \"a/b\"",
            "not an absolute, normalised path",
        ),
        (
            "tool = \"a\"\nis = \"deny\"\nenv = \"A\"\nmethod = \"GET\"",
            "only beside `net`",
        ),
        (
            "tool = \"a\"\nis = \"deny\"\nenv = \"A\"\naccess = \"read\"",
            "only beside `file`",
        ),
    ] {
        let text = format!("[[expect]]\n{text}");
        let found = problem(&text);
        assert!(found.message().contains(part), "{text}: {found:?}");
    }
}

#[test]
fn unlock_names_guarded_places_and_scratch_a_place_of_its_own() {
    let text = r#"[tool.pack]
scratch = "/tmp"
files = [{ host = "w", guest = "/work", access = "write", unlock = [".GIT/hooks", "agents.md"] }]
"#;
    let policy = Policy::from_toml(text).unwrap();
    let tool = policy.tool("pack").unwrap();
    assert_eq!(tool.files()[0].unlock, [".git/hooks", "AGENTS.md"]);
    assert_eq!(tool.scratch().unwrap().guest, "/tmp");
    assert_eq!(tool.scratch().unwrap().rule.line, 2);
    let again = Policy::from_toml(&policy.to_toml()).unwrap();
    assert_eq!(again.tool("pack").unwrap().files()[0].unlock.len(), 2);
    assert_eq!(again.to_toml(), policy.to_toml());

    for (entry, message) in [
        (
            r#"access = "write", unlock = [".git/hook"]"#,
            "not a guarded place",
        ),
        (
            r#"access = "write", unlock = ["/etc"]"#,
            "not a guarded place",
        ),
        (r#"access = "write", unlock = [".git", ".Git"]"#, "twice"),
        (r#"access = "write", unlock = []"#, "no effect"),
        (r#"access = "read", unlock = [".git"]"#, "no effect"),
        (r#"access = "write", unlock = ".git""#, "must be a list"),
    ] {
        let text = format!("[tool.pack]\nfiles = [{{ host = \"w\", guest = \"/work\", {entry} }}]");
        let problem = problem(&text);
        assert!(problem.to_string().contains(message), "{problem}");
    }
    for (scratch, message) in [
        ("tmp", "not an absolute"),
        ("/work/tmp", "lie in one another"),
        ("/", "lie in one another"),
        ("/work", "lie in one another"),
    ] {
        let text = format!(
            "[tool.pack]\nscratch = \"{scratch}\"\nfiles = [{{ host = \"w\", guest = \"/work\", access = \"read\" }}]"
        );
        let problem = problem(&text);
        assert!(problem.to_string().contains(message), "{problem}");
    }
}
