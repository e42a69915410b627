//! `secret set` at a terminal: nothing that is typed is shown, and the terminal is left as it was found.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::{Child, ChildStdin, ChildStdout},
};

use rustix::{
    fs::{Mode, OFlags, open},
    termios::{LocalModes, tcgetattr},
};

use crate::cell::Cell;

const VALUE: &str = "vZq8w-0n3-kQ7tR";

/// Says which terminal it is and how it is set, before and after.
const AROUND: &str = r#"
stty -g > before
tty > terminal
"$0" "$@"
echo "ended with $?"
stty -g > after
"#;

/// A person at a terminal.
struct Person<'a> {
    cell: &'a Cell,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: String,
    /// What was seen, from the beginning.
    all: String,
}

impl Person<'_> {
    /// Waits until the screen shows that.
    fn sees(&mut self, text: &str) {
        let mut piece = [0; 1024];
        while !self.seen.contains(text) {
            let read = self.screen.read(&mut piece).unwrap();
            assert!(read > 0, "{text:?} is not in {:?}", self.all);
            let piece = String::from_utf8_lossy(piece.get(..read).unwrap());
            self.seen.push_str(&piece);
            self.all.push_str(&piece);
        }
        let (_, rest) = self.seen.split_once(text).unwrap();
        self.seen = rest.to_owned();
    }

    /// Types, once the terminal shows no more what is typed.
    fn types(&mut self, text: &str) {
        let name = fs::read_to_string(self.cell.path("terminal")).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(name.trim(), flags, Mode::empty()).unwrap();
        while tcgetattr(&terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
        {
            std::thread::yield_now();
        }
        self.keys.write_all(text.as_bytes()).unwrap();
    }
}

/// Sets a value at a terminal. Whatever is typed, the terminal ends as it began, and shows no value.
fn set(status: i32, types: impl FnOnce(&mut Person<'_>)) -> bool {
    let cell = Cell::empty();
    cell.file("passphrase", "seven lamps under water");
    let file = cell.path("passphrase");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let cell = cell.env(
        "TOOLCELL_VAULT_PASSPHRASE_FILE",
        &file.display().to_string(),
    );
    let arguments = ["secret", "set", "TOKEN", "--in", "vault"];
    let mut child: Child = cell.start_at_terminal(AROUND, &arguments);
    let mut person = Person {
        cell: &cell,
        keys: child.stdin.take().unwrap(),
        screen: child.stdout.take().unwrap(),
        seen: String::new(),
        all: String::new(),
    };
    types(&mut person);
    person.sees(&format!("ended with {status}"));
    let mut rest = String::new();
    person.screen.read_to_string(&mut rest).unwrap();
    let all = person.all + &rest;
    child.wait().unwrap();
    assert!(!all.contains(VALUE), "{all}");
    let [before, after] = ["before", "after"].map(|name| fs::read(cell.path(name)).unwrap());
    assert_eq!(before, after, "the terminal is not as it was");
    cell.state("secrets.vault").exists()
}

#[test]
fn a_value_is_typed_twice_and_not_shown() {
    let kept = set(0, |person| {
        person.sees("Value of TOKEN: ");
        person.types(&format!("{VALUE}\r"));
        person.sees("once more: ");
        person.types(&format!("{VALUE}\r"));
        person.sees("kept:");
    });
    assert!(kept);
}

#[test]
fn two_that_differ_are_not_kept() {
    let kept = set(2, |person| {
        person.sees("Value of TOKEN: ");
        person.types(&format!("{VALUE}\r"));
        person.sees("once more: ");
        person.types("something else entirely\r");
        person.sees("differ");
    });
    assert!(!kept);
}

#[test]
fn ctrl_c_while_typing_leaves_the_terminal_as_it_was() {
    let kept = set(130, |person| {
        person.sees("Value of TOKEN: ");
        person.types(&format!("{}\u{3}", VALUE.get(..6).unwrap()));
    });
    assert!(!kept);
}
