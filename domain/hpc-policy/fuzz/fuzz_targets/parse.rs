//! Any bytes: a policy, or an error with a place. Never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = hpc_policy::parse_policy(text) {
        let at = error.location().expect("an error in a document has a place");
        assert!(at.line >= 1 && at.column >= 1);
    }
    let _ = hpc_policy::parse_cases(text);
});
