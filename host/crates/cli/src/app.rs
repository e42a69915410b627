//! From the arguments to the exit status.

use std::{ffi::OsString, process::ExitCode};

use clap::{FromArgMatches as _, error::ErrorKind as ClapKind};

use serde_json::json;
use toolcell::ErrorKind;

use crate::{
    args::{self, Cli, Verb},
    exit,
    failure::Failure,
    log, net, output, telemetry, verbs,
};

/// What a verb ends with: an exit status, or a failure that is still to be shown.
pub(crate) type Outcome = Result<u8, Failure>;

pub(crate) fn main() -> ExitCode {
    net::init();
    output::install_panic_hook();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let outcome = match parse(&arguments) {
        Ok(Some(cli)) => {
            output::init(cli.global.json, cli.global.color);
            log::init(cli.global.verbose).and_then(|()| dispatch(cli.verb))
        }
        Ok(None) => Ok(exit::OK),
        Err(failure) => Err(failure),
    };
    let status = outcome.unwrap_or_else(|failure| {
        output::failure(&failure);
        failure.status()
    });
    match output::unwritten() {
        Some(failure) => {
            output::for_people(&failure);
            ExitCode::from(if status == exit::OK {
                failure.status()
            } else {
                status
            })
        }
        None => ExitCode::from(status),
    }
}

/// The arguments, or nothing when only help was asked for and is shown.
fn parse(arguments: &[OsString]) -> Result<Option<Cli>, Failure> {
    let parsed = args::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let error = match parsed {
        Ok(cli) => return Ok(Some(cli)),
        Err(error) => error,
    };
    match error.kind() {
        ClapKind::DisplayHelp | ClapKind::DisplayVersion => {
            if wants_json(arguments) {
                output::init(true, clap::ColorChoice::Never);
                let text = error.render().to_string();
                output::answer(json!({ "text": text.trim_end() }), |_| String::new());
            } else {
                // Nobody may be reading; there is nothing else to do then.
                let _ = error.print();
            }
            Ok(None)
        }
        _ => Err(usage_failure(arguments, &error)),
    }
}

/// Whether `--json` was given, where parsing failed or ended early. What follows `--` is no flag.
fn wants_json(arguments: &[OsString]) -> bool {
    let mut flags = arguments.iter().take_while(|argument| *argument != "--");
    flags.any(|argument| argument == "--json")
}

/// A wrong command line in the words of clap, as one line and a hint.
fn usage_failure(arguments: &[OsString], error: &clap::Error) -> Failure {
    output::init(wants_json(arguments), clap::ColorChoice::Auto);
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if matches!(
        error.kind(),
        ClapKind::DisplayHelpOnMissingArgumentOrSubcommand | ClapKind::MissingSubcommand
    ) {
        let group = arguments.iter().skip(1).filter_map(|word| word.to_str());
        let mut help = String::from("`toolcell ");
        for word in group.filter(|word| !word.starts_with('-')) {
            help.push_str(&format!("{word} "));
        }
        help.push_str("--help` lists them; `toolcell demo` shows what it is about");
        return Failure::usage("a verb is missing").help(help);
    }
    let message = lines.next().unwrap_or("the command line is not valid");
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let mut message = message.to_owned();
    let mut help = Vec::new();
    for line in lines {
        let tip = line.strip_prefix("tip: ").map(str::to_owned);
        let usage = || Some(format!("usage: {}", line.strip_prefix("Usage: ")?));
        match tip.or_else(usage) {
            Some(hint) => help.push(hint),
            None if line.starts_with("For more information") => {}
            None if help.is_empty() => {
                message.push(' ');
                message.push_str(line);
            }
            None => {}
        }
    }
    help.push("`--help` says more".to_owned());
    // One word for one thing: what clap calls a subcommand is a verb everywhere else.
    let verb = |text: String| text.replace("subcommand", "verb");
    Failure::usage(verb(message)).help(verb(help.join("; ")))
}

fn dispatch(verb: Verb) -> Outcome {
    match verb {
        Verb::Approvals(verb) => verbs::approvals::approvals(verb),
        Verb::Audit(verb) => verbs::audit::audit(verb),
        Verb::Batch(arguments) => block_on(verbs::batch::batch(*arguments)),
        Verb::Budget(verb) => block_on(verbs::budget::budget(verb)),
        Verb::Cache(verb) => block_on(verbs::cache::cache(verb)),
        Verb::Completions(arguments) => verbs::completions::completions(&arguments),
        Verb::Explain(arguments) => verbs::explain::explain(&arguments),
        Verb::Inspect(arguments) => verbs::inspect::inspect(&arguments),
        Verb::Lock(arguments) => block_on(verbs::lock::lock(arguments)),
        Verb::Models(verb) => block_on(verbs::models::models(verb)),
        Verb::Policy(verb) => block_on(verbs::policy::policy(verb)),
        Verb::Trust(arguments) => verbs::trust::trust(&arguments),
        Verb::Call(arguments) => block_on(verbs::call::call(arguments)),
        Verb::Demo(arguments) => block_on(verbs::demo::demo(arguments)),
        Verb::Doctor => block_on(verbs::doctor::doctor()),
        Verb::Run(arguments) => block_on(verbs::run::run(*arguments)),
        Verb::Runs(verb) => block_on(async { verbs::runs::runs(verb) }),
        Verb::Secret(verb) => block_on(verbs::secret::secret(verb)),
        Verb::Serve(arguments) => block_on(verbs::serve::serve(arguments)),
        Verb::Tools(arguments) => block_on(verbs::tools::tools(arguments)),
        Verb::WasiRun(arguments) => block_on(verbs::wasi_run::wasi_run(arguments)),
    }
}

fn block_on(verb: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                ErrorKind::Unavailable,
                format!("cannot start threads: {error}"),
            )
            .help("see `ulimit -u`; other processes may have used them up")
        })?;
    let outcome = runtime.block_on(async {
        let outcome = verb.await;
        telemetry::finish().await;
        outcome
    });
    // A thread may still wait at a read from the terminal or from a slow disk; nobody waits for its answer any more.
    runtime.shutdown_background();
    outcome
}
