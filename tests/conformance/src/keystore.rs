//! The contract of the `keystore` port, one case per sentence.
//!
//! `hpc_conformance::key_store!(async { Subject })` generates one test per case.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use hpc_keystore::{
    KeyStore, KeyStoreError, LIST_MAX, SECRET_BYTES_MAX, SecretPath, SecretVersion, VERSIONS_KEPT,
};

/// A store under test, empty at first.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn KeyStore>,
    /// Whatever must live as long, such as a temporary directory.
    pub keep: Box<dyn Any + Send>,
}

/// Generates one `#[tokio::test]` per case. `$make` is an expression whose future gives a fresh [`Subject`].
#[macro_export]
macro_rules! key_store {
    ($make:expr) => {
        $crate::key_store!(@cases $make;
            versions_are_counted_from_one
            what_was_sealed_is_visible
            a_secret_above_the_limit_is_refused
            concurrent_seals_get_different_versions
            open_gives_the_newest_or_the_one_named
            only_the_last_versions_are_kept
            what_is_not_there_is_not_found
            list_is_in_order_and_by_whole_segments
            list_is_cut_and_goes_on
            delete_hides_and_succeeds_twice
            restore_shows_again
            sealing_a_deleted_path_goes_on_counting
            rotate_changes_the_key_of_what_comes_after
            reencrypt_comes_to_an_end_and_changes_no_secret
        );
    };
    (@cases $make:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject: $crate::keystore::Subject = $make.await;
                $crate::keystore::$case(subject.store.as_ref()).await;
                drop(subject.keep);
            }
        )+
    };
}

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

fn version(number: u64) -> SecretVersion {
    SecretVersion::new(number).unwrap()
}

async fn opened(
    store: &dyn KeyStore,
    at: &str,
    number: Option<u64>,
) -> Result<(u64, Vec<u8>), KeyStoreError> {
    let opened = store.open(&path(at), number.map(version)).await?;
    Ok((opened.version.get(), opened.secret.expose().to_vec()))
}

async fn listed(
    store: &dyn KeyStore,
    prefix: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let (prefix, after) = (prefix.map(path), after.map(path));
    let entries = store.list(prefix.as_ref(), after.as_ref(), limit).await.unwrap();
    entries.into_iter().map(|entry| entry.path.to_string()).collect()
}

/// `seal` numbers a new version one above the highest that path ever had; the first is 1.
pub async fn versions_are_counted_from_one(store: &dyn KeyStore) {
    for expected in 1..=3 {
        assert_eq!(store.seal(&path("a"), b"x").await, Ok(version(expected)));
    }
    assert_eq!(store.seal(&path("b"), b"x").await, Ok(version(1)), "each path counts for itself");
}

/// What `seal` answered is visible to every later call.
pub async fn what_was_sealed_is_visible(store: &dyn KeyStore) {
    for secret in [&b""[..], b"s", &[0xff; 4096]] {
        store.seal(&path("a/b"), secret).await.unwrap();
        assert_eq!(opened(store, "a/b", None).await.unwrap().1, secret);
    }
}

/// `seal` refuses a secret above the limit and stores nothing.
pub async fn a_secret_above_the_limit_is_refused(store: &dyn KeyStore) {
    let bytes = SECRET_BYTES_MAX + 1;
    assert_eq!(store.seal(&path("a"), &vec![1; bytes]).await, Err(KeyStoreError::TooLarge { bytes }));
    assert_eq!(opened(store, "a", None).await, Err(KeyStoreError::NotFound(path("a"))));
    assert_eq!(store.seal(&path("a"), &vec![1; SECRET_BYTES_MAX]).await, Ok(version(1)));
    assert_eq!(opened(store, "a", None).await.unwrap().1.len(), SECRET_BYTES_MAX);
}

/// Concurrent seals of one path get different versions.
pub async fn concurrent_seals_get_different_versions(store: &dyn KeyStore) {
    let a = path("a");
    let seals = (0..10_u8).map(|n| {
        let a = &a;
        async move { store.seal(a, &[n]).await.unwrap() }
    });
    let versions: BTreeSet<_> = futures_util::future::join_all(seals).await.into_iter().collect();
    assert_eq!(versions, (1..=10).map(version).collect());
}

/// `open` without a version gives the newest, with one exactly that.
pub async fn open_gives_the_newest_or_the_one_named(store: &dyn KeyStore) {
    for secret in [b"one", b"two"] {
        store.seal(&path("a"), secret).await.unwrap();
    }
    assert_eq!(opened(store, "a", None).await, Ok((2, b"two".to_vec())));
    assert_eq!(opened(store, "a", Some(1)).await, Ok((1, b"one".to_vec())));
    assert_eq!(opened(store, "a", Some(2)).await, Ok((2, b"two".to_vec())));
}

/// The last [`VERSIONS_KEPT`] versions are kept.
pub async fn only_the_last_versions_are_kept(store: &dyn KeyStore) {
    let kept = u64::try_from(VERSIONS_KEPT).unwrap();
    for _ in 0..kept + 2 {
        store.seal(&path("a"), b"x").await.unwrap();
    }
    let gone = |number| KeyStoreError::VersionNotFound { path: path("a"), version: version(number) };
    assert_eq!(opened(store, "a", Some(1)).await, Err(gone(1)));
    assert_eq!(opened(store, "a", Some(2)).await, Err(gone(2)));
    for number in [3, kept + 2] {
        assert!(opened(store, "a", Some(number)).await.is_ok());
    }
}

/// `open` of a path that never was is `NotFound`; of a version that is not there, `VersionNotFound`.
pub async fn what_is_not_there_is_not_found(store: &dyn KeyStore) {
    assert_eq!(opened(store, "a", None).await, Err(KeyStoreError::NotFound(path("a"))));
    assert_eq!(opened(store, "a", Some(1)).await, Err(KeyStoreError::NotFound(path("a"))));
    store.seal(&path("a"), b"x").await.unwrap();
    let missing = KeyStoreError::VersionNotFound { path: path("a"), version: version(2) };
    assert_eq!(opened(store, "a", Some(2)).await, Err(missing));
    assert_eq!(store.restore(&path("b")).await, Err(KeyStoreError::NotFound(path("b"))));
}

/// `list` gives the paths at or below a prefix, in order.
pub async fn list_is_in_order_and_by_whole_segments(store: &dyn KeyStore) {
    assert!(listed(store, None, None, 10).await.is_empty());
    for at in ["b", "a/z", "a", "ab", "a/b/c", "a-b", "a.b"] {
        store.seal(&path(at), b"x").await.unwrap();
    }
    store.seal(&path("b"), b"y").await.unwrap();
    assert_eq!(listed(store, None, None, 10).await, ["a", "a-b", "a.b", "a/b/c", "a/z", "ab", "b"]);
    assert_eq!(listed(store, Some("a"), None, 10).await, ["a", "a/b/c", "a/z"]);
    assert!(listed(store, Some("c"), None, 10).await.is_empty());
    let b = store.list(Some(&path("b")), None, 1).await.unwrap();
    assert_eq!(b.first().unwrap().version, version(2), "the newest version is named");
    assert!(b.first().unwrap().key_version.is_some());
}

/// `list` gives at most as many as asked and `LIST_MAX`, after a path.
pub async fn list_is_cut_and_goes_on(store: &dyn KeyStore) {
    for at in ["a", "b", "c"] {
        store.seal(&path(at), b"x").await.unwrap();
    }
    assert_eq!(listed(store, None, None, 2).await, ["a", "b"]);
    assert_eq!(listed(store, None, Some("b"), 2).await, ["c"]);
    assert_eq!(listed(store, None, Some("aa"), 2).await, ["b", "c"], "the path need not exist");
    assert!(listed(store, None, None, 0).await.is_empty());
    assert!(listed(store, None, None, usize::MAX).await.len() <= LIST_MAX);
}

/// `delete` hides a path with all its versions, and succeeds for what is not there.
pub async fn delete_hides_and_succeeds_twice(store: &dyn KeyStore) {
    store.seal(&path("a"), b"x").await.unwrap();
    store.seal(&path("a"), b"y").await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.delete(&path("a")).await, Ok(()));
    }
    assert_eq!(store.delete(&path("never")).await, Ok(()));
    for number in [None, Some(1), Some(2)] {
        assert_eq!(opened(store, "a", number).await, Err(KeyStoreError::NotFound(path("a"))));
    }
    assert!(listed(store, None, None, 10).await.is_empty());
}

/// `restore` shows a deleted path again as it was, and does nothing to one that is not deleted.
pub async fn restore_shows_again(store: &dyn KeyStore) {
    store.seal(&path("a"), b"x").await.unwrap();
    store.seal(&path("a"), b"y").await.unwrap();
    store.delete(&path("a")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.restore(&path("a")).await, Ok(()));
        assert_eq!(opened(store, "a", None).await, Ok((2, b"y".to_vec())));
        assert_eq!(opened(store, "a", Some(1)).await, Ok((1, b"x".to_vec())));
    }
}

/// Sealing a deleted path shows it too, and its numbering goes on.
pub async fn sealing_a_deleted_path_goes_on_counting(store: &dyn KeyStore) {
    store.seal(&path("a"), b"x").await.unwrap();
    store.delete(&path("a")).await.unwrap();
    assert_eq!(store.seal(&path("a"), b"y").await, Ok(version(2)));
    assert_eq!(opened(store, "a", None).await, Ok((2, b"y".to_vec())));
    assert_eq!(listed(store, None, None, 10).await, ["a"]);
}

/// `rotate` makes a new key for everything sealed from then on; everything sealed before still opens.
pub async fn rotate_changes_the_key_of_what_comes_after(store: &dyn KeyStore) {
    store.seal(&path("old"), b"x").await.unwrap();
    let before = store.list(None, None, 1).await.unwrap().first().unwrap().key_version.unwrap();
    let after = store.rotate().await.unwrap();
    assert!(after > before);
    store.seal(&path("new"), b"y").await.unwrap();
    let keys: Vec<_> = store.list(None, None, 9).await.unwrap().into_iter().map(|e| e.key_version).collect();
    assert_eq!(keys, [Some(after), Some(before)], "`new`, then `old`");
    assert_eq!(opened(store, "old", None).await, Ok((1, b"x".to_vec())));
    assert_eq!(opened(store, "new", None).await, Ok((1, b"y".to_vec())));
}

/// `reencrypt` brings records under the current key, at most as many as asked, and says how many remain.
pub async fn reencrypt_comes_to_an_end_and_changes_no_secret(store: &dyn KeyStore) {
    for at in ["a", "b", "gone"] {
        store.seal(&path(at), at.as_bytes()).await.unwrap();
        store.seal(&path(at), b"newer").await.unwrap();
    }
    store.delete(&path("gone")).await.unwrap();
    let current = store.rotate().await.unwrap();
    let mut remaining = 6;
    while remaining > 0 {
        let progress = store.reencrypt(4).await.unwrap();
        assert!((1..=4).contains(&progress.done));
        assert_eq!(progress.done + progress.remaining, remaining);
        remaining = progress.remaining;
    }
    let idle = store.reencrypt(4).await.unwrap();
    assert_eq!((idle.done, idle.remaining), (0, 0));
    store.restore(&path("gone")).await.unwrap();
    for at in ["a", "b", "gone"] {
        assert_eq!(opened(store, at, Some(1)).await, Ok((1, at.as_bytes().to_vec())));
        assert_eq!(opened(store, at, None).await, Ok((2, b"newer".to_vec())));
    }
    for entry in store.list(None, None, 9).await.unwrap() {
        assert_eq!(entry.key_version, Some(current));
    }
}
