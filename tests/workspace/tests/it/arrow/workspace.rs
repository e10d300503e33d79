//! The picture of this workspace, from `cargo metadata` and the manifests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand, Package as Read};

use super::rules::{Dependency, INHERITED, Kind, Layer, Package};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Every package of the workspace, as far as the rules look.
pub fn picture() -> Vec<Package> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    metadata.packages.iter().map(package).collect()
}

fn package(read: &Read) -> Package {
    let dependencies = read.dependencies.iter().map(|dependency| Dependency {
        name: dependency.name.clone(),
        kind: match dependency.kind {
            DependencyKind::Development => Kind::Dev,
            DependencyKind::Build => Kind::Build,
            _ => Kind::Normal,
        },
        optional: dependency.optional,
    });
    Package {
        name: read.name.to_string(),
        layer: layer(read),
        dependencies: dependencies.collect(),
        inherits: inherits(read.manifest_path.as_std_path()),
    }
}

/// By folder; `<layer>/<package>`, and the folder's name is the package's.
fn layer(read: &Read) -> Layer {
    let path = read.manifest_path.as_std_path().strip_prefix(root()).unwrap();
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    let layer = match parts.as_slice() {
        ["tests", "conformance", "Cargo.toml"] => return Layer::Conformance,
        ["tests", "workspace" | "policy-oracle", "Cargo.toml"] | ["benches", "Cargo.toml"] => {
            return Layer::Outside;
        }
        ["domain", _, "Cargo.toml"] => Layer::Domain,
        ["ports", _, "Cargo.toml"] => Layer::Ports,
        ["adapters", _, "Cargo.toml"] => Layer::Adapters,
        ["apps", _, "Cargo.toml"] => Layer::Apps,
        _ => panic!("`{}` lies in no layer", path.display()),
    };
    assert_eq!(parts[1], read.name.as_str(), "a folder is called as its package");
    layer
}

fn inherits(manifest: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(manifest).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let from_workspace = |value: Option<&toml::Value>| {
        value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    let have = |wanted: &&str| match *wanted {
        "lints" => from_workspace(manifest.get("lints")),
        field => from_workspace(manifest.get("package").and_then(|package| package.get(field))),
    };
    INHERITED.iter().filter(|wanted| have(wanted)).map(ToString::to_string).collect()
}

/// Names of all packages in the tree of everything but the benches and the oracle, with default features, on this platform.
///
/// From `cargo tree`, because the resolve of `cargo metadata` also lists optional dependencies that no feature turns on.
pub fn default_tree() -> BTreeSet<String> {
    let arguments = "tree --locked --workspace --exclude hpc-benches --exclude hpc-policy-oracle --edges normal,build,dev --prefix none --format {p}";
    let ask = |offline: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments.split(' ')).args(offline).current_dir(root()).output().unwrap()
    };
    // Offline first: what a test run has built is on this machine.
    let mut output = ask(&["--offline"]);
    if !output.status.success() {
        output = ask(&[]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
