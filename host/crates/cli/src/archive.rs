//! Archived runs: a directory for each, with its transcript and the audit records of its calls, both compressed, and a
//! manifest with digests of both.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use toolcell::{
    ErrorKind, Redaction,
    audit::{self, AuditRecord},
};
use toolcell_agent::transcript::Summary;

use crate::{
    dirs,
    failure::{self, Failure},
    files,
    retention::{Kept, is_id, newest_first},
};

const TRANSCRIPT: &str = "transcript.jsonl.gz";
const AUDIT: &str = "audit.jsonl.gz";
const MANIFEST: &str = "manifest.json";
/// The longest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// The longest archived transcript that is read, in bytes after decompression.
const MAX_CONTENT_BYTES: u64 = 1 << 30;

/// Where runs are archived, and what belongs to them.
pub(crate) struct Archive<'a> {
    pub(crate) dir: PathBuf,
    /// The audit log with the records of their calls.
    pub(crate) audit: &'a Path,
    /// What everything passes on its way into the archive.
    pub(crate) redaction: Redaction,
}

/// What an archived run is.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) run: String,
    pub(crate) summary: Value,
    pub(crate) files: Vec<Packed>,
}

/// A file of an archived run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Packed {
    pub(crate) name: String,
    /// Of the file as it lies there.
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Of what is in it.
    pub(crate) content_bytes: u64,
    pub(crate) content_sha256: String,
    /// How many lines that is.
    pub(crate) lines: u64,
}

const FORMAT: u32 = 1;

impl Archive<'_> {
    /// Packs a run, and reads it back. One that was packed before is replaced.
    pub(crate) fn pack(&self, run: &Kept, short: &Summary) -> Result<Manifest, Failure> {
        dirs::create_private(&self.dir)?;
        let failed = |error: &io::Error| Failure::io("archive the run into", &self.dir, error);
        let mine = fs::Permissions::from_mode(0o700);
        let new = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(mine)
            .tempdir_in(&self.dir)
            .map_err(|error| failed(&error))?;
        let manifest = self.write(new.path(), run, short)?;
        verify(new.path(), &manifest)?;
        let place = self.dir.join(&run.id);
        let before = tempfile::Builder::new()
            .prefix(".old-")
            .tempdir_in(&self.dir);
        let before = before.map_err(|error| failed(&error))?;
        let swapped = match fs::rename(&place, before.path().join("run")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::rename(new.path(), &place),
        };
        swapped.map_err(|error| failed(&error))?;
        // It has another name by now, and must not be removed under the old one.
        let _ = new.keep();
        Ok(manifest)
    }

    fn write(&self, dir: &Path, run: &Kept, short: &Summary) -> Result<Manifest, Failure> {
        let failed = |error: &io::Error| Failure::io("archive", &run.path, error);
        let mut transcript = Packing::new(dir, TRANSCRIPT).map_err(|error| failed(&error))?;
        let file = File::open(&run.path).map_err(|error| failed(&error))?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|error| failed(&error))?;
            let line = self.clean(line);
            transcript.line(&line).map_err(|error| failed(&error))?;
        }
        let mut records = Packing::new(dir, AUDIT).map_err(|error| failed(&error))?;
        self.records(short, |line| records.line(line))?;
        let files = [transcript, records].map(Packing::finish);
        let files: io::Result<Vec<Packed>> = files.into_iter().collect();
        let manifest = Manifest {
            format: FORMAT,
            run: run.id.clone(),
            summary: serde_json::to_value(short)
                .map(|mut value| {
                    self.redaction.json(&mut value);
                    value
                })
                .unwrap_or_default(),
            files: files.map_err(|error| failed(&error))?,
        };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| failed(&io::Error::from(error)))?;
        dirs::replace(&dir.join(MANIFEST), &text, 0o600)?;
        Ok(manifest)
    }

    /// A line as it is archived. What cannot be read as JSON was cut off by a kill, and is archived as it is.
    fn clean(&self, line: Vec<u8>) -> Vec<u8> {
        let Ok(mut value) = serde_json::from_slice::<Value>(&line) else {
            return self
                .redaction
                .text(&String::from_utf8_lossy(&line))
                .into_owned()
                .into_bytes();
        };
        if self.redaction.json(&mut value) {
            return value.to_string().into_bytes();
        }
        line
    }

    /// The audit records of a run's calls, as they stand in the log.
    fn records(
        &self,
        short: &Summary,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let ids: HashSet<&str> = short.call_ids.iter().map(String::as_str).collect();
        if ids.is_empty() || !self.audit.exists() {
            return Ok(());
        }
        let entries = audit::read_file(self.audit).map_err(|error| failure::audit(&error))?;
        for entry in entries.flatten() {
            let id = match &entry.record {
                AuditRecord::Decision(decision) => decision.call_id.as_str(),
                AuditRecord::Call(call) => call.call_id.as_str(),
                _ => continue,
            };
            if ids.contains(id) {
                let line = serde_json::to_vec(&entry).map_err(io::Error::from);
                line.and_then(|line| each(&self.clean(line)))
                    .map_err(|error| Failure::io("archive", self.audit, &error))?;
            }
        }
        Ok(())
    }
}

/// A compressed file while it is written.
struct Packing {
    name: &'static str,
    path: PathBuf,
    to: GzEncoder<File>,
    content: Sha256,
    content_bytes: u64,
    lines: u64,
}

impl Packing {
    fn new(dir: &Path, name: &'static str) -> io::Result<Self> {
        let path = dir.join(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self {
            name,
            path,
            to: GzEncoder::new(file, Compression::default()),
            content: Sha256::new(),
            content_bytes: 0,
            lines: 0,
        })
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        for part in [line, b"\n"] {
            self.to.write_all(part)?;
            self.content.update(part);
            self.content_bytes = self.content_bytes.saturating_add(part.len() as u64);
        }
        self.lines = self.lines.saturating_add(1);
        Ok(())
    }

    fn finish(self) -> io::Result<Packed> {
        self.to.finish()?.sync_all()?;
        let packed = digest(File::open(&self.path)?)?;
        Ok(Packed {
            name: self.name.to_owned(),
            bytes: packed.1,
            sha256: packed.0,
            content_bytes: self.content_bytes,
            content_sha256: hex(&self.content.finalize()),
            lines: self.lines,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest and the length of what is read.
fn digest(mut from: impl io::Read) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut bytes: u64 = 0;
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(piece.get(..read).unwrap_or_default());
        bytes = bytes.saturating_add(read as u64);
    }
}

/// Checks that the files of an archived run are what its manifest says.
fn verify(dir: &Path, manifest: &Manifest) -> Result<(), Failure> {
    for packed in &manifest.files {
        let changed = || {
            let message = format!(
                "{} is not what was archived",
                dir.join(&packed.name).display()
            );
            Failure::check(ErrorKind::DigestMismatch, message)
                .help("keep it as evidence, and find out who can write there")
        };
        // Nothing that a manifest names is opened but what belongs to an archived run.
        if packed.name != TRANSCRIPT && packed.name != AUDIT {
            return Err(changed());
        }
        let path = dir.join(&packed.name);
        let open = || File::open(&path).map_err(|error| Failure::io("read", &path, &error));
        let there = digest(open()?).map_err(|error| Failure::io("read", &path, &error))?;
        if there != (packed.sha256.clone(), packed.bytes) {
            return Err(changed());
        }
        let content = GzDecoder::new(open()?).take(MAX_CONTENT_BYTES);
        let content = digest(content).map_err(|_| changed())?;
        if content != (packed.content_sha256.clone(), packed.content_bytes) {
            return Err(changed());
        }
    }
    Ok(())
}

/// The archived runs in a directory, the newest first.
pub(crate) fn list(dir: &Path) -> Result<Vec<Kept>, Failure> {
    let failed = |error: &io::Error| Failure::io("list the archive", dir, error);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(&error))?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(&error))?.path();
        let id = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|id| is_id(id));
        let manifest = path.join(MANIFEST).metadata();
        if let (Some(id), Ok(manifest)) = (id, manifest) {
            let bytes =
                [TRANSCRIPT, AUDIT].map(|name| path.join(name).metadata().map_or(0, |it| it.len()));
            runs.push(Kept {
                id: id.to_owned(),
                bytes: bytes
                    .iter()
                    .fold(manifest.len(), |sum, it| sum.saturating_add(*it)),
                changed: manifest.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                path,
            });
        }
    }
    newest_first(&mut runs);
    Ok(runs)
}

/// The manifest of an archived run.
pub(crate) fn manifest(run: &Kept) -> Result<Manifest, Failure> {
    let path = run.path.join(MANIFEST);
    let text = files::read_text(&path, MAX_MANIFEST_BYTES)
        .map_err(|error| Failure::io("read", &path, &error))?;
    let manifest: Result<Manifest, _> = serde_json::from_str(&text);
    match manifest {
        Ok(manifest) if manifest.format == FORMAT && manifest.run == run.id => Ok(manifest),
        _ => Err(Failure::check(
            ErrorKind::DigestMismatch,
            format!("{} is no manifest of an archived run", path.display()),
        )),
    }
}

/// The transcript of an archived run, after its digests were found right.
pub(crate) fn transcript(run: &Kept) -> Result<impl io::Read + use<>, Failure> {
    verify(&run.path, &manifest(run)?)?;
    let path = run.path.join(TRANSCRIPT);
    let file = File::open(&path).map_err(|error| Failure::io("read", &path, &error))?;
    Ok(GzDecoder::new(file).take(MAX_CONTENT_BYTES))
}
