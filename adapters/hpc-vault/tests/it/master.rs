//! Master keys.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use hpc_vault::{Argon2Params, MasterKey, PASSPHRASE_BYTES_MAX, VaultEncryption, VaultError};

const CHEAP: Argon2Params = Argon2Params::FLOOR;

/// Whether two keys are the same, told by what they seal.
fn same(a: MasterKey, b: MasterKey) -> bool {
    let record = VaultEncryption::new(a).encrypt(b"x").unwrap();
    VaultEncryption::new(b).decrypt(&record).is_ok()
}

#[test]
fn passphrase_salt_and_cost_all_matter() {
    let key =
        |passphrase, salt: &[u8], params| MasterKey::from_passphrase_with(passphrase, salt, params).unwrap();
    assert!(same(key("p", b"s", CHEAP), key("p", b"s", CHEAP)));
    assert!(!same(key("p", b"s", CHEAP), key("q", b"s", CHEAP)));
    assert!(!same(key("p", b"s", CHEAP), key("p", b"s\0", CHEAP)));
    let passes = Argon2Params { passes: 3, ..CHEAP };
    assert!(!same(key("p", b"s", CHEAP), key("p", b"s", passes)));
}

#[test]
fn the_floor_and_the_ceiling_hold_before_anything_is_computed() {
    let make = |params| MasterKey::from_passphrase_with("p", b"s", params).map(drop);
    for params in [
        Argon2Params { memory_kib: CHEAP.memory_kib - 1, ..CHEAP },
        Argon2Params { passes: 1, ..CHEAP },
        Argon2Params { lanes: 0, ..CHEAP },
        Argon2Params { memory_kib: u32::MAX, ..CHEAP },
        Argon2Params { passes: u32::MAX, ..CHEAP },
        Argon2Params { lanes: 17, ..CHEAP },
    ] {
        assert_eq!(make(params), Err(VaultError::Params(params)));
    }
    assert_eq!(make(CHEAP), Ok(()));
}

#[test]
fn empty_and_endless_input_is_refused() {
    let make =
        |passphrase: &str, salt: &[u8]| MasterKey::from_passphrase_with(passphrase, salt, CHEAP).map(drop);
    assert_eq!(make("", b"salt"), Err(VaultError::Passphrase));
    assert_eq!(make(&"x".repeat(PASSPHRASE_BYTES_MAX + 1), b"salt"), Err(VaultError::Passphrase));
    assert_eq!(make("p", b""), Err(VaultError::Salt));
}

#[test]
fn a_key_file_is_made_once_and_read_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("master.key");
    assert!(matches!(MasterKey::load(&path), Err(VaultError::File { .. })));
    let first = MasterKey::load_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&path).unwrap().len(), 65);
    assert!(same(first, MasterKey::load_or_create(&path).unwrap()));
    assert!(!same(MasterKey::load(&path).unwrap(), MasterKey::generate().unwrap()));
}

#[test]
fn a_key_file_is_seen_whole_or_not_at_all() {
    for _ in 0..50 {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("master.key");
        // All make it at once: one is first, and none of the others reads a part of it.
        let keys: Vec<MasterKey> = std::thread::scope(|scope| {
            let makers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| MasterKey::load_or_create(&path).unwrap())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        for key in keys {
            assert!(same(key, MasterKey::load(&path).unwrap()));
        }
        let names: Vec<_> =
            fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["master.key"]);
    }
}

#[test]
fn a_key_file_that_others_can_read_or_that_is_no_file_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("master.key");
    MasterKey::load_or_create(&path).unwrap();
    let link = home.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(MasterKey::load(&link).map(drop), Err(VaultError::Mode(link.clone())));
    assert_eq!(MasterKey::load_or_create(&link).map(drop), Err(VaultError::Mode(link)));
    assert_eq!(MasterKey::load(home.path()).map(drop), Err(VaultError::Mode(home.path().to_owned())));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(MasterKey::load(&path).map(drop), Err(VaultError::Mode(path.clone())));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for (content, reason) in [("", "not 64 hexadecimal digits"), ("zz", "not 64 hexadecimal digits")] {
        fs::write(&path, content).unwrap();
        assert_eq!(
            MasterKey::load(&path).map(drop),
            Err(VaultError::Malformed { path: path.clone(), reason })
        );
    }
    fs::write(&path, "0".repeat(300)).unwrap();
    assert!(matches!(MasterKey::load(&path), Err(VaultError::Malformed { .. })));
}
