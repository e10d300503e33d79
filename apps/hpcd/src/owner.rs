//! The owner tag of this data directory: drawn once, kept beside the leases it stands for.
//!
//! Whoever reaps asks a cloud for everything with this tag. Two directories with one tag in one account would each end the
//! other's instances, so it comes from chance and never from a setting. It lies in the ledger, because what it owns does.

use hpc_error::{HpcError, codes};
use hpc_ledger::{Key, Ledger, LedgerError, Transaction};

use crate::clock::draw_32;

/// Where it is kept.
const PLACE: &str = "installation/owner";
/// How every tag begins, so that a cloud's access rules can name them all.
pub const OWNER_PREFIX: &str = "hpcd-";
/// How much chance is in it, in bytes.
const CHANCE_BYTES: usize = 16;

/// The tag, drawn and made durable by the first call.
///
/// A directory of an older version, whose tag was made from its seed, gets one of its own as well: instances that the ledger
/// knows are found by their handles and intents, whatever their owner tag says.
///
/// # Errors
/// `HPC-DAT-0001` for a record that is no tag; `HPC-INT-0001` without randomness; ledger failures.
pub(crate) async fn owner_of(ledger: &dyn Ledger) -> Result<String, HpcError> {
    let place = Key::parse(PLACE).map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
    if let Some(kept) = ledger.get(&place).await.map_err(stored)? {
        return read(&kept.value);
    }
    let drawn = draw_32()?;
    let chance: String = drawn.iter().take(CHANCE_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let owner = format!("{OWNER_PREFIX}{chance}");
    let keep = Transaction::new().expect_absent(&place).put(&place, owner.as_bytes().to_vec());
    ledger.commit(keep).await.map_err(stored)?;
    Ok(owner)
}

fn read(bytes: &[u8]) -> Result<String, HpcError> {
    let tag = std::str::from_utf8(bytes).ok().filter(|text| {
        text.strip_prefix(OWNER_PREFIX).is_some_and(|chance| {
            chance.len() == 2 * CHANCE_BYTES
                && chance.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    });
    tag.map(str::to_owned).ok_or_else(|| {
        HpcError::coded(&codes::DAT_CORRUPT, "the ledger's owner tag is damaged; restore it from a backup")
    })
}

fn stored(error: LedgerError) -> HpcError {
    HpcError::coded(&codes::INT_STORE, error.to_string()).caused_by(error)
}
