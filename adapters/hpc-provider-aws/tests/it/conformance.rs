//! The contract of the port, on the stub: bought by spot, on demand, and where it was set aside.

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
    hpc_conformance::capacity_provider!(async {
        Some(StubRig::with_reservations(Some(OfferKind::Reserved)).await)
    });
}

mod block {
    use super::{OfferKind, StubRig};
    hpc_conformance::capacity_provider!(async {
        Some(StubRig::with_reservations(Some(OfferKind::Block)).await)
    });
}
