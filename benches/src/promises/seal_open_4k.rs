//! Sealing and opening 4 KiB, beside the bare cipher.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType, Salt};
use hpc_vault::{MasterKey, VaultEncryption};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, rate, ratio, sample, show};

pub(super) const PROMISE: Promise = Promise {
    name: "seal_open_4k",
    about: "sealing and opening 4 KiB at 0.8 times the speed of the bare derivation and cipher, or better",
    run,
};

const BYTES: usize = 4096;

struct Key32;

impl KeyType for Key32 {
    fn len(&self) -> usize {
        32
    }
}

fn run(bench: &Bench) -> Result<Report> {
    let calls = bench.size(100_000, 200);
    let plain = vec![7_u8; BYTES];
    let vault = VaultEncryption::new(MasterKey::generate()?);
    let record = vault.encrypt(&plain)?;
    if vault.decrypt(&record)?.expose() != plain {
        return Err("what was sealed does not open".into());
    }
    let seal = sample(calls, |_| vault.encrypt(&plain));
    let open = sample(calls, |_| vault.decrypt(&record));

    let derived_seal = sample(calls, |_| derived_seal(&plain));
    let (salt, sealed) = derived_seal_of(&plain)?;
    let derived_open = sample(calls, |_| derived_open(salt, &sealed));
    let bare = bare(calls, &plain)?;

    let (faster_seal, faster_open) =
        (ratio(derived_seal.p50(), seal.p50()), ratio(derived_open.p50(), open.p50()));
    let worse = faster_seal.min(faster_open);
    let report = Report::new()
        .measured("seal", show(seal.p50()))
        .measured("open", show(open.p50()))
        .rival("hkdf_aead_seal", show(derived_seal.p50()))
        .rival("hkdf_aead_open", show(derived_open.p50()))
        .rival("aead_seal", show(bare.p50()))
        .ratio(worse)
        .goal("hkdf_aead/ours>=0.8", worse >= 0.8)
        .note(format!(
            "a record has its own salt, key, nonce and commitment: one draw and three derivations; \
             {:.2} of the bare cipher under one fixed key; {:.0} MB/s sealed",
            ratio(bare.p50(), seal.p50()),
            rate(BYTES, seal.p50()) / 1e6
        ));
    beside_aes_gcm(report, calls, &plain)
}

fn derive(salt: [u8; 32]) -> Result<LessSafeKey> {
    let key = Salt::new(HKDF_SHA256, &salt).extract(&[1; 32]);
    let mut bytes = [0; 32];
    let okm: hkdf::Okm<'_, Key32> = key.expand(&[b"key"], Key32).map_err(|_| "hkdf")?;
    okm.fill(&mut bytes).map_err(|_| "hkdf")?;
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| "key")?))
}

fn derived_seal(plain: &[u8]) -> Result<Vec<u8>> {
    Ok(derived_seal_of(plain)?.1)
}

fn derived_seal_of(plain: &[u8]) -> Result<([u8; 32], Vec<u8>)> {
    let mut salt = [0; 32];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| "randomness")?;
    let mut buffer = Vec::with_capacity(plain.len() + 16);
    buffer.extend_from_slice(plain);
    derive(salt)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut buffer)
        .map_err(|_| "seal")?;
    Ok((salt, buffer))
}

fn derived_open(salt: [u8; 32], sealed: &[u8]) -> Result<Vec<u8>> {
    let mut buffer = sealed.to_vec();
    derive(salt)?
        .open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut buffer)
        .map_err(|_| "open")?;
    Ok(buffer)
}

fn bare(calls: usize, plain: &[u8]) -> Result<Samples> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[1; 32]).map_err(|_| "key")?);
    Ok(sample(calls, |call| {
        let mut nonce = [0; 12];
        for (byte, value) in nonce.iter_mut().zip(call.to_le_bytes()) {
            *byte = value;
        }
        let mut buffer = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut buffer).map(|()| buffer)
    }))
}

#[cfg(not(feature = "rivals"))]
fn beside_aes_gcm(report: Report, _calls: usize, _plain: &[u8]) -> Result<Report> {
    Ok(report.note("the rival aes-gcm is measured with --features rivals"))
}

#[cfg(feature = "rivals")]
fn beside_aes_gcm(report: Report, calls: usize, plain: &[u8]) -> Result<Report> {
    use aes_gcm::aead::AeadInOut as _;
    use aes_gcm::{Aes256Gcm, KeyInit as _};

    let cipher = Aes256Gcm::new(&[1; 32].into());
    let samples = sample(calls, |_| {
        let mut buffer = plain.to_vec();
        cipher.encrypt_in_place(&[0; 12].into(), b"", &mut buffer).map(|()| buffer)
    });
    Ok(report.rival("aes_gcm_seal", show(samples.p50())))
}
