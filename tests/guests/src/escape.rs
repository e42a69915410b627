//! Looks for a way out of the granted directories, along many paths in one call.

use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    time::SystemTime,
};

use toolcell_guest::{package, tool};

package! {
    name = "escape",
    tools = [read_all, open_all, use_all],
    request = { files = [{ access = "write", why = "to get out" }] },
}

/// Reads every path, and tells which of them could be read and what they held.
#[tool]
fn read_all(
    /// Any paths.
    paths: Vec<String>,
) -> String {
    let mut seen = String::new();
    for path in paths {
        if let Ok(bytes) = fs::read(&path) {
            tell(&mut seen, "read", &path, &bytes);
        }
    }
    seen
}

/// The ways in which a file can be opened: its flags, and whether something is written then.
fn flags() -> [(&'static str, OpenOptions, bool); 8] {
    let options = |set: fn(&mut OpenOptions) -> &mut OpenOptions| {
        let mut options = OpenOptions::new();
        set(&mut options);
        options
    };
    [
        ("r", options(|it| it.read(true)), false),
        ("w", options(|it| it.write(true)), true),
        ("rw", options(|it| it.read(true).write(true)), true),
        ("a", options(|it| it.append(true)), true),
        ("trunc", options(|it| it.write(true).truncate(true)), false),
        ("creat", options(|it| it.write(true).create(true)), true),
        ("excl", options(|it| it.write(true).create_new(true)), true),
        (
            "all",
            options(|it| it.read(true).write(true).create(true).truncate(true)),
            true,
        ),
    ]
}

/// Opens every path with all kinds of flags, reads it first, writes to it then, and lists it.
#[tool]
fn open_all(
    /// Any paths.
    paths: Vec<String>,
) -> String {
    let mut seen = String::new();
    for path in paths {
        for (name, options, write) in flags() {
            let Ok(mut file) = options.open(&path) else {
                continue;
            };
            let mut bytes = Vec::new();
            let _ = file.read_to_end(&mut bytes);
            if write {
                let _ = file.write_all(b"x");
            }
            tell(&mut seen, name, &path, &bytes);
        }
        list(&mut seen, &path);
    }
    seen
}

/// Uses every path for every other operation there is. `spare` is a file that may be given away.
#[tool]
fn use_all(
    /// Any paths.
    paths: Vec<String>,
    /// A file of the tool's own.
    spare: String,
) -> String {
    let mut seen = String::new();
    for path in paths {
        let fresh = format!("{path}/fresh");
        let mut done = |what: &str, result: std::io::Result<String>| {
            if let Ok(detail) = result {
                tell(&mut seen, what, &path, detail.as_bytes());
            }
        };
        done("stat", fs::metadata(&path).map(|it| it.len().to_string()));
        done(
            "lstat",
            fs::symlink_metadata(&path).map(|it| it.len().to_string()),
        );
        done(
            "readlink",
            fs::read_link(&path).map(|it| it.display().to_string()),
        );
        done("touch", touch(&path));
        done("chmod", chmod(&path));
        done("mkdir", fs::create_dir(&fresh).map(|()| String::new()));
        done("rmdir", fs::remove_dir(&fresh).map(|()| String::new()));
        #[expect(
            deprecated,
            reason = "the stable way to make a link on every WASI target"
        )]
        done(
            "symlink",
            fs::soft_link("x", &fresh).map(|()| String::new()),
        );
        done("unlink", fs::remove_file(&fresh).map(|()| String::new()));
        done(
            "link in",
            fs::hard_link(&spare, &fresh).map(|()| String::new()),
        );
        done(
            "rename in",
            fs::rename(&spare, &fresh).map(|()| String::new()),
        );
        let secret = format!("{path}/secret");
        let taken = format!("{spare}-taken");
        done(
            "link out",
            fs::hard_link(&secret, &taken).and_then(|()| fs::read_to_string(&taken)),
        );
        let _ = fs::remove_file(&taken);
        done(
            "rename out",
            fs::rename(&secret, &taken).and_then(|()| fs::read_to_string(&taken)),
        );
        done("remove", fs::remove_file(&secret).map(|()| String::new()));
        list(&mut seen, &path);
    }
    seen
}

fn touch(path: &str) -> std::io::Result<String> {
    fs::File::open(path)?.set_modified(SystemTime::UNIX_EPOCH)?;
    Ok(String::new())
}

fn chmod(path: &str) -> std::io::Result<String> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(!permissions.readonly());
    fs::set_permissions(path, permissions)?;
    Ok(String::new())
}

fn list(seen: &mut String, path: &str) {
    if let Ok(entries) = fs::read_dir(path) {
        let names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        tell(seen, "list", path, names.join(" ").as_bytes());
    }
}

/// One line for what worked.
fn tell(seen: &mut String, what: &str, path: &str, bytes: &[u8]) {
    let start = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    seen.push_str(&format!(
        "{what} {path:?} {:?}\n",
        String::from_utf8_lossy(start)
    ));
}
