//! `memory`: notes that a model keeps for later conversations, as files below `/memories`.
//!
//! One tool with six commands, in the words that models know. Whether a path may be touched is the host's decision
//! alone: what is checked here only makes for better answers.

mod edit;
mod limits;
mod place;
mod view;

use toolcell_guest::{Error, Result, data, package, tool};

package! {
    name = "memory",
    tools = [memory],
    request = {
        files = [{ access = "write", why = "keep notes for later conversations" }],
    },
}

/// What to do.
#[data]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Shows a directory, or a file with its line numbers.
    View,
    /// Makes a new file.
    Create,
    /// Replaces one exact piece of text in a file.
    #[serde(rename = "str_replace")]
    StrReplace,
    /// Puts text behind a line of a file.
    Insert,
    /// Removes a file, or a directory and all in it.
    Delete,
    /// Moves a file or directory to another name.
    Rename,
}

/// Keeps notes beyond this conversation, as files below `/memories`.
///
/// Commands and what they need: `view` (path, optionally view_range), `create` (path, file_text), `str_replace` (path,
/// old_str, new_str), `insert` (path, insert_line, insert_text), `delete` (path), `rename` (old_path, new_path).
#[tool]
#[allow(
    clippy::too_many_arguments,
    reason = "these are the arguments that models know"
)]
pub fn memory(
    /// What to do.
    command: Command,
    /// The file or directory, for example `/memories/notes.md`; for all commands but `rename`.
    path: Option<String>,
    /// For `view`: the first and the last line wanted, counted from 1; -1 stands for the end.
    view_range: Option<Vec<i64>>,
    /// For `create`: all that the new file shall hold.
    file_text: Option<String>,
    /// For `str_replace`: the text to replace, exactly as it is and only once in the file.
    old_str: Option<String>,
    /// For `str_replace`: the text to put there; without it, the text is removed.
    new_str: Option<String>,
    /// For `insert`: the line behind which the text goes; 0 puts it at the beginning.
    insert_line: Option<u32>,
    /// For `insert`: the text.
    insert_text: Option<String>,
    /// For `rename`: what to move.
    old_path: Option<String>,
    /// For `rename`: its new name, which nothing may have yet.
    new_path: Option<String>,
) -> Result<String> {
    let place = |path: Option<String>, name| place::of(&needed(path, command, name)?);
    match command {
        Command::View => view::view(&place(path, "path")?, view_range.as_deref()),
        Command::Create => {
            let text = needed(file_text, command, "file_text")?;
            edit::create(&place(path, "path")?, &text)
        }
        Command::StrReplace => {
            let old = needed(old_str, command, "old_str")?;
            let new = new_str.unwrap_or_default();
            edit::replace(&place(path, "path")?, &old, &new)
        }
        Command::Insert => {
            let line = needed(insert_line, command, "insert_line")?;
            let text = needed(insert_text, command, "insert_text")?;
            edit::insert(&place(path, "path")?, line as usize, &text)
        }
        Command::Delete => edit::delete(&place(path, "path")?),
        Command::Rename => {
            let from = place(old_path, "old_path")?;
            edit::rename(&from, &place(new_path, "new_path")?)
        }
    }
}

fn needed<T>(value: Option<T>, command: Command, name: &str) -> Result<T> {
    value.ok_or_else(|| {
        let command = match command {
            Command::View => "view",
            Command::Create => "create",
            Command::StrReplace => "str_replace",
            Command::Insert => "insert",
            Command::Delete => "delete",
            Command::Rename => "rename",
        };
        Error::invalid_input(format!("`{command}` needs `{name}`"))
    })
}

#[cfg(test)]
mod tests;
