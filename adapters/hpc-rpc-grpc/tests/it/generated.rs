//! The committed stubs equal what the source in `proto/` gives. `HPC_REGENERATE=1` writes them anew.

use std::fs;
use std::path::Path;

const SOURCE: &str = "hpc/control/v1/control.proto";
const STUBS: &str = "hpc.control.v1.rs";

#[test]
fn the_stubs_are_what_the_source_gives() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen").join(STUBS);
    let expected = generate();
    if std::env::var_os("HPC_REGENERATE").is_some() {
        fs::write(&committed, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&committed).unwrap();
    assert!(found == expected, "stale: run `HPC_REGENERATE=1 cargo test -p hpc-rpc-grpc generated`");
}

fn generate() -> String {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut compiler = protox::Compiler::new([&proto]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file(proto.join(SOURCE)).unwrap();
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .build_transport(false)
        .emit_rerun_if_changed(false)
        // The messages live in `hpc-types`; only the services are written here.
        .extern_path(".hpc.control.v1", "::hpc_types::control::v1")
        .compile_fds(compiler.file_descriptor_set())
        .unwrap();
    fs::read_to_string(out.path().join(STUBS)).unwrap()
}
