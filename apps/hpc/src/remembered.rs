//! The newest checkpoint of each log that was checked here: what tells a log that grew from one that went back or shows
//! two histories.
//!
//! ```text
//! <home>/audit/<hash of the log's key>.checkpoint   a signed note
//! <home>/audit/contradiction-<hash>.txt             two checkpoints that cannot be of one history
//! ```
//!
//! Folders have mode 0700, files 0600. A log is known by its key: another log with the same name is another log.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hpc_audit::{ConsistencyProof, SignedCheckpoint, VerifierKey};
use hpc_crypto::CryptoError;
use hpc_crypto::hashing::sha256;
use hpc_crypto::note::NOTE_BYTES_MAX;
use hpc_crypto::witness::{Progress, Remembered, SplitView, Strength, compare, confirm_growth};
use hpc_error::codes::ErrorCode;
use hpc_error::{HpcError, codes};

/// Most logs that are remembered; the checkpoints of further ones are checked and forgotten.
pub(crate) const LOGS_MAX: usize = 1_024;

/// How a checkpoint stands to the one that is remembered of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// None is remembered.
    First,
    /// It is the remembered one.
    Same,
    /// The remembered one, of this size, is its beginning.
    Grown(u64),
    /// It is older than the remembered one, of this size. Nothing is wrong with that in a file of its own age.
    Older(u64),
    /// It is newer than the remembered one, of this size, and nothing there shows that the log only grew.
    Unproved(u64),
}

impl Standing {
    /// One word for JSON.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Same => "same",
            Self::Grown(_) => "grown",
            Self::Older(_) => "older",
            Self::Unproved(_) => "unproved",
        }
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::First => "nothing to compare with yet".to_owned(),
            Self::Same => "the checkpoint that was seen last".to_owned(),
            Self::Grown(from) => format!("only grew since size {from}, seen last"),
            Self::Older(than) => format!("older than size {than}, seen last; not compared with it"),
            Self::Unproved(from) => {
                format!("nothing here shows that it only grew since size {from}, seen last")
            }
        }
    }
}

/// The checkpoints that are remembered in one home.
pub(crate) struct Memory {
    folder: PathBuf,
}

impl Memory {
    pub(crate) fn new(home: &Path) -> Self {
        Self { folder: home.join("audit") }
    }

    /// What is remembered of a log.
    ///
    /// # Errors
    /// `HPC-DAT-0001` for a file that is damaged: to go on as if there were none would be to forget.
    pub(crate) fn read(&self, key: &VerifierKey) -> Result<Option<Remembered>, HpcError> {
        let path = self.path(key);
        let bytes = match read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| unusable(&path, &error))?,
        };
        // The signature is checked again: a file that somebody put there proves nothing against the log.
        let signed = SignedCheckpoint::open(&bytes, key).map_err(|error| {
            let message = format!("the remembered checkpoint in `{}` is damaged: {error}", path.display());
            HpcError::coded(&codes::DAT_CORRUPT, message).with("path", path.display())
        })?;
        Ok(Some(Remembered::from(&signed)))
    }

    /// Holds a checked checkpoint against what is remembered, with the proof that came along, and remembers it if it is
    /// newer and shown to go on from there. `live` is what a log says now: it may not be older.
    ///
    /// # Errors
    /// `HPC-AUD-0005` and `-0006` when the log went back or shows two histories, with both checkpoints in a file.
    pub(crate) fn hold(
        &self,
        key: &VerifierKey,
        seen: &SignedCheckpoint,
        proof: Option<&ConsistencyProof>,
        live: bool,
    ) -> Result<Standing, HpcError> {
        // Where nothing can be written, what is there is still compared with.
        let writes = self.lock()?;
        let write = |seen| if writes.is_some() { self.write(key, seen) } else { Ok(()) };
        let Some(known) = self.read(key)? else {
            write(seen)?;
            return Ok(Standing::First);
        };
        match compare(&known, seen).map_err(|error| bug(&error))? {
            Progress::Same => Ok(Standing::Same),
            Progress::Split(split) => {
                Err(self.contradiction(&codes::AUD_SPLIT_VIEW, Some(&split), &known, seen))
            }
            Progress::RolledBack { .. } if live => {
                Err(self.contradiction(&codes::AUD_ROLLBACK, None, &known, seen))
            }
            Progress::RolledBack { from, .. } => Ok(Standing::Older(from)),
            Progress::Begun => {
                write(seen)?;
                Ok(Standing::Grown(0))
            }
            Progress::Grown { from, .. } => match proof {
                Some(proof) if proof.old_size == from => {
                    if confirm_growth(&known, seen, &proof.hashes).is_ok() {
                        write(seen)?;
                        return Ok(Standing::Grown(from));
                    }
                    let split = SplitView::new(&known, seen, &proof.hashes).ok();
                    let suspected =
                        split.as_ref().is_none_or(|split| split.strength() == Strength::Suspected);
                    if suspected && !live {
                        return Err(wrong_proof("the file", from));
                    }
                    Err(self.contradiction(&codes::AUD_SPLIT_VIEW, split.as_ref(), &known, seen))
                }
                // One from another size says nothing: another client may have seen more in the meantime.
                _ => Ok(Standing::Unproved(from)),
            },
        }
    }

    /// Holds a checked checkpoint against an earlier one that the caller names. Nothing is remembered.
    ///
    /// # Errors
    /// `HPC-AUD-0006` when the log signed two histories, `HPC-AUD-0002` for a proof that does not hold.
    pub(crate) fn compare(
        earlier: &Remembered,
        seen: &SignedCheckpoint,
        proof: Option<&ConsistencyProof>,
        what: &str,
    ) -> Result<Standing, HpcError> {
        match compare(earlier, seen).map_err(|error| bug(&error))? {
            Progress::Same => Ok(Standing::Same),
            Progress::Begun => Ok(Standing::Grown(0)),
            Progress::RolledBack { from, .. } => Ok(Standing::Older(from)),
            Progress::Split(_) => {
                let (before, now) = (earlier.checkpoint(), seen.checkpoint());
                let message = format!(
                    "the log `{}` shows two histories: it signed {} entries with root {} and with root {}",
                    now.origin,
                    now.size,
                    before.root.to_base64(),
                    now.root.to_base64()
                );
                Err(HpcError::coded(&codes::AUD_SPLIT_VIEW, message))
            }
            Progress::Grown { from, .. } => match proof.filter(|proof| proof.old_size == from) {
                None => Ok(Standing::Unproved(from)),
                Some(proof) if confirm_growth(earlier, seen, &proof.hashes).is_ok() => {
                    Ok(Standing::Grown(from))
                }
                Some(_) => Err(wrong_proof(what, from)),
            },
        }
    }

    /// Remembers a checkpoint that was shown in full to go on from the remembered one, if it is newer.
    ///
    /// # Errors
    /// As [`Memory::read`], and what the disk says.
    pub(crate) fn advance(&self, key: &VerifierKey, seen: &SignedCheckpoint) -> Result<(), HpcError> {
        let Some(_lock) = self.lock()? else { return Ok(()) };
        let known = self.read(key)?.map_or(0, |known| known.checkpoint().size);
        if known < seen.checkpoint().size || known == 0 { self.write(key, seen) } else { Ok(()) }
    }

    /// The error about a log that contradicts itself, with the evidence in a file.
    pub(crate) fn contradiction(
        &self,
        code: &'static ErrorCode,
        split: Option<&SplitView>,
        known: &Remembered,
        seen: &SignedCheckpoint,
    ) -> HpcError {
        let (before, now) = (known.checkpoint(), seen.checkpoint());
        let what = if code.code == codes::AUD_ROLLBACK.code { "went back" } else { "shows two histories" };
        let mut message = format!(
            "the log `{}` {what}: it once signed {} entries with root {}, and now {} with root {}",
            now.origin,
            before.size,
            before.root.to_base64(),
            now.size,
            now.root.to_base64()
        );
        // What no growth can explain has a form of its own; a rollback is the two notes as they came.
        let text = split.map_or_else(|| format!("{known}\n{seen}"), ToString::to_string);
        let path = self.folder.join(format!("contradiction-{}.txt", hex(text.as_bytes(), 8)));
        let kept = match create(&path, text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        match kept {
            Ok(()) => message.push_str(&format!("; both checkpoints are in `{}`", path.display())),
            Err(error) => message.push_str(&format!("; `{}` cannot be written: {error}", path.display())),
        }
        HpcError::coded(code, message)
            .with("log", &now.origin)
            .with("remembered_size", before.size)
            .with("size", now.size)
            .with("evidence", path.display())
    }

    fn path(&self, key: &VerifierKey) -> PathBuf {
        self.folder.join(format!("{}.checkpoint", hex(key.to_string().as_bytes(), 16)))
    }

    /// Two clients at once must not put an older checkpoint over a newer one. `None` where this user may not write.
    fn lock(&self) -> Result<Option<File>, HpcError> {
        let path = self.folder.join("lock");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).and_then(|()| {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        });
        match made {
            Ok(file) => Ok(Some(file)),
            Err(error)
                if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
            {
                Ok(None)
            }
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    fn write(&self, key: &VerifierKey, seen: &SignedCheckpoint) -> Result<(), HpcError> {
        let path = self.path(key);
        let failed = |error: std::io::Error| unusable(&path, &error);
        if !path.exists() && fs::read_dir(&self.folder).map_err(failed)?.count() > LOGS_MAX {
            return Ok(());
        }
        // Under the lock nobody else writes here.
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        create(&new, seen.to_string().as_bytes())
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(failed)
    }
}

/// A proof that does not hold may have been changed on its way; it is not yet a second history.
fn wrong_proof(what: &str, from: u64) -> HpcError {
    let message = format!(
        "the consistency proof in {what} does not lead on from size {from}: it was changed, or the log shows two \
         histories; ask its daemon: hpc audit checkpoint"
    );
    HpcError::coded(&codes::AUD_VERIFICATION_FAILED, message)
}

fn create(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hex(bytes: &[u8], length: usize) -> String {
    sha256(bytes).as_bytes().iter().take(length).map(|byte| format!("{byte:02x}")).collect()
}

fn unusable(path: &Path, error: &std::io::Error) -> HpcError {
    let message = format!("`{}` cannot be used: {error}", path.display());
    HpcError::coded(&codes::USG_FILE_PERMISSION, message).with("path", path.display())
}

fn bug(error: &CryptoError) -> HpcError {
    HpcError::coded(&codes::INT_BUG, format!("a remembered checkpoint is of another log: {error}"))
}

#[cfg(test)]
mod tests {
    use hpc_crypto::checkpoint::Checkpoint;
    use hpc_crypto::merkle::{MerkleTree, Profile};
    use hpc_crypto::note::NoteSigner;
    use hpc_crypto::signing::KeyPair;

    use super::*;

    struct Log {
        signer: NoteSigner,
        tree: MerkleTree,
    }

    impl Log {
        fn new(count: usize, story: &str) -> Self {
            let signer = NoteSigner::new("log.example", KeyPair::from_seed([7; 32])).unwrap();
            let mut tree = MerkleTree::new(Profile::Rfc6962Sha256);
            for n in 0..count {
                tree.append(format!("{} {n}", if n < 3 { "same" } else { story }).as_bytes()).unwrap();
            }
            Self { signer, tree }
        }

        fn key(&self) -> VerifierKey {
            self.signer.verifier_key().clone()
        }

        fn signed(&self) -> SignedCheckpoint {
            let origin = "log.example".to_owned();
            let (size, root) = (self.tree.len(), self.tree.root());
            Checkpoint { origin, size, root, extensions: Vec::new() }.sign(&self.signer).unwrap()
        }

        fn since(&self, old: u64) -> ConsistencyProof {
            self.tree.prove_consistency(old, self.tree.len()).unwrap()
        }
    }

    fn evidence(error: &HpcError) -> String {
        let text = error.to_string();
        let path = text.split("checkpoints are in `").nth(1).unwrap().split('`').next().unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_log_that_grows_is_followed_and_one_that_does_not_is_found_out() {
        let home = tempfile::tempdir().unwrap();
        let memory = Memory::new(home.path());
        let hold = |log: &Log, proof: Option<&ConsistencyProof>, live| {
            memory.hold(&log.key(), &log.signed(), proof, live)
        };
        let (three, five, nine) = (Log::new(3, "true"), Log::new(5, "true"), Log::new(9, "true"));
        assert_eq!(hold(&three, None, true), Ok(Standing::First));
        assert_eq!(hold(&three, None, true), Ok(Standing::Same));
        assert_eq!(hold(&nine, None, false), Ok(Standing::Unproved(3)));
        assert_eq!(
            memory.read(&nine.key()).unwrap().unwrap().checkpoint().size,
            3,
            "not shown, not remembered"
        );
        assert_eq!(hold(&five, Some(&five.since(3)), true), Ok(Standing::Grown(3)));
        assert_eq!(hold(&nine, Some(&nine.since(4)), true), Ok(Standing::Unproved(5)), "from another size");
        assert_eq!(hold(&nine, Some(&nine.since(5)), true), Ok(Standing::Grown(5)));
        // A file of its own age may be older, a log may not.
        assert_eq!(hold(&five, None, false), Ok(Standing::Older(9)));
        let error = hold(&five, None, true).unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-AUD-0005"));
        assert_eq!(evidence(&error), format!("{}\n{}", nine.signed(), five.signed()));

        let other = Log::new(9, "other");
        for live in [true, false] {
            let error = hold(&other, None, live).unwrap_err();
            assert_eq!(error.code_text(), Some("HPC-AUD-0006"));
            let split = SplitView::parse(evidence(&error).as_bytes()).unwrap();
            split.verify(&[other.key()]).unwrap();
        }
        let longer = Log::new(12, "other");
        let error = hold(&longer, Some(&longer.since(9)), false).unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-AUD-0006"), "its own proof convicts it");
        let mut wrong = Log::new(12, "true").since(9);
        wrong.hashes.reverse();
        let error = hold(&Log::new(12, "true"), Some(&wrong), false).unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-AUD-0002"), "a changed file is not yet a second history");
        let error = hold(&longer, Some(&longer.since(9)), true).unwrap_err();
        assert_eq!(error.code_text(), Some("HPC-AUD-0006"));
        assert_eq!(memory.read(&nine.key()).unwrap().unwrap().checkpoint(), nine.signed().checkpoint());
    }

    #[test]
    fn files_are_for_their_owner_and_damage_is_not_forgotten() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let memory = Memory::new(home.path());
        let log = Log::new(3, "true");
        memory.hold(&log.key(), &log.signed(), None, true).unwrap();
        let path = memory.path(&log.key());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&memory.folder)), (0o600, 0o700));
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [text.replace("\n3\n", "\n2\n"), text[..20].to_owned(), String::new()] {
            fs::write(&path, damaged).unwrap();
            let error = memory.hold(&log.key(), &log.signed(), None, true).unwrap_err();
            assert_eq!(error.code_text(), Some("HPC-DAT-0001"), "{error}");
        }
    }

    #[test]
    fn two_clients_at_once_remember_the_newest() {
        let home = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(6);
        let logs: Vec<Log> = (3..9).map(|size| Log::new(size, "true")).collect();
        Memory::new(home.path()).hold(&logs[0].key(), &logs[0].signed(), None, true).unwrap();
        std::thread::scope(|scope| {
            for log in &logs {
                let (start, home) = (&start, home.path());
                scope.spawn(move || {
                    start.wait();
                    // Whatever another has got to meanwhile: no alarm, and no older one in its place.
                    for old in 3..=log.tree.len() {
                        Memory::new(home)
                            .hold(&log.key(), &log.signed(), Some(&log.since(old)), false)
                            .unwrap();
                    }
                });
            }
        });
        let found = Memory::new(home.path()).read(&logs[0].key()).unwrap().unwrap();
        assert_eq!(found.checkpoint().size, 8);
    }
}
