use bytes::Bytes;
use wasmtime_wasi::p2::StreamError;

use super::{super::quota::Floor, *};

#[tokio::test]
async fn written_bytes_end_the_call_at_the_quota() {
    let mut call = Call::limited(10, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "f", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    call.view()
        .write(again(&fd), b"1234567890".into(), 0)
        .await
        .unwrap();
    let error = limit(call.view().write(again(&fd), b"x".into(), 0).await);
    call.assert_limit(error.as_ref(), "10 bytes");
    assert_eq!(fs::read(call.host("work/f")).unwrap().len(), 10);
    assert_eq!(call.state.written_bytes(), 10);
}

#[tokio::test]
async fn growth_without_content_counts_as_written() {
    let mut call = Call::limited(10, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "a.txt", OpenFlags::empty(), WRITE)
        .await
        .unwrap();
    call.view().set_size(again(&fd), 9).await.unwrap();
    call.view().set_size(again(&fd), 2).await.unwrap();
    assert_eq!(call.state.written_bytes(), 4);
    let error = limit(call.view().write(again(&fd), b"x".into(), 1 << 40).await);
    call.assert_limit(error.as_ref(), "10 bytes");
    assert!(limit(call.view().set_size(again(&fd), 1 << 40).await).is_some());
    assert_eq!(fs::metadata(call.host("work/a.txt")).unwrap().len(), 2);
}

#[tokio::test]
async fn streams_are_charged_too() {
    let mut call = Call::limited(20, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "a.txt", OpenFlags::empty(), WRITE)
        .await
        .unwrap();
    let at = call.view().write_via_stream(again(&fd), 7).unwrap();
    let stream = call.table.get_mut(&at).unwrap();
    assert!(stream.write_ready().await.unwrap() > 0);
    stream.write(Bytes::from_static(b"abc")).unwrap();
    stream.flush().unwrap();
    stream.write_ready().await.unwrap();
    stream
        .blocking_write_and_flush(Bytes::from_static(b"de"))
        .await
        .unwrap();
    assert_eq!(call.state.written_bytes(), 2 + 5);

    let end = call.view().append_via_stream(fd).unwrap();
    let stream = call.table.get_mut(&end).unwrap();
    stream
        .blocking_write_and_flush(Bytes::from_static(b"f"))
        .await
        .unwrap();
    stream.write_zeroes(2).unwrap();
    stream.write_ready().await.unwrap();
    assert_eq!(
        fs::read(call.host("work/a.txt")).unwrap(),
        b"hello\0\0abcdef\0\0"
    );

    let error = call
        .table
        .get_mut(&at)
        .unwrap()
        .write(Bytes::from_static(&[1; 11]));
    let Err(StreamError::Trap(error)) = error else {
        panic!("{error:?}");
    };
    call.assert_limit(error.downcast_ref(), "20 bytes");
    assert_eq!(fs::metadata(call.host("work/a.txt")).unwrap().len(), 15);
}

#[tokio::test]
async fn a_stream_that_starts_far_behind_the_end_is_charged_for_the_hole() {
    let mut call = Call::limited(1000, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "a.txt", OpenFlags::empty(), WRITE)
        .await
        .unwrap();
    let stream = call.view().write_via_stream(fd, 1 << 40).unwrap();
    let stream = call.table.get_mut(&stream).unwrap();
    let result = stream
        .blocking_write_and_flush(Bytes::from_static(b"x"))
        .await;
    assert!(matches!(result, Err(StreamError::Trap(_))));
    assert_eq!(fs::metadata(call.host("work/a.txt")).unwrap().len(), 5);
}

#[tokio::test]
async fn created_names_end_the_call_at_the_quota() {
    let mut call = Call::limited(10, 4);
    let [work, ..] = call.roots();
    let at = || again(&work);
    call.open(&work, "file", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    call.open(&work, "file", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    let mut view = call.view();
    view.create_directory_at(at(), "dir".into()).await.unwrap();
    assert_eq!(
        code(view.create_directory_at(at(), "dir".into()).await),
        ErrorCode::Exist
    );
    view.symlink_at(at(), "file".into(), "link".into())
        .await
        .unwrap();
    assert_eq!(
        code(call.open(&work, "no/where", OpenFlags::CREATE, WRITE).await),
        ErrorCode::NoEntry
    );
    assert_eq!(call.state.created(), 3, "what fails is not charged");
    let mut view = call.view();
    let hard = view.link_at(at(), PathFlags::empty(), "file".into(), at(), "hard".into());
    hard.await.unwrap();

    let error = limit(call.open(&work, "one-more", OpenFlags::CREATE, WRITE).await);
    call.assert_limit(error.as_ref(), "4 files");
    assert!(limit(call.view().create_directory_at(at(), "d2".into()).await).is_some());
    assert!(
        limit(
            call.view()
                .symlink_at(at(), "file".into(), "l2".into())
                .await
        )
        .is_some()
    );
    assert!(!call.host("work/one-more").exists());
}

#[tokio::test]
async fn some_of_the_disk_is_left_free() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let before = fs::read_dir(call.host("work")).unwrap().count();
    call.open(&work, "f", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    assert_eq!(fs::read_dir(call.host("work")).unwrap().count(), before + 1);

    let disk = rustix::fs::statvfs(call.dir.path()).unwrap();
    let mut full = disk;
    full.f_bavail = full.f_blocks / 100 + 1;
    full.f_favail = full.f_files / 100 + 1;
    let floor = Floor::of(u64::MAX, u64::MAX);
    assert!(floor.bears(&full, 1, 0));
    assert!(!floor.bears(&full, 2 * full.f_frsize, 0));
    assert!(floor.bears(&full, 0, 1) && (full.f_files == 0 || !floor.bears(&full, 0, 2)));
    // An absolute floor, where it is the smaller one.
    let floor = Floor::of(10 * full.f_frsize, 0);
    full.f_bavail = 11;
    assert!(floor.bears(&full, full.f_frsize, 0));
    assert!(!floor.bears(&full, full.f_frsize + 1, 0));
    // What tells nothing of itself has no floor.
    full.f_blocks = 0;
    assert!(floor.bears(&full, u64::MAX, 0));
}

#[tokio::test]
async fn a_full_disk_ends_the_call_before_anything_is_written() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let opened = call.open(&work, "a.txt", OpenFlags::empty(), WRITE).await;
    let fd = opened.unwrap();
    let quota = Quota::new(u64::MAX, u64::MAX, call.recorder.clone());
    call.state.quota = quota.with_floor(1, 1);
    let hole = call.view().write(again(&fd), b"x".into(), 1 << 60).await;
    call.assert_limit(limit(hole).as_ref(), "left free on the disk");
    assert_eq!(fs::read(call.host("work/a.txt")).unwrap(), b"hello");
}
