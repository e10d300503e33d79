//! How much work reasoning may take.

use std::cell::Cell;

/// Work that may still be done. Whoever finds it spent answers "maybe", so a cut never makes a claim.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<u64>,
    cut: Cell<bool>,
}

impl Budget {
    pub(crate) fn new(steps: u64) -> Self {
        Self { left: Cell::new(steps), cut: Cell::new(false) }
    }

    /// Takes `steps`; false if there are not as many.
    pub(crate) fn take(&self, steps: u64) -> bool {
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                true
            }
            None => {
                self.left.set(0);
                self.note_cut();
                false
            }
        }
    }

    /// How many are left.
    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }

    /// Something was left out that might have been a proof.
    pub(crate) fn note_cut(&self) {
        self.cut.set(true);
    }

    /// Whether anything was left out.
    pub(crate) fn was_cut(&self) -> bool {
        self.cut.get()
    }
}
