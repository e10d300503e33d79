//! Paths and versions.

use hpc_keystore::{KeyStoreError, SecretPath, SecretVersion};

#[test]
fn paths() {
    for good in ["a", "provider/aws/token", "A.b_c-9/..x", &"a".repeat(200)] {
        assert_eq!(SecretPath::parse(good).unwrap().as_str(), good);
    }
    for bad in
        ["", "/", "/a", "a/", "a//b", ".", "a/..", "../a", "a b", "a\0", "ä", "a+b", "a\\b", &"a".repeat(201)]
    {
        assert_eq!(SecretPath::parse(bad), Err(KeyStoreError::Path), "{bad:?}");
    }
    assert!(serde_json::from_str::<SecretPath>("\"../a\"").is_err());
    assert_eq!(serde_json::from_str::<SecretPath>("\"a/b\"").unwrap().to_string(), "a/b");
}

#[test]
fn below_means_by_whole_segments() {
    let path = |text| SecretPath::parse(text).unwrap();
    assert!(path("a/b").is_under(&path("a")));
    assert!(path("a").is_under(&path("a")));
    assert!(!path("ab").is_under(&path("a")));
    assert!(!path("a").is_under(&path("a/b")));
}

#[test]
fn versions_start_at_one_and_end() {
    assert_eq!(SecretVersion::new(0), None);
    assert_eq!(SecretVersion::FIRST.get(), 1);
    assert_eq!(SecretVersion::FIRST.next(), SecretVersion::new(2));
    assert_eq!(SecretVersion::new(u64::MAX).unwrap().next(), None);
    assert!(serde_json::from_str::<SecretVersion>("0").is_err());
}
