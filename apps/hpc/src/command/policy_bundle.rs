//! `hpc policy bundle`: keys for authors of policies, signed bundles, and what is in one. Needs no daemon.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use hpc_crypto::note::NoteSigner;
use hpc_crypto::note::VerifierKey;
use hpc_error::{HpcError, codes};
use hpc_policy::limits::BUNDLE_BYTES_MAX;
use hpc_policy::{BundleInfo, PolicySet, VerifiedBundle, create_bundle, verify_bundle};
use serde_json::json;

use super::policy::{invalid, policies, unreadable};
use crate::args::{BundleCommand, CreateBundle};
use crate::key_files::{create, generate, read_private};
use crate::output::{GOOD, Screen, paint};
use crate::policy_keys::{bundle_failure, read_public};
use crate::session::Surroundings;
use crate::table::Table;
use crate::text;

pub(super) fn run(
    command: BundleCommand,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    match command {
        BundleCommand::Keygen { name, out } => {
            let key = generate::<NoteSigner>(&name, &out)?.verifier_key().clone();
            if screen.format.is_json() {
                screen.value(
                    &json!({"public_key": key.to_string(), "private_key_file": out.display().to_string()}),
                )?;
            } else {
                screen.text(&format!("{key}\n"))?;
            }
            screen.say(&format!(
                "the private key is in {}; keep it, and give the public one to daemons",
                out.display()
            ));
        }
        BundleCommand::Create(args) => make(&args, around, screen)?,
        BundleCommand::Verify { file, key, after } => {
            let keys = read_public(&key)?;
            let verified = verified(&file, &keys)?;
            if let Some(after) = after {
                follows(&verified, &self::verified(&after, &keys)?, &file)?;
            }
            show(&verified, screen)?;
        }
    }
    Ok(0)
}

fn make(args: &CreateBundle, around: &Surroundings, screen: &mut Screen<'_>) -> Result<(), HpcError> {
    let documents = policies(&args.paths)?;
    PolicySet::parse_documents(documents.iter().map(|(name, text)| (name, text)))
        .map_err(|errors| invalid(&errors))?;
    let signer: NoteSigner = read_private(&args.key)?;
    let trusted = [signer.verifier_key().clone()];
    let last = args.after.as_deref().map(|path| verified(path, &trusted)).transpose()?;
    let (name, sequence) = match (&last, args.sequence) {
        (Some(last), _) => {
            let sequence = last.info.sequence.checked_add(1).ok_or_else(|| {
                HpcError::coded(&codes::USG_OUT_OF_RANGE, "the last bundle has the highest number there is")
            })?;
            (args.name.clone().unwrap_or_else(|| last.info.name.clone()), sequence)
        }
        (None, sequence) => (args.name.clone().unwrap_or_default(), sequence.unwrap_or_default()),
    };
    // Whole seconds: nobody compares these times, people read them.
    let created = (around.now)().as_second();
    let created = jiff::Timestamp::from_second(created)
        .map_err(|error| HpcError::coded(&codes::USG_OUT_OF_RANGE, error.to_string()))?;
    let info = BundleInfo { name, sequence, created };
    let bundle =
        create_bundle(documents, &info, &signer).map_err(|error| bundle_failure("the bundle", &error))?;
    // What nobody would take is not written.
    let made =
        verify_bundle(bundle.as_bytes(), &trusted).map_err(|error| bundle_failure("the bundle", &error))?;
    if let Some(last) = &last {
        follows(&made, last, &args.out)?;
    }
    create(&args.out, bundle.as_bytes(), 0o644)?;
    show(&made, screen)
}

fn follows(bundle: &VerifiedBundle, last: &VerifiedBundle, path: &Path) -> Result<(), HpcError> {
    bundle.follows(&last.accepted()).map_err(|error| bundle_failure(&format!("`{}`", path.display()), &error))
}

fn verified(path: &Path, keys: &[VerifierKey]) -> Result<VerifiedBundle, HpcError> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    verify_bundle(&bytes, keys).map_err(|error| bundle_failure(&format!("`{}`", path.display()), &error))
}

fn show(bundle: &VerifiedBundle, screen: &mut Screen<'_>) -> Result<(), HpcError> {
    let VerifiedBundle { info, set, documents, signer, .. } = bundle;
    if screen.format.is_json() {
        let documents: Vec<_> =
            documents.iter().map(|(name, text)| json!({"name": name, "bytes": text.len()})).collect();
        return screen.value(&json!({
            "ok": true, "name": info.name, "sequence": info.sequence, "created": info.created,
            "digest": set.digest(), "rules": set.rule_count(), "signer": signer.to_string(), "documents": documents,
        }));
    }
    let mut out = format!("{}   the signature holds, and every byte is what was signed\n", paint(GOOD, "ok"));
    let mut table = Table::plain().indent(2);
    table.row(["name", &text::line(&info.name)]);
    table.row(["sequence", &info.sequence.to_string()]);
    table.row(["created", &text::moment(info.created)]);
    table.row(["digest", set.digest()]);
    table.row(["rules", &set.rule_count().to_string()]);
    table.row(["signer", &format!("{} (key {:08x})", text::line(signer.name()), signer.id())]);
    for (name, document) in documents {
        table.row(["document", &format!("{}, {} bytes", text::line(name), document.len())]);
    }
    out.push_str(&table.render());
    screen.text(&out)
}
