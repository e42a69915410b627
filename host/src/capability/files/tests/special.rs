use std::os::unix::{fs::symlink, net::UnixListener};

use super::*;

#[tokio::test]
async fn fifos_devices_and_sockets_are_refused_without_blocking() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    make_fifo(call.host("work"), "fifo");
    symlink("fifo", call.host("work/to-fifo")).unwrap();
    let _socket = UnixListener::bind(call.host("work/socket")).unwrap();
    for path in ["fifo", "to-fifo", "socket"] {
        for (open, flags) in [
            (OpenFlags::empty(), READ),
            (OpenFlags::empty(), WRITE),
            (OpenFlags::empty(), READ | WRITE),
            (OpenFlags::CREATE, WRITE),
            (OpenFlags::TRUNCATE, WRITE),
            (OpenFlags::DIRECTORY, READ),
        ] {
            let opened = call.open(&work, path, open, flags).await;
            assert_eq!(
                code(opened),
                ErrorCode::NotPermitted,
                "{path} {open:?} {flags:?}"
            );
        }
        let now = NewTimestamp::Now;
        let times = call
            .view()
            .set_times_at(again(&work), FOLLOW, path.into(), now, now)
            .await;
        assert_eq!(code(times), ErrorCode::NotPermitted, "{path}");
        assert!(
            call.open(&work, &format!("{path}/"), OpenFlags::empty(), READ)
                .await
                .is_err()
        );
    }
    assert!(
        call.record()
            .denials
            .iter()
            .all(|d| d.reason.contains("FIFO"))
    );
    let stat = call
        .view()
        .stat_at(again(&work), FOLLOW, "fifo".into())
        .await
        .unwrap();
    assert_eq!(
        stat.type_,
        DescriptorType::Unknown,
        "looking at it is no harm"
    );
    call.view()
        .unlink_file_at(again(&work), "fifo".into())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_device_is_refused() {
    // Making a device node takes privileges, so the real one is granted here, which `FileRoots` would refuse.
    let mut call = Call::new();
    let dev = cap_std::fs::Dir::open_ambient_dir("/dev", cap_std::ambient_authority()).unwrap();
    let dir = wasmtime_wasi::filesystem::Dir::new(
        dev.into_std_file(),
        wasmtime_wasi::FsPerms::ReadWrite,
        wasmtime_wasi::OpenMode::READ,
        false,
    );
    let fd = call.table.push(Descriptor::Dir(dir)).unwrap();
    let place = Place {
        root: Root::Granted(0),
        path: "/work".into(),
    };
    call.state.places.insert(fd.rep(), place);
    assert_eq!(
        code(call.open(&fd, "null", OpenFlags::empty(), READ).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        code(call.open(&fd, "null", OpenFlags::empty(), WRITE).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(call.denials(), ["read /work/null", "write /work/null"]);
}

fn make_fifo(dir: std::path::PathBuf, name: &str) {
    let dir = fs::File::open(dir).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(&dir, name, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[tokio::test]
async fn a_fifo_keeps_its_name() {
    // Otherwise one call could put it where another one has just seen a file.
    let mut call = Call::new();
    let [work, ..] = call.roots();
    make_fifo(call.host("work"), "fifo");
    let (at, name) = (|| again(&work), |name: &str| name.to_owned());
    let mut view = call.view();
    let moved = view.rename_at(at(), name("fifo"), at(), name("a.txt"));
    assert_eq!(code(moved.await), ErrorCode::NotPermitted);
    let none = PathFlags::empty();
    let linked = view.link_at(at(), none, name("fifo"), at(), name("b.txt"));
    assert_eq!(code(linked.await), ErrorCode::NotPermitted);
    assert!(call.record().denials[0].reason.contains("FIFO"));
}

/// A directory with the FIFO takes the place of one with a file while the tool opens the file: the directory that was
/// looked at is the one in which the file is opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifo_in_an_exchanged_directory_blocks_nobody() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    for name in ["plain", "trap"] {
        fs::create_dir(call.host("work").join(name)).unwrap();
    }
    fs::write(call.host("work/plain/f"), "harmless").unwrap();
    make_fifo(call.host("work/trap"), "f");
    let exchanging = Exchanging::start(&call.host("work"), ["plain", "trap"]);
    let work_through = async {
        for _ in 0..2000 {
            let opened = call.open(&work, "plain/f", OpenFlags::empty(), READ).await;
            if let Ok(fd) = opened {
                HostDescriptor::drop(&mut call.view(), fd).unwrap();
            }
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), work_through).await;
    exchanging.stop();
    assert!(in_time.is_ok(), "an open blocked");
}

#[tokio::test]
async fn a_kernel_s_file_system_inside_a_grant_is_refused() {
    // Mounting takes privileges, so the mounted directory is put in the place of the granted one, which `FileRoots`
    // would refuse.
    let mut call = Call::new();
    for (mounted, file) in [("/proc", "version"), ("/sys", "kernel/notes")] {
        let Ok(dir) = cap_std::fs::Dir::open_ambient_dir(mounted, cap_std::ambient_authority())
        else {
            continue;
        };
        let dir = wasmtime_wasi::filesystem::Dir::new(
            dir.into_std_file(),
            wasmtime_wasi::FsPerms::ReadWrite,
            wasmtime_wasi::OpenMode::READ,
            false,
        );
        let fd = call.table.push(Descriptor::Dir(dir)).unwrap();
        let (root, path) = (Root::Scratch, "/work".into());
        call.state.places.insert(fd.rep(), Place { root, path });
        for path in [file, "kernel", "self", "self/environ", "."] {
            let opened = call.open(&fd, path, OpenFlags::empty(), READ).await;
            let code = opened.err().and_then(|error| error.downcast_ref().copied());
            let refused = matches!(code, Some(ErrorCode::NotPermitted | ErrorCode::NoEntry));
            assert!(refused, "{mounted} {path} {code:?}");
        }
        let made = call
            .view()
            .create_directory_at(again(&fd), "x".into())
            .await;
        assert!(made.is_err());
    }
    let table = call.table.iter_mut().count();
    assert!(table <= 2, "nothing stays open: {table}");
}
