//! What a worker must still be able to do: everything that a call needs of the system.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    thread,
    time::Duration,
};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Timespec, Timestamps};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stage::Scene;

pub(crate) fn work(scene: &Scene) -> io::Result<()> {
    files(scene)?;
    threads()?;
    runtime()?;
    engine().map_err(io::Error::other)
}

fn files(scene: &Scene) -> io::Result<()> {
    let (ro, rw) = (File::open(scene.path("ro"))?, File::open(scene.path("rw"))?);
    let open = |dir: &File, name: &str, flags: OFlags| -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?.into())
    };
    let mut text = String::new();
    open(&ro, "file", OFlags::RDONLY)?.read_to_string(&mut text)?;
    assert_eq!(text, "may be read");
    let mut file = open(&rw, "new", OFlags::RDWR | OFlags::CREATE)?;
    file.write_all(b"written")?;
    file.set_len(3)?;
    file.sync_all()?;
    file.try_clone()?.metadata()?;
    open(&rw, "file", OFlags::WRONLY | OFlags::TRUNC)?;
    rustix::fs::mkdirat(&rw, "dir", Mode::from_raw_mode(0o700))?;
    rustix::fs::renameat(&rw, "new", &rw, "dir/moved")?;
    rustix::fs::linkat(&rw, "dir/moved", &rw, "linked", AtFlags::empty())?;
    rustix::fs::symlinkat("linked", &rw, "symlink")?;
    rustix::fs::readlinkat(&rw, "symlink", Vec::new())?;
    rustix::fs::statat(&rw, "linked", AtFlags::SYMLINK_NOFOLLOW)?;
    let time = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(&rw, "linked", &times, AtFlags::empty())?;
    let names = Dir::read_from(&rw)?.count();
    assert_eq!(names, 7, "two dots, file, sub, dir, linked, symlink");
    rustix::fs::unlinkat(&rw, "dir/moved", AtFlags::empty())?;
    rustix::fs::unlinkat(&rw, "dir", AtFlags::REMOVEDIR)?;
    Ok(())
}

fn threads() -> io::Result<()> {
    let named = thread::Builder::new().name("a name".to_owned());
    let running = named.spawn(|| thread::sleep(Duration::from_millis(1)))?;
    running.join().expect("the thread ends well");
    thread::available_parallelism().map(drop)
}

/// The runtime of a worker, with a socket as between host and worker.
fn runtime() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mut one, mut other) = tokio::net::UnixStream::pair()?;
        one.write_all(b"ping").await?;
        let mut read = [0; 4];
        other.read_exact(&mut read).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::task::spawn_blocking(|| ()).await?;
        Ok(())
    })
}

/// Compiled code, its memory, its traps and its interruption.
fn engine() -> wasmtime::Result<()> {
    let config = toolcell::testing::worker_engine_config();
    let engine = wasmtime::Engine::new(&config)?;
    let text = r#"(module
        (memory (export "memory") 1 64)
        (data (i32.const 0) "image")
        (func (export "grow") (result i32) (memory.grow (i32.const 16)))
        (func (export "touch") (i32.store (i32.const 1000000) (i32.const 1)))
        (func (export "outside") (drop (i32.load (i32.const 100000000))))
        (func (export "deep") (call 3))
        (func (export "forever") (loop (br 0))))"#;
    let module = wasmtime::Module::new(&engine, wat::parse_str(text).expect("it is a module"))?;
    for _ in 0..3 {
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let instance = wasmtime::Instance::new_async(&mut store, &module, &[]).await?;
            let grow = instance.get_typed_func::<(), i32>(&mut store, "grow")?;
            assert_eq!(grow.call_async(&mut store, ()).await?, 1);
            for (name, ends_well) in [("touch", true), ("outside", false), ("deep", false)] {
                let run = instance.get_typed_func::<(), ()>(&mut store, name)?;
                let ended = run.call_async(&mut store, ()).await;
                assert_eq!(ended.is_ok(), ends_well, "{name}: {ended:?}");
            }
            let ticker = engine.clone();
            let ticking = thread::spawn(move || ticker.increment_epoch());
            let forever = instance.get_typed_func::<(), ()>(&mut store, "forever")?;
            assert!(forever.call_async(&mut store, ()).await.is_err());
            ticking.join().expect("the ticker ends well");
            Ok::<(), wasmtime::Error>(())
        })?;
    }
    Ok(())
}
