//! The arrow `domain <- ports <- adapters <- apps`, read from package metadata.
//!
//! `rules` judges a plain picture of the workspace, so that each rule is seen to fail on a small wrong picture;
//! `allowed` lists what is allowed, by name; `workspace` takes the picture.

mod allowed;
mod cases;
mod rules;
mod workspace;

pub use workspace::root;

#[test]
fn the_workspace_keeps_the_arrow() {
    let packages = workspace::picture();
    assert!(packages.len() > 30, "only {} packages were found", packages.len());
    let broken = rules::judge(&packages);
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_allowance_is_used() {
    let unused = rules::unused_allowances(&workspace::picture());
    assert!(unused.is_empty(), "take these out of `arrow/allowed.rs`:\n{}\n", unused.join("\n"));
}

#[test]
fn the_default_tree_has_one_tls_stack() {
    let tree = workspace::default_tree();
    for wanted in ["rustls", "aws-lc-rs", "redb", "tonic"] {
        assert!(tree.iter().any(|name| name == wanted), "the tree was not read: no `{wanted}`");
    }
    for banned in allowed::BANNED_FROM_TREE {
        assert!(
            !tree.iter().any(|name| name == banned),
            "`{banned}` is in the default tree; see `cargo tree -i {banned}`"
        );
    }
}
