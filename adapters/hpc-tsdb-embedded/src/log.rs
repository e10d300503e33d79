//! Log records: the samples of one commit, kept until they are in chunks.

use crate::heads::Raw3;

const SAMPLE_BYTES: usize = 20;

/// Appends samples to the body of a record: column, time, value bits.
pub(crate) fn append(body: &mut Vec<u8>, samples: &[Raw3]) {
    body.reserve(samples.len() * SAMPLE_BYTES);
    for (column, ts_ns, bits) in samples {
        body.extend(column.to_le_bytes());
        body.extend(ts_ns.to_le_bytes());
        body.extend(bits.to_le_bytes());
    }
}

/// Puts the checksum in front of a body.
pub(crate) fn seal(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(body.len() + 4);
    record.extend(crc32fast::hash(body).to_le_bytes());
    record.extend(body);
    record
}

/// The samples of a record, or `None` if it is not as it was written.
pub(crate) fn decode(record: &[u8]) -> Option<Vec<Raw3>> {
    let (crc, body) = record.split_at_checked(4)?;
    if crc32fast::hash(body).to_le_bytes() != *crc || body.len() % SAMPLE_BYTES != 0 {
        return None;
    }
    body.chunks_exact(SAMPLE_BYTES)
        .map(|sample| {
            Some((
                u32::from_le_bytes(sample.get(..4)?.try_into().ok()?),
                i64::from_le_bytes(sample.get(4..12)?.try_into().ok()?),
                u64::from_le_bytes(sample.get(12..20)?.try_into().ok()?),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_or_are_refused() {
        let samples = [(7, -1, u64::MAX), (0, i64::MAX, 0)];
        let mut body = Vec::new();
        append(&mut body, &samples);
        let record = seal(&body);
        assert_eq!(decode(&record), Some(samples.to_vec()));
        for cut in 0..record.len() {
            assert_eq!(decode(&record[..cut]), None);
        }
        for at in 0..record.len() {
            let mut bad = record.clone();
            bad[at] ^= 1;
            assert_eq!(decode(&bad), None);
        }
    }
}
