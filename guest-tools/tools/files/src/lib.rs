//! `files`: read, write, edit, list and search the files of granted directories.
//!
//! Each tool has a file of its own: on top the function with the words that a model reads, below
//! it what it does. Whether a path may be touched is the host's decision alone; nothing here
//! checks paths for safety.

mod diff;
mod edit;
mod glob;
mod limits;
mod list;
mod page;
mod path;
mod read;
mod search;
mod text;
mod walk;
mod write;

toolcell_guest::package! {
    name = "files",
    tools = [read::read, write::write, edit::edit, list::list, search::search],
    request = {
        files = [{ access = "write", why = "read and edit the files you point the agent at" }],
    },
}
