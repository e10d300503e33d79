//! Any bytes as an entry bundle and as a hash tile.
#![no_main]

use hpc_crypto::merkle::Profile;
use hpc_crypto::tile::{entries_of, hashes_of, node_in, push_entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(entries) = entries_of(data) {
        let mut written = Vec::new();
        for entry in entries {
            push_entry(&mut written, entry).expect("an entry that was read can be written");
        }
        assert_eq!(written, data);
    }
    if let Ok(hashes) = hashes_of(data) {
        let written: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        assert_eq!(written, data);
        let count = hashes.len();
        let _ = node_in(Profile::Rfc6962Sha256, &hashes, count / 2..count);
        assert!(node_in(Profile::Rfc6962Sha256, &hashes, count..count + 1).is_err());
    }
});
