//! The command line, as clap reads it. Help texts live here and nowhere else.

mod approvals;
mod batch;
mod budget;
mod cache;
mod care;
mod context;
mod model;
mod models;
mod runs;
mod telemetry;

use std::path::PathBuf;

use clap::{
    ArgAction, Args, ColorChoice, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint,
};
use toolcell::{ConfinementLevel, Isolation};

pub(crate) use approvals::{ApprovalOptions, ApprovalsVerb};
pub(crate) use batch::{BatchArgs, Via};
pub(crate) use budget::{BudgetOptions, BudgetVerb, Whose};
pub(crate) use cache::{CacheOptions, CacheVerb, CacheWhich};
pub(crate) use care::CareOptions;
pub(crate) use context::{CacheTime, ContextOptions};
pub(crate) use runs::{ArchiveArgs, PruneArgs, RunsVerb};
pub(crate) use telemetry::TelemetryOptions;

use crate::{
    env,
    stores::KeyChoice,
    style::{self, paint},
    verbs::learn::OfferedDir,
};

pub(crate) use model::ModelOptions;
pub(crate) use models::{CatalogOptions, ModelsVerb};

/// Runs the tools of an AI agent, each in a sandbox that holds nothing but what it was granted.
#[derive(Debug, Parser)]
#[command(name = "toolcell", version, styles = style::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Answer with one JSON object on standard output
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub(crate) color: ColorChoice,
    /// Say more on standard error: -v for what toolcell does, -vv for everything
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Watch an agent work with real tools, and be refused
    Demo(DemoArgs),
    /// Let an agent work on a task
    Run(Box<RunArgs>),
    /// Let agents work on many tasks
    Batch(Box<BatchArgs>),
    /// Call one tool
    Call(CallArgs),
    /// Offer the tools to a client of the Model Context Protocol
    Serve(ServeArgs),
    /// Show what is inside a component, without running it
    Inspect(InspectArgs),
    /// Check, explain and test policies
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Put a project's policy in force
    Trust(TrustArgs),
    /// Pin the policy's packages to what they are now
    Lock(LockArgs),
    /// Keep the values of secrets, and check those of the policy
    #[command(subcommand)]
    Secret(SecretVerb),
    /// Show and forget the answers that are remembered
    #[command(subcommand)]
    Approvals(ApprovalsVerb),
    /// Check and show the audit log
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Show what was spent, and what is left
    #[command(subcommand)]
    Budget(BudgetVerb),
    /// List, show, archive and remove the runs that were kept
    #[command(subcommand)]
    Runs(RunsVerb),
    /// What was kept of models' answers, and what that saved
    #[command(subcommand)]
    Cache(CacheVerb),
    /// List models with their prices, and check those that are to be asked
    #[command(subcommand)]
    Models(ModelsVerb),
    /// List the tools that the policy offers
    Tools(ToolsArgs),
    /// Check this machine and this installation
    Doctor,
    /// Explain an error code
    Explain(ExplainArgs),
    /// Print a script that completes commands in a shell
    Completions(CompletionsArgs),
    /// Run a plain WASI command under the same grant code, for conformance suites
    #[command(hide = true)]
    WasiRun(WasiRunArgs),
}

/// The verbs in their groups, as help shows them. A test holds that none is forgotten.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    ("Run", &["demo", "run", "batch", "call", "serve"]),
    ("Author", &["inspect"]),
    (
        "Secure",
        &["policy", "trust", "lock", "secret", "approvals", "audit"],
    ),
    (
        "Inspect",
        &[
            "runs",
            "budget",
            "cache",
            "models",
            "tools",
            "doctor",
            "explain",
            "completions",
        ],
    ),
];

/// The command with its help in groups, which clap cannot do by itself.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let mut template = String::from("{about}\n\n{usage-heading} {usage}\n");
    for (group, verbs) in GROUPS {
        template.push_str(&format!(
            "\n{}\n",
            paint(style::BOLD, format_args!("{group}:"))
        ));
        for verb in *verbs {
            let about = command
                .find_subcommand(verb)
                .and_then(|verb| verb.get_about());
            let about = about.map(ToString::to_string).unwrap_or_default();
            let name = paint(*style::HELP.get_literal(), format_args!("{verb:<12}"));
            template.push_str(&format!("  {name} {about}\n"));
        }
    }
    template.push_str("\n{all-args}{after-help}");
    // The subcommands are in the template already; hiding them keeps `{all-args}` from listing them again.
    command
        .help_template(template)
        .override_usage("toolcell [OPTIONS] <VERB>")
        .mut_subcommands(|verb| verb.hide(true))
        .after_help(
            "`toolcell VERB --help` says more. `toolcell doctor` lists the environment variables.",
        )
}

/// Which policy is in force, and how it is narrowed.
#[derive(Debug, Default, Args)]
pub(crate) struct PolicyOptions {
    /// Policy file; counts as trusted [default: the trusted toolcell.toml of this directory or one above]
    #[arg(long, value_name = "FILE", env = env::POLICY, hide_env_values = true, value_hint = ValueHint::FilePath, help_heading = "Policy")]
    pub(crate) policy: Option<PathBuf>,
    /// Narrow a limit for this session, for example `time=5s` or `memory=64MiB`
    #[arg(long = "limit", value_name = "NAME=VALUE", help_heading = "Policy")]
    pub(crate) limits: Vec<String>,
    /// Audit log [default: `audit.path` of the policy, else the state directory]
    #[arg(long, value_name = "FILE", env = env::AUDIT, hide_env_values = true, value_hint = ValueHint::FilePath, help_heading = "Policy")]
    pub(crate) audit: Option<PathBuf>,
}

/// What is required of the processes that tools run in.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct WorkerOptions {
    /// Run every tool in a process of its own, and none that the system confines less [without a value: full]
    #[arg(long, value_name = "full|partial", env = env::REQUIRE_CONFINEMENT, hide_env_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "full", hide_possible_values = true, help_heading = "Policy")]
    pub(crate) require_confinement: Option<Confinement>,
}

/// How far the system has to confine the processes of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Confinement {
    /// Files, system calls, memory and processor time
    Full,
    /// Files or system calls at least
    Partial,
}

impl From<Confinement> for ConfinementLevel {
    fn from(confinement: Confinement) -> Self {
        match confinement {
            Confinement::Full => Self::Full,
            Confinement::Partial => Self::Partial,
        }
    }
}

/// Where a sandbox lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Where {
    /// A process of its own, which the system confines
    Process,
    /// The process of this command
    Thread,
}

impl From<Where> for Isolation {
    fn from(place: Where) -> Self {
        match place {
            Where::Process => Self::Process,
            Where::Thread => Self::Thread,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Ask the real model instead of replaying recorded turns; needs ANTHROPIC_API_KEY
    #[arg(long)]
    pub(crate) live: bool,
    /// Model for --live
    #[arg(long, value_name = "MODEL", default_value = crate::models::DEFAULT, requires = "live")]
    pub(crate) model: String,
    /// Print every event as a line of JSON
    #[arg(long, conflicts_with = "json")]
    pub(crate) events: bool,
    /// Keep the scratch copy of the project
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What the agent shall do; `-` reads it from standard input
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    pub(crate) task: Option<String>,
    /// `PROVIDER:MODEL`, or `scripted:FILE` for recorded turns [default: anthropic:claude-sonnet-5-5]
    #[arg(long, value_name = "MODEL", env = env::MODEL, hide_env_values = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    /// What the model is told before the task
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) system: Option<String>,
    /// Go on with an interrupted run
    #[arg(long, value_name = "ID")]
    pub(crate) resume: Option<String>,
    /// Where to write the transcript [default: runs/ID.jsonl in the state directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) transcript: Option<PathBuf>,
    /// Print every event as a line of JSON
    #[arg(long, conflicts_with = "json")]
    pub(crate) events: bool,
    #[command(flatten)]
    pub(crate) turns: ModelOptions,
    #[command(flatten)]
    pub(crate) cache: CacheOptions,
    #[command(flatten)]
    pub(crate) care: CareOptions,
    #[command(flatten)]
    pub(crate) budget: BudgetOptions,
    #[command(flatten)]
    pub(crate) context: ContextOptions,
    #[command(flatten)]
    pub(crate) approval: ApprovalOptions,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
    #[command(flatten)]
    pub(crate) workers: WorkerOptions,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryOptions,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The tool's public name, as `toolcell tools` lists it; with `--component`, its own name will do
    pub(crate) tool: String,
    /// The input as JSON; `-` reads it from standard input, `@FILE` from a file
    #[arg(default_value = "{}", value_name = "INPUT|-|@FILE")]
    pub(crate) input: String,
    /// Load this component; without a policy that lists it, it is granted nothing
    #[arg(long, value_name = "FILE|builtin:NAME", value_hint = ValueHint::FilePath)]
    pub(crate) component: Option<String>,
    /// Where tools run whose policy does not say it [default: thread for built-in ones, process for the rest]
    #[arg(long, value_name = "process|thread", hide_possible_values = true)]
    pub(crate) isolation: Option<Where>,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
    #[command(flatten)]
    pub(crate) workers: WorkerOptions,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Speak the protocol on standard input and output
    #[arg(long, required = true)]
    pub(crate) stdio: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
    #[command(flatten)]
    pub(crate) workers: WorkerOptions,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryOptions,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A component file, or `builtin:NAME`
    #[arg(value_name = "FILE|builtin:NAME", value_hint = ValueHint::FilePath)]
    pub(crate) component: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Show everything that is wrong in policy files
    Check {
        /// Policy files [default: those in force here]
        #[arg(value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Say in plain words what is granted, or how one access would be decided
    Explain {
        /// A tool's public name, or a package's [default: every tool]
        tool: Option<String>,
        /// `read PATH`, `write PATH`, `METHOD URL`, `call TOOL` or `secret NAME METHOD URL`
        #[arg(requires = "tool", num_args = 1.., value_name = "ACCESS")]
        access: Vec<String>,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Say in a reviewer's words what another policy file grants otherwise
    Diff {
        /// The policy file as it was
        #[arg(value_hint = ValueHint::FilePath)]
        old: PathBuf,
        /// The policy file as it is to be
        #[arg(value_hint = ValueHint::FilePath)]
        new: PathBuf,
        /// Exit with status 1 where anything is widened
        #[arg(long)]
        fail_on_widening: bool,
    },
    /// Watch a tool or an agent, and print the smallest policy that would have sufficed
    Learn(LearnArgs),
    /// Check the `[[expect]]` entries of the policy
    Test {
        #[command(flatten)]
        policy: PolicyOptions,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LearnArgs {
    /// The tool to call, by its public name
    #[arg(required_unless_present = "task", conflicts_with = "task")]
    pub(crate) tool: Option<String>,
    /// Its input as JSON; `-` reads it from standard input, `@FILE` from a file
    #[arg(
        default_value = "{}",
        value_name = "INPUT|-|@FILE",
        conflicts_with = "task"
    )]
    pub(crate) input: String,
    /// Let an agent work on this task instead
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// The model of the agent, as for `toolcell run`
    #[arg(long, value_name = "MODEL", env = env::MODEL, hide_env_values = true, requires = "task")]
    pub(crate) model: Option<String>,
    /// Watch this component; may be given several times
    #[arg(long, value_name = "FILE|builtin:NAME", value_hint = ValueHint::FilePath)]
    pub(crate) component: Vec<String>,
    /// Lend the components a directory while they are watched; may be given several times
    #[arg(long = "dir", value_name = "HOST=GUEST", requires = "component")]
    pub(crate) dirs: Vec<OfferedDir>,
    /// Say yes to every access that the packages request, without being asked
    #[arg(long)]
    pub(crate) yes: bool,
    /// Write the policy to this new file instead of standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
    #[command(flatten)]
    pub(crate) workers: WorkerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Policy file [default: toolcell.toml of this directory or one above]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Trust it without being asked
    #[arg(long)]
    pub(crate) yes: bool,
    /// No longer trust it
    #[arg(long, conflicts_with = "yes")]
    pub(crate) revoke: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Change nothing, and fail where the lock file does not say what is there
    #[arg(long)]
    pub(crate) check: bool,
    /// Record what changed without being asked
    #[arg(long, conflicts_with = "check")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// Keep a value, typed without an echo or read from standard input
    Set(SecretSetArgs),
    /// List the names that are kept, and the tools that use them; never a value
    List {
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Remove a value
    Remove {
        /// The name of the value
        name: String,
        /// Where it is kept [default: where it is found]
        #[arg(long = "in", value_name = "keyring|vault", hide_possible_values = true)]
        place: Option<SecretPlace>,
    },
    /// Look up every secret of the policy in force, and say what is wrong
    Check {
        #[command(flatten)]
        policy: PolicyOptions,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SecretSetArgs {
    /// The name of the value, for `from = "keyring:NAME"` or `from = "vault:NAME"`
    pub(crate) name: String,
    /// Where to keep it: in the system's keyring, or in toolcell's encrypted file [default: the keyring where there is one]
    #[arg(long = "in", value_name = "keyring|vault", hide_possible_values = true)]
    pub(crate) place: Option<SecretPlace>,
    /// Where the key of a new encrypted file is [default: the keyring where there is one]
    #[arg(long, value_name = "keyring|passphrase", hide_possible_values = true)]
    pub(crate) key: Option<KeyChoice>,
    /// Values are not taken from here: it is read to be refused without being shown.
    #[arg(hide = true, allow_hyphen_values = true)]
    pub(crate) refused: Vec<std::ffi::OsString>,
}

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretPlace {
    /// The keyring of the system
    Keyring,
    /// toolcell's encrypted file
    Vault,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Find any line that was changed, removed, inserted or moved
    Verify {
        /// Audit log [default: TOOLCELL_AUDIT, else the state directory]
        #[arg(env = env::AUDIT, hide_env_values = true, value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Show the last records
    Show {
        /// Audit log [default: TOOLCELL_AUDIT, else the state directory]
        #[arg(env = env::AUDIT, hide_env_values = true, value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// How many records; 0 shows all
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
        /// Only records of this call
        #[arg(long, value_name = "ID")]
        call: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ToolsArgs {
    /// Also show the input schemas
    #[arg(long)]
    pub(crate) schemas: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
    #[command(flatten)]
    pub(crate) workers: WorkerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// An error code, for example `limit_time` [default: list them]
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct WasiRunArgs {
    /// A directory, `read:HOST=GUEST` or `write:HOST=GUEST`
    #[arg(long = "grant", value_name = "ACCESS:HOST=GUEST")]
    pub(crate) grants: Vec<toolcell::WasiGrant>,
    /// A variable, `NAME=VALUE`
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) envs: Vec<String>,
    /// Where it runs
    #[arg(long, value_enum, default_value = "process")]
    pub(crate) isolation: Where,
    #[command(flatten)]
    pub(crate) workers: WorkerOptions,
    /// The command, a component that exports `wasi:cli/run`
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) program: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_visible_verb_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, verbs)| *verbs)
            .copied()
            .collect();
        let command = Cli::command();
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let mut visible: Vec<&str> = verbs.map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        visible.sort_unstable();
        assert_eq!(grouped, visible);
    }

    #[test]
    fn every_variable_that_clap_reads_is_in_the_catalogue() {
        fn check(command: &clap::Command) {
            for name in command.get_arguments().filter_map(clap::Arg::get_env) {
                assert!(
                    env::ALL.iter().any(|variable| variable.name == name),
                    "{name:?}"
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
