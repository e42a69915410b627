//! The textfile for Prometheus' node exporter: what commands counted, written at the end of each.
//!
//! Whoever scrapes such a file expects counters that only grow. One command counts from zero, so its counters and
//! histograms are added to those that stand in the file; gauges say how things are now, and replace what was there. The
//! directory is locked meanwhile, so that commands which end at the same time are both counted, and the file is put in
//! its place whole.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use super::exposition::Exposition;
use crate::files;

/// The longest file that is added to, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// How long another command may hold the directory.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Between two attempts to lock.
const PAUSE: Duration = Duration::from_millis(10);

/// Adds a text of metrics to the file.
///
/// # Errors
/// Why the file stays as it is, in one sentence.
pub(crate) fn add(path: &Path, text: &str) -> Result<(), String> {
    let io = |doing: &str, error: &io::Error| {
        format!("cannot {doing}: {}", crate::failure::reason(error))
    };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let locked = File::open(directory).map_err(|error| io("open its directory", &error))?;
    lock(&locked)?;
    let mut sum = Exposition::parse(text)
        .map_err(|why| format!("what was counted is no text of metrics: {why}"))?;
    match files::read_text(path, MAX_BYTES) {
        Ok(old) => {
            let old = Exposition::parse(&old).map_err(|why| {
                format!("it holds what toolcell did not write ({why}); remove it")
            })?;
            sum.add(old);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io("read it", &error)),
    }
    // Its name ends in nothing that the node exporter reads.
    let mut file = tempfile::Builder::new()
        .prefix(".toolcell-")
        .suffix(".tmp")
        // The node exporter runs as another user.
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(|error| io("write beside it", &error))?;
    file.write_all(sum.to_string().as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| io("write beside it", &error))?;
    file.persist(path)
        .map_err(|error| io("put it in its place", &error.error))?;
    Ok(())
}

/// Waits for the directory. The lock ends with the file handle.
fn lock(directory: &File) -> Result<(), String> {
    let until = Instant::now() + MAX_WAIT;
    loop {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => thread::sleep(PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(format!(
                    "another command held its directory for {} s",
                    MAX_WAIT.as_secs()
                ));
            }
            Err(error) => {
                let error = io::Error::from(error);
                return Err(format!(
                    "cannot lock its directory: {}",
                    crate::failure::reason(&error)
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str =
        "# HELP a_total What.\n# TYPE a_total counter\na_total{x=\"1\"} 2\n# TYPE g gauge\ng 5\n";

    #[test]
    fn counters_of_commands_add_up_and_gauges_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.prom");
        add(&path, ONE).unwrap();
        add(&path, ONE).unwrap();
        add(&path, "# TYPE b_total counter\nb_total 1\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("a_total{x=\"1\"} 4\n"), "{text}");
        assert!(text.contains("b_total 1\n"), "{text}");
        assert!(
            !text.contains("\ng "),
            "a gauge that nobody sets any more: {text}"
        );
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn commands_that_end_together_are_all_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.prom");
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| add(&path, ONE).unwrap());
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("a_total{x=\"1\"} 32\n"), "{text}");
    }

    #[test]
    fn what_somebody_else_wrote_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.prom");
        fs::write(&path, "my shopping list\n").unwrap();
        let why = add(&path, ONE).unwrap_err();
        assert!(why.contains("toolcell did not write"), "{why}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "my shopping list\n");
        fs::write(&path, "#".repeat(4 << 20) + "##").unwrap();
        let why = add(&path, ONE).unwrap_err();
        assert!(why.contains("more than"), "{why}");
        let nowhere = add(&dir.path().join("no/t.prom"), ONE).unwrap_err();
        assert!(nowhere.contains("directory"), "{nowhere}");
    }

    #[test]
    fn a_directory_that_is_held_is_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let held = File::open(dir.path()).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let why = add(&dir.path().join("t.prom"), ONE).unwrap_err();
        assert!(why.contains("another command"), "{why}");
    }
}
