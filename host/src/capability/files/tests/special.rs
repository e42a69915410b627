use std::os::unix::{fs::symlink, net::UnixListener};

use super::*;

#[tokio::test]
async fn fifos_devices_and_sockets_are_refused_without_blocking() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let dir = fs::File::open(call.host("work")).unwrap();
    rustix::fs::mknodat(
        &dir,
        "fifo",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
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
