//! The store on a directory: the contract, and what a directory can do to it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hpc_conformance::keystore::Subject;
use hpc_keystore::{KeyStore as _, KeyStoreError, KeyVersion, SecretPath, SecretVersion};
use hpc_vault::{Argon2Params, FileKeyStore, MasterKey, Unlock, VaultError};
use zeroize::Zeroizing;

hpc_conformance::key_store!(async {
    let home = tempfile::tempdir().unwrap();
    let store = FileKeyStore::create(&home.path().join("vault"), key(1)).await.unwrap();
    Subject { store: Arc::new(store), keep: Box::new(home) }
});

fn key(byte: u8) -> Unlock {
    Unlock::Key(MasterKey::from_bytes(Zeroizing::new([byte; 32])))
}

fn passphrase(text: &str) -> Unlock {
    Unlock::PassphraseAt(Zeroizing::new(text.to_owned()), Argon2Params::FLOOR)
}

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

fn version(number: u64) -> Option<SecretVersion> {
    SecretVersion::new(number)
}

async fn read(store: &FileKeyStore, at: &str) -> Result<Vec<u8>, KeyStoreError> {
    store.open(&path(at), None).await.map(|opened| opened.secret.expose().to_vec())
}

fn record(dir: &Path, at: &str, version: u64) -> PathBuf {
    dir.join("secrets").join(at.replace('/', "+")).join(format!("{version:020}.sealed"))
}

#[tokio::test]
async fn everything_survives_closing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("vault");
    let store = FileKeyStore::open_or_create(&dir, passphrase("correct horse")).await.unwrap();
    store.seal(&path("a/b"), b"one").await.unwrap();
    store.rotate().await.unwrap();
    store.seal(&path("a/b"), b"two").await.unwrap();
    store.seal(&path("gone"), b"x").await.unwrap();
    store.delete(&path("gone")).await.unwrap();
    assert_eq!(FileKeyStore::create(&dir, key(1)).await.map(drop), Err(VaultError::InUse(dir.clone())));
    drop(store);

    assert_eq!(FileKeyStore::create(&dir, key(1)).await.map(drop), Err(VaultError::Exists(dir.clone())));
    let wrong = FileKeyStore::open(&dir, passphrase("wrong horse")).await;
    assert_eq!(wrong.map(drop), Err(VaultError::Store(KeyStoreError::Unreadable)));
    let other_kind = FileKeyStore::open(&dir, key(1)).await;
    assert_eq!(other_kind.map(drop), Err(VaultError::WrongUnlock { expected: "passphrase", given: "key" }));

    let store = FileKeyStore::open_or_create(&dir, passphrase("correct horse")).await.unwrap();
    assert_eq!(read(&store, "a/b").await.unwrap(), b"two");
    let first = store.open(&path("a/b"), version(1)).await.unwrap();
    assert_eq!(first.secret.expose(), b"one");
    assert_eq!(read(&store, "gone").await, Err(KeyStoreError::NotFound(path("gone"))));
    store.restore(&path("gone")).await.unwrap();
    assert_eq!(read(&store, "gone").await.unwrap(), b"x");
    assert_eq!(store.rotate().await.unwrap(), KeyVersion::new(3));
    assert_eq!(store.reencrypt(100).await.unwrap().done, 3);
}

#[tokio::test]
async fn the_passphrase_changes_and_the_secrets_stay() {
    let home = tempfile::tempdir().unwrap();
    let store = FileKeyStore::create(home.path().join("v").as_path(), key(1)).await.unwrap();
    store.seal(&path("a"), b"secret").await.unwrap();
    store.change_unlock(passphrase("new")).await.unwrap();
    store.rotate().await.unwrap();
    drop(store);
    let dir = home.path().join("v");
    let old = FileKeyStore::open(&dir, key(1)).await;
    assert_eq!(old.map(drop), Err(VaultError::WrongUnlock { expected: "passphrase", given: "key" }));
    let store = FileKeyStore::open(&dir, passphrase("new")).await.unwrap();
    assert_eq!(read(&store, "a").await.unwrap(), b"secret");
}

#[tokio::test]
async fn a_record_opens_only_where_it_was_sealed() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    let store = FileKeyStore::create(&dir, key(1)).await.unwrap();
    for at in ["a", "b"] {
        store.seal(&path(at), at.as_bytes()).await.unwrap();
        store.seal(&path(at), b"newer").await.unwrap();
    }
    let swap = |one: PathBuf, two: PathBuf| {
        let (first, second) = (fs::read(&one).unwrap(), fs::read(&two).unwrap());
        fs::write(&one, second).unwrap();
        fs::write(&two, first).unwrap();
    };
    swap(record(&dir, "a", 1), record(&dir, "b", 1));
    for at in ["a", "b"] {
        let opened = store.open(&path(at), version(1)).await;
        assert_eq!(opened.map(drop), Err(KeyStoreError::Unreadable), "moved to another path");
    }
    fs::copy(record(&dir, "a", 2), record(&dir, "a", 1)).unwrap();
    let opened = store.open(&path("a"), version(1)).await;
    assert_eq!(opened.map(drop), Err(KeyStoreError::Unreadable), "a version that poses as another");
    assert_eq!(read(&store, "a").await.unwrap(), b"newer");
}

#[tokio::test]
async fn a_broken_record_harms_only_itself() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    let store = FileKeyStore::create(&dir, key(1)).await.unwrap();
    for at in ["bad", "good"] {
        store.seal(&path(at), b"secret").await.unwrap();
    }
    fs::write(record(&dir, "bad", 1), b"HPC").unwrap();
    drop(store);
    let store = FileKeyStore::open(&dir, key(1)).await.unwrap();
    assert!(matches!(read(&store, "bad").await, Err(KeyStoreError::Record(_))));
    assert_eq!(read(&store, "good").await.unwrap(), b"secret");
    let keys: Vec<_> =
        store.list(None, None, 9).await.unwrap().iter().map(|entry| entry.key_version).collect();
    assert_eq!(keys, [None, Some(KeyVersion::new(1))]);
    store.rotate().await.unwrap();
    assert!(store.reencrypt(9).await.is_err(), "it is reported");
    assert_eq!(
        store.list(Some(&path("good")), None, 1).await.unwrap()[0].key_version,
        Some(KeyVersion::new(2))
    );
    assert_eq!(
        store.seal(&path("bad"), b"again").await.unwrap(),
        version(2).unwrap(),
        "and can be sealed anew"
    );
}

#[tokio::test]
async fn leftovers_of_a_crash_are_cleared() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    let store = FileKeyStore::create(&dir, key(1)).await.unwrap();
    store.seal(&path("a"), b"one").await.unwrap();
    drop(store);
    // Crashed before the rename: of a second version, of a first one, and of the keyring.
    let half = record(&dir, "a", 2).with_extension("sealed.new");
    fs::write(&half, b"half a rec").unwrap();
    fs::create_dir(dir.join("secrets/b")).unwrap();
    fs::set_permissions(dir.join("secrets/b"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.join("keyring.json.new"), b"{").unwrap();
    let store = FileKeyStore::open(&dir, key(1)).await.unwrap();
    assert!(!half.exists());
    assert_eq!(read(&store, "a").await.unwrap(), b"one");
    assert_eq!(read(&store, "b").await, Err(KeyStoreError::NotFound(path("b"))));
    assert_eq!(store.seal(&path("b"), b"x").await, Ok(SecretVersion::FIRST));
    assert_eq!(store.rotate().await, Ok(KeyVersion::new(2)));
}

#[tokio::test]
async fn a_store_that_others_can_enter_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    let store = FileKeyStore::create(&dir, key(1)).await.unwrap();
    store.seal(&path("a"), b"x").await.unwrap();
    drop(store);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for (path, loose) in [
        (dir.clone(), 0o750),
        (dir.join("secrets"), 0o755),
        (dir.join("secrets/a"), 0o701),
        (dir.join("keyring.json"), 0o644),
        (record(&dir, "a", 1), 0o604),
    ] {
        let strict = mode(&path);
        assert_eq!(strict, if path.is_dir() { 0o700 } else { 0o600 }, "{path:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
        assert_eq!(FileKeyStore::open(&dir, key(1)).await.map(drop), Err(VaultError::Mode(path.clone())));
        fs::set_permissions(&path, fs::Permissions::from_mode(strict)).unwrap();
    }
    let (real, link) = (record(&dir, "a", 1), home.path().join("moved"));
    fs::rename(&real, &link).unwrap();
    symlink(&link, &real).unwrap();
    assert_eq!(FileKeyStore::open(&dir, key(1)).await.map(drop), Err(VaultError::Mode(real)));
    let missing = home.path().join("nothing");
    assert_eq!(FileKeyStore::open(&missing, key(1)).await.map(drop), Err(VaultError::Missing(missing)));
}

#[tokio::test]
async fn a_lost_keyring_is_not_made_anew_beside_its_secrets() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    let store = FileKeyStore::open_or_create(&dir, key(1)).await.unwrap();
    store.seal(&path("a"), b"secret").await.unwrap();
    drop(store);
    fs::rename(dir.join("keyring.json"), home.path().join("backup")).unwrap();
    for _ in 0..2 {
        let made = FileKeyStore::open_or_create(&dir, key(1)).await.map(drop);
        assert!(matches!(made, Err(VaultError::Malformed { .. })), "{made:?}");
    }
    fs::rename(home.path().join("backup"), dir.join("keyring.json")).unwrap();
    let store = FileKeyStore::open_or_create(&dir, key(1)).await.unwrap();
    assert_eq!(read(&store, "a").await.unwrap(), b"secret");
}

#[tokio::test]
async fn a_keyring_file_cannot_talk_us_into_anything() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    drop(FileKeyStore::create(&dir, passphrase("p")).await.unwrap());
    let file = dir.join("keyring.json");
    let good = fs::read_to_string(&file).unwrap();
    let open = async |text: String| {
        fs::write(&file, text).unwrap();
        FileKeyStore::open(&dir, passphrase("p")).await.map(drop)
    };
    let memory = |kib: u32| good.replace("\"memory_kib\": 19456", &format!("\"memory_kib\": {kib}"));
    assert!(matches!(open(memory(8)).await, Err(VaultError::Params(_))), "no downgrade below the floor");
    assert!(matches!(open(memory(u32::MAX)).await, Err(VaultError::Params(_))), "no 4 TiB");
    assert_eq!(open(memory(19457)).await, Err(VaultError::Store(KeyStoreError::Unreadable)));
    for bad in [
        String::new(),
        "{}".to_owned(),
        good.replace("\"format\": 1", "\"format\": 2"),
        good.replace("\"format\": 1", "\"format\": 1, \"more\": 1"),
        good.replace("\"sealed\": \"", "\"sealed\": \"x"),
        " ".repeat(300 * 1024),
    ] {
        assert!(matches!(open(bad).await, Err(VaultError::Malformed { .. })));
    }
    assert_eq!(open(good).await, Ok(()));
}

#[tokio::test]
async fn no_secret_is_on_disk_in_the_clear() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    let canary = b"canary-7f3a9c-do-not-leak";
    let store = FileKeyStore::create(&dir, passphrase("canary-passphrase")).await.unwrap();
    store.seal(&path("a"), canary).await.unwrap();
    store.rotate().await.unwrap();
    store.reencrypt(9).await.unwrap();
    let mut folders = vec![dir];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let content = fs::read(entry.path()).unwrap();
            assert!(!content.windows(8).any(|window| &canary[..8] == window), "{:?}", entry.path());
            files += 1;
        }
    }
    assert_eq!(files, 3, "lock, keyring and record");
}
