//! The contract of the port, on each of the three clouds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::{Rig, Trouble};
use hpc_provider::CapacityProvider;
use hpc_provider_sim::{
    Call, Effect, Notice, QuotaRule, ReservationRule, Rule, Script, SimConfig, SimWorld, Where,
};
use hpc_resources::{InstanceType, OfferKind, ProviderId, ReservationId, ResourceRequest, ZoneId};
use jiff::Timestamp;

use crate::tools::{cloud, config, eight_h100};

struct SimRig {
    world: SimWorld,
    id: &'static str,
}

fn rig(id: &'static str) -> Option<SimRig> {
    let quota = |provider: &str| QuotaRule {
        provider: hpc_resources::ProviderId::parse(provider).unwrap(),
        region: None,
        family: None,
        limit: 1_000_000,
    };
    let reserved = |provider: &str, zone: &str, instance_type: &str| ReservationRule {
        id: ReservationId::parse("set-aside").unwrap(),
        provider: ProviderId::parse(provider).unwrap(),
        zone: ZoneId::parse(zone).unwrap(),
        instance_type: InstanceType::parse(instance_type).unwrap(),
        kind: OfferKind::Reserved,
        instances: 3,
        hidden: 0,
        from_s: 0,
        to_s: None,
    };
    let script = Script {
        quotas: vec![quota("sim-aws"), quota("sim-gcp")],
        reservations: vec![
            reserved("sim-aws", "use1-az1", "p5.48xlarge"),
            reserved("sim-gcp", "us-central1-a", "a3-highgpu-8g"),
        ],
        ..Script::default()
    };
    let stop_delay_ms = if id == "sim-gcp" { 30_000 } else { 0 };
    let world = SimWorld::open(SimConfig { stop_delay_ms, ..config(script) }).unwrap();
    Some(SimRig { world, id })
}

#[async_trait]
impl Rig for SimRig {
    fn provider(&self) -> Arc<dyn CapacityProvider> {
        cloud(&self.world, self.id)
    }
    fn now(&self) -> Timestamp {
        self.world.now()
    }
    async fn pass(&self, by: Duration) {
        self.world.advance(by).unwrap();
    }
    fn request(&self) -> ResourceRequest {
        eight_h100()
    }
    fn reserved(&self) -> Option<ResourceRequest> {
        let request = ResourceRequest::new("test").add_gpu_nvidia_h100(8).with_kinds([OfferKind::Reserved]);
        (self.id != "sim-rack").then(|| request.build().unwrap())
    }
    fn instances_max(&self) -> u32 {
        if self.id == "sim-rack" { 4 } else { 250 }
    }
    async fn bring(&self, trouble: Trouble) -> bool {
        let rule = |effect, at, times| Rule { call: Call::Provision, at, effect, skip: 0, times };
        match trouble {
            Trouble::NoStock(offer) => {
                let at = Where { zone: Some(offer.zone), kind: Some(offer.kind), ..Where::default() };
                self.world.add_rule(rule(Effect::StockOut, at, None)).unwrap();
            }
            Trouble::NoQuota(offer) => {
                let Some(cost) = offer.quota else { return false };
                let (provider, region, family) = (offer.provider, Some(offer.region), Some(cost.family));
                self.world.set_quota(QuotaRule { provider, region, family, limit: 0 }).unwrap();
            }
            Trouble::LoseNextCreate => {
                self.world.add_rule(rule(Effect::LostBefore, Where::default(), Some(1))).unwrap();
            }
            Trouble::LoseNextAnswer => {
                self.world.add_rule(rule(Effect::LostAfter, Where::default(), Some(1))).unwrap();
            }
            Trouble::Reclaim(handle) => return self.world.reclaim(&handle, 300, Notice::Before).unwrap(),
        }
        true
    }
}

mod sim_aws {
    use super::rig;
    hpc_conformance::capacity_provider!(async { rig("sim-aws") });
}

mod sim_gcp {
    use super::rig;
    hpc_conformance::capacity_provider!(async { rig("sim-gcp") });
}

mod sim_rack {
    use super::rig;
    hpc_conformance::capacity_provider!(async { rig("sim-rack") });
}

/// As on EC2: a token counts in one zone only, and launches again in another. Callers must never carry it over.
#[tokio::test]
async fn a_token_in_another_zone_launches_again_on_sim_aws_only() {
    for (id, zones, launches) in
        [("sim-aws", ["use1-az1", "use1-az2"], true), ("sim-gcp", ["us-central1-a", "us-central1-c"], false)]
    {
        let SimRig { world, .. } = rig(id).unwrap();
        let first = crate::tools::offer(&world, id, zones[0], OfferKind::Spot).await;
        let second = crate::tools::offer(&world, id, zones[1], OfferKind::Spot).await;
        let spec = crate::tools::spec(&first, 1, 1);
        let mut elsewhere = crate::tools::spec(&second, 1, 1);
        elsewhere.token = spec.token.clone();
        crate::tools::create(&world, &spec).await.unwrap();
        assert_eq!(crate::tools::create(&world, &elsewhere).await.is_ok(), launches, "{id}");
    }
}
