//! Documents parsed side by side: the same results in the same order as one after the other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::document::{self, Document};
use crate::error::PolicyError;

/// Most threads that parse, the caller's among them.
const THREADS_MAX: usize = 4;
/// Below this many bytes in all, starting a thread costs more than it saves.
const BYTES_WORTH_A_THREAD: usize = 64 * 1024;

/// Every text parsed, in the order given; each comes with its name.
pub(crate) fn parse_all<N: Sync>(documents: &[(N, &str)]) -> Vec<Result<Document, PolicyError>> {
    let bytes: usize = documents.iter().map(|(_, text)| text.len()).fold(0, usize::saturating_add);
    let threads = THREADS_MAX.min(documents.len()).min(1 + bytes / BYTES_WORTH_A_THREAD);
    if threads <= 1 {
        return documents.iter().map(|(_, text)| document::parse(text)).collect();
    }
    let results: Vec<OnceLock<Result<Document, PolicyError>>> =
        std::iter::repeat_with(OnceLock::new).take(documents.len()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some((_, text)), Some(result)) = (documents.get(number), results.get(number)) else {
                return;
            };
            // Each number is handed out once, so the place is empty.
            let _ = result.set(document::parse(text));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that cannot be had is one helper fewer: the caller parses whatever is left.
            let _ = thread::Builder::new().name("policy-parse".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    results
        .into_iter()
        .zip(documents)
        .map(|(result, (_, text))| result.into_inner().unwrap_or_else(|| document::parse(text)))
        .collect()
}
