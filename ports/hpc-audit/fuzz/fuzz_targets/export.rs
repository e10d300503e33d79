//! Any bytes as an exported bundle.
#![no_main]

use hpc_audit::{Bundle, verify_bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(bundle) = Bundle::from_json(data) else { return };
    assert_eq!(bundle.to_json().expect("what was read can be written").as_bytes(), data);
    let Ok(verified) = verify_bundle(&bundle, None) else { return };
    assert!(!verified.key_trusted, "a key that came along is not trusted");
    assert_eq!(verified.entries.len(), bundle.entries.len());
});
