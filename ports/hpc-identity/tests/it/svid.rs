//! Identity documents and bundles.

use std::time::Duration;

use hpc_identity::{IdentityError, LintError, TrustBundle, TrustDomain, X509Svid};
use rcgen::KeyPair;
use zeroize::Zeroizing;

use crate::lint::{authority, der, leaf};

fn domain(name: &str) -> TrustDomain {
    TrustDomain::parse(name).unwrap()
}

#[test]
fn debug_shows_no_key() {
    let key = KeyPair::generate().unwrap();
    let key_der = key.serialize_der();
    let certificate = leaf().self_signed(&key).unwrap();
    let svid = X509Svid::from_der(vec![certificate.der().to_vec()], Zeroizing::new(key_der.clone())).unwrap();
    let text = format!("{svid:?} {svid:#?}");
    assert!(text.contains("spiffe://hpc.internal/service/a"));
    assert!(!text.contains(&format!("{key_der:?}")) && !text.contains("key"), "{text}");
    assert_eq!(svid.private_key_der(), key_der);
    assert_eq!(svid.serial_hex().len(), svid.serial().len() * 2);
    assert!(svid.is_valid_at(svid.not_before()) && !svid.is_valid_at(svid.not_after()));
}

#[test]
fn chains_and_keys_have_limits() {
    let certificate = der(leaf());
    let made = |chain, key: usize| X509Svid::from_der(chain, Zeroizing::new(vec![1; key])).map(|_| ());
    assert_eq!(made(vec![], 1), Err(IdentityError::ChainLength { certificates: 0 }));
    assert_eq!(made(vec![certificate.clone(); 9], 1), Err(IdentityError::ChainLength { certificates: 9 }));
    assert_eq!(made(vec![certificate.clone(); 8], 1), Ok(()));
    assert_eq!(made(vec![certificate.clone()], 0), Err(IdentityError::PrivateKeyLength));
    assert_eq!(made(vec![certificate], 16 * 1024 + 1), Err(IdentityError::PrivateKeyLength));
}

#[test]
fn a_bundle_holds_only_its_own_authorities() {
    let own = der(authority(Some("spiffe://a")));
    let nameless = der(authority(None));
    let bundle = TrustBundle::new(domain("a"), vec![own.clone(), nameless]).unwrap();
    assert_eq!(bundle.authorities().len(), 2);
    let bundle = bundle.with_sequence(7).with_refresh_hint(Duration::from_secs(300));
    assert_eq!((bundle.sequence(), bundle.refresh_hint()), (7, Some(Duration::from_secs(300))));
    assert_eq!(
        TrustBundle::new(domain("b"), vec![own.clone()]),
        Err(IdentityError::ForeignAuthority { expected: domain("b"), found: domain("a") })
    );
    assert_eq!(
        TrustBundle::new(domain("hpc.internal"), vec![der(leaf())]),
        Err(IdentityError::Lint(LintError::NotAuthority))
    );
    assert_eq!(
        TrustBundle::new(domain("a"), vec![own; 65]),
        Err(IdentityError::TooManyAuthorities { authorities: 65 })
    );
    assert!(TrustBundle::new(domain("a"), vec![]).unwrap().authorities().is_empty());
}
