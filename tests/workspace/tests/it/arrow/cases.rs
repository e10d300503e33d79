//! Each rule fails on a small wrong picture, and only then.

use super::rules::{Dependency, INHERITED, Kind, Layer, Package, judge};

fn package(name: &str, layer: Layer, dependencies: &[(&str, Kind)]) -> Package {
    let dependencies = dependencies.iter().map(|(name, kind)| Dependency {
        name: (*name).to_owned(),
        kind: *kind,
        optional: false,
    });
    Package {
        name: name.to_owned(),
        layer,
        dependencies: dependencies.collect(),
        inherits: INHERITED.iter().map(ToString::to_string).collect(),
    }
}

/// A small workspace, and one more package in it.
fn with(subject: Package) -> Vec<String> {
    judge(&[
        package("hpc-policy", Layer::Domain, &[]),
        package("hpc-ledger", Layer::Ports, &[]),
        package("hpc-memory", Layer::Adapters, &[("hpc-ledger", Kind::Normal)]),
        package("hpc-auth", Layer::Adapters, &[]),
        package("hpc-conformance", Layer::Conformance, &[("hpc-ledger", Kind::Normal)]),
        package("hpcd", Layer::Apps, &[("hpc-memory", Kind::Normal)]),
        package("hpc-tests", Layer::Outside, &[("hpcd", Kind::Dev)]),
        subject,
    ])
}

#[test]
fn what_points_inwards_is_fine() {
    use Kind::{Dev, Normal};
    for (name, layer, dependencies) in [
        ("hpc-crypto", Layer::Domain, &[("hpc-policy", Normal), ("blake3", Normal)][..]),
        (
            "hpc-audit",
            Layer::Ports,
            &[("hpc-policy", Normal), ("hpc-ledger", Normal), ("async-trait", Normal)],
        ),
        ("hpc-new", Layer::Adapters, &[("hpc-ledger", Normal), ("hpc-conformance", Dev), ("tokio", Normal)]),
        ("hpc-rpc-quic", Layer::Adapters, &[("hpc-auth", Normal), ("quinn", Normal)]),
        ("hpc-agent", Layer::Apps, &[("hpc-memory", Normal), ("hpcd", Normal), ("clap", Normal)]),
        ("hpc-broker", Layer::Apps, &[("hpc-ledger", Normal), ("hpc-memory", Dev)]),
        ("hpc-benches", Layer::Outside, &[("hpcd", Normal), ("redb", Normal), ("hpc-conformance", Normal)]),
    ] {
        assert_eq!(with(package(name, layer, dependencies)), Vec::<String>::new());
    }
}

#[test]
fn every_wrong_edge_is_found() {
    use Kind::{Build, Dev, Normal};
    for (name, layer, dependency, kind, why) in [
        ("hpc-crypto", Layer::Domain, "hpc-ledger", Normal, "inwards"),
        ("hpc-crypto", Layer::Domain, "hpc-ledger", Build, "inwards"),
        ("hpc-crypto", Layer::Domain, "hpc-memory", Dev, "inwards"),
        ("hpc-audit", Layer::Ports, "hpc-memory", Dev, "inwards"),
        ("hpc-new", Layer::Adapters, "hpcd", Normal, "inwards"),
        ("hpc-new", Layer::Adapters, "hpc-auth", Normal, "siblings"),
        ("hpc-new", Layer::Adapters, "hpc-memory", Dev, "siblings"),
        ("hpc-new", Layer::Adapters, "hpc-conformance", Normal, "suites"),
        ("hpc-audit", Layer::Ports, "hpc-conformance", Dev, "suites"),
        ("hpc-agent", Layer::Apps, "hpc-conformance", Dev, "suites"),
        ("hpc-agent", Layer::Apps, "hpc-tests", Dev, "nothing depends"),
        ("hpc-broker", Layer::Apps, "hpc-memory", Normal, "names no adapter"),
        ("hpc-kit", Layer::Conformance, "hpc-memory", Normal, "inwards"),
        ("hpc-crypto", Layer::Domain, "tokio", Normal, "not on the list"),
        ("hpc-crypto", Layer::Domain, "tokio", Dev, "not on the list"),
        ("hpc-crypto", Layer::Domain, "proptest", Normal, "not on the list"),
        ("hpc-policy-2", Layer::Domain, "getrandom", Normal, "not on the list"),
        ("hpc-error", Layer::Domain, "tonic", Normal, "not on the list"), // not behind a feature
        ("hpc-audit", Layer::Ports, "tokio", Normal, "not on the list"),
        ("hpc-audit", Layer::Ports, "mockall", Normal, "not on the list"),
        ("hpc-audit", Layer::Ports, "redb", Normal, "alone"),
        ("hpc-new", Layer::Adapters, "redb", Normal, "alone"),
        ("hpcd", Layer::Apps, "rustls", Build, "alone"),
        ("hpc-new", Layer::Adapters, "openssl-sys", Build, "banned"),
        ("hpc-tests", Layer::Outside, "native-tls", Dev, "banned"),
    ] {
        let broken = with(package(name, layer, &[(dependency, kind)]));
        assert_eq!(broken.len(), 1, "{name} on {dependency}: {broken:?}");
        assert!(broken[0].contains(why) && broken[0].contains(dependency), "{broken:?} should say `{why}`");
    }
}

#[test]
fn a_manifest_of_its_own_mind_is_found() {
    for missing in INHERITED {
        let mut subject = package("hpc-new", Layer::Apps, &[]);
        subject.inherits.retain(|have| have != missing);
        let broken = with(subject);
        assert_eq!(broken, [format!("`hpc-new` does not take `{missing}` from the workspace")]);
    }
}
