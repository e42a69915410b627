//! What is tried, and how it must end.

#[path = "honest.rs"]
pub(crate) mod honest;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::{Output, Stdio},
};

use toolcell::{
    ConfinementLevel, ConfinementReport, ConfinementStep, Kernel,
    testing::confine::cgroup::MemoryCgroup,
};

use crate::{
    attacks::{CGROUP, DATA, FILE},
    harness::Test,
    stage::{CANARY, Fate, Stage, Wall, fate},
};

/// Every test by its name.
pub(crate) const ALL: &[Test] = &[
    ("this_kernel_confines_fully", this_kernel_confines_fully),
    ("honest_work_goes_on", honest_work_goes_on),
    ("programs_and_processes", programs_and_processes),
    ("the_network", the_network),
    ("other_processes", other_processes),
    ("files_outside_of_the_grants", files_outside_of_the_grants),
    ("a_read_grant_stays_as_it_is", a_read_grant_stays_as_it_is),
    ("special_files_in_a_write_grant", special_files),
    (
        "calls_that_no_tool_makes_kill",
        calls_that_no_tool_makes_kill,
    ),
    ("limits_hold", limits_hold),
    (
        "a_control_group_limits_all_memory",
        a_control_group_limits_all_memory,
    ),
    (
        "no_control_group_is_left_behind",
        no_control_group_is_left_behind,
    ),
    ("limits_cannot_be_raised", limits_cannot_be_raised),
    ("no_core_is_dumped", no_core_is_dumped),
    (
        "inherited_descriptors_are_closed",
        inherited_descriptors_are_closed,
    ),
    (
        "a_worker_dies_with_its_parent",
        a_worker_dies_with_its_parent,
    ),
    (
        "a_worker_without_its_parent_ends",
        a_worker_without_its_parent_ends,
    ),
    (
        "the_limits_are_those_of_the_plan",
        the_limits_are_those_of_the_plan,
    ),
    ("rights_are_given_up", rights_are_given_up),
    ("openat2_can_be_made_to_fail", openat2_can_be_made_to_fail),
    ("another_thread_is_reported", another_thread_is_reported),
];

/// The attack works where nothing is confined, and ends as `confined` says where all is.
fn both(
    stage: &dyn Fn() -> Stage,
    attack: &str,
    more: &[String],
    confined: impl Fn(&Fate) -> bool,
) {
    let free = stage().attack(attack, Wall::Down, more);
    assert_eq!(free, Fate::Won, "{attack} is no attack");
    let ended = stage().attack(attack, Wall::Up, more);
    assert!(confined(&ended), "{attack}: {ended:?}");
}

fn killed(attack: &str, more: &[String]) {
    both(&Stage::new, attack, more, |fate| {
        *fate == Fate::Killed(libc::SIGSYS)
    });
}

/// The kernel's answer is among `codes`.
fn refused(attack: &str, codes: &[i32]) {
    both(&Stage::new, attack, &[], |fate| match fate {
        Fate::Refused(message) => codes
            .iter()
            .any(|code| message.contains(&format!("(os error {code})"))),
        _ => false,
    });
}

fn this_kernel_confines_fully() {
    let kernel = Kernel::probe();
    assert_eq!(
        kernel.level(),
        ConfinementLevel::Full,
        "these tests need a kernel with Landlock and seccomp (Linux 6.2 and later): {kernel:?}"
    );
    let stage = Stage::new();
    let output = stage.command("report", Wall::Up, &[]).output().unwrap();
    let report: ConfinementReport = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.level(), ConfinementLevel::Full, "{report:?}");
    assert_eq!(report.landlock_abi, kernel.landlock_abi);
    for (name, step) in report.steps() {
        // That one is set from outside.
        assert_eq!(
            step.is_reached(),
            name != "memory_cgroup",
            "{name}: {step:?}"
        );
    }
}

fn honest_work_goes_on() {
    both(&Stage::new, "honest_work", &[], |fate| *fate == Fate::Won);
    let fate = Stage::new().attack("honest_work", Wall::UpWithoutOpenat2, &[]);
    assert_eq!(fate, Fate::Won);
}

fn programs_and_processes() {
    for attack in ["exec", "spawn", "fork", "memfd_program"] {
        killed(attack, &[]);
    }
}

fn the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    killed("connect", &[listener.local_addr().unwrap().to_string()]);
    killed("listen", &[]);
    killed("unix_socket_file", &[]);
    refused("datagram_pair", &[libc::EPERM]);
}

fn other_processes() {
    // Where processes of one user are kept apart by another rule, the free attack would fail too.
    let _ = rustix::process::set_ptracer(rustix::process::PTracer::Any);
    let canary = CANARY.to_owned();
    killed("ptrace_parent", &[]);
    killed(
        "read_memory_of_parent",
        &[canary.as_ptr().addr().to_string()],
    );
    refused("open_memory_of_parent", &[libc::EACCES]);
    refused("open_own_memory", &[libc::EACCES]);
    refused("signal_parent", &[libc::EPERM]);
    drop(canary);
}

fn files_outside_of_the_grants() {
    for attack in [
        "read_password_file",
        "list_root",
        "read_by_dots",
        "read_by_absolute_path",
        "read_by_symlink",
        "read_by_directory_symlink",
    ] {
        refused(attack, &[libc::EACCES]);
    }
    refused("hard_link_out", &[libc::EACCES, libc::EXDEV]);
    refused("symlink_by_path", &[libc::EPERM]);
}

fn a_read_grant_stays_as_it_is() {
    for attack in [
        "write_read_grant",
        "truncate_read_grant",
        "create_in_read_grant",
        "remove_in_read_grant",
    ] {
        refused(attack, &[libc::EACCES]);
    }
    refused("rename_out_of_read_grant", &[libc::EACCES, libc::EXDEV]);
}

fn special_files() {
    refused("fifo", &[libc::EPERM]);
}

/// None of them does anything with these arguments; a kernel may refuse them to anybody. It counts that the process
/// lives on where it is free and is killed where it is not.
fn calls_that_no_tool_makes_kill() {
    const INVALID: u64 = u64::MAX;
    let calls: &[(libc::c_long, u64, u64)] = &[
        (libc::SYS_io_uring_setup, 0, 0),
        (libc::SYS_io_uring_enter, INVALID, 0),
        (libc::SYS_bpf, INVALID, 0),
        (libc::SYS_keyctl, INVALID, 0),
        (libc::SYS_add_key, 0, 0),
        (libc::SYS_request_key, 0, 0),
        (libc::SYS_mount, 0, 0),
        (libc::SYS_umount2, 0, 0),
        (libc::SYS_move_mount, INVALID, 0),
        (libc::SYS_open_tree, INVALID, 0),
        (libc::SYS_fsopen, 0, 0),
        (libc::SYS_pivot_root, 0, 0),
        (libc::SYS_chroot, 0, 0),
        (libc::SYS_unshare, INVALID, 0),
        (libc::SYS_setns, INVALID, 0),
        (libc::SYS_pidfd_open, 0, 0),
        (libc::SYS_pidfd_getfd, INVALID, 0),
        (libc::SYS_userfaultfd, INVALID, 0),
        (libc::SYS_perf_event_open, 0, INVALID),
        (libc::SYS_open_by_handle_at, INVALID, 0),
        (libc::SYS_init_module, 0, 0),
        (libc::SYS_finit_module, INVALID, 0),
        (libc::SYS_kexec_load, INVALID, INVALID),
        // A new process by any flags but those of a thread.
        (
            libc::SYS_clone,
            INVALID & !u64::from(libc::CLONE_THREAD.cast_unsigned()),
            0,
        ),
        (libc::SYS_memfd_create, 0, u64::from(libc::MFD_EXEC)),
    ];
    for (number, first, second) in calls {
        let more = [number.to_string(), first.to_string(), second.to_string()];
        killed("system_call", &more);
    }
}

fn limits_hold() {
    both(&Stage::new, "allocate", &[], |fate| {
        matches!(fate, Fate::Refused(_))
    });
    refused("allocate_by_protection", &[libc::ENOMEM]);
    refused("share_memory", &[libc::EPERM]);
    refused("write_long_file", &[libc::EFBIG]);
    refused("make_sparse_file", &[libc::EFBIG]);
    refused("open_many", &[libc::EMFILE]);
    both(&Stage::new, "compute_long", &[], |fate| {
        *fate == Fate::Killed(libc::SIGXCPU)
    });
}

fn a_control_group_limits_all_memory() {
    use std::io::Read as _;
    let ended = |limited: bool| {
        let stage = Stage::new();
        let mut child = stage
            .command("fill_memory_when_told", Wall::Down, &[])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let group = limited.then(|| MemoryCgroup::around(child.id(), CGROUP).unwrap());
        drop(child.stdin.take());
        let mut stdout = Vec::new();
        output.read_to_end(&mut stdout).unwrap();
        let status = child.wait().unwrap();
        drop(group);
        fate(&Output {
            status,
            stdout,
            stderr: Vec::new(),
        })
    };
    assert_eq!(ended(false), Fate::Won);
    if let ConfinementStep::Missing(why) = Kernel::probe().memory_cgroup {
        // Few users may make one; then there is nothing to see but the reason.
        println!("no control group can be made here: {why}");
        return;
    }
    assert_eq!(ended(true), Fate::Killed(libc::SIGKILL));
}

fn no_control_group_is_left_behind() {
    if !Kernel::probe().memory_cgroup.is_reached() {
        println!("no control group can be made here");
        return;
    }
    let stage = Stage::new();
    let mut parent = stage
        .command("end_with_a_group", Wall::Down, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The process in the group waits for this to be closed, and outlives its parent if it is let.
    let input = parent.stdin.take();
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    let group = loop {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        if let Some((_, dir)) = line.split_once("dir: ") {
            break dir
                .trim_end_matches([' ', '}', '\n'])
                .trim_matches('"')
                .to_owned();
        }
    };
    assert!(parent.wait().unwrap().success());
    assert!(!fs::exists(&group).unwrap(), "{group} is still there");
    drop(input);
}

fn limits_cannot_be_raised() {
    refused("raise_limits", &[libc::EPERM]);
    refused("be_dumpable", &[libc::EPERM]);
    both(&Stage::new, "is_dumpable", &[], |fate| {
        *fate == Fate::Refused("NotDumpable".to_owned())
    });
}

fn no_core_is_dumped() {
    use std::os::unix::process::ExitStatusExt as _;
    let dumped = |wall| {
        let stage = Stage::new();
        let output = stage.command("dump_core", wall, &[]).output().unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGABRT));
        output.status.core_dumped()
    };
    assert!(!dumped(Wall::Up));
    // A system may dump no core at all; then there is nothing to see.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if limit != Some(0) && pattern.trim() == "core" {
        assert!(dumped(Wall::Down));
    }
}

fn inherited_descriptors_are_closed() {
    let secrets = Stage::new();
    let file = fs::File::open(secrets.path().join("secret")).unwrap();
    // Unlike the standard library's own, these are inherited.
    let low = rustix::io::dup(&file).unwrap();
    let high = rustix::io::fcntl_dupfd_cloexec(&file, 700).unwrap();
    rustix::io::fcntl_setfd(&high, rustix::io::FdFlags::empty()).unwrap();
    for inherited in [&low, &high] {
        rustix::fs::seek(inherited, rustix::fs::SeekFrom::Start(0)).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(inherited).to_string();
        let rewound = || {
            rustix::fs::seek(inherited, rustix::fs::SeekFrom::Start(0)).unwrap();
            Stage::new()
        };
        both(&rewound, "use_inherited_descriptor", &[number], |fate| {
            // Closed, or by now the number of something else.
            matches!(fate, Fate::Refused(_))
        });
    }
}

fn a_worker_dies_with_its_parent() {
    let outlives = |wall: Wall| {
        let stage = Stage::new();
        let mut parent = stage
            .command("start_and_wait", Wall::Down, &[wall.as_str().to_owned()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = parent.stdin.take().unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        // Once its parent was collected, the signal is on its way before this line is.
        parent.kill().unwrap();
        parent.wait().unwrap();
        let _ = input.write_all(b"are you there?\n");
        drop(input);
        lines.next().is_some()
    };
    assert!(outlives(Wall::Down));
    assert!(!outlives(Wall::Up));
}

fn a_worker_without_its_parent_ends() {
    let stage = Stage::new();
    // It is told that somebody else is its parent, as when the parent ended before it was asked for its death.
    let started = |wall: Wall| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args([crate::stage::CHILD, "honest_work", wall.as_str(), "1"]);
        fate(
            &command
                .arg(stage.path())
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        )
    };
    assert_eq!(started(Wall::Down), Fate::Won);
    assert_eq!(started(Wall::Up), Fate::Refused(String::new()));
}

/// Text of `/proc/PID` about a process, and the words behind a name in it.
fn shown_in(file: &'static str, wall: Wall) -> impl Fn(&str) -> String {
    let stage = Stage::new();
    let mut child = stage
        .command("outlive_parent", wall, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    let text = fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    move |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(':').trim().to_owned()
    }
}

fn the_limits_are_those_of_the_plan() {
    let limits = shown_in("limits", Wall::Up);
    // The values in force, and those up to which they could be raised.
    let both = |name: &str| {
        let line = limits(name);
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words[..2].join(" ")
    };
    for (name, values) in [
        ("Max core file size", "0 0".to_owned()),
        ("Max locked memory", "0 0".to_owned()),
        ("Max msgqueue size", "0 0".to_owned()),
        ("Max open files", "256 256".to_owned()),
        ("Max cpu time", "60 61".to_owned()),
        ("Max file size", format!("{FILE} {FILE}")),
        ("Max data size", format!("{DATA} {DATA}")),
    ] {
        assert_eq!(both(name), values, "{name}");
    }
    // Some more than run on this machine, which changes all the time.
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let (_, all) = load
        .split_whitespace()
        .nth(3)
        .unwrap()
        .split_once('/')
        .unwrap();
    let most = 2 * (4096 + all.parse::<u64>().unwrap());
    let processes = limits("Max processes");
    let allowed = processes.split_whitespace().next().unwrap().parse::<u64>();
    assert!(allowed.is_ok_and(|allowed| allowed < most), "{processes}");
}

fn rights_are_given_up() {
    let status = |wall| shown_in("status", wall);
    let (free, confined) = (status(Wall::Down), status(Wall::Up));
    assert_eq!(
        (free("Seccomp"), confined("Seccomp")),
        ("0".to_owned(), "2".to_owned())
    );
    assert_eq!(confined("NoNewPrivs"), "1");
    let rights = |set: String| u64::from_str_radix(&set, 16).unwrap();
    // Bits 1 to 3: other owners' files.
    let kept = 0b1110;
    for set in ["CapEff", "CapPrm"] {
        let held = rights(free(set));
        assert_eq!(rights(confined(set)), held & kept, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(rights(confined(set)), 0, "{set}");
    }
}

fn openat2_can_be_made_to_fail() {
    let with = |wall| Stage::new().attack("openat2", wall, &[]);
    assert_eq!((with(Wall::Down), with(Wall::Up)), (Fate::Won, Fate::Won));
    let Fate::Refused(why) = with(Wall::UpWithoutOpenat2) else {
        panic!("openat2 still works");
    };
    assert!(
        why.contains(&format!("(os error {})", libc::ENOSYS)),
        "{why}"
    );
}

fn another_thread_is_reported() {
    let fate = Stage::new().attack("after_another_thread", Wall::Up, &[]);
    assert_eq!(fate, Fate::Refused("lost".to_owned()));
}
