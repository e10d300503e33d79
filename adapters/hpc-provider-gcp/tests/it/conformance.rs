//! The contract of the port, on the stub: bought by spot, on demand, in a reservation and by flex-start.

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

mod reserved {
    use super::{OfferKind, StubRig};
    hpc_conformance::capacity_provider!(async { Some(StubRig::set_aside(Some(OfferKind::Reserved)).await) });
}

mod flex {
    use super::{OfferKind, StubRig};
    hpc_conformance::capacity_provider!(async { Some(StubRig::set_aside(Some(OfferKind::Flex)).await) });
}
