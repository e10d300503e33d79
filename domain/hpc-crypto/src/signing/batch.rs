use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{PublicKey, Signature};

/// Most threads that verify, the caller's among them.
const THREADS_MAX: usize = 8;
/// Below this many signatures for each, a busy machine gives a thread its turn later than the caller would be done.
const SIGNATURES_WORTH_A_THREAD: usize = 64;
/// Signatures that a thread takes at once.
const SIGNATURES_AT_ONCE: usize = 8;

/// A message, its signature and the key that is said to have made it.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The key.
    pub key: &'a PublicKey,
    /// The message.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a Signature,
}

impl Signed<'_> {
    fn holds(&self) -> bool {
        self.key.verify(self.message, self.signature)
    }
}

/// Checks many signatures, each exactly as [`PublicKey::verify`] does: same verdict, one by one, on several threads.
///
/// From 128 signatures on threads of its own help, up to eight of them; fewer are checked by the caller alone, and so is
/// everything where no thread can be had, as on WebAssembly.
///
/// ```
/// use hpc_crypto::signing::{KeyPair, Signed, verify_batch};
/// let pair = KeyPair::from_seed([7; 32]);
/// let (key, good) = (pair.public_key(), pair.sign(b"one"));
/// let signed = |message| Signed { key: &key, message, signature: &good };
/// assert_eq!(verify_batch(&[signed(b"one"), signed(b"two")]), Err(vec![1]));
/// ```
///
/// # Errors
/// The positions of all signatures that do not hold, rising.
pub fn verify_batch(batch: &[Signed<'_>]) -> Result<(), Vec<usize>> {
    let threads = if cfg!(target_family = "wasm") { 1 } else { batch.len() / SIGNATURES_WORTH_A_THREAD };
    let holds = verdicts(batch, threads.clamp(1, THREADS_MAX));
    let failed: Vec<usize> =
        holds.iter().enumerate().filter(|(_, holds)| !**holds).map(|(position, _)| position).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

fn verdicts(batch: &[Signed<'_>], threads: usize) -> Vec<bool> {
    if threads == 1 {
        return batch.iter().map(Signed::holds).collect();
    }
    // What no thread has come to does not hold.
    let holds: Vec<AtomicBool> = batch.iter().map(|_| AtomicBool::new(false)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let from = next.fetch_add(SIGNATURES_AT_ONCE, Ordering::Relaxed);
            let piece = batch.iter().zip(&holds).skip(from).take(SIGNATURES_AT_ONCE);
            if from >= batch.len() {
                return;
            }
            for (signed, holds) in piece {
                holds.store(signed.holds(), Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that cannot be had is one helper fewer: the caller checks whatever is left.
            let _ = thread::Builder::new().name("verify".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    holds.into_iter().map(AtomicBool::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use super::super::KeyPair;
    use super::*;

    /// `count` signatures by three keys, of which those at `spoilt` do not hold.
    fn check(count: usize, spoilt: &[usize]) {
        let pairs = [1, 2, 3].map(|seed| KeyPair::from_seed([seed; 32]));
        let keys = pairs.each_ref().map(KeyPair::public_key);
        let messages: Vec<Vec<u8>> = (0..count).map(|at| at.to_le_bytes().to_vec()).collect();
        let signatures: Vec<Signature> = (0..count)
            .map(|at| {
                let mut bytes = pairs[at % 3].sign(&messages[at]).to_bytes();
                bytes[at % 64] ^= u8::from(spoilt.contains(&at));
                Signature::from_bytes(bytes)
            })
            .collect();
        let batch: Vec<Signed<'_>> = (0..count)
            .map(|at| Signed { key: &keys[at % 3], message: &messages[at], signature: &signatures[at] })
            .collect();
        let expected = if spoilt.is_empty() { Ok(()) } else { Err(spoilt.to_vec()) };
        assert_eq!(verify_batch(&batch), expected, "{count} signatures");
        for threads in 1..=THREADS_MAX {
            let failed: Vec<usize> = verdicts(&batch, threads)
                .iter()
                .enumerate()
                .filter(|(_, ok)| !**ok)
                .map(|(at, _)| at)
                .collect();
            assert_eq!(failed, spoilt, "{count} signatures, {threads} threads");
        }
    }

    #[test]
    fn every_bad_signature_is_named_however_many_threads_there_are() {
        check(0, &[]);
        check(1, &[]);
        check(1, &[0]);
        for count in [31, 100, 127, 128, 129] {
            check(count, &[]);
            check(count, &[0, 7, 8, 15, 30]);
        }
        check(40, &(0..40).collect::<Vec<_>>());
    }
}
