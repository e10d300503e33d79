//! Any bytes as an entry of the audit log: one form each.
#![no_main]

use hpc_audit::Entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match Entry::decode(data) {
        Ok(entry) => assert_eq!(entry.encode().as_deref(), Ok(data), "an entry has one form"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
