//! A pool of devices of one's own: who holds which share of what, all or nothing, and how it came to be.
//!
//! Shares are thousandths of a device and never span devices. For every device and at every moment,
//! held + free = capacity.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::accelerator::AcceleratorModel;
use crate::ids::LeaseId;
use crate::quantity::{Bytes, MilliGpu};

/// Most devices in one pool.
pub const DEVICES_MAX: usize = 65_536;
/// Most shares in one gang.
pub const GANG_MAX: usize = 4_096;
/// Most reservations at one time.
pub const RESERVATIONS_MAX: usize = 65_536;
/// Allocation records that are kept; older ones are dropped, and [`Pool::audit_since`] says so.
pub const AUDIT_KEPT_MAX: usize = 16_384;
/// Longest name of a device or domain, in bytes.
pub const DEVICE_NAME_BYTES_MAX: usize = 128;

/// One accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its unique name, for example its UUID.
    pub id: String,
    /// Its model.
    pub model: AcceleratorModel,
    /// Its memory.
    pub memory: Bytes,
    /// What it is closely connected with, for example a node or an NVLink island: `rack-07/node-2`.
    pub domain: String,
}

/// What a gang asks for: `count` equal shares, each on one device of one model, all or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GangRequest {
    /// Who will hold it.
    pub lease: LeaseId,
    /// The model.
    pub model: AcceleratorModel,
    /// How many shares, 1 to [`GANG_MAX`].
    pub count: u32,
    /// How much of a device each share is, 1 to 1,000. Shares of one gang are on different devices.
    pub share: MilliGpu,
    /// The memory that each share's device must have at least.
    pub memory: Bytes,
    /// Whether all devices must be in one domain.
    pub one_domain: bool,
}

/// Which devices a gang gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The devices' names, in order.
    pub devices: Vec<String>,
}

/// A reservation or allocation: what is needed to commit or release it.
///
/// The generation is the fence: it is never used twice, so a late release cannot free what a successor holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who holds it.
    pub lease: LeaseId,
    /// The fence.
    pub generation: u64,
    /// The devices' names, in order.
    pub devices: Vec<String>,
    /// How much of each.
    pub share: MilliGpu,
}

/// Why a pool refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A device that cannot be in a pool.
    #[error("device `{device}`: {why}")]
    Device {
        /// Its name.
        device: String,
        /// Why not.
        why: &'static str,
    },
    /// A gang outside its limits.
    #[error("a gang has 1 to {GANG_MAX} shares of 1 to 1000 thousandths; this one has {count} of {share}")]
    Gang {
        /// How many shares were asked for.
        count: u32,
        /// Of how many thousandths.
        share: u32,
    },
    /// There are not that many devices of the model with that much memory.
    #[error("{count} x {model} can never be placed here: {have} devices of it have the memory; ask for less")]
    Never {
        /// The model.
        model: AcceleratorModel,
        /// How many shares were asked for.
        count: u32,
        /// How many devices there are.
        have: u32,
    },
    /// Too much is held by others.
    #[error("{count} x {model} do not fit now: {fits} devices have room; wait for a release")]
    Insufficient {
        /// The model.
        model: AcceleratorModel,
        /// How many shares were asked for.
        count: u32,
        /// How many devices have room for one.
        fits: u32,
    },
    /// There is room in sum, and not where it is needed.
    #[error("{count} x {model} do not fit although {free} thousandths are free: {why}")]
    Fragmented {
        /// The model.
        model: AcceleratorModel,
        /// How many shares were asked for.
        count: u32,
        /// Free thousandths on all devices of the model.
        free: u64,
        /// What is in the way, and what to do.
        why: &'static str,
    },
    /// The lease holds something already.
    #[error("lease {0} holds devices already; release them first")]
    AlreadyHeld(LeaseId),
    /// Too many reservations.
    #[error("the pool keeps at most {RESERVATIONS_MAX} holds; release some")]
    TooMany,
    /// The hold is not the current one of its lease.
    #[error("generation {given} of lease {lease} is not current; somebody released or replaced it")]
    StaleGeneration {
        /// The lease.
        lease: LeaseId,
        /// The generation that was given.
        given: u64,
    },
    /// The reservation ran out before it was committed.
    #[error("the reservation of lease {lease} ended at {until}; reserve again")]
    Expired {
        /// The lease.
        lease: LeaseId,
        /// When it ended.
        until: Timestamp,
    },
}

/// What happened to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolEvent {
    /// Devices were set aside.
    Reserved,
    /// The reservation became an allocation.
    Committed,
    /// It was given back.
    Released,
    /// The reservation ran out.
    Expired,
}

/// One entry of the allocation history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number, without gaps, from 0.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: PoolEvent,
    /// To which hold.
    pub hold: Hold,
}

/// Part of the allocation history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The records, oldest first.
    pub records: Vec<AuditRecord>,
    /// Where to go on next time.
    pub next: u64,
    /// How many of those asked for are no longer kept.
    pub dropped: u64,
}

/// The use of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceUse {
    /// The device.
    pub device: Device,
    /// Held thousandths.
    pub held: MilliGpu,
    /// Free thousandths.
    pub free: MilliGpu,
    /// Who holds how much of it.
    pub holders: BTreeMap<LeaseId, MilliGpu>,
}

#[derive(Clone, Debug)]
struct Entry {
    hold: Hold,
    /// Until when it must be committed; `None` once it is.
    until: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Slot {
    device: Device,
    /// INVARIANT: at most 1,000; changed only by `take` and `give`.
    held: u32,
}

impl Slot {
    const fn free(&self) -> u32 {
        MilliGpu::WHOLE.0.saturating_sub(self.held)
    }
}

/// Devices and who holds them. Pure: time is an argument, and the same calls give the same placements.
///
/// # Example
/// ```
/// use hpc_resources::{AcceleratorModel, Bytes, Device, GangRequest, LeaseId, MilliGpu, Pool};
///
/// let device = |number: u32| Device {
///     id: format!("gpu-{number}"),
///     model: AcceleratorModel::H100,
///     memory: Bytes::from_mib(81_920),
///     domain: "node-1".to_owned(),
/// };
/// let mut pool = Pool::new((0..8).map(device))?;
/// let gang = GangRequest {
///     lease: LeaseId::from_bits(1),
///     model: AcceleratorModel::H100,
///     count: 4,
///     share: MilliGpu::WHOLE,
///     memory: Bytes(0),
///     one_domain: true,
/// };
/// let now: jiff::Timestamp = "2026-11-20T12:00:00Z".parse()?;
/// let hold = pool.reserve(&gang, now, 60)?;
/// pool.commit(&hold, now)?;
/// assert_eq!(pool.free(AcceleratorModel::H100), 4_000);
/// assert!(pool.release(&hold, now)?);
/// assert!(!pool.release(&hold, now)?, "the second time there is nothing left to free");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pool {
    slots: Vec<Slot>,
    by_id: BTreeMap<String, usize>,
    by_model: BTreeMap<AcceleratorModel, Vec<usize>>,
    holds: BTreeMap<LeaseId, Entry>,
    /// Reservations by the time they run out.
    expiring: BTreeSet<(Timestamp, LeaseId)>,
    generation: u64,
    audit: VecDeque<AuditRecord>,
    audit_next: u64,
}

impl Pool {
    /// A pool of free devices.
    ///
    /// # Errors
    /// [`PoolError::Device`] for a name that is empty, too long or there twice, and past [`DEVICES_MAX`] devices.
    pub fn new(devices: impl IntoIterator<Item = Device>) -> Result<Self, PoolError> {
        let mut pool = Self::default();
        for device in devices {
            let bad = |why| PoolError::Device { device: device.id.chars().take(40).collect(), why };
            let named = |text: &str| !text.is_empty() && text.len() <= DEVICE_NAME_BYTES_MAX;
            if !named(&device.id) || !named(&device.domain) {
                return Err(bad("a name and a domain have 1 to 128 bytes"));
            }
            if pool.slots.len() >= DEVICES_MAX {
                return Err(bad("a pool has at most 65,536 devices"));
            }
            let index = pool.slots.len();
            if pool.by_id.insert(device.id.clone(), index).is_some() {
                return Err(bad("it is in the pool twice"));
            }
            pool.by_model.entry(device.model).or_default().push(index);
            pool.slots.push(Slot { device, held: 0 });
        }
        Ok(pool)
    }

    /// Where the gang would go now, or exactly why nowhere. Changes nothing.
    ///
    /// The fullest devices that still have room come first, so that whole devices stay whole; with `one_domain` the
    /// domain with the fewest fitting devices that is large enough.
    ///
    /// # Errors
    /// [`PoolError::Gang`], [`PoolError::Never`], [`PoolError::Insufficient`] or [`PoolError::Fragmented`].
    pub fn admit(&self, gang: &GangRequest) -> Result<Placement, PoolError> {
        let chosen = self.choose(gang)?;
        let names = chosen.iter().filter_map(|index| self.slots.get(*index));
        Ok(Placement { devices: names.map(|slot| slot.device.id.clone()).collect() })
    }

    fn choose(&self, gang: &GangRequest) -> Result<Vec<usize>, PoolError> {
        let (model, share) = (gang.model, gang.share.0);
        let count = usize::try_from(gang.count).unwrap_or(usize::MAX);
        if count == 0 || count > GANG_MAX || share == 0 || share > MilliGpu::WHOLE.0 {
            return Err(PoolError::Gang { count: gang.count, share });
        }
        let all = self.by_model.get(&model).map_or(&[][..], Vec::as_slice).iter().copied();
        let slot = |index: &usize| self.slots.get(*index);
        let able: Vec<usize> =
            all.filter(|index| slot(index).is_some_and(|s| s.device.memory >= gang.memory)).collect();
        if able.len() < count {
            return Err(PoolError::Never { model, count: gang.count, have: saturating(able.len()) });
        }
        let mut fitting: Vec<usize> =
            able.iter().copied().filter(|index| slot(index).is_some_and(|s| s.free() >= share)).collect();
        let free: u64 = able.iter().filter_map(slot).map(|s| u64::from(s.free())).sum();
        let fragmented = |why| PoolError::Fragmented { model, count: gang.count, free, why };
        if fitting.len() < count {
            let enough = u64::from(gang.count).saturating_mul(u64::from(share)) <= free;
            return Err(if enough {
                fragmented("too few devices have a whole share free; ask for smaller shares, or wait")
            } else {
                PoolError::Insufficient { model, count: gang.count, fits: saturating(fitting.len()) }
            });
        }
        if gang.one_domain {
            fitting = self.tightest_domain(&fitting, count).ok_or_else(|| {
                fragmented("no one domain has room for all; allow several domains, or wait")
            })?;
        }
        fitting.sort_by_key(|index| slot(index).map(|s| (s.free(), *index)));
        fitting.truncate(count);
        Ok(fitting)
    }

    fn tightest_domain(&self, fitting: &[usize], count: usize) -> Option<Vec<usize>> {
        let mut domains: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for index in fitting {
            let domain = self.slots.get(*index)?.device.domain.as_str();
            domains.entry(domain).or_default().push(*index);
        }
        domains.into_values().filter(|devices| devices.len() >= count).min_by_key(Vec::len)
    }

    /// Sets the gang's devices aside until it is committed, for at most `seconds`: all of them or none.
    ///
    /// Reservations that ran out by `now` are freed first.
    ///
    /// # Errors
    /// As [`Pool::admit`], and [`PoolError::AlreadyHeld`], [`PoolError::TooMany`].
    pub fn reserve(&mut self, gang: &GangRequest, now: Timestamp, seconds: u32) -> Result<Hold, PoolError> {
        self.expire(now);
        if self.holds.contains_key(&gang.lease) {
            return Err(PoolError::AlreadyHeld(gang.lease.clone()));
        }
        if self.holds.len() >= RESERVATIONS_MAX {
            return Err(PoolError::TooMany);
        }
        let chosen = self.choose(gang)?;
        let mut devices = Vec::with_capacity(chosen.len());
        for index in chosen {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.held += gang.share.0;
                devices.push(slot.device.id.clone());
            }
        }
        self.generation += 1;
        let hold =
            Hold { lease: gang.lease.clone(), generation: self.generation, devices, share: gang.share };
        let until = now.saturating_add(jiff::SignedDuration::from_secs(i64::from(seconds))).unwrap_or(now);
        self.expiring.insert((until, hold.lease.clone()));
        self.holds.insert(hold.lease.clone(), Entry { hold: hold.clone(), until: Some(until) });
        self.record(now, PoolEvent::Reserved, &hold);
        Ok(hold)
    }

    /// Makes a reservation an allocation, which lasts until its release. A second time it changes nothing.
    ///
    /// # Errors
    /// [`PoolError::Expired`] when it ran out by `now` (it is then free), [`PoolError::StaleGeneration`] when the hold is
    /// not the current one.
    pub fn commit(&mut self, hold: &Hold, now: Timestamp) -> Result<(), PoolError> {
        let stale = || PoolError::StaleGeneration { lease: hold.lease.clone(), given: hold.generation };
        let current = self.holds.get(&hold.lease).filter(|entry| entry.hold.generation == hold.generation);
        match current.ok_or_else(stale)?.until {
            None => Ok(()),
            Some(until) if until <= now => {
                self.expire(now);
                Err(PoolError::Expired { lease: hold.lease.clone(), until })
            }
            Some(until) => {
                self.expiring.remove(&(until, hold.lease.clone()));
                if let Some(entry) = self.holds.get_mut(&hold.lease) {
                    entry.until = None;
                }
                self.record(now, PoolEvent::Committed, hold);
                Ok(())
            }
        }
    }

    /// Gives a reservation or an allocation back. `false` when it was given back or ran out before: releasing twice
    /// succeeds.
    ///
    /// # Errors
    /// [`PoolError::StaleGeneration`] when the lease has a newer hold, or the generation was never given out: a late
    /// release cannot free what a successor holds.
    pub fn release(&mut self, hold: &Hold, now: Timestamp) -> Result<bool, PoolError> {
        let stale = || PoolError::StaleGeneration { lease: hold.lease.clone(), given: hold.generation };
        match self.holds.get(&hold.lease) {
            Some(entry) if entry.hold.generation != hold.generation => Err(stale()),
            None if hold.generation == 0 || hold.generation > self.generation => Err(stale()),
            None => Ok(false),
            Some(_) => {
                self.end(&hold.lease, now, PoolEvent::Released);
                Ok(true)
            }
        }
    }

    /// Frees the reservations that ran out by `now` (half open); says how many.
    pub fn expire(&mut self, now: Timestamp) -> usize {
        let mut count = 0;
        while let Some((until, lease)) = self.expiring.first().cloned().filter(|(until, _)| *until <= now) {
            self.end(&lease, until, PoolEvent::Expired);
            count += 1;
        }
        count
    }

    fn end(&mut self, lease: &LeaseId, at: Timestamp, event: PoolEvent) {
        let Some(entry) = self.holds.remove(lease) else { return };
        if let Some(until) = entry.until {
            self.expiring.remove(&(until, lease.clone()));
        }
        // What is freed is what the pool wrote down, never what a caller says.
        for device in &entry.hold.devices {
            let slot = self.by_id.get(device).and_then(|index| self.slots.get_mut(*index));
            if let Some(slot) = slot {
                slot.held = slot.held.saturating_sub(entry.hold.share.0);
            }
        }
        self.record(at, event, &entry.hold);
    }

    fn record(&mut self, at: Timestamp, event: PoolEvent, hold: &Hold) {
        self.audit.push_back(AuditRecord { sequence: self.audit_next, at, event, hold: hold.clone() });
        self.audit_next += 1;
        if self.audit.len() > AUDIT_KEPT_MAX {
            self.audit.pop_front();
        }
    }

    /// The allocation history from `sequence` on; nothing is lost between two calls that go on from `next`, unless
    /// `dropped` says so.
    #[must_use]
    pub fn audit_since(&self, sequence: u64) -> AuditPage {
        let oldest = self.audit.front().map_or(self.audit_next, |record| record.sequence);
        let skip = usize::try_from(sequence.saturating_sub(oldest)).unwrap_or(usize::MAX);
        AuditPage {
            records: self.audit.iter().skip(skip).cloned().collect(),
            next: self.audit_next,
            dropped: oldest.saturating_sub(sequence),
        }
    }

    /// The current hold of a lease.
    #[must_use]
    pub fn hold_of(&self, lease: &LeaseId) -> Option<&Hold> {
        self.holds.get(lease).map(|entry| &entry.hold)
    }

    /// Free thousandths on all devices of a model.
    #[must_use]
    pub fn free(&self, model: AcceleratorModel) -> u64 {
        let indexes = self.by_model.get(&model).into_iter().flatten();
        indexes.filter_map(|index| self.slots.get(*index)).map(|slot| u64::from(slot.free())).sum()
    }

    /// Every device with its use, in the order given to [`Pool::new`].
    #[must_use]
    pub fn snapshot(&self) -> Vec<DeviceUse> {
        let mut uses: Vec<DeviceUse> = self
            .slots
            .iter()
            .map(|slot| DeviceUse {
                device: slot.device.clone(),
                held: MilliGpu(slot.held),
                free: MilliGpu(slot.free()),
                holders: BTreeMap::new(),
            })
            .collect();
        for Entry { hold, .. } in self.holds.values() {
            for device in &hold.devices {
                let used = self.by_id.get(device).and_then(|index| uses.get_mut(*index));
                if let Some(used) = used {
                    used.holders.insert(hold.lease.clone(), hold.share);
                }
            }
        }
        uses
    }
}

fn saturating(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
