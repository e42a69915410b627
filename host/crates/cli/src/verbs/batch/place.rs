//! Where a batch is kept.

use std::path::{Path, PathBuf};

use serde_json::to_value;
use sha2::{Digest as _, Sha256};
use toolcell::CallId;
use toolcell_agent::batch::{Task, Ticket, TicketFile, tasks as read_tasks};

use super::{Began, absolute, failed, program};
use crate::{
    args::BatchArgs,
    dirs::{self, Dirs},
    failure::Failure,
    files,
};

/// The longest file of tasks, in bytes.
const MAX_TASKS_BYTES: u64 = 1 << 30;
/// The longest word to the model before tasks, in bytes.
const MAX_SYSTEM_BYTES: u64 = 1 << 20;

/// A batch in the state directory.
pub(super) struct Place {
    pub(super) id: String,
    pub(super) file: TicketFile,
}

impl Place {
    /// A new batch, written down before anything is sent.
    pub(super) fn fresh(
        arguments: &BatchArgs,
        dirs: &Dirs,
        began: &Began,
    ) -> Result<(Self, Ticket), Failure> {
        let Some(tasks) = &arguments.tasks else {
            return Err(Failure::usage("it is not said where the tasks are"));
        };
        let tasks = absolute(tasks)?;
        let out = match &arguments.out {
            Some(out) => absolute(out)?,
            None => tasks.with_extension("answers.jsonl"),
        };
        if out == tasks {
            return Err(Failure::usage("the answers cannot go where the tasks are"));
        }
        let settings = to_value(began).unwrap_or_default();
        let ticket = Ticket::new(tasks.clone(), digest(&text(&tasks)?), out, settings);
        super::place::tasks(&ticket)?;
        let random = CallId::random();
        let id = format!("b{:.8}", random.as_str().trim_start_matches("call_"));
        let place = Self::hold(&id, dirs)?;
        place.file.write(&ticket).map_err(|error| failed(&error))?;
        Ok((place, ticket))
    }

    /// One that began before.
    pub(super) fn again(id: &str, dirs: &Dirs) -> Result<(Self, Ticket), Failure> {
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(Failure::usage(format!("`{id}` is no id of a batch"))
                .help("an id looks like `b1a2b3c4d`"));
        }
        if !path(id, dirs).exists() {
            return Err(
                Failure::usage(format!("there is no batch {id}")).help(format!(
                    "batches are kept in {}",
                    dirs.state.join("batches").display()
                )),
            );
        }
        let place = Self::hold(id, dirs)?;
        let ticket = place.file.read().map_err(|error| failed(&error))?;
        Ok((place, ticket))
    }

    fn hold(id: &str, dirs: &Dirs) -> Result<Self, Failure> {
        dirs::create_private(&dirs.state.join("batches"))?;
        let file = TicketFile::hold(path(id, dirs)).map_err(|error| failed(&error))?;
        Ok(Self {
            id: id.to_owned(),
            file,
        })
    }

    /// The command that goes on.
    pub(super) fn hint(&self) -> String {
        format!("go on with it: {} batch --resume {}", program(), self.id)
    }
}

fn path(id: &str, dirs: &Dirs) -> PathBuf {
    dirs.state.join("batches").join(format!("{id}.json"))
}

fn text(path: &Path) -> Result<String, Failure> {
    files::read_text(path, MAX_TASKS_BYTES).map_err(|error| Failure::io("read", path, &error))
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tasks of a batch, as they were when it began.
pub(super) fn tasks(ticket: &Ticket) -> Result<Vec<Task>, Failure> {
    let text = text(&ticket.tasks)?;
    if digest(&text) != ticket.digest {
        let file = ticket.tasks.display();
        return Err(
            Failure::usage(format!("{file} is not what it was when the batch began")).help(
                "begin a new batch with the same --out: tasks that have an answer are left out",
            ),
        );
    }
    read_tasks(&text).map_err(|problems| {
        let file = ticket.tasks.display();
        let mut failure = Failure::usage(format!("the tasks in {file} are not valid"))
            .help("each line is one: {\"id\": \"1\", \"task\": \"…\"}");
        failure.details = problems.into();
        failure
    })
}

/// A text, or a file behind `@`.
pub(super) fn system(text: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    let Some(file) = text.strip_prefix('@') else {
        return Ok(Some(text.to_owned()));
    };
    let path = Path::new(file);
    let read = files::read_text(path, MAX_SYSTEM_BYTES);
    read.map(Some)
        .map_err(|error| Failure::io("read", path, &error))
}
