//! A foreign TLS implementation at the other end.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hpc_auth::files::write_identity;
use hpc_auth::peer_spiffe_id;
use hpc_auth::server::create_server_config_with_client_auth;
use rustls::{ServerConnection, Stream};

use crate::support::{At, authority, issued, noon};

fn openssl() -> bool {
    let found = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: there is no `openssl` program here");
    }
    found
}

#[test]
fn openssl_connects_with_our_certificate_and_is_refused_without() {
    if !openssl() {
        return;
    }
    let ca = authority("hpc.internal");
    let home = tempfile::tempdir().unwrap();
    write_identity(home.path(), &issued(&ca, "user/ada"), &ca.bundle()).unwrap();
    let mut config = create_server_config_with_client_auth(&issued(&ca, "service/a"), &ca).unwrap();
    config.time_provider = Arc::new(At(noon()));
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();

    for with_certificate in [true, false] {
        let mut command = Command::new("openssl");
        command.current_dir(home.path()).args([
            "s_client",
            "-quiet",
            "-verify_quiet",
            "-verify_return_error",
        ]);
        // The moment at which the certificates were made, so that the test is right in any year.
        command.args(["-attime", &noon().as_second().to_string(), "-CAfile", "ca.pem"]);
        command.args(["-connect", &format!("127.0.0.1:{port}")]);
        if with_certificate {
            command.args(["-cert", "cert.pem", "-key", "key.pem"]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
        let (mut tcp, _) = listener.accept().unwrap();
        let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut read = [0; 6];
        let outcome = Stream::new(&mut tls, &mut tcp).read_exact(&mut read);
        if with_certificate {
            outcome.unwrap();
            assert_eq!(&read, b"hello\n");
            assert_eq!(peer_spiffe_id(tls.peer_certificates().unwrap()).unwrap().path(), "/user/ada");
        } else {
            assert!(outcome.unwrap_err().to_string().contains("no certificates"));
        }
        drop(tcp);
        drop(child.stdin.take());
        let _ = child.kill();
        child.wait().unwrap();
    }
}

#[test]
fn openssl_verifies_our_chain() {
    if !openssl() {
        return;
    }
    let ca = authority("hpc.internal");
    let home = tempfile::tempdir().unwrap();
    write_identity(home.path(), &issued(&ca, "user/ada"), &ca.bundle()).unwrap();
    let verify = |extra: &[&str]| {
        let at = noon().as_second().to_string();
        let arguments = ["verify", "-x509_strict", "-attime", &at, "-CAfile", "ca.pem"];
        let output =
            Command::new("openssl").current_dir(home.path()).args(arguments).args(extra).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    verify(&["-purpose", "sslclient", "cert.pem"]);
    verify(&["-purpose", "sslserver", "cert.pem"]);
}
