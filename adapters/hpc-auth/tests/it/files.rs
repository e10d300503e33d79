//! PEM and the folder of an identity.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hpc_auth::files::{CERT_FILE, KEY_FILE, read_identity, write_identity};
use hpc_auth::{AuthError, pem};
use hpc_identity::IdentityError;

use crate::support::{authority, domain, issued};

#[test]
fn an_identity_is_read_as_it_was_written_and_replaced_in_place() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("context");
    let ca = authority("hpc.internal");
    for _ in 0..2 {
        let svid = issued(&ca, "user/ada");
        write_identity(&dir, &svid, &ca.bundle()).unwrap();
        let (read, bundle) = read_identity(&dir).unwrap();
        assert_eq!((read.id(), read.serial()), (svid.id(), svid.serial()));
        assert_eq!(read.private_key_der(), svid.private_key_der());
        assert_eq!(bundle.authorities(), ca.bundle().authorities());
    }
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.clone()), 0o700);
    assert_eq!(mode(dir.join(KEY_FILE)), 0o600);
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ca.pem", "cert.pem", "key.pem"], "nothing is left over");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let ca = authority("hpc.internal");
    write_identity(dir, &issued(&ca, "a"), &ca.bundle()).unwrap();
    let key = dir.join(KEY_FILE);
    for mode in [0o640, 0o604, 0o644, 0o620] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(read_identity(dir).map(drop), Err(AuthError::FileMode { path: key.clone() }));
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(read_identity(dir).is_ok());
    fs::rename(&key, dir.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.join("elsewhere"), &key).unwrap();
    assert_eq!(read_identity(dir).map(drop), Err(AuthError::FileMode { path: key.clone() }));
    fs::remove_file(&key).unwrap();
    assert_eq!(
        read_identity(dir).map(drop),
        Err(AuthError::File { path: key, kind: std::io::ErrorKind::NotFound })
    );
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let ca = authority("hpc.internal");
    write_identity(home.path(), &issued(&ca, "a"), &ca.bundle()).unwrap();
    let other = pem::certificates_to_pem(issued(&ca, "a").cert_chain_der());
    fs::write(home.path().join(CERT_FILE), other).unwrap();
    assert_eq!(
        read_identity(home.path()).map(drop),
        Err(AuthError::Key { reason: "it does not belong to the certificate" })
    );
    let foreign = authority("elsewhere");
    write_identity(home.path(), &issued(&ca, "a"), &foreign.bundle()).unwrap();
    assert!(matches!(
        read_identity(home.path()).map(drop),
        Err(AuthError::Identity(IdentityError::ForeignAuthority { .. }))
    ));
}

#[test]
fn pem_reads_back_and_refuses_what_it_is_not() {
    let ca = authority("hpc.internal");
    let text = pem::certificates_to_pem([ca.cert_der(), ca.cert_der()]);
    assert!(text.lines().all(|line| line.len() <= 64));
    assert_eq!(pem::certificates_from_pem(&text).unwrap(), [ca.cert_der(), ca.cert_der()]);
    let key = ca.key_pem();
    assert_eq!(*pem::private_key_from_pem(&key).unwrap(), ca.key_der());
    let both = format!("{}{text}", *key);
    assert_eq!(pem::certificates_from_pem(&both).unwrap().len(), 2, "other sections are passed over");
    let reason = |reason| Err(AuthError::Pem { reason });
    assert_eq!(pem::certificates_from_pem("").map(drop), reason("no CERTIFICATE section"));
    assert_eq!(pem::certificates_from_pem(&key).map(drop), reason("no CERTIFICATE section"));
    let broken = text.replace("-----END CERTIFICATE-----", "");
    assert_eq!(pem::certificates_from_pem(&broken).map(drop), reason("a malformed section"));
    assert_eq!(pem::private_key_from_pem(&text).map(drop), reason("no PRIVATE KEY section (PKCS#8)"));
    assert_eq!(pem::certificates_from_pem(&" ".repeat(1 << 21)).map(drop), reason("longer than 1 MiB"));
    let many = pem::certificates_to_pem(vec![ca.cert_der(); 65]);
    assert_eq!(pem::certificates_from_pem(&many).map(drop), reason("more than 64 certificates"));
    assert!(pem::bundle_from_pem(domain("other"), &text).is_err());
}
