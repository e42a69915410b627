//! The host functions of `wasi:filesystem`: check, charge, delegate, record.

use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat};
use wasmtime::component::Resource;
use wasmtime_wasi::{
    FsPerms, OpenMode,
    filesystem::{Descriptor, Dir},
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{
                self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
                DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor,
                HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
            },
        },
    },
};

use super::{
    Access, FilesState, FilesView, MAX_LISTED, Place, Root,
    quota::{QuotaStream, hole_before},
    roots::is_system,
    spot::{Change, SPECIAL, SYSTEM, Spot},
};
use crate::{
    ErrorKind,
    capability::{
        LimitExceeded,
        recorder::PathUse::{Read, Write},
    },
};

impl From<LimitExceeded> for FsError {
    fn from(limit: LimitExceeded) -> Self {
        Self::trap(limit)
    }
}

impl FilesView<'_> {
    /// Closes again what turns out to be special: another process may have exchanged it since it was checked. The same
    /// goes for what a mount inside a granted directory shows of the kernel.
    fn refuse_opened(
        &mut self,
        opened: Resource<Descriptor>,
        access: &Access,
    ) -> FsResult<Resource<Descriptor>> {
        let fault = match self.inner.table.get(&opened)? {
            Descriptor::File(file) if !file.file.metadata()?.is_file() => Some(SPECIAL),
            Descriptor::File(file) => is_system(&file.file)?.then_some(SYSTEM),
            Descriptor::Dir(dir) => is_system(&dir.dir)?.then_some(SYSTEM),
        };
        let Some(fault) = fault else {
            return Ok(opened);
        };
        HostDescriptor::drop(&mut self.inner, opened).map_err(FsError::trap)?;
        Err(self.deny(&[access], fault))
    }

    /// The directory of this call alone, which is made now if it is not there yet, and where the guest sees it.
    fn scratch(&mut self) -> wasmtime::Result<Option<(Dir, String)>> {
        let FilesState {
            roots,
            scratch,
            recorder,
            ..
        } = &mut *self.state;
        let Some((base, held)) = roots.scratch() else {
            return Ok(None);
        };
        let made = match scratch.take() {
            Some(made) => Ok(made),
            None => base.call(),
        };
        let handle = made.and_then(|made| scratch.insert(made).handle());
        let handle = handle.map_err(|error| {
            tracing::warn!(%error, "the scratch directory of a call cannot be made");
            recorder.exceed(ErrorKind::Unavailable, "no scratch directory could be made")
        })?;
        let mode = OpenMode::READ | OpenMode::WRITE;
        let dir = Dir::new(handle, FsPerms::ReadWrite, mode, roots.may_block());
        Ok(Some((dir, held.guest.clone())))
    }

    /// How many names a directory has, unless they are more than `most`. wasmtime-wasi gathers all of them before it
    /// hands out the first, so they are counted before.
    async fn count_names(
        &mut self,
        fd: &Resource<Descriptor>,
        most: usize,
    ) -> FsResult<Option<usize>> {
        let Descriptor::Dir(dir) = self.inner.table.get(fd)? else {
            return Err(ErrorCode::NotDirectory.into());
        };
        let dir = dir.dir.clone();
        let count = move || count_names(&dir, most);
        let counted = if self.state.roots.may_block() {
            count()
        } else {
            let counted = tokio::task::spawn_blocking(count).await;
            counted.map_err(|error| FsError::trap(wasmtime::Error::from(error)))?
        };
        Ok(counted?)
    }

    /// Charges something that is about to be created at a spot.
    fn charge_created(&self, spot: &Spot) -> FsResult<()> {
        if let Descriptor::Dir(dir) = self.inner.table.get(&spot.dir)? {
            self.state.quota.create(&*dir.dir)?;
        }
        Ok(())
    }

    /// Keeps a created thing charged only if it was created.
    fn settle_created<T>(&self, accesses: &[&Access], result: FsResult<T>) -> FsResult<T> {
        if result.is_err() {
            self.state.quota.not_created();
        }
        self.settle(accesses, result)
    }

    fn output_stream(
        &mut self,
        stream: Resource<DynOutputStream>,
        file: Option<Arc<std::fs::File>>,
        start: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        // wasmtime-wasi gives a stream of nothing else.
        let file = file.ok_or(ErrorCode::BadDescriptor)?;
        let inner = self.inner.table.delete(stream)?;
        let quota = self.state.quota.clone();
        let guarded: DynOutputStream = Box::new(QuotaStream::new(inner, quota, file, start));
        Ok(self.inner.table.push(guarded)?)
    }

    fn file(&self, fd: &Resource<Descriptor>) -> FsResult<Option<Arc<std::fs::File>>> {
        Ok(match self.inner.table.get(fd)? {
            Descriptor::File(file) => Some(file.file.clone()),
            Descriptor::Dir(_) => None,
        })
    }
}

fn count_names(dir: &std::fs::File, most: usize) -> std::io::Result<Option<usize>> {
    let mut names = 0;
    // The handle of a granted directory only names it; this one can be read.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(dir, ".", flags, Mode::empty())?;
    for entry in rustix::fs::Dir::new(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names += 1;
        }
        if names > most {
            return Ok(None);
        }
    }
    Ok(Some(names))
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let roots = self.state.roots.clone();
        let mut directories = Vec::new();
        for (root, dir, guest) in roots.directories() {
            let fd = self.inner.table.push(Descriptor::Dir(dir))?;
            let path: Arc<str> = guest.into();
            self.state.places.insert(fd.rep(), Place { root, path });
            directories.push((fd, guest.to_owned()));
        }
        if let Some((dir, guest)) = self.scratch()? {
            let fd = self.inner.table.push(Descriptor::Dir(dir))?;
            let (root, path) = (Root::Scratch, guest.as_str().into());
            self.state.places.insert(fd.rep(), Place { root, path });
            directories.push((fd, guest));
        }
        Ok(directories)
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.filesystem_error_code(error)
    }
}

impl HostDescriptor for FilesView<'_> {
    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        self.access(&fd, Read)?;
        self.inner.read_via_stream(fd, offset)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.access(&fd, Write)?;
        let file = self.file(&fd)?;
        let stream = self.inner.write_via_stream(fd, offset)?;
        self.output_stream(stream, file, Some(offset))
    }

    fn append_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.access(&fd, Write)?;
        let file = self.file(&fd)?;
        let stream = self.inner.append_via_stream(fd)?;
        self.output_stream(stream, file, None)
    }

    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.access(&fd, Read)?;
        self.inner.advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.access(&fd, Read)?;
        self.inner.sync_data(fd).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        // A guest's C library asks this of every directory before it uses any, so it is no attempt at anything. No
        // flag is the truth, and tells the directory apart from one that was granted.
        if self.place(&fd)?.root == Root::Phantom {
            return Ok(DescriptorFlags::empty());
        }
        self.inner.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        if self.place(&fd)?.root == Root::Phantom {
            return Ok(DescriptorType::Directory);
        }
        self.inner.get_type(fd).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let access = self.access(&fd, Write)?;
        if let Some(file) = self.file(&fd)? {
            self.state.quota.write(&*file, hole_before(&file, size))?;
        }
        let result = self.inner.set_size(fd, size).await;
        self.settle(&[&access], result)
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let access = self.access(&fd, Write)?;
        self.judge_open(&fd, &access)?;
        let result = self.inner.set_times(fd, accessed, modified).await;
        self.settle(&[&access], result)
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.access(&fd, Read)?;
        self.inner.read(fd, length, offset).await
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        self.access(&fd, Write)?;
        if let Some(file) = self.file(&fd)? {
            let hole = hole_before(&file, offset);
            let length = bytes.len() as u64;
            self.state
                .quota
                .write(&*file, hole.saturating_add(length))?;
        }
        self.inner.write(fd, bytes, offset).await
    }

    async fn read_directory(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let access = self.access(&fd, Read)?;
        self.state.may_list()?;
        let held: usize = self.state.listings.values().sum();
        let Some(names) = self
            .count_names(&fd, MAX_LISTED.saturating_sub(held))
            .await?
        else {
            let reason =
                format!("the directory and what is being listed have more than {MAX_LISTED} names");
            self.deny(&[&access], &reason);
            return Err(ErrorCode::Overflow.into());
        };
        let result = self.inner.read_directory(fd).await;
        if let Ok(listing) = &result {
            self.state.listings.insert(listing.rep(), names);
        }
        self.settle(&[&access], result)
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.access(&fd, Read)?;
        self.inner.sync(fd).await
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let access = self.access_at(&fd, &path, Write)?;
        let spot = self.spot(&fd, &path, &access, Change::Directory).await?;
        self.charge_created(&spot)?;
        let made = self
            .inner
            .create_directory_at(spot.dir(), spot.name.clone());
        let result = made.await;
        self.leave(spot)?;
        self.settle_created(&[&access], result)
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let access = self.access(&fd, Read)?;
        let result = self.inner.stat(fd).await;
        self.settle(&[&access], result)
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let access = self.access_at(&fd, &path, Read)?;
        let result = self.inner.stat_at(fd, flags, path).await;
        self.settle(&[&access], result)
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let access = self.access_at(&fd, &path, Write)?;
        // wasmtime-wasi opens the file to set its times, and that blocks on a FIFO.
        let (spot, _) = self.end(&fd, flags, path, &access, Change::Content).await?;
        let flags = PathFlags::empty();
        let result = self
            .inner
            .set_times_at(spot.dir(), flags, spot.name.clone(), accessed, modified)
            .await;
        self.leave(spot)?;
        self.settle(&[&access], result)
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        old_path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        // A second name for a file is a way to write to it, so its first name must be writable too.
        let old = self.access_at(&fd, &old_path, Write)?;
        let new = self.access_at(&new_fd, &new_path, Write)?;
        let (from, to) = self
            .both((&fd, &old_path, &old), (&new_fd, &new_path, &new))
            .await?;
        self.charge_created(&to)?;
        let (old_name, new_name) = (from.name.clone(), to.name.clone());
        let result = self
            .inner
            .link_at(from.dir(), flags, old_name, to.dir(), new_name)
            .await;
        self.leave(from)?;
        self.leave(to)?;
        self.settle_created(&[&old, &new], result)
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let writes = flags.contains(DescriptorFlags::WRITE)
            || open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        let used = if writes { Write } else { Read };
        let access = self.access_at(&fd, &path, used)?;
        self.state.may_open()?;
        let change = if writes {
            Change::Content
        } else {
            Change::Nothing
        };
        let (spot, exists) = self.end(&fd, path_flags, path, &access, change).await?;
        let creates = !exists && open_flags.contains(OpenFlags::CREATE);
        if creates {
            self.charge_created(&spot)?;
        }
        let root = access.root;
        // What the path leads to was found out, and links in its place were not.
        let path_flags = PathFlags::empty();
        let result = self
            .inner
            .open_at(spot.dir(), path_flags, spot.name.clone(), open_flags, flags)
            .await;
        self.leave(spot)?;
        if creates && result.is_err() {
            self.state.quota.not_created();
        }
        let opened = self.settle(&[&access], result)?;
        let opened = self.refuse_opened(opened, &access)?;
        let path = access.path.into();
        self.state.places.insert(opened.rep(), Place { root, path });
        Ok(opened)
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let access = self.access_at(&fd, &path, Read)?;
        let result = self.inner.readlink_at(fd, path).await;
        self.settle(&[&access], result)
    }

    async fn remove_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let access = self.access_at(&fd, &path, Write)?;
        let spot = self.spot(&fd, &path, &access, Change::Directory).await?;
        let name = spot.name.clone();
        let result = self.inner.remove_directory_at(spot.dir(), name).await;
        self.leave(spot)?;
        self.settle(&[&access], result)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        old_path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let old = self.access_at(&fd, &old_path, Write)?;
        let new = self.access_at(&new_fd, &new_path, Write)?;
        let (from, to) = self
            .both((&fd, &old_path, &old), (&new_fd, &new_path, &new))
            .await?;
        let (old_name, new_name) = (from.name.clone(), to.name.clone());
        let result = self
            .inner
            .rename_at(from.dir(), old_name, to.dir(), new_name)
            .await;
        self.leave(from)?;
        self.leave(to)?;
        self.settle(&[&old, &new], result)
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        let access = self.access_at(&fd, &path, Write)?;
        let spot = self.spot(&fd, &path, &access, Change::Content).await?;
        self.charge_created(&spot)?;
        let name = spot.name.clone();
        let result = self.inner.symlink_at(spot.dir(), target, name).await;
        self.leave(spot)?;
        self.settle_created(&[&access], result)
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let access = self.access_at(&fd, &path, Write)?;
        let spot = self.spot(&fd, &path, &access, Change::Content).await?;
        let name = spot.name.clone();
        let result = self.inner.unlink_file_at(spot.dir(), name).await;
        self.leave(spot)?;
        self.settle(&[&access], result)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Descriptor>,
        b: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.inner.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let access = self.access(&fd, Read)?;
        let result = self.inner.metadata_hash(fd).await;
        self.settle(&[&access], result)
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let access = self.access_at(&fd, &path, Read)?;
        let result = self.inner.metadata_hash_at(fd, flags, path).await;
        self.settle(&[&access], result)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.state.places.remove(&fd.rep());
        HostDescriptor::drop(&mut self.inner, fd)
    }
}

impl HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.state.listings.remove(&stream.rep());
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}
