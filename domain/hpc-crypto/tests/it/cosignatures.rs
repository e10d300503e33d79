use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpc_crypto::CryptoError;
use hpc_crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use hpc_crypto::cosignature::{self, Clock, Cosigner, CosignerKey};
use hpc_crypto::hashing::sha256;
use hpc_crypto::note::{NOTE_SIGNATURES_MAX, NoteSignature, NoteSigner, SignedNote, VerifierKey};
use hpc_crypto::signing::KeyPair;

/// The cosigned checkpoint shown in c2sp.org/tlog-cosignature (CC BY 4.0).
const C2SP_COSIGNED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

pub(crate) fn checkpoint_of(log: &NoteSigner, size: u64) -> SignedCheckpoint {
    let origin = log.verifier_key().name().to_owned();
    Checkpoint { origin, size, root: sha256(&size.to_be_bytes()), extensions: vec![] }.sign(log).unwrap()
}

pub(crate) fn log(seed: u8) -> NoteSigner {
    NoteSigner::new("log.example/one", KeyPair::from_seed([seed; 32])).unwrap()
}

pub(crate) fn witness(seed: u8) -> Cosigner {
    Cosigner::new(&format!("witness.example/w{seed}"), KeyPair::from_seed([seed; 32])).unwrap()
}

fn lines(lines: &[&NoteSignature]) -> Vec<u8> {
    lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}

#[test]
fn the_published_example_is_read_and_written_back() {
    let note = SignedNote::parse(C2SP_COSIGNED.as_bytes()).unwrap();
    assert_eq!(note.to_string(), C2SP_COSIGNED);
    let line = &note.signatures()[1];
    assert_eq!((line.name(), line.id()), ("witness.example.com/w1", 0x8d66_cf3f));
    assert_eq!(line.bytes().len(), 72);
    assert_eq!(line.bytes()[..8], 1_679_315_147_u64.to_be_bytes());
}

#[test]
fn the_signed_message_and_the_id_are_those_of_the_format() {
    let (checkpoint, pair) = (checkpoint_of(&log(1), 5), KeyPair::from_seed([9; 32]));
    let line = witness(9).cosign(&checkpoint, 1_679_315_147).unwrap();
    let message = format!("cosignature/v1\ntime 1679315147\n{}", checkpoint.checkpoint());
    assert_eq!(line.bytes()[8..], pair.sign(message.as_bytes()).to_bytes());
    let hashed = [b"witness.example/w9\n\x04".as_slice(), &pair.public_key().to_bytes()].concat();
    assert_eq!(line.id().to_be_bytes(), sha256(&hashed).as_bytes()[..4]);
    assert_eq!(line.id(), witness(9).key().id());
}

#[test]
fn keys_of_logs_and_of_witnesses_are_two_types() {
    let pair = || KeyPair::from_seed([3; 32]);
    let (log, cosigner) = (NoteSigner::new("one", pair()).unwrap(), Cosigner::new("one", pair()).unwrap());
    assert_ne!(log.verifier_key().id(), cosigner.key().id());
    let (log_text, cosigner_text) = (log.verifier_key().to_string(), cosigner.key().to_string());
    assert_eq!(cosigner_text.parse(), Ok(cosigner.key().clone()));
    let wrong = |error: CryptoError| match error {
        CryptoError::InvalidVerifierKey { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert!(wrong(cosigner_text.parse::<VerifierKey>().unwrap_err()).contains("(0x01)"));
    assert!(wrong(log_text.parse::<CosignerKey>().unwrap_err()).contains("(0x04)"));
    for at in 0..cosigner_text.len() {
        for bit in 0..7 {
            let mut bytes = cosigner_text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(changed.parse::<CosignerKey>().is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_cosignature_never_passes_for_a_signature_nor_a_signature_for_a_cosignature() {
    let pair = || KeyPair::from_seed([3; 32]);
    let (signer, cosigner) = (
        NoteSigner::new("log.example/one", pair()).unwrap(),
        Cosigner::new("log.example/one", pair()).unwrap(),
    );
    let checkpoint = checkpoint_of(&signer, 5);
    let cosigned = cosigner.cosign(&checkpoint, 7).unwrap();
    let (text, signed) = (checkpoint.checkpoint().to_string(), &checkpoint.note().signatures()[0]);
    // The same bytes under the id of the other type, with and without the time.
    let line = |id: u32, bytes: &[u8]| {
        let encoded = STANDARD.encode([id.to_be_bytes().as_slice(), bytes].concat());
        SignedNote::parse(format!("{text}\n— log.example/one {encoded}\n").as_bytes()).unwrap()
    };
    let log_key = [signer.verifier_key().clone()];
    let bad = || CryptoError::BadSignature { name: "log.example/one".into() };
    for bytes in [cosigned.bytes(), &cosigned.bytes()[8..]] {
        assert_eq!(line(log_key[0].id(), bytes).verify(&log_key), Err(bad()));
    }
    let cosigner_key = [cosigner.key().clone()];
    let timed = [&[0; 8], signed.bytes()].concat();
    for bytes in [signed.bytes(), &timed] {
        assert_eq!(cosignature::verify(&line(cosigner_key[0].id(), bytes), &cosigner_key, None), Err(bad()));
    }
    // Under its own id, each is not even looked at by the other.
    assert_eq!(line(cosigned.id(), cosigned.bytes()).verify(&log_key), Err(CryptoError::NoTrustedSignature));
    assert!(cosignature::verify(checkpoint.note(), &cosigner_key, None).unwrap().counted.is_empty());
}

#[test]
fn what_a_cosigner_signed_is_no_note_and_no_note_is_what_a_cosigner_signs() {
    let pair = || KeyPair::from_seed([3; 32]);
    let (signer, cosigner) = (
        NoteSigner::new("log.example/one", pair()).unwrap(),
        Cosigner::new("log.example/one", pair()).unwrap(),
    );
    let checkpoint = checkpoint_of(&signer, 5);
    let message = format!("cosignature/v1\ntime 7\n{}", checkpoint.checkpoint());
    assert!(matches!(signer.sign(&message), Err(CryptoError::InvalidNote { .. })));
    let signature = &cosigner.cosign(&checkpoint, 7).unwrap().bytes()[8..].to_vec();
    let encoded = STANDARD.encode([signer.verifier_key().id().to_be_bytes().as_slice(), signature].concat());
    let forged = SignedNote::parse(format!("{message}\n— log.example/one {encoded}\n").as_bytes()).unwrap();
    assert!(pair().verify(forged.text().as_bytes(), &pair().sign(message.as_bytes())));
    let refused = forged.verify(std::slice::from_ref(signer.verifier_key())).unwrap_err();
    assert_eq!(refused, CryptoError::BadSignature { name: "log.example/one".into() });
}

#[test]
fn the_time_is_returned_and_the_future_does_not_count() {
    let mut checkpoint = checkpoint_of(&log(1), 5);
    checkpoint.push(witness(2).cosign(&checkpoint, 1_000).unwrap()).unwrap();
    let keys = [witness(2).key().clone(), witness(3).key().clone()];
    let times = |clock| {
        let found = cosignature::verify(checkpoint.note(), &keys, clock).unwrap();
        let times = |list: Vec<cosignature::Cosignature<'_>>| -> Vec<u64> {
            list.iter().map(|found| found.time_s).collect()
        };
        (times(found.counted), times(found.ahead))
    };
    assert_eq!(times(None), (vec![1_000], vec![]));
    assert_eq!(times(Some(Clock { now_s: 990, ahead_s_max: 10 })), (vec![1_000], vec![]));
    assert_eq!(times(Some(Clock { now_s: 989, ahead_s_max: 10 })), (vec![], vec![1_000]));
    assert_eq!(times(Some(Clock { now_s: u64::MAX, ahead_s_max: 10 })), (vec![1_000], vec![]));
    let last = (1 << 63) - 1;
    assert!(witness(2).cosign(&checkpoint, last).is_ok());
    let over = CryptoError::TimeOutOfRange { time_s: 1 << 63 };
    assert_eq!(witness(2).cosign(&checkpoint, 1 << 63), Err(over.clone()));
    let encoded = STANDARD
        .encode([keys[0].id().to_be_bytes().as_slice(), &(1_u64 << 63).to_be_bytes(), &[0; 64]].concat());
    let note = format!("{}\n— witness.example/w2 {encoded}\n", checkpoint.checkpoint());
    let note = SignedNote::parse(note.as_bytes()).unwrap();
    assert_eq!(cosignature::verify(&note, &keys, None), Err(over));
}

#[test]
fn the_latest_of_several_cosignatures_of_one_key_counts() {
    let mut checkpoint = checkpoint_of(&log(1), 5);
    for time_s in [20, 30, 10] {
        checkpoint.push(witness(2).cosign(&checkpoint, time_s).unwrap()).unwrap();
    }
    let keys = [witness(2).key().clone()];
    let found = |now_s| {
        let clock = Some(Clock { now_s, ahead_s_max: 0 });
        let found = cosignature::verify(checkpoint.note(), &keys, clock).unwrap();
        (found.counted.first().map(|one| one.time_s), found.ahead.first().map(|one| one.time_s))
    };
    assert_eq!(found(30), (Some(30), None));
    assert_eq!(found(29), (Some(20), None));
    assert_eq!(found(9), (None, Some(10)));
}

#[test]
fn a_reply_is_checked_and_only_trusted_lines_are_added() {
    let (mut checkpoint, other) = (checkpoint_of(&log(1), 5), checkpoint_of(&log(1), 6));
    let keys = [witness(2).key().clone(), witness(3).key().clone()];
    let [two, three, four] = [2, 3, 4].map(|seed| witness(seed).cosign(&checkpoint, 50).unwrap());
    let before = checkpoint.clone();
    let reply = lines(&[&four]);
    assert_eq!(
        cosignature::add_reply(&mut checkpoint, &reply, &keys, None),
        Err(CryptoError::NoTrustedSignature)
    );
    let spoilt = lines(&[&two, &witness(3).cosign(&other, 50).unwrap()]);
    let bad = CryptoError::BadSignature { name: "witness.example/w3".into() };
    assert_eq!(cosignature::add_reply(&mut checkpoint, &spoilt, &keys, None), Err(bad));
    assert_eq!(checkpoint, before);
    let reply = lines(&[&two, &three, &four]);
    let added = cosignature::add_reply(&mut checkpoint, &reply, &keys, None).unwrap();
    assert_eq!(added.iter().map(|one| one.key).collect::<Vec<_>>(), [&keys[0], &keys[1]]);
    assert_eq!(checkpoint.note().signatures().len(), 3);
    let reopened = SignedCheckpoint::open(checkpoint.to_string().as_bytes(), log(1).verifier_key());
    assert_eq!(reopened, Ok(checkpoint.clone()));
    // A newer cosignature takes the place of the old one; an older one changes nothing.
    for (time_s, held) in [(60, 60), (40, 60)] {
        let reply = lines(&[&witness(2).cosign(&checkpoint, time_s).unwrap()]);
        cosignature::add_reply(&mut checkpoint, &reply, &keys, None).unwrap();
        assert_eq!(checkpoint.note().signatures().len(), 3);
        let found = cosignature::verify(checkpoint.note(), &keys[..1], None).unwrap();
        assert_eq!(found.counted[0].time_s, held);
    }
    let early = Some(Clock { now_s: 49, ahead_s_max: 0 });
    assert!(cosignature::add_reply(&mut before.clone(), &lines(&[&two]), &keys, early).is_err());
}

#[test]
fn signature_lines_and_notes_are_bounded() {
    let mut checkpoint = checkpoint_of(&log(1), 5);
    let line = |time_s| witness(2).cosign(&checkpoint_of(&log(1), 5), time_s).unwrap();
    let many = |count: u64| (0..count).map(|time_s| format!("{}\n", line(time_s))).collect::<String>();
    let full = NOTE_SIGNATURES_MAX as u64;
    assert_eq!(NoteSignature::parse_lines(many(full).as_bytes()).unwrap().len(), NOTE_SIGNATURES_MAX);
    let reason = |lines: &[u8]| match NoteSignature::parse_lines(lines) {
        Err(CryptoError::InvalidNote { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(many(full + 1).as_bytes()), "too many signatures");
    assert_eq!(reason(b""), "no newline after the last signature");
    assert_eq!(reason(b"\n"), "a signature line is not `— name signature`");
    assert_eq!(reason(many(1).trim_end().as_bytes()), "no newline after the last signature");
    assert_eq!(reason(many(1).replace('\n', "\r\n").as_bytes()), "a signature is not Base64");
    assert_eq!(reason(&vec![b'x'; (512 << 10) + 1]), "the signature lines are longer than 512 KiB");
    for time_s in 1..full {
        checkpoint.push(line(time_s)).unwrap();
    }
    checkpoint.push(line(1)).unwrap();
    assert_eq!(checkpoint.note().signatures().len(), NOTE_SIGNATURES_MAX);
    assert_eq!(checkpoint.push(line(full)), Err(CryptoError::InvalidNote { reason: "too many signatures" }));
    assert!(SignedNote::parse(checkpoint.to_string().as_bytes()).is_ok());
}

#[test]
fn lines_of_unknown_types_are_carried_along_and_never_trusted() {
    let mut checkpoint = checkpoint_of(&log(1), 5);
    // As long as an ML-DSA-44 cosignature (0x06).
    let encoded = STANDARD.encode([7; 4 + 8 + 2420]);
    let foreign = format!("— witness.example/w2 {encoded}\n");
    let line = NoteSignature::parse_lines(foreign.as_bytes()).unwrap().remove(0);
    checkpoint.push(line.clone()).unwrap();
    assert!(checkpoint.to_string().ends_with(&foreign));
    let opened = SignedCheckpoint::open(checkpoint.to_string().as_bytes(), log(1).verifier_key()).unwrap();
    assert_eq!(opened.note().signatures()[1], line);
    let keys = [witness(2).key().clone()];
    assert!(cosignature::verify(opened.note(), &keys, None).unwrap().counted.is_empty());
}

#[test]
fn every_changed_bit_of_a_cosigned_checkpoint_is_noticed() {
    let mut checkpoint = checkpoint_of(&log(1), 5);
    checkpoint.push(witness(2).cosign(&checkpoint, 1_000).unwrap()).unwrap();
    let (text, keys) = (checkpoint.to_string(), [witness(2).key().clone()]);
    let cosigned_from = text.find("— witness").unwrap();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let holds = SignedNote::parse(&bytes).is_ok_and(|note| {
                let signed = at >= cosigned_from || note.verify(&[log(1).verifier_key().clone()]).is_ok();
                let found = cosignature::verify(&note, &keys, None);
                signed && found.is_ok_and(|found| found.counted.len() == 1)
            });
            assert!(!holds, "byte {at} bit {bit}");
        }
    }
}
