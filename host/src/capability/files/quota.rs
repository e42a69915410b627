//! How much one call may write.

use std::{
    fs::File,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use rustix::fs::{StatVfs, fstatvfs};
use wasmtime_wasi::{
    async_trait,
    p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult},
};

use crate::{
    ErrorKind,
    capability::{LimitExceeded, recorder::Recorder},
};

/// Counts the bytes that a call writes and the files that it creates, and ends the call when one count passes its
/// limit. Clones share the counts, so that every open stream charges the same call.
#[derive(Clone)]
pub(crate) struct Quota {
    counts: Arc<Counts>,
    recorder: Recorder,
}

struct Counts {
    written: AtomicU64,
    created: AtomicU64,
    max_written: u64,
    max_created: u64,
    floor: Floor,
}

/// What every call leaves free on a disk, for whoever else needs it: the host's own log, and the person at the machine.
#[derive(Clone, Copy)]
pub(crate) struct Floor {
    /// Bytes, and never more than a hundredth of the disk.
    bytes: u64,
    /// Files, and never more than a hundredth of those that the disk can hold.
    files: u64,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            files: 1024,
        }
    }
}

impl Floor {
    #[cfg(test)]
    pub(crate) fn of(bytes: u64, files: u64) -> Self {
        Self { bytes, files }
    }

    /// Whether so many more bytes and files leave enough free of what there is. Unknown figures do.
    pub(crate) fn bears(self, disk: &StatVfs, bytes: u64, files: u64) -> bool {
        let bears = |free: u64, all: u64, floor: u64, more: u64| {
            more == 0 || all == 0 || free.saturating_sub(more) >= floor.min(all / 100)
        };
        let block = disk.f_frsize;
        let (free, all) = (disk.f_bavail, disk.f_blocks);
        let (free, all) = (free.saturating_mul(block), all.saturating_mul(block));
        bears(free, all, self.bytes, bytes) && bears(disk.f_favail, disk.f_files, self.files, files)
    }
}

impl Quota {
    /// Nothing used yet, of `max_written` bytes and `max_created` files, directories and links.
    pub(crate) fn new(max_written: u64, max_created: u64, recorder: Recorder) -> Self {
        Self {
            counts: Arc::new(Counts {
                written: AtomicU64::new(0),
                created: AtomicU64::new(0),
                max_written,
                max_created,
                floor: Floor::default(),
            }),
            recorder,
        }
    }

    /// With another floor.
    #[cfg(test)]
    pub(crate) fn with_floor(mut self, bytes: u64, files: u64) -> Self {
        if let Some(counts) = Arc::get_mut(&mut self.counts) {
            counts.floor = Floor::of(bytes, files);
        }
        self
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.counts.written.load(Relaxed)
    }

    /// Files, directories and links created so far.
    pub(crate) fn created(&self) -> u64 {
        self.counts.created.load(Relaxed)
    }

    /// Charges `bytes` that are about to be written to `file`. They are charged before, so that not one byte beyond the
    /// limit reaches the disk, and they stay charged when the write fails.
    pub(crate) fn write(&self, file: impl AsFd, bytes: u64) -> Result<(), LimitExceeded> {
        let max = self.counts.max_written;
        charge(&self.counts.written, bytes, max).map_err(|()| {
            self.recorder.exceed(
                ErrorKind::LimitFiles,
                format!("the tool wrote more than {max} bytes to files in one call"),
            )
        })?;
        self.leave_free(file, bytes, 0)
    }

    /// Charges one file, directory or link that is about to be created in `dir`.
    pub(crate) fn create(&self, dir: impl AsFd) -> Result<(), LimitExceeded> {
        let max = self.counts.max_created;
        charge(&self.counts.created, 1, max).map_err(|()| {
            self.recorder.exceed(
                ErrorKind::LimitFiles,
                format!("the tool created more than {max} files and directories in one call"),
            )
        })?;
        self.leave_free(dir, 0, 1)
    }

    /// A disk that tells nothing of itself, as some of the network do, has no floor.
    fn leave_free(&self, place: impl AsFd, bytes: u64, files: u64) -> Result<(), LimitExceeded> {
        let bears = |disk: StatVfs| self.counts.floor.bears(&disk, bytes, files);
        if fstatvfs(place).map_or(true, bears) {
            return Ok(());
        }
        let message = "too little would be left free on the disk that the tool writes to";
        Err(self.recorder.exceed(ErrorKind::LimitFiles, message))
    }

    /// Gives back what `create` charged, because nothing was created.
    pub(crate) fn not_created(&self) {
        self.counts.created.fetch_sub(1, Relaxed);
    }
}

fn charge(count: &AtomicU64, amount: u64, max: u64) -> Result<(), ()> {
    count
        .fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(amount).filter(|sum| *sum <= max)
        })
        .map(drop)
        .map_err(drop)
}

/// How many bytes of nothing a write at `offset` adds to a file before its own bytes. They count as written, or a
/// single byte could make a file of any size.
pub(crate) fn hole_before(file: &File, offset: u64) -> u64 {
    file.metadata()
        .map_or(0, |metadata| offset.saturating_sub(metadata.len()))
}

/// An output stream of which every byte is charged to the call's quota.
pub(crate) struct QuotaStream {
    inner: DynOutputStream,
    quota: Quota,
    file: Arc<File>,
    /// Where the first write goes; gone after it. Absent for a stream that appends.
    start: Option<u64>,
}

impl QuotaStream {
    /// Charges what goes through `inner`, which starts at an offset of a file, or appends to it.
    pub(crate) fn new(
        inner: DynOutputStream,
        quota: Quota,
        file: Arc<File>,
        start: Option<u64>,
    ) -> Self {
        Self {
            inner,
            quota,
            file,
            start,
        }
    }

    fn charge(&mut self, bytes: usize) -> StreamResult<()> {
        if bytes == 0 {
            return Ok(());
        }
        let hole = self
            .start
            .take()
            .map_or(0, |offset| hole_before(&self.file, offset));
        self.quota
            .write(&*self.file, hole.saturating_add(bytes as u64))
            .map_err(|limit| StreamError::Trap(limit.into()))
    }
}

#[async_trait]
impl Pollable for QuotaStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for QuotaStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        self.inner.write_ready().await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
