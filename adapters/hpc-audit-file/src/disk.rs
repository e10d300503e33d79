//! Every change to the folder goes through here, one step after the other, so that tests can stop at any of them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

pub(crate) const LOCK: &str = "lock";
pub(crate) const VKEY: &str = "log.vkey";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const TAIL: &str = "tail";
/// A file that is being written; it gets its name when it is whole.
pub(crate) const UNFINISHED: &str = ".tmp";
/// What a long file is written in.
const STREAM_BUFFER_BYTES: usize = 1 << 18;

pub(crate) struct Disk {
    root: PathBuf,
    #[cfg(test)]
    pub(crate) faults: std::sync::Arc<crate::crashes::Faults>,
}

impl Disk {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            #[cfg(test)]
            faults: std::sync::Arc::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes whole files, each of which appears at once or not at all, and makes them and their names durable.
    pub(crate) fn replace(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for (name, bytes) in files {
            let path = self.path(name);
            let folder = path.parent().unwrap_or(&self.root);
            self.create_folders(folder, &mut folders)?;
            self.prepare(name, bytes)?;
            self.step()?;
            fs::rename(self.path(&format!("{name}{UNFINISHED}")), &path)?;
            folders.insert(folder.to_owned());
        }
        for folder in folders {
            self.step()?;
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Writes a whole file beside its name. When this fails nothing has changed; [`Disk::put_in_place`] comes next.
    pub(crate) fn prepare(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.path(&format!("{name}{UNFINISHED}"));
        self.write_whole(&unfinished, bytes).inspect_err(|_| {
            // The space is free again when this works; the next opening cleans up when it does not.
            let _ = self.step().and_then(|()| fs::remove_file(&unfinished));
        })
    }

    /// Gives a prepared file of the folder itself its name. When this fails it is not known which file has the name.
    pub(crate) fn put_in_place(&self, name: &str) -> io::Result<()> {
        self.step()?;
        fs::rename(self.path(&format!("{name}{UNFINISHED}")), self.path(name))?;
        self.step()?;
        File::open(&self.root)?.sync_all()
    }

    /// Writes a long file piece by piece. It appears at once or not at all, and it and its name are durable.
    pub(crate) fn stream(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.root);
        let mut folders = BTreeSet::from([folder.to_owned()]);
        self.create_folders(folder, &mut folders)?;
        let unfinished = self.path(&format!("{name}{UNFINISHED}"));
        let written = self.step().and_then(|()| File::create(&unfinished)).and_then(|file| {
            let mut out = BufWriter::with_capacity(STREAM_BUFFER_BYTES, file);
            fill(&mut out)?;
            let file = out.into_inner().map_err(IntoInnerError::into_error)?;
            self.step()?;
            file.sync_all()
        });
        if let Err(error) = written {
            // The space is free again when this works; the next opening cleans up when it does not.
            let _ = self.step().and_then(|()| fs::remove_file(&unfinished));
            return Err(error);
        }
        self.step()?;
        fs::rename(&unfinished, &path)?;
        for folder in folders {
            self.step()?;
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut file = File::create(path)?;
        if let Err(error) = self.step() {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            let _ = file.write_all(half);
            return Err(error);
        }
        file.write_all(bytes)?;
        self.step()?;
        file.sync_all()
    }

    /// Makes missing folders, and notes each folder whose list of names has changed.
    fn create_folders(&self, folder: &Path, changed: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            self.step()?;
            fs::create_dir(folder)?;
            changed.extend(folder.parent().map(Path::to_owned));
        }
        Ok(())
    }

    /// Opens the tail for writing behind what is in it.
    pub(crate) fn open_tail(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(TAIL))
    }

    /// Writes to the tail; durable only after [`Disk::sync`].
    pub(crate) fn write(&self, tail: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.step() {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            let _ = tail.write_all_at(half, offset);
            return Err(error);
        }
        tail.write_all_at(bytes, offset)
    }

    pub(crate) fn sync(&self, tail: &File) -> io::Result<()> {
        self.step()?;
        tail.sync_data()
    }

    pub(crate) fn truncate(&self, tail: &File, bytes: u64) -> io::Result<()> {
        self.step()?;
        tail.set_len(bytes)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?;
        fs::remove_file(self.path(name))
    }

    /// Removes a folder of partial tiles; that there is none is fine.
    pub(crate) fn remove_partials(&self, tile: &str) -> io::Result<()> {
        let folder = self.path(&format!("{tile}.p"));
        if !folder.exists() {
            return Ok(());
        }
        self.step()?;
        fs::remove_dir_all(folder)
    }

    #[cfg(not(test))]
    const fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        self.faults.step()
    }
}
