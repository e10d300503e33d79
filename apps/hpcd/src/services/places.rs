//! Places for streams that stay open: so many in all, and so many of one caller, that nobody takes those of the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpc_broker::Caller;
use hpc_error::{HpcError, codes};

/// Places, taken by whoever opens a stream and given back when it ends.
#[derive(Clone)]
pub(super) struct Places {
    /// What is held, in the plural, for the message.
    what: &'static str,
    all: usize,
    each: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Of those who hold any.
    by: BTreeMap<String, usize>,
}

/// One place; it is free again when this is dropped.
pub(super) struct Place {
    who: String,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// `all` places, of which one caller may hold `each`.
    pub(super) fn new(what: &'static str, all: usize, each: usize) -> Self {
        Self { what, all, each, taken: Arc::default() }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `HPC-NET-0006` when the caller has as many as one may have, or all are taken.
    pub(super) fn take(&self, caller: &Caller) -> Result<Place, HpcError> {
        let mut taken = locked(&self.taken);
        let own = taken.by.get(&caller.name).copied().unwrap_or_default();
        let full = |message| HpcError::coded(&codes::NET_OVERLOADED, message);
        if own >= self.each {
            return Err(full(format!(
                "you have {own} {} open already, as many as one may; end one",
                self.what
            )));
        }
        if taken.all >= self.all {
            return Err(full(format!("{} {} are open already, over all callers", taken.all, self.what)));
        }
        taken.all += 1;
        taken.by.insert(caller.name.clone(), own + 1);
        Ok(Place { who: caller.name.clone(), taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = locked(&self.taken);
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by.get(&self.who).copied().unwrap_or_default().saturating_sub(1);
        match left {
            0 => drop(taken.by.remove(&self.who)),
            left => drop(taken.by.insert(self.who.clone(), left)),
        }
    }
}

/// Numbers stay numbers whoever panicked while holding them.
fn locked(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people;

    fn caller(name: &str) -> Caller {
        people::caller(&hpc_identity::SpiffeId::parse(&format!("spiffe://hpc.internal/user/{name}")).unwrap())
            .unwrap()
    }

    #[test]
    fn one_caller_has_so_many_all_have_so_many_and_what_ends_is_free() {
        let places = Places::new("streams", 3, 2);
        let (you, lead) = (caller("you"), caller("lead"));
        let first = places.take(&you).unwrap();
        let _second = places.take(&you).unwrap();
        let refused = places.take(&you).err().unwrap();
        assert_eq!(refused.registered(), Some(&codes::NET_OVERLOADED));
        assert!(refused.to_string().contains("you have 2 streams open"), "{refused}");
        let third = places.take(&lead).unwrap();
        let refused = places.take(&lead).err().unwrap();
        assert!(refused.to_string().contains("3 streams are open"), "{refused}");
        drop(first);
        let _fourth = places.take(&you).unwrap();
        drop(third);
        assert_eq!(locked(&places.taken).by.len(), 1, "who holds none is forgotten");
    }
}
