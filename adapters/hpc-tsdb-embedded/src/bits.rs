//! Bit strings, most significant bit first, and a variable-length code for signed numbers.

/// Payload sizes of the variable-length code. A number takes the first bucket it fits in;
/// bucket `n` is announced by `n` ones and a zero, the last one by ones only.
const BUCKETS: [u32; 7] = [0, 3, 6, 10, 16, 32, 64];

#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl BitWriter {
    /// Appends the lowest `bits` (at most 64) of `value`.
    pub(crate) fn push(&mut self, value: u64, bits: u32) {
        if bits > 32 {
            self.push_short(value >> 32, bits - 32);
            self.push_short(value & 0xffff_ffff, 32);
        } else {
            self.push_short(value, bits);
        }
    }

    // INVARIANT: pending_bits < 8 between calls, so 7 + 32 bits always fit.
    fn push_short(&mut self, value: u64, bits: u32) {
        if bits == 0 {
            return;
        }
        let value = value & (u64::MAX >> (64 - bits));
        self.pending = (self.pending << bits) | value;
        self.pending_bits += bits;
        while self.pending_bits >= 8 {
            self.pending_bits -= 8;
            self.bytes.push((self.pending >> self.pending_bits) as u8);
        }
        self.pending &= 0xff;
    }

    /// Appends a signed number; small ones take few bits, 0 takes one.
    pub(crate) fn push_number(&mut self, number: i64) {
        let folded = ((number << 1) ^ (number >> 63)) as u64;
        let width = 64 - folded.leading_zeros();
        let last = BUCKETS.len() - 1;
        let bucket = BUCKETS.iter().position(|bits| width <= *bits).unwrap_or(last);
        let ones = bucket as u32;
        if bucket == last {
            self.push((1 << ones) - 1, ones);
        } else {
            self.push(((1 << ones) - 1) << 1, ones + 1);
        }
        self.push(folded, BUCKETS.get(bucket).copied().unwrap_or(64));
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.pending_bits > 0 {
            self.bytes.push((self.pending << (8 - self.pending_bits)) as u8);
        }
        self.bytes
    }
}

pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The unread bits are its lowest `pending_bits`; what is above them has been read.
    pending: u64,
    pending_bits: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, pending_bits: 0 }
    }

    /// The next `bits` (at most 64), or `None` past the end.
    pub(crate) fn pull(&mut self, bits: u32) -> Option<u64> {
        if bits > 32 {
            let high = self.pull_short(bits - 32)?;
            Some((high << 32) | self.pull_short(32)?)
        } else {
            self.pull_short(bits)
        }
    }

    fn pull_short(&mut self, bits: u32) -> Option<u64> {
        if bits == 0 {
            return Some(0);
        }
        if self.pending_bits < bits {
            self.fill();
        }
        self.pending_bits = self.pending_bits.checked_sub(bits)?;
        Some((self.pending >> self.pending_bits) & (u64::MAX >> (64 - bits)))
    }

    /// Makes at least 32 bits pending, or all that are left. Called with fewer than 32.
    fn fill(&mut self) {
        if let Some((word, rest)) = self.bytes.split_first_chunk() {
            self.pending = (self.pending << 32) | u64::from(u32::from_be_bytes(*word));
            self.pending_bits += 32;
            self.bytes = rest;
            return;
        }
        // At most 31 + 3 * 8 bits.
        while let Some((byte, rest)) = self.bytes.split_first() {
            self.pending = (self.pending << 8) | u64::from(*byte);
            self.pending_bits += 8;
            self.bytes = rest;
        }
    }

    pub(crate) fn pull_number(&mut self) -> Option<i64> {
        let last = BUCKETS.len() as u32 - 1;
        if self.pending_bits < last {
            self.fill();
        }
        // The unread bits moved to the top, zeros behind them: the ones in front are counted at once.
        let front = self.pending.checked_shl(64 - self.pending_bits).unwrap_or(0);
        let ones = front.leading_ones().min(last);
        let announced = if ones == last { last } else { ones + 1 };
        self.pending_bits = self.pending_bits.checked_sub(announced)?;
        let folded = self.pull(BUCKETS.get(ones as usize).copied()?)?;
        Some((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(items in proptest::collection::vec((any::<u64>(), 0_u32..=64, any::<i64>(), 0_u32..64), 0..100)) {
            let mut writer = BitWriter::default();
            for (value, bits, number, shift) in &items {
                writer.push(*value, *bits);
                writer.push_number(number >> shift);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (value, bits, number, shift) in &items {
                let kept = if *bits == 0 { 0 } else { value & (u64::MAX >> (64 - bits)) };
                prop_assert_eq!(reader.pull(*bits), Some(kept));
                prop_assert_eq!(reader.pull_number(), Some(number >> shift));
            }
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = BitReader::new(&bytes);
            let mut pulled = 0;
            while reader.pull_number().is_some() {
                pulled += 1;
                prop_assert!(pulled <= bytes.len() * 8);
            }
        }
    }

    #[test]
    fn zero_takes_one_bit() {
        let mut writer = BitWriter::default();
        (0..8).for_each(|_| writer.push_number(0));
        assert_eq!(writer.finish(), [0]);
    }
}
