use super::{Group, Member, Octets, TlogPolicy};
use crate::CryptoError;
use crate::checkpoint::SignedCheckpoint;
use crate::cosignature::{Clock, Cosignature, CosignerKey, verify_by};
use crate::note::{SignedNote, VerifierKey};

/// A cosignature by a witness of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The witness's name within the policy.
    pub name: Octets,
    /// The witness's key.
    pub key: CosignerKey,
    /// When it cosigned, by its own clock, in POSIX seconds.
    pub time_s: u64,
}

/// What a policy says of a checkpoint that one of its logs signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    checkpoint: SignedCheckpoint,
    log: VerifierKey,
    witnessed: Vec<Witnessed>,
    ahead: Vec<Witnessed>,
    missing: Option<String>,
}

impl TlogPolicy {
    /// Judges a signed checkpoint: which log signed it, which witnesses cosigned it, whether the quorum holds.
    ///
    /// A verdict without its quorum is no error: see [`Verdict::missing`] and [`Verdict::require`].
    ///
    /// # Errors
    /// What is wrong with the note, the checkpoint or a signature by a key of the policy; [`CryptoError::UnknownLog`] when
    /// no log of the policy has the checkpoint's origin.
    pub fn evaluate(&self, note: &[u8], clock: Option<Clock>) -> Result<Verdict, CryptoError> {
        self.evaluate_note(SignedNote::parse(note)?, clock)
    }

    /// As [`TlogPolicy::evaluate`], for a note that has been read.
    ///
    /// # Errors
    /// As [`TlogPolicy::evaluate`].
    pub fn evaluate_note(&self, note: SignedNote, clock: Option<Clock>) -> Result<Verdict, CryptoError> {
        let (checkpoint, log) = SignedCheckpoint::of_any_by(note, self.logs.iter().map(|log| &log.key))?;
        let keys = self.witnesses.iter().map(|witness| &witness.key);
        let cosignatures = verify_by(checkpoint.note(), keys, clock)?;
        // In the order of the policy.
        let named = |found: &[Cosignature<'_>]| -> Vec<Witnessed> {
            let of = |key| found.iter().find(|found| found.key == key).map(|found| found.time_s);
            let witnesses = self.witnesses.iter();
            witnesses
                .filter_map(|witness| {
                    let (name, key) = (witness.name.clone(), witness.key.clone());
                    of(&witness.key).map(|time_s| Witnessed { name, key, time_s })
                })
                .collect()
        };
        let (witnessed, ahead) = (named(&cosignatures.counted), named(&cosignatures.ahead));
        let missing = self.missing(&witnessed, &ahead);
        Ok(Verdict { log: log.clone(), checkpoint, witnessed, ahead, missing })
    }

    /// What the quorum lacks; `None` when it holds.
    fn missing(&self, witnessed: &[Witnessed], ahead: &[Witnessed]) -> Option<String> {
        let signed: Vec<bool> = self
            .witnesses
            .iter()
            .map(|witness| witnessed.iter().any(|found| found.key == witness.key))
            .collect();
        // Groups refer to earlier ones only, so one pass settles them all.
        let mut holding: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(**member, &signed, &holding)).count();
            holding.push(count >= group.needed);
        }
        let quorum = self.quorum?;
        if holds(quorum, &signed, &holding) {
            return None;
        }
        let mut lacks = Vec::new();
        self.explain(quorum, &signed, &holding, &mut lacks);
        for late in ahead {
            lacks.push(format!(
                "the cosignature of {} is dated in the future ({} s) and does not count",
                late.name, late.time_s
            ));
        }
        Some(lacks.join("; "))
    }

    /// Says for a member that does not hold, and for those below it, what is missing.
    fn explain(&self, member: Member, signed: &[bool], holding: &[bool], lacks: &mut Vec<String>) {
        let at = match member {
            Member::Witness(_) => {
                lacks.push(format!("witness {} has not cosigned", self.shown(member)));
                return;
            }
            Member::Group(at) => at,
        };
        let Some(Group { needed, members, .. }) = self.groups.get(at) else { return };
        let missing: Vec<Member> =
            members.iter().copied().filter(|member| !holds(*member, signed, holding)).collect();
        let (count, names) =
            (members.len() - missing.len(), missing.iter().map(|member| self.shown(*member)));
        let names: Vec<String> = names.collect();
        let names = match needed.saturating_sub(count) {
            all if all == names.len() => names.join(" and "),
            1 => names.join(" or "),
            some => format!("{some} of {}", names.join(", ")),
        };
        lacks.push(format!("group {}: {count} of {needed}, missing {names}", self.shown(member)));
        for member in missing {
            if matches!(member, Member::Group(_)) {
                self.explain(member, signed, holding, lacks);
            }
        }
    }

    fn shown(&self, member: Member) -> String {
        Octets(self.name_of(member).to_vec()).to_string()
    }
}

/// Whether a witness has cosigned or a group has enough members that hold.
fn holds(member: Member, signed: &[bool], holding: &[bool]) -> bool {
    let found = match member {
        Member::Witness(at) => signed.get(at),
        Member::Group(at) => holding.get(at),
    };
    found.copied().unwrap_or(false)
}

impl Verdict {
    /// The checkpoint, signed by a log of the policy.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The checkpoint by value.
    pub fn into_checkpoint(self) -> SignedCheckpoint {
        self.checkpoint
    }

    /// The key of the log that signed.
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The witnesses that cosigned, in the order of the policy, whether the quorum counts them or not.
    pub fn witnessed(&self) -> &[Witnessed] {
        &self.witnessed
    }

    /// The witnesses whose cosignatures do not count, because they are dated further ahead than the clock admits.
    pub fn ahead(&self) -> &[Witnessed] {
        &self.ahead
    }

    /// Whether the quorum holds.
    pub const fn holds(&self) -> bool {
        self.missing.is_none()
    }

    /// What the quorum lacks, such as `group X-witnesses: 1 of 2, missing X2 or X3`; `None` when it holds.
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// The verdict itself, when the quorum holds.
    ///
    /// # Errors
    /// Only [`CryptoError::QuorumMissed`].
    pub fn require(self) -> Result<Self, CryptoError> {
        match self.missing {
            Some(missing) => Err(CryptoError::QuorumMissed { missing }),
            None => Ok(self),
        }
    }
}
