//! The committed code equals what the sources in `proto/` give. `HPC_REGENERATE=1` writes it anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

const SOURCES: [&str; 2] = ["hpc/telemetry/v1/telemetry.proto", "hpc/control/v1/control.proto"];
const DESCRIPTORS: &str = "descriptors.bin";

#[test]
fn the_generated_code_is_what_the_sources_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    let expected = generate();
    if std::env::var_os("HPC_REGENERATE").is_some() {
        for (name, bytes) in &expected {
            fs::write(folder.join(name), bytes).unwrap();
        }
        return;
    }
    let mut stale = Vec::new();
    for (name, bytes) in &expected {
        if fs::read(folder.join(name)).ok().as_deref() != Some(bytes.as_slice()) {
            stale.push(name.clone());
        }
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !expected.contains_key(&name) {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "run `HPC_REGENERATE=1 cargo test -p hpc-types`; stale: {stale:?}");
}

fn generate() -> BTreeMap<String, Vec<u8>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let sources: Vec<PathBuf> = SOURCES.iter().map(|source| proto.join(source)).collect();
    let mut compiler = protox::Compiler::new([&proto]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_files(&sources).unwrap();
    let set = compiler.file_descriptor_set();

    let out = tempfile::tempdir().unwrap();
    let mut config = prost_build::Config::new();
    config.out_dir(out.path()).bytes(["."]);
    // These hold a one-time token; the crate writes their `Debug` by hand.
    config.skip_debug([".hpc.control.v1.JoinRequest", ".hpc.control.v1.JoinTokenResponse"]);
    config.compile_fds(set.clone()).unwrap();

    let mut files: BTreeMap<String, Vec<u8>> = fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    let mut bare = set;
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    files.insert(DESCRIPTORS.to_owned(), bare.encode_to_vec());
    files
}
