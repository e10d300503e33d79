use std::net::TcpListener;

use hpc_rpc_grpc::{GrpcError, GrpcServerBuilder};

#[test]
fn port_zero_becomes_a_port_before_anything_runs() {
    let server = GrpcServerBuilder::insecure_plaintext_for_tests("127.0.0.1:0").build().unwrap();
    assert_ne!(server.local_addr().port(), 0);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = GrpcServerBuilder::insecure_plaintext_for_tests(address).build().err().unwrap();
    assert_eq!(error, GrpcError::AddressInUse { address });
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn text_that_is_no_address_is_refused() {
    for text in ["", "localhost", "127.0.0.1", "127.0.0.1:99999", "server:1"] {
        let error = GrpcServerBuilder::insecure_plaintext_for_tests(text).build().err().unwrap();
        assert!(matches!(error, GrpcError::Bind { .. }), "{text}: {error}");
    }
}
