//! What the model of a run is told besides its task: from the policy and the flags to the agent's rules and instructions.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toolcell::{ErrorKind, ToolHost};
use toolcell_agent::{
    AgentBuilder, Spent,
    context::{
        ContextReport, ContextRules, KNOWLEDGE_LIMITS, Knowledge, KnowledgeError, MissReason,
        memory_prompt,
    },
    wire::CacheTtl,
};
use toolcell_policy::{ContextSettings, Layers, PromptCache};

use crate::{
    args::{CacheTime, ContextOptions},
    failure::Failure,
    output, policies,
    style::{self, paint},
};

/// The tool that reads and writes the memory.
const MEMORY: &str = "memory";

/// What the model of a run is told, and how much of it: the flags, else the policy, else the defaults.
pub(crate) struct Told {
    rules: ContextRules,
    /// Where patterns of files start, with the patterns.
    knowledge: Vec<(PathBuf, Vec<String>)>,
    memory: Option<PathBuf>,
}

impl Told {
    /// Reads it from the flags and the policy. A memory is made where it is missing, and one that a flag names is lent by
    /// the policy from here on.
    pub(crate) fn prepare(options: &ContextOptions, layers: &mut Layers) -> Result<Self, Failure> {
        let settings = layers.context();
        let base = Path::new(settings.base.as_deref().unwrap_or("."));
        let mut knowledge = vec![(base.to_owned(), settings.knowledge.clone())];
        if !options.knowledge.is_empty() {
            knowledge.push((policies::working_directory()?, options.knowledge.clone()));
        }
        let written = settings.memory.as_ref().map(|memory| base.join(memory));
        let memory = match options.memory.clone().or(written) {
            Some(directory) => Some(made(&directory)?),
            None => None,
        };
        if let (Some(directory), Some(_)) = (&memory, &options.memory) {
            *layers = lend(layers.clone(), directory, &settings)?;
        }
        Ok(Self {
            rules: rules(options, &settings),
            knowledge,
            memory,
        })
    }

    /// The same without a memory where the policy in force does not let the model have it: a file above may not list the
    /// tool.
    pub(crate) fn granted_by(mut self, host: &ToolHost) -> Self {
        let there = host.tools().iter().any(|tool| tool.public_name == MEMORY);
        if self.memory.is_some() && !there {
            let line = "note: the model has no memory: the highest policy that lists tools does not list `memory`";
            output::note(paint(style::NOTE, line));
            self.memory = None;
        }
        self
    }

    /// An agent that is told it, besides the operator's own instructions. A run that goes on keeps the instructions that
    /// it began with.
    pub(crate) fn of(
        &self,
        builder: AgentBuilder,
        system: Option<String>,
        is_new: bool,
    ) -> Result<AgentBuilder, Failure> {
        let builder = builder.context(self.rules.clone());
        if !is_new {
            return Ok(builder);
        }
        let mut parts: Vec<String> = system.into_iter().collect();
        let mut files = Vec::new();
        for (directory, patterns) in &self.knowledge {
            files.extend(knowledge(directory, patterns)?);
        }
        if !files.is_empty() {
            show(&files);
            parts.push(Knowledge::prompt(&files));
        }
        if let Some(directory) = &self.memory {
            let prompt = memory_prompt(directory);
            parts.push(prompt.map_err(|error| Failure::io("list the memory", directory, &error))?);
        }
        Ok(match parts.is_empty() {
            true => builder,
            false => builder.system(parts.join("\n\n")),
        })
    }
}

/// The rules of a run's context: the flags, else the policy, else the defaults.
fn rules(options: &ContextOptions, settings: &ContextSettings) -> ContextRules {
    let default = ContextRules::default();
    let written = settings
        .keep_turns
        .map(|turns| usize::try_from(turns).unwrap_or(usize::MAX));
    let cache = match (options.cache_ttl, settings.cache_ttl) {
        (Some(CacheTime::Off), _) | (None, Some(PromptCache::Off)) => None,
        (Some(CacheTime::Hour), _) | (None, Some(PromptCache::Hour)) => Some(CacheTtl::Hour),
        (Some(CacheTime::Minutes5), _) | (None, Some(PromptCache::Minutes5)) => {
            Some(CacheTtl::Minutes5)
        }
        (None, None) => default.cache,
    };
    ContextRules {
        window: options.window.or(settings.window),
        compact_at: options
            .compact_at
            .or(settings.compact_at)
            .unwrap_or(default.compact_at),
        keep_turns: options.keep_turns.or(written).unwrap_or(default.keep_turns),
        result_tokens: options
            .result_tokens
            .or(settings.result_tokens)
            .unwrap_or(default.result_tokens),
        cache,
        ..default
    }
}

/// The files below a directory. A pattern that matches none is worth a note: somebody expects something else.
fn knowledge(directory: &Path, patterns: &[String]) -> Result<Vec<Knowledge>, Failure> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    for pattern in patterns {
        let alone = std::slice::from_ref(pattern);
        let found = Knowledge::below(directory, alone, KNOWLEDGE_LIMITS).map_err(refused)?;
        if found.is_empty() {
            let line = format!(
                "note: no file matches `{pattern}` in {}",
                directory.display()
            );
            output::note(paint(style::NOTE, line));
        }
    }
    Knowledge::below(directory, patterns, KNOWLEDGE_LIMITS).map_err(refused)
}

fn refused(error: KnowledgeError) -> Failure {
    let help = match &error {
        KnowledgeError::Glob { .. } => "write for example `docs/*.md`",
        KnowledgeError::Limit { .. } => {
            "name fewer files; the model can read the others with a tool"
        }
        _ => "name files of UTF-8 text that you may read",
    };
    let message = format!("what the model shall know: {error}");
    Failure::new(ErrorKind::InvalidInput, message).help(help)
}

fn show(files: &[Knowledge]) {
    let name = |file: &Knowledge| {
        let name = style::one_line(&file.path, 80);
        format!("{name} ({})", style::count(file.text.len(), "byte"))
    };
    let names: Vec<String> = files.iter().take(10).map(name).collect();
    let more = match files.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let line = format!("the model knows {}{more}", names.join(", "));
    output::note(paint(style::DIM, line));
}

/// The directory of the model's memory, made where it is missing.
fn made(directory: &Path) -> Result<PathBuf, Failure> {
    let failed = |error| Failure::io("make the memory", directory, &error);
    if !directory.exists() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    std::path::absolute(directory).map_err(failed)
}

/// The policy in force, with a memory for this session.
fn lend(layers: Layers, directory: &Path, settings: &ContextSettings) -> Result<Layers, Failure> {
    if settings.memory.is_none() && layers.packages().contains(&MEMORY) {
        let message = "the policy lists a tool `memory` of its own";
        return Err(Failure::usage(message).help("leave --memory out"));
    }
    let directory = directory
        .to_str()
        .ok_or_else(|| Failure::usage("--memory names a directory whose path is no UTF-8"))?;
    Ok(layers.with_memory(directory))
}

/// What became of the context of a run, for its last line.
pub(crate) fn summary(context: &ContextReport, spent: &Spent) -> Vec<String> {
    let mut facts = Vec::new();
    let shares = spent.cache_read_tokens.saturating_mul(100);
    if let Some(share @ 1..) = shares.checked_div(spent.prompt_tokens) {
        facts.push(format!("{share} % of the prompts from the cache"));
    }
    let misses = context.cache_misses.iter();
    let misses = misses.filter(|(reason, _)| **reason != MissReason::TooShort);
    match misses.map(|(_, times)| u64::from(*times)).sum() {
        0_u64 => {}
        1 => facts.push("1 turn missed it".to_owned()),
        missed => facts.push(format!("{missed} turns missed it")),
    }
    if context.compactions > 0 {
        facts.push(style::count(context.compactions as usize, "compaction"));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_tells_what_the_cache_was_good_for() {
        let spent = Spent {
            prompt_tokens: 300,
            cache_read_tokens: 200,
            ..Spent::default()
        };
        let context = ContextReport {
            compactions: 2,
            cache_misses: [(MissReason::TooShort, 1), (MissReason::Expired, 3)].into(),
            ..ContextReport::default()
        };
        assert_eq!(
            summary(&context, &spent),
            [
                "66 % of the prompts from the cache",
                "3 turns missed it",
                "2 compactions"
            ]
        );
        assert!(summary(&ContextReport::default(), &Spent::default()).is_empty());
    }

    #[test]
    fn a_flag_comes_before_the_policy_and_both_before_the_default() {
        let settings = ContextSettings {
            window: Some(50_000),
            compact_at: Some(0.5),
            cache_ttl: Some(PromptCache::Off),
            ..ContextSettings::default()
        };
        let rules = |options: ContextOptions| super::rules(&options, &settings);
        let said = rules(ContextOptions::default());
        assert_eq!(
            (said.window, said.compact_at, said.cache),
            (Some(50_000), 0.5, None)
        );
        assert_eq!((said.keep_turns, said.result_tokens), (4, 16_000));
        let said = rules(ContextOptions {
            compact_at: Some(0.9),
            keep_turns: Some(2),
            cache_ttl: Some(CacheTime::Hour),
            ..ContextOptions::default()
        });
        assert_eq!((said.compact_at, said.keep_turns), (0.9, 2));
        assert_eq!(said.cache, Some(CacheTtl::Hour));
        let none = super::rules(&ContextOptions::default(), &ContextSettings::default());
        assert_eq!(none, ContextRules::default());
    }
}
