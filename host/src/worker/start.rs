//! Starts a worker process, and hands over what it may hold.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            net::UnixStream,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{
    handshake::{Answer, Hello, MAX_FDS, Until, Welcome, send_fds, timed_out},
    options::Which,
    spawner::Process,
    wire::{WireError, read_blocking, write_blocking},
};
use crate::{
    Error, ErrorKind, Result,
    confine::{ConfinementReport, Step, cgroup::MemoryCgroup},
    engine::limits,
};

/// The only argument of a worker.
pub(super) const ARGUMENT: &str = "toolcell-worker";

/// How long a worker that said nothing any more may take to end, so that it can be told how.
const LAST_BREATH: Duration = Duration::from_millis(200);

/// The program that workers are, opened.
#[derive(Debug)]
pub(super) struct Program {
    /// Shown in messages.
    name: PathBuf,
    /// What is executed: the file that was opened, whatever lies at its path now.
    exec: PathBuf,
    _file: Option<File>,
}

impl Program {
    /// Opens the program.
    ///
    /// # Errors
    ///
    /// `unavailable` where there is none.
    pub(super) fn open(which: &Which) -> Result<Self> {
        let path = match which {
            Which::This => std::env::current_exe()
                .map_err(|error| unavailable("the running program cannot be found", error))?,
            Which::At(path) if path.is_absolute() => path.clone(),
            Which::At(path) => {
                let message = format!(
                    "the path of the worker, {}, is not absolute",
                    path.display()
                );
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        };
        // The running program may have been replaced on disk since it was started.
        let opened = match which {
            Which::This if cfg!(target_os = "linux") => File::open("/proc/self/exe"),
            _ => File::open(&path),
        };
        let file = opened.map_err(|error| {
            unavailable(&format!("cannot open the worker {}", path.display()), error)
        })?;
        let kept = Path::new("/proc/self/fd").join(descriptor(&file).to_string());
        if kept.exists() {
            return Ok(Self {
                name: path,
                exec: kept,
                _file: Some(file),
            });
        }
        Ok(Self {
            exec: path.clone(),
            name: path,
            _file: None,
        })
    }

    fn command(&self, stdin: OwnedFd) -> Command {
        let mut command = Command::new(&self.exec);
        command
            .arg0(&self.name)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What a person types to interrupt the host is not meant for its workers.
            .process_group(0);
        command
    }
}

fn descriptor(file: &File) -> i32 {
    use std::os::fd::AsRawFd as _;
    file.as_raw_fd()
}

fn unavailable(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: {error}"))
}

/// A worker that is ready for its task.
pub(super) struct Worker {
    pub(super) process: Process,
    pub(super) stream: UnixStream,
    pub(super) report: ConfinementReport,
}

/// Starts a worker and waits until it is ready.
///
/// # Errors
///
/// `unavailable` where the program cannot be started, is no worker or one of another version, or does not answer in time;
/// `invalid_component` where the component cannot be used.
pub(super) fn start(
    program: &Program,
    welcome: &Welcome,
    fds: &[BorrowedFd<'_>],
    time: Duration,
) -> Result<Worker> {
    let fail = |what: &str| {
        let name = program.name.display();
        Error::new(ErrorKind::Unavailable, format!("the worker {name} {what}"))
    };
    if fds.len() > MAX_FDS {
        return Err(fail(&format!(
            "would be handed {} directories; {MAX_FDS} are the most",
            fds.len()
        )));
    }
    let (near, far) =
        UnixStream::pair().map_err(|error| fail(&format!("has no socket: {error}")))?;
    let mut process = Process::start(program.command(far.into()))
        .map_err(|error| fail(&format!("cannot be started: {error}")))?;
    let memory = limit_memory(&mut process, welcome.data_bytes);
    match shake_hands(&near, welcome, fds, Instant::now() + time) {
        Ok(Answer::Ready(mut report)) => {
            report.memory_cgroup = memory;
            near.set_read_timeout(None)
                .and_then(|()| near.set_write_timeout(None))
                .map_err(|error| fail(&format!("has lost its socket: {error}")))?;
            Ok(Worker {
                process,
                stream: near,
                report,
            })
        }
        Ok(Answer::Unfit(why)) => Err(Error::new(ErrorKind::InvalidComponent, why)),
        Ok(Answer::Failed(why)) => Err(fail(&format!("is not ready: {}", shown(&why)))),
        Err(Trouble::Other(what)) => Err(fail(&what)),
        Err(Trouble::Wire(error)) if timed_out(&error) => Err(fail(&format!(
            "did not answer within {} s; its main must begin with `toolcell::worker::run_if_worker()`",
            time.as_secs_f32()
        ))),
        Err(Trouble::Wire(error)) => {
            let ended = last_status(&mut process).map_or_else(
                || error.to_string(),
                |status| format!("it ended ({})", in_words(status)),
            );
            Err(fail(&format!(
                "is no worker of this version: {ended}; its main must begin with `toolcell::worker::run_if_worker()`"
            )))
        }
    }
}

/// Bounds all memory of a worker, where this system lets a host do that.
fn limit_memory(process: &mut Process, data_bytes: u64) -> Step {
    match MemoryCgroup::around(process.id(), data_bytes + limits::WORKER_KERNEL_BYTES) {
        Ok(group) => {
            // It can be removed when nothing is in it any more.
            process.afterwards(move || drop(group));
            Step::Reached
        }
        Err(why) => Step::Missing(why),
    }
}

enum Trouble {
    Wire(WireError),
    Other(String),
}

impl From<WireError> for Trouble {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

fn shake_hands(
    stream: &UnixStream,
    welcome: &Welcome,
    fds: &[BorrowedFd<'_>],
    deadline: Instant,
) -> Result<Answer, Trouble> {
    let mut until = Until::new(stream, deadline);
    write_blocking(&mut until, &Hello::of_host())?;
    let hello: Hello = read_blocking(&mut until)?;
    hello
        .expect(&Hello::of_worker())
        .map_err(|what| Trouble::Other(format!("cannot be used: {what}")))?;
    write_blocking(&mut until, welcome)?;
    send_fds(stream, fds).map_err(|error| Trouble::Wire(error.into()))?;
    Ok(read_blocking(&mut until)?)
}

/// How a process ended whose end of the socket is closed.
pub(super) fn last_status(process: &mut Process) -> Option<ExitStatus> {
    let until = Instant::now() + LAST_BREATH;
    loop {
        if let Some(status) = process.status() {
            return Some(status);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How a process ended, for people.
pub(super) fn in_words(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("status {code}"),
        (None, None) => status.to_string(),
    }
}

fn shown(text: &str) -> String {
    let text: String = text.chars().take(300).collect();
    crate::text::escape_control(&text).into_owned()
}

/// Descriptors as a worker is handed them.
pub(super) fn borrowed<'a>(files: impl IntoIterator<Item = &'a File>) -> Vec<BorrowedFd<'a>> {
    files.into_iter().map(AsFd::as_fd).collect()
}

/// What a worker is welcomed with, but for what depends on its task.
pub(super) fn own_id() -> u32 {
    std::process::id()
}

/// Files that cannot be made.
pub(super) fn no_file(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "no file can be made for a worker").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn welcome() -> Welcome {
        Welcome {
            task: super::super::handshake::Task::Compile,
            count_fuel: false,
            descriptors: 0,
            parent: own_id(),
            data_bytes: 0,
            file_bytes: 0,
            cpu_seconds: 1,
            openat2: true,
        }
    }

    /// What a host makes of a worker that says this.
    fn against(say: impl FnOnce(&UnixStream) + Send + 'static) -> Result<Answer, Trouble> {
        let (near, far) = UnixStream::pair().unwrap();
        let worker = thread::spawn(move || say(&far));
        let answer = shake_hands(
            &near,
            &welcome(),
            &[],
            Instant::now() + Duration::from_secs(20),
        );
        drop(near);
        worker.join().unwrap();
        answer
    }

    #[test]
    fn a_worker_of_another_version_gets_no_welcome() {
        let other = postcard::to_allocvec(&(*b"toolcell worker ", 9_u32, "9.9.9")).unwrap();
        let answer = against(move |mut stream| {
            let _: Hello = read_blocking(&mut stream).unwrap();
            let length = u32::try_from(other.len()).unwrap().to_le_bytes();
            std::io::Write::write_all(&mut stream, &[&length, &*other].concat()).unwrap();
            // Nothing more comes.
            assert!(read_blocking::<Welcome>(&mut stream).is_err());
        });
        match answer {
            Err(Trouble::Other(what)) => {
                assert!(
                    what.contains("9.9.9") && what.contains("protocol 9"),
                    "{what}"
                );
            }
            _ => panic!("it was welcomed"),
        }
    }

    #[test]
    fn a_worker_that_cannot_be_ready_says_why() {
        let answer = against(|mut stream| {
            let _: Hello = read_blocking(&mut stream).unwrap();
            write_blocking(&mut stream, &Hello::of_worker()).unwrap();
            let _: Welcome = read_blocking(&mut stream).unwrap();
            write_blocking(&mut stream, &Answer::Failed("no room".to_owned())).unwrap();
        });
        assert!(matches!(answer, Ok(Answer::Failed(why)) if why == "no room"));
    }

    #[test]
    fn whoever_hangs_up_or_talks_nonsense_is_no_worker() {
        assert!(matches!(against(|_| ()), Err(Trouble::Wire(_))));
        let nonsense = against(|mut stream| {
            let _ = std::io::Write::write_all(&mut stream, &[0xff; 64]);
        });
        assert!(matches!(
            nonsense,
            Err(Trouble::Wire(WireError::TooLong(_)))
        ));
    }
}
