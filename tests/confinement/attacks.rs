//! The attacker's side: confines this process, or does not, and tries one attack.

#![allow(
    unsafe_code,
    reason = "an attacker calls the kernel directly; nothing here is used for anything else"
)]

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _},
        unix::{fs::symlink, net::UnixDatagram, process::CommandExt as _},
    },
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use toolcell::{
    ConfinementReport,
    testing::confine::{Access, Plan, apply, cgroup::MemoryCgroup, close_inherited},
};

use crate::stage::{CANARY, Scene, WON};

/// Private memory of a confined process; the program itself needs a few MiB of it.
pub(crate) const DATA: u64 = 512 << 20;
/// The largest file that a confined process may write.
pub(crate) const FILE: u64 = 1 << 20;

/// All memory of a process in a control group.
pub(crate) const CGROUP: u64 = 64 << 20;

type Attack = fn(&Scene) -> io::Result<()>;

/// Runs in a process of its own: `NAME WALL PARENT DIR MORE...`.
pub(crate) fn child(arguments: &[String]) -> ExitCode {
    let [name, wall, parent, dir, more @ ..] = arguments else {
        panic!("an attack needs a name, a wall, its parent and a place");
    };
    let scene = Scene {
        dir: dir.into(),
        parent: parent.parse().unwrap(),
        more: more.to_vec(),
    };
    // What an attacker brings along is there before: only what it does with it counts.
    let program = fs::read("/bin/echo").unwrap();
    if name == "after_another_thread" {
        let (keep, held) = std::sync::mpsc::channel::<()>();
        thread::spawn(move || held.recv());
        let report = confine(&scene, true, 60);
        drop(keep);
        return answer(report.landlock.is_reached() || report.seccomp.is_reached());
    }
    match wall.as_str() {
        "down" => {}
        wall => {
            let seconds = if name == "compute_long" { 1 } else { 60 };
            let report = confine(&scene, wall == "up", seconds);
            if name == "report" {
                println!("{}", serde_json::to_string(&report).unwrap());
                return ExitCode::SUCCESS;
            }
        }
    }
    if name == "memfd_program" {
        return ended(memfd_program(&program));
    }
    let attack = ATTACKS
        .iter()
        .find(|(known, _)| known == name)
        .unwrap_or_else(|| panic!("there is no attack {name}"))
        .1;
    ended(attack(&scene))
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => answer(true),
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(won: bool) -> ExitCode {
    println!("{}", if won { WON } else { "lost" });
    ExitCode::from(u8::from(!won))
}

/// As a worker does.
fn confine(scene: &Scene, openat2: bool, cpu_seconds: u64) -> ConfinementReport {
    wasmtime::PoolingAllocationConfig::is_pagemap_scan_available();
    let open = |name: &str| File::open(scene.path(name)).unwrap();
    // Opened first, so that what was inherited lies beneath and above.
    let (ro, rw) = (open("ro"), open("rw"));
    let pagemap = pagemap();
    let mut keep = vec![ro.as_raw_fd(), rw.as_raw_fd()];
    keep.extend(pagemap);
    close_inherited(&keep);
    apply(&Plan {
        dirs: vec![(ro.as_fd(), Access::Read), (rw.as_fd(), Access::Write)],
        data_bytes: DATA,
        file_bytes: FILE,
        cpu_seconds,
        descriptors: 256,
        parent: scene.parent,
        openat2,
    })
}

/// The descriptor that the engine keeps.
fn pagemap() -> Option<i32> {
    fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let target = fs::read_link(entry.path()).ok()?;
        (target.file_name()? == "pagemap").then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

const ATTACKS: &[(&str, Attack)] = &[
    ("honest_work", |scene| crate::cases::honest::work(scene)),
    ("exec", |_| Err(Command::new("/bin/echo").arg(WON).exec())),
    ("spawn", |_| Command::new("/bin/true").status().map(drop)),
    ("fork", |_| match check(unsafe { libc::fork() })? {
        0 => std::process::exit(0),
        _ => Ok(()),
    }),
    ("listen", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("connect", |scene| {
        TcpStream::connect(&scene.more[0][..]).map(drop)
    }),
    ("datagram_pair", |_| UnixDatagram::pair().map(drop)),
    ("ptrace_parent", |scene| {
        let parent = libc::pid_t::try_from(scene.parent).unwrap();
        check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent, 0, 0) }).map(drop)
    }),
    ("read_memory_of_parent", read_memory_of_parent),
    ("open_memory_of_parent", |scene| {
        File::open(format!("/proc/{}/mem", scene.parent)).map(drop)
    }),
    ("open_own_memory", |_| {
        let memory = OpenOptions::new().write(true).open("/proc/self/mem");
        memory.map(drop)
    }),
    ("signal_parent", |scene| {
        let parent = libc::pid_t::try_from(scene.parent).unwrap();
        check(unsafe { libc::kill(parent, libc::SIGCONT) }).map(drop)
    }),
    ("read_password_file", |_| fs::read("/etc/passwd").map(drop)),
    ("list_root", |_| fs::read_dir("/").map(drop)),
    ("read_by_dots", |scene| see(&scene.path("rw/../secret"))),
    ("read_by_absolute_path", |scene| see(&scene.path("secret"))),
    ("read_by_symlink", |scene| {
        rustix::fs::symlinkat("../secret", open_dir(scene, "rw")?, "link")?;
        see(&scene.path("rw/link"))
    }),
    ("read_by_directory_symlink", |scene| {
        rustix::fs::symlinkat("..", open_dir(scene, "rw")?, "up")?;
        see(&scene.path("rw/up/secret"))
    }),
    ("hard_link_out", |scene| {
        let (from, to) = (File::open(&scene.dir)?, open_dir(scene, "rw")?);
        rustix::fs::linkat(from, "secret", &to, "taken", rustix::fs::AtFlags::empty())?;
        see(&scene.path("rw/taken"))
    }),
    ("write_read_grant", |scene| {
        let file = OpenOptions::new().write(true).open(scene.path("ro/file"));
        file.map(drop)
    }),
    ("truncate_read_grant", |scene| {
        use rustix::fs::{CWD, Mode, OFlags};
        let path = scene.path("ro/file");
        let flags = OFlags::RDONLY | OFlags::TRUNC | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(())
    }),
    ("create_in_read_grant", |scene| {
        File::create(scene.path("ro/new")).map(drop)
    }),
    ("remove_in_read_grant", |scene| {
        let dir = open_dir(scene, "ro")?;
        Ok(rustix::fs::unlinkat(
            dir,
            "file",
            rustix::fs::AtFlags::empty(),
        )?)
    }),
    ("rename_out_of_read_grant", |scene| {
        let (from, to) = (open_dir(scene, "ro")?, open_dir(scene, "rw")?);
        Ok(rustix::fs::renameat(from, "file", to, "taken")?)
    }),
    ("fifo", |scene| {
        let path = CString::new(scene.path("rw/fifo").to_str().unwrap()).unwrap();
        check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }).map(drop)
    }),
    ("unix_socket_file", |scene| {
        std::os::unix::net::UnixListener::bind(scene.path("rw/socket")).map(drop)
    }),
    ("dump_core", |_| {
        // Twice the hard limit's worth of wishing: confined there is none to raise.
        let hard = getrlimit(Resource::Core).maximum;
        let _ = setrlimit(
            Resource::Core,
            Rlimit {
                current: hard,
                maximum: hard,
            },
        );
        std::process::abort()
    }),
    ("be_dumpable", |_| {
        check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) }).map(drop)
    }),
    (
        "is_dumpable",
        |_| match rustix::process::dumpable_behavior()? {
            rustix::process::DumpableBehavior::Dumpable => Ok(()),
            other => Err(io::Error::other(format!("{other:?}"))),
        },
    ),
    ("raise_limits", |_| {
        let limit = getrlimit(Resource::Nofile);
        Ok(setrlimit(Resource::Nofile, limit)?)
    }),
    ("use_inherited_descriptor", |scene| {
        let inherited = scene.more[0].parse().unwrap();
        let mut text = [0; CANARY.len()];
        rustix::io::read(unsafe { BorrowedFd::borrow_raw(inherited) }, &mut text)?;
        seen(&String::from_utf8_lossy(&text))
    }),
    ("allocate", |_| {
        let mut memory: Vec<u8> = Vec::new();
        memory
            .try_reserve_exact(usize::try_from(2 * DATA).unwrap())
            .map_err(io::Error::other)
    }),
    ("fill_memory_when_told", |_| {
        println!("ready");
        io::stdin().read_line(&mut String::new())?;
        let memory = vec![1u8; usize::try_from(CGROUP).unwrap() * 2];
        assert_eq!(std::hint::black_box(&memory)[memory.len() - 1], 1);
        Ok(())
    }),
    ("allocate_by_protection", |_| {
        use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
        let size = usize::try_from(2 * DATA).unwrap();
        let none = std::ptr::null_mut();
        // SAFETY: a new mapping that nothing else knows of.
        unsafe {
            let at = rustix::mm::mmap_anonymous(none, size, ProtFlags::empty(), MapFlags::PRIVATE)?;
            rustix::mm::mprotect(at, size, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        Ok(())
    }),
    ("share_memory", |_| {
        use rustix::mm::{MapFlags, ProtFlags};
        let (size, none) = (usize::try_from(2 * DATA).unwrap(), std::ptr::null_mut());
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping that nothing else knows of.
        unsafe { rustix::mm::mmap_anonymous(none, size, access, MapFlags::SHARED)? };
        Ok(())
    }),
    ("write_long_file", |scene| {
        let mut file = File::create(scene.path("rw/long"))?;
        file.write_all(&vec![1; usize::try_from(FILE).unwrap() + 1])
    }),
    ("make_sparse_file", |scene| {
        File::create(scene.path("rw/sparse"))?.set_len(1 << 40)
    }),
    ("open_many", |scene| {
        let files: io::Result<Vec<File>> = (0..300)
            .map(|_| File::open(scene.path("ro/file")))
            .collect();
        files.map(drop)
    }),
    ("compute_long", |_| {
        let (start, mut sum) = (Instant::now(), 0u64);
        while processor_time() < Duration::from_millis(1300)
            && start.elapsed() < Duration::from_secs(60)
        {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        assert_ne!(std::hint::black_box(sum), 1);
        Ok(())
    }),
    ("openat2", |scene| {
        use rustix::fs::{Mode, OFlags, ResolveFlags};
        let dir = open_dir(scene, "ro")?;
        rustix::fs::openat2(
            dir,
            "file",
            OFlags::RDONLY,
            Mode::empty(),
            ResolveFlags::BENEATH,
        )?;
        Ok(())
    }),
    ("outlive_parent", |_| {
        println!("ready");
        io::stdin().read_line(&mut String::new()).map(drop)
    }),
    ("start_and_wait", start_and_wait),
    ("end_with_a_group", |scene| {
        let child = Command::new(std::env::current_exe()?)
            .args([crate::stage::CHILD, "outlive_parent", "down"])
            .arg(std::process::id().to_string())
            .arg(&scene.dir)
            .spawn()?;
        let group = MemoryCgroup::around(child.id(), CGROUP).map_err(io::Error::other)?;
        println!("{group:?}");
        // As where a host ends with its workers waiting.
        std::mem::forget(group);
        Ok(())
    }),
    ("system_call", |scene| {
        let number = scene.more[0].parse::<libc::c_long>().unwrap();
        let arguments = [&scene.more[1], &scene.more[2]].map(|text| text.parse::<u64>().unwrap());
        // Whatever it answers: it was not killed.
        unsafe { libc::syscall(number, arguments[0], arguments[1], 0, 0, 0, 0) };
        Ok(())
    }),
    ("symlink_by_path", |scene| symlink("x", scene.path("rw/s"))),
];

fn check<T: Copy + Into<i64>>(answer: T) -> io::Result<i64> {
    match answer.into() {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

fn open_dir(scene: &Scene, name: &str) -> io::Result<File> {
    File::open(scene.path(name))
}

fn see(path: &Path) -> io::Result<()> {
    seen(&fs::read_to_string(path)?)
}

fn seen(text: &str) -> io::Result<()> {
    match text.contains(CANARY) {
        true => Ok(()),
        false => Err(io::Error::other("there is something else")),
    }
}

/// Reads the canary at the address that the parent told.
fn read_memory_of_parent(scene: &Scene) -> io::Result<()> {
    let parent = libc::pid_t::try_from(scene.parent).unwrap();
    let address: usize = scene.more[0].parse().unwrap();
    let mut buffer = vec![0u8; CANARY.len()];
    let local = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: buffer.len(),
    };
    check(unsafe { libc::process_vm_readv(parent, &local, 1, &remote, 1, 0) }.cast_signed_i64())?;
    seen(&String::from_utf8_lossy(&buffer))
}

trait CastSigned {
    fn cast_signed_i64(self) -> i64;
}

impl CastSigned for isize {
    fn cast_signed_i64(self) -> i64 {
        i64::try_from(self).unwrap()
    }
}

/// Runs a program from memory.
fn memfd_program(program: &[u8]) -> io::Result<()> {
    let memory = unsafe { libc::memfd_create(c"program".as_ptr(), 0) };
    check(memory)?;
    let mut file = unsafe { File::from_raw_fd(memory) };
    file.write_all(program)?;
    let won = CString::new(WON).unwrap();
    let arguments = [c"echo".as_ptr(), won.as_ptr(), std::ptr::null()];
    let nothing = [std::ptr::null()];
    unsafe { libc::fexecve(memory, arguments.as_ptr(), nothing.as_ptr()) };
    Err(io::Error::last_os_error())
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// Starts an attack of its own, whose parent it is, and lives until it is killed.
fn start_and_wait(scene: &Scene) -> io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([crate::stage::CHILD, "outlive_parent", &scene.more[0]])
        .arg(std::process::id().to_string())
        .arg(&scene.dir)
        .spawn()?;
    child.wait().map(drop)
}
