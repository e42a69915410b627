//! The reference pages in `docs/`, made from the code. The tests find a page that no longer says what the code does;
//! `INSTA_UPDATE=always cargo test -p toolcell-cli reference` writes them anew.

use std::{fmt::Write as _, fs, path::Path};

use toolcell::ErrorKind;

use crate::{args, env, exit, explain};

const GENERATED: &str = "<!-- Made from the code; `INSTA_UPDATE=always cargo test -p toolcell-cli reference` writes it anew. -->";

/// `docs/errors.md`.
fn errors() -> String {
    let mut page = format!(
        "# Error codes\n\n{GENERATED}\n\n\
         Every failure has one of these codes, the same on the command line, in JSON, in the audit log and in\n\
         [`ErrorKind`](../host/src/error.rs). `toolcell explain CODE` shows the same texts.\n\n\
         | code | exit status | meaning |\n| --- | --- | --- |\n"
    );
    for kind in ErrorKind::ALL {
        let (code, status) = (kind.code(), exit::status(*kind));
        writeln!(
            page,
            "| [`{code}`](#{code}) | {status} | {} |",
            explain::summary(*kind)
        )
        .unwrap();
    }
    for kind in ErrorKind::ALL {
        let text = explain::text(*kind).replace("\n## ", "\n### ");
        write!(page, "\n#{text}").unwrap();
    }
    page
}

/// `docs/cli.md`.
fn command_line() -> String {
    let mut page = format!(
        "# The command line\n\n{GENERATED}\n\n\
         Data goes to standard output, everything else to standard error. With `--json`, every verb answers with one\n\
         object: `{{\"ok\":true,\"data\":…}}`, or `{{\"ok\":false,\"error\":{{\"code\",\"message\",\"rule\",\"help\",\"span\"}}}}`.\n\
         `run --events` and `demo --events` print one object a line. Settings come from flags, then the environment,\n\
         then the policy of the project, the user and the system.\n\n\
         `-v` says on standard error what toolcell does, and `-vv` everything that the libraries under it say as well.\n\
         `TOOLCELL_LOG` chooses more finely: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module, such\n\
         as `toolcell=trace,h2=info`. Without either, only errors are told. Whatever is said, shown or written down, the\n\
         value of a known secret is not in it: `[secret NAME]` stands in its place. Known are the secrets that a tool was\n\
         called with, and the keys in the environment variables below.\n"
    );
    let mut command = args::command().disable_help_flag(true);
    command.build();
    for (group, verbs) in args::GROUPS {
        writeln!(page, "\n## {group}").unwrap();
        for verb in *verbs {
            let verb = command.find_subcommand(verb).unwrap();
            describe(&mut page, verb, &format!("toolcell {}", verb.get_name()));
            for part in verb
                .get_subcommands()
                .filter(|part| part.get_name() != "help")
            {
                describe(
                    &mut page,
                    part,
                    &format!("toolcell {} {}", verb.get_name(), part.get_name()),
                );
            }
        }
    }
    page.push_str("\n## Policy options\n\n");
    let shared = command.find_subcommand("tools").unwrap().get_arguments();
    shared
        .filter(|argument| argument.get_help_heading() == Some(SHARED))
        .for_each(|argument| describe_argument(&mut page, argument));
    page.push_str("\n## Environment variables\n\n| variable | what it is for |\n| --- | --- |\n");
    for variable in env::ALL {
        writeln!(page, "| `{}` | {} |", variable.name, variable.about).unwrap();
    }
    page.push_str("\n## Exit statuses\n\n| status | meaning |\n| --- | --- |\n");
    for (status, meaning) in STATUSES {
        writeln!(page, "| {status} | {meaning} |").unwrap();
    }
    page
}

const STATUSES: &[(u8, &str)] = &[
    (exit::OK, "everything went well"),
    (
        exit::FAILED,
        "the tool answered with an error, a check failed, or something that is needed does not answer",
    ),
    (
        exit::INVALID,
        "the command line, an input, a policy, a manifest or a component is not valid",
    ),
    (exit::DENIED, "denied by the policy or by a person"),
    (exit::LIMIT, "a limit was hit, or a budget is used up"),
    (exit::TRAPPED, "the tool trapped"),
    (exit::INTERNAL, "toolcell itself failed"),
    (exit::INTERRUPTED, "interrupted"),
];

/// The heading of the options that many verbs share.
const SHARED: &str = "Policy";

/// One verb with its arguments and options.
fn describe(page: &mut String, verb: &clap::Command, name: &str) {
    let about = verb
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    writeln!(page, "\n### `{name}`\n\n{about}.").unwrap();
    let own = |argument: &&clap::Arg| !argument.is_global_set() && argument.get_id() != "help";
    let (shared, own): (Vec<_>, Vec<_>) = verb
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .filter(own)
        .partition(|argument| argument.get_help_heading() == Some(SHARED));
    if !own.is_empty() {
        page.push('\n');
    }
    own.iter()
        .for_each(|argument| describe_argument(page, argument));
    if !shared.is_empty() {
        page.push_str("\nIt takes the [policy options](#policy-options).\n");
    }
}

fn describe_argument(page: &mut String, argument: &clap::Arg) {
    let what = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let plain = anstream::adapter::strip_str(&argument.to_string()).to_string();
    writeln!(page, "- `{plain}` {what}").unwrap();
}

/// Compares a page with what the code says now.
fn check(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../docs")
        .join(name);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/{name} no longer says what the code does; see the top of it"
    );
}

#[test]
fn the_page_of_error_codes_says_what_the_code_does() {
    check("errors.md", &errors());
}

#[test]
fn the_page_of_the_command_line_says_what_the_code_does() {
    check("cli.md", &command_line());
}

#[test]
fn every_status_of_an_error_is_on_the_page() {
    for kind in ErrorKind::ALL {
        assert!(
            STATUSES
                .iter()
                .any(|(status, _)| *status == exit::status(*kind)),
            "{kind}"
        );
    }
}
