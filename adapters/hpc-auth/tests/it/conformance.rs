//! The contract of the identity port.

use std::sync::Arc;

use hpc_auth::AuthError;
use hpc_auth::source::{RotatingIdentity, StaticIdentity};
use hpc_conformance::identity::Subject;
use hpc_identity::{IdentityError, IdentitySource as _};

use crate::support::{authority, domain, issued};

hpc_conformance::identity_source!(async {
    let ca = authority("hpc.internal");
    let source = RotatingIdentity::new(issued(&ca, "service/a"), [ca.bundle()]).unwrap();
    let rotating = source.clone();
    let rotate = move || rotating.rotate(issued(&ca, "service/a")).unwrap();
    Subject { source: Arc::new(source), rotate: Box::new(rotate) }
});

#[tokio::test]
async fn a_static_identity_never_changes() {
    let ca = authority("hpc.internal");
    let source = StaticIdentity::new(issued(&ca, "service/a"), [ca.bundle()]).unwrap();
    assert_eq!(source.svid().await.unwrap().id().path(), "/service/a");
    assert_eq!(source.bundle(ca.trust_domain()).await.unwrap().authorities(), [ca.cert_der()]);
    let nobody = domain("nobody.invalid");
    assert_eq!(source.bundle(&nobody).await, Err(IdentityError::UnknownTrustDomain(nobody)));
    assert_eq!(source.changed(0).await, source.generation());
    let wait = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(wait, source.changed(source.generation())).await.is_err());
}

#[test]
fn an_identity_comes_with_the_bundle_of_its_domain() {
    let (ca, other) = (authority("a.example"), authority("b.example"));
    let unknown = AuthError::Identity(IdentityError::UnknownTrustDomain(domain("a.example")));
    assert_eq!(RotatingIdentity::new(issued(&ca, "x"), [other.bundle()]).map(drop), Err(unknown.clone()));
    let source = RotatingIdentity::new(issued(&other, "x"), [other.bundle()]).unwrap();
    assert_eq!(source.rotate(issued(&ca, "x")), Err(unknown));
    assert_eq!(source.generation(), 1, "a refused change is no change");
}

#[test]
fn an_older_bundle_does_not_replace_a_newer_one() {
    let ca = authority("a.example");
    let source = RotatingIdentity::new(issued(&ca, "x"), [ca.bundle().with_sequence(7)]).unwrap();
    assert_eq!(
        source.set_bundle(ca.bundle().with_sequence(6)),
        Err(AuthError::StaleBundle { trust_domain: domain("a.example"), current: 7, offered: 6 })
    );
    assert_eq!(source.set_bundle(ca.bundle().with_sequence(7)), Ok(()));
}
