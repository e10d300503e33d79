//! Any bytes as a file of the tail; and one that was written, cut and changed anywhere.
#![no_main]

use hpc_audit_file::fuzzing::{scan_tail, write_tail};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((entries, good, torn)) = scan_tail(data) {
        assert!(good + torn <= data.len().max(1), "no byte is both whole and torn");
        // What is whole reads the same without what is torn.
        let whole = data.get(..good).expect("no more than there is");
        assert_eq!(scan_tail(whole), Some((entries, good, 0)));
    }
    // The first bytes choose: after how many entries it begins, how entries are cut, where it is cut and changed.
    let Some((base, rest)) = data.split_first_chunk::<8>() else { return };
    let Some((&[size, at_high, at_low, change], rest)) = rest.split_first_chunk::<4>() else { return };
    let base = u64::from_be_bytes(*base);
    // Entries are text, without the zeros that stand for what was not written.
    let text = |piece: &[u8]| piece.iter().map(|byte| (*byte).max(b' ')).collect();
    let entries: Vec<Vec<u8>> = rest.chunks(usize::from(size).max(1)).map(text).collect();
    let written = write_tail(base, &entries);
    if base > (1 << 63) - 1 {
        assert_eq!(scan_tail(&written), None, "no log is longer than 2^63 - 1 entries");
        return;
    }
    assert_eq!(scan_tail(&written), Some((entries.clone(), written.len(), 0)));
    let at = usize::from(u16::from_be_bytes([at_high, at_low])) % written.len();
    if let Some((found, ..)) = scan_tail(written.get(..at).expect("below its length")) {
        assert!(entries.starts_with(&found), "a cut tail holds no other entries");
    }
    let mut changed = written;
    if let Some(byte) = changed.get_mut(at) {
        *byte ^= change.max(1);
    }
    if let Some((found, ..)) = scan_tail(&changed) {
        assert!(entries.starts_with(&found) && found != entries, "a changed tail holds no other entries");
    }
});
