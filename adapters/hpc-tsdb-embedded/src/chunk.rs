//! Chunks: up to [`CHUNK_SAMPLES_MAX`] samples of one column, compressed after Gorilla (Pelkonen et al., VLDB 2015).
//!
//! Times are differences of differences in the coarsest unit that loses nothing.
//! Values are stored in whichever code is shortest: XOR with the value before (floats), or differences, or differences
//! of differences, of whole numbers (integers, and floats that are such numbers over a common denominator),
//! or the same for floats that are off by their last bits, with how far.
//! A checksum covers everything, so a damaged chunk is told and never half read.

use hpc_timeseries::ValueKind;

use crate::bits::{BitReader, BitWriter};

/// Most samples of one chunk.
pub(crate) const CHUNK_SAMPLES_MAX: usize = 1_024;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 26;
const UNITS_NS: [i64; 4] = [1, 1_000, 1_000_000, 1_000_000_000];
/// Decimals, and the parts of a minute that averages of samplers have.
const SCALES: [f64; 8] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 15.0, 30.0, 60.0];
/// An average that was added up in another order is off by a few last bits; more than this is another number.
const OFF_MAX: i64 = 8;
/// Beyond this, neighbouring whole numbers have no float of their own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A time and the 64 bits of a value.
pub(crate) type Raw = (i64, u64);

const CODE_XOR: u8 = 0;
const CODE_DELTA: u8 = 1;
const CODE_DELTA_OF_DELTA: u8 = 2;
const CODE_DELTA_AND_OFF: u8 = 3;

/// What a chunk says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) count: usize,
    pub(crate) last_ns: i64,
    unit: u8,
    code: u8,
    scale: u8,
    kind: ValueKind,
    first_ns: i64,
}

/// Compresses samples, sorted by time without repeats, 1 to [`CHUNK_SAMPLES_MAX`] of them.
pub(crate) fn encode(kind: ValueKind, samples: &[Raw]) -> Vec<u8> {
    let first_ns = samples.first().map_or(0, |(ts_ns, _)| *ts_ns);
    let last_ns = samples.last().map_or(0, |(ts_ns, _)| *ts_ns);
    let unit = (0_u8..)
        .zip(UNITS_NS)
        .filter(|(_, unit_ns)| samples.iter().all(|(ts_ns, _)| ts_ns % unit_ns == 0))
        .last()
        .map_or(0, |(unit, _)| unit);
    let (code, scale, values) = encode_values(kind, samples);
    let times = encode_times(unit_ns(unit), samples);

    let mut out = vec![0; 4];
    out.extend([VERSION, unit, code, scale | if kind == ValueKind::Integer { 0x80 } else { 0 }]);
    out.extend((samples.len() as u16).to_le_bytes());
    out.extend(first_ns.to_le_bytes());
    out.extend(last_ns.to_le_bytes());
    out.extend((times.len() as u16).to_le_bytes());
    out.extend(times);
    out.extend(values);
    let crc = crc32fast::hash(out.get(4..).unwrap_or_default());
    if let Some(place) = out.get_mut(..4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    out
}

/// Reads the header alone, without checking the checksum.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    if *bytes.get(4)? != VERSION {
        return None;
    }
    let flags = *bytes.get(7)?;
    let header = Header {
        unit: *bytes.get(5)?,
        code: *bytes.get(6)?,
        scale: flags & 0x7f,
        kind: if flags & 0x80 == 0 { ValueKind::Float } else { ValueKind::Integer },
        count: usize::from(u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?)),
        first_ns: i64::from_le_bytes(bytes.get(10..18)?.try_into().ok()?),
        last_ns: i64::from_le_bytes(bytes.get(18..26)?.try_into().ok()?),
    };
    let valid = (1..=CHUNK_SAMPLES_MAX).contains(&header.count) && header.first_ns <= header.last_ns;
    valid.then_some(header)
}

/// All samples, or `None` if a single bit is not as it was written.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Raw>> {
    let crc = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    if crc != crc32fast::hash(bytes.get(4..)?) {
        return None;
    }
    let header = header(bytes)?;
    let times_bytes =
        usize::from(u16::from_le_bytes(bytes.get(HEADER_BYTES..HEADER_BYTES + 2)?.try_into().ok()?));
    let (times, values) = bytes.get(HEADER_BYTES + 2..)?.split_at_checked(times_bytes)?;
    let times = decode_times(&header, times)?;
    let values = decode_values(&header, values)?;
    Some(times.into_iter().zip(values).collect())
}

fn unit_ns(unit: u8) -> i64 {
    UNITS_NS.get(usize::from(unit)).copied().unwrap_or(1)
}

/// The first time is in the header.
fn encode_times(unit_ns: i64, samples: &[Raw]) -> Vec<u8> {
    let mut writer = BitWriter::default();
    let mut numbers = samples.iter().map(|(ts_ns, _)| ts_ns / unit_ns);
    let mut last = numbers.next().unwrap_or(0);
    let mut step = 0_i64;
    for number in numbers {
        let next_step = number.wrapping_sub(last);
        writer.push_number(next_step.wrapping_sub(step));
        (last, step) = (number, next_step);
    }
    writer.finish()
}

fn decode_times(header: &Header, bytes: &[u8]) -> Option<Vec<i64>> {
    let unit_ns = *UNITS_NS.get(usize::from(header.unit))?;
    let mut reader = BitReader::new(bytes);
    let mut out = Vec::with_capacity(header.count);
    out.push(header.first_ns);
    let mut last = header.first_ns / unit_ns;
    let mut step = 0_i64;
    for _ in 1..header.count {
        step = step.wrapping_add(reader.pull_number()?);
        last = last.wrapping_add(step);
        out.push(last.checked_mul(unit_ns)?);
    }
    Some(out)
}

fn encode_values(kind: ValueKind, samples: &[Raw]) -> (u8, u8, Vec<u8>) {
    let bits = || samples.iter().map(|(_, bits)| *bits);
    if kind == ValueKind::Integer {
        let numbers: Vec<i64> = bits().map(|bits| bits as i64).collect();
        return shorter(
            (CODE_DELTA, 0, encode_whole(CODE_DELTA, &numbers)),
            (CODE_DELTA_OF_DELTA, 0, encode_whole(CODE_DELTA_OF_DELTA, &numbers)),
        );
    }
    let mut best = (CODE_XOR, 0, encode_xor(bits()));
    for (scale, factor) in (0_u8..).zip(SCALES) {
        let Some(numbers) = bits().map(|bits| scaled(bits, factor)).collect::<Option<Vec<(i64, i64)>>>()
        else {
            continue;
        };
        if numbers.iter().any(|(_, off)| *off != 0) {
            best = shorter(best, (CODE_DELTA_AND_OFF, scale, encode_off(&numbers)));
            continue;
        }
        let numbers: Vec<i64> = numbers.into_iter().map(|(number, _)| number).collect();
        for code in [CODE_DELTA, CODE_DELTA_OF_DELTA] {
            best = shorter(best, (code, scale, encode_whole(code, &numbers)));
        }
        // A larger denominator could only make the numbers longer.
        break;
    }
    best
}

fn shorter(left: (u8, u8, Vec<u8>), right: (u8, u8, Vec<u8>)) -> (u8, u8, Vec<u8>) {
    if right.2.len() < left.2.len() { right } else { left }
}

fn decode_values(header: &Header, bytes: &[u8]) -> Option<Vec<u64>> {
    match (header.code, header.kind) {
        (CODE_XOR, ValueKind::Float) => decode_xor(header.count, bytes),
        (CODE_DELTA_AND_OFF, ValueKind::Float) => {
            decode_off(header.count, *SCALES.get(usize::from(header.scale))?, bytes)
        }
        (CODE_DELTA | CODE_DELTA_OF_DELTA, kind) => {
            let numbers = decode_whole(header.code, header.count, bytes)?;
            let factor = *SCALES.get(usize::from(header.scale))?;
            Some(match kind {
                ValueKind::Integer => numbers.into_iter().map(|number| number as u64).collect(),
                ValueKind::Float => {
                    numbers.into_iter().map(|number| (number as f64 / factor).to_bits()).collect()
                }
            })
        }
        _ => None,
    }
}

/// The whole number nearest to `value * factor`, and how many last bits `number / factor` is away from the value.
fn scaled(bits: u64, factor: f64) -> Option<(i64, i64)> {
    let number = (f64::from_bits(bits) * factor).round();
    // NaN is in no range, so it ends here as well.
    if !(-EXACT_MAX..EXACT_MAX).contains(&number) {
        return None;
    }
    // Through the integer, as reading goes: it has no negative zero.
    let number = number as i64;
    let off = (bits as i64).wrapping_sub(((number as f64) / factor).to_bits() as i64);
    (-OFF_MAX..=OFF_MAX).contains(&off).then_some((number, off))
}

fn encode_off(numbers: &[(i64, i64)]) -> Vec<u8> {
    let mut writer = BitWriter::default();
    let mut last = 0_i64;
    for (number, off) in numbers {
        writer.push_number(number.wrapping_sub(last));
        writer.push_number(*off);
        last = *number;
    }
    writer.finish()
}

fn decode_off(count: usize, factor: f64, bytes: &[u8]) -> Option<Vec<u64>> {
    let mut reader = BitReader::new(bytes);
    let mut last = 0_i64;
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        last = last.wrapping_add(reader.pull_number()?);
        let off = reader.pull_number()?;
        out.push((last as f64 / factor).to_bits().wrapping_add(off as u64));
    }
    Some(out)
}

fn encode_whole(code: u8, numbers: &[i64]) -> Vec<u8> {
    let mut writer = BitWriter::default();
    let (mut last, mut step) = (0_i64, 0_i64);
    for number in numbers {
        let next_step = number.wrapping_sub(last);
        writer.push_number(if code == CODE_DELTA { next_step } else { next_step.wrapping_sub(step) });
        (last, step) = (*number, next_step);
    }
    writer.finish()
}

fn decode_whole(code: u8, count: usize, bytes: &[u8]) -> Option<Vec<i64>> {
    let mut reader = BitReader::new(bytes);
    let (mut last, mut step) = (0_i64, 0_i64);
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let number = reader.pull_number()?;
        step = if code == CODE_DELTA { number } else { step.wrapping_add(number) };
        last = last.wrapping_add(step);
        out.push(last);
    }
    Some(out)
}

fn encode_xor(mut values: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut writer = BitWriter::default();
    let Some(mut last) = values.next() else { return Vec::new() };
    writer.push(last, 64);
    // The window of bits that differed last; 65 is wider than any, so the first difference sets it.
    let (mut leading, mut width) = (65_u32, 0_u32);
    for value in values {
        let differs = value ^ last;
        last = value;
        if differs == 0 {
            writer.push(0, 1);
            continue;
        }
        let (lead, trail) = (differs.leading_zeros().min(31), differs.trailing_zeros());
        if leading <= lead && 64 - leading - width <= trail {
            writer.push(0b10, 2);
        } else {
            (leading, width) = (lead, 64 - lead - trail);
            writer.push(0b11, 2);
            writer.push(u64::from(leading), 5);
            writer.push(u64::from(width - 1), 6);
        }
        writer.push(differs >> (64 - leading - width), width);
    }
    writer.finish()
}

fn decode_xor(count: usize, bytes: &[u8]) -> Option<Vec<u64>> {
    let mut reader = BitReader::new(bytes);
    let mut last = reader.pull(64)?;
    let mut out = Vec::with_capacity(count);
    out.push(last);
    let (mut leading, mut width) = (0_u32, 0_u32);
    for _ in 1..count {
        if reader.pull(1)? == 1 {
            if reader.pull(1)? == 1 {
                leading = reader.pull(5)? as u32;
                width = reader.pull(6)? as u32 + 1;
            }
            let shift = 64_u32.checked_sub(leading + width)?;
            last ^= reader.pull(width)?.checked_shl(shift)?;
        }
        out.push(last);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn floats(values: &[f64]) -> Vec<Raw> {
        (1_700_000_000_000_000_000..)
            .step_by(10_000_000_000)
            .zip(values.iter().map(|v| v.to_bits()))
            .collect()
    }

    proptest! {
        #[test]
        fn every_float_comes_back_bit_for_bit(
            steps in proptest::collection::vec((1_i64..100_000_000_000, any::<f64>(), 0_u8..5), 1..200),
        ) {
            let mut ts_ns = 0;
            let samples: Vec<Raw> = steps.iter().map(|(step, value, shape)| {
                ts_ns += step;
                let value = match shape {
                    0 => *value,
                    1 => (value % 100.0).round(),
                    2 => (value % 1000.0).round() / 10.0,
                    4 => f64::from_bits(((value % 100.0).round() / 15.0).to_bits().wrapping_add(step.unsigned_abs() % 3)),
                    _ => -0.0,
                };
                (ts_ns, value.to_bits())
            }).collect();
            prop_assert_eq!(decode(&encode(ValueKind::Float, &samples)), Some(samples));
        }

        #[test]
        fn every_integer_comes_back(values in proptest::collection::vec((any::<i64>(), 0_u32..64), 1..200)) {
            let samples: Vec<Raw> = (0..).zip(values.iter().map(|(value, shift)| (value >> shift) as u64)).collect();
            prop_assert_eq!(decode(&encode(ValueKind::Integer, &samples)), Some(samples));
        }

        #[test]
        fn damage_is_told(at in any::<prop::sample::Index>(), flip in 1_u8..=255, cut in any::<prop::sample::Index>()) {
            let good = encode(ValueKind::Float, &floats(&[1.0, 2.5, 0.1, 1e300, -7.0]));
            let mut bad = good.clone();
            bad[at.index(good.len())] ^= flip;
            prop_assert_eq!(decode(&bad), None);
            prop_assert_eq!(decode(&good[..cut.index(good.len())]), None);
        }

        #[test]
        fn any_bytes_are_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            // With a right checksum, so that the readers behind it are reached.
            if bytes.len() > 8 {
                bytes[4] = VERSION;
                bytes[6] %= 4;
                let crc = crc32fast::hash(&bytes[4..]);
                bytes[..4].copy_from_slice(&crc.to_le_bytes());
            }
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn regular_series_are_small() {
        let constant = encode(ValueKind::Float, &floats(&[42.0; 1_000]));
        assert!(constant.len() < 1_000 * 3 / 10, "{} bytes", constant.len());
        let counter: Vec<Raw> = (0..1_000).map(|i| (i * 10_000_000_000, (i * 1_500) as u64)).collect();
        let counter = encode(ValueKind::Integer, &counter);
        assert!(counter.len() < 1_000 * 3 / 10, "{} bytes", counter.len());
    }

    /// Duty cycles of real GPUs (column `value`, in percent), one minute apart: at most 3 bytes per point.
    #[test]
    fn real_duty_cycles_take_under_three_bytes() {
        let archive = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/data/gpu-telemetry/pod_gpu_duty_cycle_anon.tar.gz"
        );
        if !std::path::Path::new(archive).exists() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "`{archive}` is missing");
            eprintln!("skipped: `{archive}` is missing");
            return;
        }
        let out = std::process::Command::new("tar").args(["-xzOf", archive]).output().unwrap();
        let mut series: std::collections::BTreeMap<&str, std::collections::BTreeMap<i64, u64>> =
            Default::default();
        for line in std::str::from_utf8(&out.stdout).unwrap().lines().skip(1) {
            let mut cells = line.split(',');
            let value: f64 = cells.next().unwrap().parse().unwrap();
            let second: f64 = cells.next().unwrap().parse().unwrap();
            let samples = series.entry(cells.next().unwrap()).or_default();
            samples.insert(second as i64 * 1_000_000_000, value.to_bits());
        }
        let (mut points, mut bytes) = (0, 0);
        for samples in series.values() {
            let samples: Vec<Raw> = samples.iter().map(|(ts_ns, bits)| (*ts_ns, *bits)).collect();
            for part in samples.chunks(CHUNK_SAMPLES_MAX) {
                let chunk = encode(ValueKind::Float, part);
                assert_eq!(decode(&chunk).as_deref(), Some(part));
                points += part.len();
                bytes += chunk.len();
            }
        }
        let each = bytes as f64 / points as f64;
        println!("{points} points, {each:.2} bytes each");
        assert!(points > 100_000 && each <= 3.0, "{points} points, {each:.2} bytes each");
    }
}
