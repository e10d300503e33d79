//! Many signatures at once, beside one after the other.

use hpc_crypto::signing::{KeyPair, PublicKey, Signature, Signed, verify_batch};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, ratio, show};

pub(super) const PROMISE: Promise = Promise {
    name: "verify_batch",
    about: "1,024 signatures with the strict verdict of each, at least 1.5 times as fast as one by one on two cores",
    run,
};

/// Keys that sign in turn.
const KEYS: usize = 32;

fn run(bench: &Bench) -> Result<Report> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut report = Report::new();
    for count in [bench.size(128, 16), bench.size(256, 32), bench.size(1_024, 64)] {
        let (together, alone) = times(count, bench.size(50, 2))?;
        report = report
            .measured(&format!("{count}"), show(together.p50()))
            .rival(&format!("{count}_one_by_one"), show(alone.p50()));
        if count == 1_024 {
            let gain = ratio(alone.p50(), together.p50());
            report = report.ratio(gain).goal("gain>=1.5 on two cores", cores < 2 || gain >= 1.5);
        }
    }
    Ok(report.note(format!("{cores} cores, {KEYS} keys, messages of 200 bytes")))
}

fn times(count: usize, rounds: usize) -> Result<(Samples, Samples)> {
    let pairs: Vec<KeyPair> = (0..KEYS).map(|seed| KeyPair::from_seed([seed as u8; 32])).collect();
    let signed: Vec<(PublicKey, Vec<u8>, Signature)> = pairs
        .iter()
        .cycle()
        .take(count)
        .enumerate()
        .map(|(number, pair)| {
            let message = number.to_le_bytes().repeat(25);
            let signature = pair.sign(&message);
            (pair.public_key(), message, signature)
        })
        .collect();
    let batch: Vec<Signed<'_>> =
        signed.iter().map(|(key, message, signature)| Signed { key, message, signature }).collect();
    let (mut together, mut alone) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        let verdict = together.time(|| verify_batch(&batch));
        let one_by_one = alone.time(|| batch.iter().all(|one| one.key.verify(one.message, one.signature)));
        if verdict.is_err() || !one_by_one {
            return Err("a good signature was refused".into());
        }
    }
    Ok((together, alone))
}
