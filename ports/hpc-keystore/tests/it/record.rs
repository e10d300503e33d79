//! Sealed records as bytes.

use hpc_keystore::{
    HEADER_BYTES, KeyStoreError, KeyVersion, RecordError, SECRET_BYTES_MAX, SealedRecord, TAG_BYTES,
};
use proptest::prelude::*;

fn record() -> Vec<u8> {
    SealedRecord::new(KeyVersion::new(3), [1; 32], [2; 32], vec![7; 20]).unwrap().to_bytes()
}

fn refuse(bytes: &[u8], why: RecordError) {
    assert_eq!(SealedRecord::parse(bytes), Err(KeyStoreError::Record(why)));
}

#[test]
fn the_layout_is_the_written_one() {
    let bytes = record();
    assert_eq!(HEADER_BYTES, 74);
    assert_eq!(&bytes[..10], b"HPCS\x01\x01\0\0\0\x03");
    assert_eq!((&bytes[10..42], &bytes[42..74], &bytes[74..]), (&[1; 32][..], &[2; 32][..], &[7; 20][..]));
}

#[test]
fn other_formats_and_algorithms_are_refused() {
    let changed = |index: usize, byte| {
        let mut bytes = record();
        bytes[index] = byte;
        bytes
    };
    refuse(&changed(0, b'X'), RecordError::Magic);
    refuse(&changed(4, 2), RecordError::Format(2));
    refuse(&changed(5, 0), RecordError::Algorithm(0));
}

#[test]
fn lengths_are_capped_at_exactly_the_limits() {
    let min = HEADER_BYTES + TAG_BYTES;
    for bytes in [0, 3, 10, 73, min - 1] {
        refuse(&record()[..bytes], RecordError::Short { bytes });
    }
    assert!(SealedRecord::parse(&record()[..min]).is_ok());
    let made = |length| SealedRecord::new(KeyVersion::default(), [0; 32], [0; 32], vec![0; length]).map(drop);
    assert_eq!(made(SECRET_BYTES_MAX + TAG_BYTES), Ok(()));
    let bytes = HEADER_BYTES + SECRET_BYTES_MAX + TAG_BYTES + 1;
    assert_eq!(made(SECRET_BYTES_MAX + TAG_BYTES + 1), Err(RecordError::Long { bytes }.into()));
}

proptest! {
    #[test]
    fn every_record_reads_back(key: u32, salt: [u8; 32], commitment: [u8; 32], ciphertext in prop::collection::vec(any::<u8>(), 16..200)) {
        let record = SealedRecord::new(KeyVersion::new(key), salt, commitment, ciphertext).unwrap();
        prop_assert_eq!(SealedRecord::parse(&record.to_bytes()).unwrap(), record);
    }

    #[test]
    fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(record) = SealedRecord::parse(&bytes) {
            prop_assert_eq!(record.to_bytes(), bytes);
        }
    }
}
