//! Every change to the folder goes through here, one step after the other, so that tests can stop at any of them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::segment::SECTOR_BYTES;

pub(crate) const LOCK: &str = "lock";
pub(crate) const VKEY: &str = "log.vkey";
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The folder of the tail's files.
pub(crate) const TAIL: &str = "tail";
/// A file that is being written; it gets its name when it is whole.
pub(crate) const UNFINISHED: &str = ".tmp";
/// What a long file is written in.
const STREAM_BUFFER_BYTES: usize = 1 << 18;

/// More files than this that wait to be durable are made so all at once.
const SYNC_EACH_MAX: usize = 32;
/// Zeros are made durable in pieces of this size: who waits for the disk meanwhile waits for one piece, not for all.
const PIECE_BYTES: usize = if cfg!(test) { 1 << 14 } else { 1 << 18 };

/// What has been written and is not durable yet.
#[derive(Default)]
pub(crate) struct Unsynced {
    files: BTreeSet<String>,
    folders: BTreeSet<PathBuf>,
}

/// Makes everything of the file system durable that `root` is on; false where this cannot be done.
#[cfg(target_os = "linux")]
fn sync_file_system(root: &File, step: impl Fn() -> io::Result<()>) -> io::Result<bool> {
    step()?;
    rustix::fs::syncfs(root)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &File, _: impl Fn() -> io::Result<()>) -> io::Result<bool> {
    Ok(false)
}

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
        let mut written = Unsynced::default();
        for (name, bytes) in files {
            self.put(name, bytes, true, &mut written)?;
        }
        self.sync_folders(&written.folders)
    }

    /// Writes a whole file that appears at once, and notes what has to be made durable.
    pub(crate) fn write_later(&self, name: &str, bytes: &[u8], unsynced: &mut Unsynced) -> io::Result<()> {
        self.put(name, bytes, false, unsynced)?;
        unsynced.files.insert(name.to_owned());
        Ok(())
    }

    /// Makes durable what was noted. When this fails, it is not known of any of it whether it is on the disk.
    ///
    /// Many files at once are left to the file system as a whole, which needs a fraction of the writes; `root` is the
    /// log's folder, opened before the first of the files was written, so that it is told of every error.
    pub(crate) fn sync_all(&self, root: &File, unsynced: &Unsynced) -> io::Result<()> {
        if unsynced.files.len() > SYNC_EACH_MAX && sync_file_system(root, || self.step())? {
            return Ok(());
        }
        for name in &unsynced.files {
            self.step()?;
            File::open(self.path(name))?.sync_all()?;
        }
        self.sync_folders(&unsynced.folders)
    }

    fn sync_folders(&self, folders: &BTreeSet<PathBuf>) -> io::Result<()> {
        for folder in folders {
            self.step()?;
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn put(&self, name: &str, bytes: &[u8], sync: bool, changed: &mut Unsynced) -> io::Result<()> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.root);
        self.create_folders(folder, &mut changed.folders)?;
        let unfinished = self.path(&format!("{name}{UNFINISHED}"));
        self.write_whole(&unfinished, bytes, sync).inspect_err(|_| self.clean_up(&unfinished))?;
        self.step_on(name)?;
        fs::rename(&unfinished, &path)?;
        changed.folders.insert(folder.to_owned());
        Ok(())
    }

    /// Makes a file of `file_bytes` bytes: `head` and then zeros, written so that later writes to it change bytes only.
    /// It and its name are durable.
    pub(crate) fn create_zeros(&self, name: &str, head: &[u8], file_bytes: u64) -> io::Result<File> {
        let unfinished = self.path(&format!("{name}{UNFINISHED}"));
        let written = self.write_whole(&unfinished, head, false).and_then(|()| {
            let file = OpenOptions::new().write(true).open(&unfinished)?;
            self.fill_with_zeros(&file, head.len() as u64, file_bytes)
        });
        written.inspect_err(|_| self.clean_up(&unfinished))?;
        self.name_durably(&unfinished, name)?;
        self.open_tail(name)
    }

    /// Takes a file out of the tail, durably, and keeps its space for [`Disk::reuse`]. The next opening removes it.
    pub(crate) fn retire(&self, name: &str) -> io::Result<()> {
        self.step()?;
        fs::rename(self.path(name), self.path(&format!("{name}{UNFINISHED}")))?;
        self.sync_folders(&self.path(name).parent().map(Path::to_owned).into_iter().collect())
    }

    /// What [`Disk::create_zeros`] makes, without a head, out of a retired file of as many bytes: the disk gives out no
    /// new space for it, and takes none back.
    pub(crate) fn reuse(&self, retired: &str, name: &str, file_bytes: u64) -> io::Result<File> {
        let unfinished = self.path(&format!("{retired}{UNFINISHED}"));
        let file = OpenOptions::new().write(true).open(&unfinished)?;
        self.fill_with_zeros(&file, 0, file_bytes)?;
        self.name_durably(&unfinished, name)?;
        self.open_tail(name)
    }

    pub(crate) fn bytes(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(name))?.len())
    }

    /// Removes a retired file for which there is no more use.
    pub(crate) fn remove_retired(&self, retired: &str) -> io::Result<()> {
        self.remove(&format!("{retired}{UNFINISHED}"))
    }

    fn fill_with_zeros(&self, file: &File, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; PIECE_BYTES.min(to.saturating_sub(from) as usize)];
        for at in (from..to).step_by(PIECE_BYTES) {
            self.step()?;
            file.write_all_at(zeros.get(..(to - at) as usize).unwrap_or(&zeros), at)?;
            file.sync_data()?;
        }
        self.step()?;
        file.sync_all()
    }

    fn name_durably(&self, unfinished: &Path, name: &str) -> io::Result<()> {
        let path = self.path(name);
        self.step()?;
        fs::rename(unfinished, &path)?;
        self.sync_folders(&path.parent().map(Path::to_owned).into_iter().collect())
    }

    /// Removes a file and makes that durable.
    pub(crate) fn remove_durably(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        match self.remove(name) {
            // An earlier attempt stopped after this.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        self.sync_folders(&path.parent().map(Path::to_owned).into_iter().collect())
    }

    /// The space is free again when this works; the next opening cleans up when it does not.
    fn clean_up(&self, unfinished: &Path) {
        let _ = self.step().and_then(|()| fs::remove_file(unfinished));
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

    fn write_whole(&self, path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.step()?;
        let mut file = File::create(path)?;
        if let Err(error) = self.step() {
            let _ = file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default());
            return Err(error);
        }
        file.write_all(bytes)?;
        if sync {
            self.step()?;
            file.sync_all()?;
        }
        Ok(())
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

    /// Opens a file of the tail for writing behind what is in it.
    pub(crate) fn open_tail(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(name))
    }

    /// Writes to a file of the tail; durable only after [`Disk::sync`].
    pub(crate) fn write(&self, tail: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.step() {
            // Half of it, as a disk would: sectors are whole or not there.
            let half = bytes.get(..bytes.len() / 2 / SECTOR_BYTES * SECTOR_BYTES).unwrap_or_default();
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

    /// A step that puts the file of this name in place.
    #[cfg(not(test))]
    const fn step_on(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step_on(&self, name: &str) -> io::Result<()> {
        self.faults.step_on(name)
    }
}
