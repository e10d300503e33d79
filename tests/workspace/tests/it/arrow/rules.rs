//! The rules, over a plain picture of packages.

use super::allowed::{Allowance, BANNED, CONFORMANCE, OUTSIDE, SIBLINGS, VENDORS};

/// The folder a package lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Domain,
    Ports,
    Adapters,
    Apps,
    /// The kit of suites: knows ports and nothing outward of them.
    Conformance,
    /// Tests of the whole and benches: know everything, and nothing knows them.
    Outside,
}

/// How a dependency is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Build,
    Dev,
}

#[derive(Clone, Debug)]
pub struct Dependency {
    pub name: String,
    pub kind: Kind,
    pub optional: bool,
}

#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub layer: Layer,
    pub dependencies: Vec<Dependency>,
    /// What its manifest takes from the workspace: `lints`, `version` and so on.
    pub inherits: Vec<String>,
}

/// What every manifest takes from the workspace.
pub const INHERITED: [&str; 5] = ["lints", "version", "edition", "rust-version", "license"];

/// Everything that is wrong, one sentence each.
pub fn judge(packages: &[Package]) -> Vec<String> {
    let mut broken = Vec::new();
    for package in packages {
        for wanted in INHERITED {
            if !package.inherits.iter().any(|have| have == wanted) {
                broken.push(format!("`{}` does not take `{wanted}` from the workspace", package.name));
            }
        }
        for dependency in &package.dependencies {
            let ours = packages.iter().find(|other| other.name == dependency.name);
            let verdict = match ours {
                Some(other) => inward(package, other, dependency),
                None => outside(package, dependency),
            };
            broken.extend(verdict);
        }
    }
    broken
}

/// Allowances that no manifest makes use of.
pub fn unused_allowances(packages: &[Package]) -> Vec<String> {
    let has = |package: &str, name: &str| {
        packages.iter().any(|p| p.name == package && p.dependencies.iter().any(|d| d.name == name))
    };
    let mut unused = Vec::new();
    for Allowance { name, layer, only, .. } in OUTSIDE {
        for package in *only {
            if !has(package, name) {
                unused.push(format!("{layer:?}: `{name}` in `{package}`"));
            }
        }
        if only.is_empty() && !packages.iter().any(|p| p.layer == *layer && has(&p.name, name)) {
            unused.push(format!("{layer:?}: `{name}`"));
        }
    }
    for (name, homes) in VENDORS {
        unused.extend(
            homes.iter().filter(|home| !has(home, name)).map(|home| format!("vendor `{name}` in `{home}`")),
        );
    }
    unused.extend(
        SIBLINGS.iter().filter(|(from, to)| !has(from, to)).map(|(from, to)| format!("`{from}` on `{to}`")),
    );
    unused
}

/// A dependency between two packages of the workspace.
fn inward(from: &Package, to: &Package, how: &Dependency) -> Option<String> {
    let edge = format!(
        "`{}` ({:?}) must not depend on `{}` ({:?}, {:?} dependency)",
        from.name, from.layer, to.name, to.layer, how.kind
    );
    if to.name == CONFORMANCE {
        let may = from.layer == Layer::Outside || (from.layer == Layer::Adapters && how.kind == Kind::Dev);
        return (!may).then(|| format!("{edge}: only tests of adapters use the suites"));
    }
    if to.layer == Layer::Outside {
        return Some(format!("{edge}: nothing depends on tests and benches"));
    }
    if from.layer == Layer::Outside {
        return None;
    }
    if from.name == "hpc-broker" && to.layer == Layer::Adapters && how.kind != Kind::Dev {
        return Some(format!("{edge}: it names no adapter"));
    }
    if rank(to.layer) > rank(from.layer) {
        return Some(format!("{edge}: the arrow points inwards"));
    }
    let siblings = from.layer == Layer::Adapters && to.layer == Layer::Adapters;
    let excepted = SIBLINGS.iter().any(|(one, other)| *one == from.name && *other == to.name);
    (siblings && !excepted).then(|| format!("{edge}: siblings meet in apps"))
}

fn rank(layer: Layer) -> u8 {
    match layer {
        Layer::Domain => 0,
        // The suites speak the ports' words and nothing further out.
        Layer::Ports | Layer::Conformance => 1,
        Layer::Adapters => 2,
        Layer::Apps => 3,
        Layer::Outside => 4,
    }
}

/// A dependency on a crate from outside.
fn outside(from: &Package, how: &Dependency) -> Option<String> {
    let edge = format!(
        "`{}` ({:?}) must not depend on `{}` ({:?} dependency)",
        from.name, from.layer, how.name, how.kind
    );
    if BANNED.contains(&how.name.as_str()) {
        return Some(format!("{edge}: banned"));
    }
    if from.layer == Layer::Outside {
        return None;
    }
    if let Some((_, homes)) = VENDORS.iter().find(|(name, _)| *name == how.name)
        && !homes.contains(&from.name.as_str())
    {
        return Some(format!("{edge}: it belongs in {homes:?} alone"));
    }
    if !matches!(from.layer, Layer::Domain | Layer::Ports) {
        return None;
    }
    let fits = |allowed: &&Allowance| {
        allowed.layer == from.layer
            && allowed.name == how.name
            && (!allowed.dev_only || how.kind == Kind::Dev)
            && (!allowed.optional_only || how.optional)
            && (allowed.only.is_empty() || allowed.only.contains(&from.name.as_str()))
    };
    OUTSIDE
        .iter()
        .find(fits)
        .is_none()
        .then(|| format!("{edge}: not on the list of its layer in `arrow/allowed.rs`"))
}
