//! The contract of the port, on the stub: bought by spot and on demand.

use hpc_resources::OfferKind;

use crate::rig::StubRig;

mod spot {
    use super::{OfferKind, StubRig};
    hpc_conformance::capacity_provider!(async { Some(StubRig::start(Some(OfferKind::Spot)).await) });
}

mod on_demand {
    use super::{OfferKind, StubRig};
    hpc_conformance::capacity_provider!(async { Some(StubRig::start(Some(OfferKind::OnDemand)).await) });
}
