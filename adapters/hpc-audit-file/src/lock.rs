use std::fs::File;

/// A file whose lock is held until this is dropped.
///
/// The lock is let go of by name, not only by closing: a child process that another thread is just starting shares every
/// open file for a moment, and would keep the lock for as long.
pub(crate) struct Locked(File);

impl Locked {
    /// Takes over a file that is locked.
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by being closed.
        drop(self.0.unlock());
    }
}
