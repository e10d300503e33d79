//! The stub's cloud: what exists, what is in stock, and what goes wrong next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::Query;
use super::reply::{instances_page, refusal, wrapped, zone_id};

/// How late a new instance shows up in lists.
pub(crate) const LAG: SignedDuration = SignedDuration::from_secs(5);
/// How long an ending takes.
const ENDING: SignedDuration = SignedDuration::from_secs(30);
/// How long an ended instance stays in lists.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Spot prices on one page.
const PRICES_ON_A_PAGE: usize = 2;

/// Types: name, GPU as (name, count, MiB each), vCPUs, MiB, usage classes.
type Type = (&'static str, Option<(&'static str, u32, u32)>, u32, u32, &'static [&'static str]);
pub(crate) const TYPES: &[Type] = &[
    ("p5.48xlarge", Some(("H100", 8, 81_920)), 192, 2_097_152, &["on-demand", "spot"]),
    ("p5.4xlarge", Some(("H100", 1, 81_920)), 16, 262_144, &["on-demand"]),
    ("p4d.24xlarge", Some(("A100", 8, 40_960)), 96, 1_179_648, &["on-demand", "spot"]),
    ("g6f.large", Some(("L4", 0, 2_861)), 2, 8_192, &["on-demand", "spot"]),
    ("p5e.48xlarge", Some(("H200", 8, 144_384)), 192, 2_097_152, &["capacity-block"]),
    ("m5.large", None, 2, 8_192, &["on-demand", "spot"]),
];

/// Quotas that the stub has: code, name.
pub(crate) const QUOTAS: &[(&str, &str)] = &[
    ("L-417A185B", "Running On-Demand P instances"),
    ("L-C4BD4855", "All P5 Spot Instance Requests"),
    ("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests"),
    ("L-DB2E81BA", "Running On-Demand G and VT instances"),
    ("L-0E3CBAB9", "Public AMIs"),
];

/// What happens to the next call of an action.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The request is not carried out, and the connection ends.
    DropBefore,
    /// The request is carried out, and the connection ends.
    DropAfter,
    /// The request is carried out; the answer is cut, and its announced length with it.
    CutTo(usize),
    /// The request is carried out; the connection ends after so many bytes of the body.
    BreakAt(usize),
    /// The request is not carried out, and this is the answer: status, type, body.
    Answer(u16, &'static str, String),
    /// Nothing ever comes back.
    Hang,
}

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) instance_type: String,
    pub(crate) zone: String,
    pub(crate) spot: bool,
    /// The reservation it runs in, whether it was created for it, and whether that is a block.
    pub(crate) reserved: Option<(String, bool, bool)>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) created_at: Timestamp,
    /// When its end was asked for, and why.
    pub(crate) end: Option<(Timestamp, &'static str)>,
}

impl Machine {
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match self.end {
            Some((at, _)) if now >= at.saturating_add(ENDING).unwrap() => "terminated",
            Some(_) => "shutting-down",
            None if now < self.created_at.saturating_add(LAG).unwrap() => "pending",
            None => "running",
        }
    }
}

/// A capacity reservation or a block, as EC2 keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Reserved {
    pub(crate) id: &'static str,
    pub(crate) owner: &'static str,
    pub(crate) block: bool,
    /// Whether what names no reservation runs in it as well.
    pub(crate) open: bool,
    pub(crate) instance_type: &'static str,
    pub(crate) zone: &'static str,
    pub(crate) platform: &'static str,
    pub(crate) state: &'static str,
    pub(crate) total: usize,
    /// Instances of others, which no answer shows.
    pub(crate) hidden: usize,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Option<Timestamp>,
}

/// A spot request as EC2 shows it: instance, status, since when.
#[derive(Clone, Debug)]
pub(crate) struct SpotRequest {
    pub(crate) instance: String,
    pub(crate) code: &'static str,
    pub(crate) at: Timestamp,
}

pub(crate) struct Cloud {
    pub(crate) now: Timestamp,
    pub(crate) machines: Vec<Machine>,
    pub(crate) spot_requests: Vec<SpotRequest>,
    pub(crate) reservations: Vec<Reserved>,
    /// Zone ids and ways to buy that are out of stock.
    pub(crate) sold_out: BTreeSet<(String, bool)>,
    /// vCPUs by code; what is not named is plenty.
    pub(crate) limits: BTreeMap<String, u32>,
    pub(crate) spot_price: &'static str,
    pub(crate) calls: Vec<(String, Query)>,
    /// Lists that never end.
    pub(crate) endless: bool,
    tokens: BTreeMap<(String, String), (Query, Vec<String>)>,
    faults: VecDeque<(String, Fault)>,
    next_id: u32,
}

pub(crate) type Answer = (u16, String);

impl Cloud {
    pub(crate) fn new() -> Self {
        Self {
            now: "2026-11-26T12:00:00Z".parse().unwrap(),
            machines: Vec::new(),
            spot_requests: Vec::new(),
            reservations: Vec::new(),
            sold_out: BTreeSet::new(),
            limits: BTreeMap::new(),
            spot_price: "18.2500",
            calls: Vec::new(),
            endless: false,
            tokens: BTreeMap::new(),
            faults: VecDeque::new(),
            next_id: 1,
        }
    }

    pub(crate) fn fail_next(&mut self, action: &str, fault: Fault) {
        self.faults.push_back((action.to_owned(), fault));
    }

    pub(crate) fn fault(&mut self, action: &str) -> Option<Fault> {
        let at = self.faults.iter().position(|(of, _)| of == action)?;
        self.faults.remove(at).map(|(_, fault)| fault)
    }

    pub(crate) fn pending_faults(&self) -> usize {
        self.faults.len()
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        self.calls.iter().filter(|(called, _)| called == action).count()
    }

    pub(crate) fn answer(&mut self, action: &str, query: &Query) -> Answer {
        match action {
            "DescribeAvailabilityZones" => self.zones(),
            "DescribeInstanceTypeOfferings" => self.offerings(query),
            "DescribeInstanceTypes" => types(query),
            "DescribeSpotPriceHistory" => self.spot_prices(query),
            "RunInstances" => self.run(query),
            "DescribeInstances" => self.describe(query),
            "TerminateInstances" => self.terminate(query),
            "DescribeSpotInstanceRequests" => self.requests(query),
            "DescribeCapacityReservations" => self.reserved(query),
            other => refusal(400, "InvalidAction", &format!("no {other}")),
        }
    }

    pub(crate) fn json(&self, target: &str, body: &str) -> Answer {
        match target {
            "ServiceQuotasV20190624.ListServiceQuotas" => {
                assert!(body.contains(r#""ServiceCode":"ec2""#), "{body}");
                let quotas: Vec<String> = QUOTAS
                    .iter()
                    .map(|(code, name)| {
                        let limit = self.limits.get(*code).copied().unwrap_or(100_000);
                        format!(r#"{{"QuotaCode":"{code}","QuotaName":"{name}","Value":{limit}.0}}"#)
                    })
                    .collect();
                // Two pages.
                let second = body.contains("page-2");
                let (from, to, next) =
                    if second { (2, quotas.len(), "") } else { (0, 2, r#","NextToken":"page-2""#) };
                (200, format!(r#"{{"Quotas":[{}]{next}}}"#, quotas[from..to].join(",")))
            }
            "AWSPriceListService.GetProducts" => {
                let entry = include_str!("../../data/price-list-p5.json").trim();
                let known = body.contains("p5.48xlarge") && body.contains("us-east-1");
                let list = if known { format!("\"{}\"", entry.replace('"', "\\\"")) } else { String::new() };
                (200, format!(r#"{{"FormatVersion":"aws_v1","PriceList":[{list}]}}"#))
            }
            other => (400, format!(r#"{{"__type":"UnknownOperationException","message":"{other}"}}"#)),
        }
    }

    fn zones(&self) -> Answer {
        let zone = |name: &str| {
            format!(
                "<item><zoneName>{name}</zoneName><zoneId>{}</zoneId><zoneState>available</zoneState>\
                 <regionName>us-east-1</regionName></item>",
                zone_id(name)
            )
        };
        let zones: String = ["us-east-1a", "us-east-1b", "us-east-1c"].map(zone).concat();
        wrapped("DescribeAvailabilityZones", &format!("<availabilityZoneInfo>{zones}</availabilityZoneInfo>"))
    }

    fn offerings(&self, query: &Query) -> Answer {
        assert_eq!(query.text("LocationType"), "availability-zone-id");
        let names = query.filters().remove(0).1;
        let mut items = String::new();
        for (name, ..) in TYPES.iter().filter(|(name, ..)| names.iter().any(|wanted| wanted == name)) {
            for zone in ["use1-az1", "use1-az4"] {
                items.push_str(&format!(
                    "<item><instanceType>{name}</instanceType><locationType>availability-zone-id</locationType>\
                     <location>{zone}</location></item>"
                ));
            }
        }
        let more = if self.endless { "<nextToken>more</nextToken>" } else { "" };
        let body = format!("<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>{more}");
        wrapped("DescribeInstanceTypeOfferings", &body)
    }

    fn spot_prices(&self, query: &Query) -> Answer {
        let products = query.list("ProductDescription");
        assert!(
            products.contains(&"Linux/UNIX".to_owned()),
            "no product: the price of Windows is in the list too"
        );
        let mut points = Vec::new();
        for name in query.list("InstanceType") {
            for (zone, seconds) in [("us-east-1a", 400), ("us-east-1c", 500), ("us-east-1c", 9_000)] {
                let at = self.now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap();
                // An old price is another one.
                let price = if seconds > 1_000 { "99.0" } else { self.spot_price };
                points.push(format!(
                    "<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription>\
                     <spotPrice>{price}</spotPrice><timestamp>{at}</timestamp>\
                     <availabilityZone>{zone}</availabilityZone></item>"
                ));
            }
        }
        let from: usize = query.text("NextToken").parse().unwrap_or(0);
        let page: String = points.iter().skip(from).take(PRICES_ON_A_PAGE).cloned().collect();
        let next = from + PRICES_ON_A_PAGE;
        // EC2 writes "no more" as an empty token here.
        let next = if next < points.len() { next.to_string() } else { String::new() };
        let body = format!("<spotPriceHistorySet>{page}</spotPriceHistorySet><nextToken>{next}</nextToken>");
        wrapped("DescribeSpotPriceHistory", &body)
    }

    fn run(&mut self, query: &Query) -> Answer {
        let count: usize = query.text("MaxCount").parse().unwrap();
        assert_eq!(query.text("MinCount"), query.text("MaxCount"), "a part would be created");
        let (token, zone) =
            (query.text("ClientToken").to_owned(), query.text("Placement.AvailabilityZone").to_owned());
        assert!(!token.is_empty() && token.len() <= 64);
        let spot = query.text("InstanceMarketOptions.MarketType") == "spot";
        // The token counts in its zone only, as EC2 documents.
        if let Some((before, ids)) = self.tokens.get(&(token.clone(), zone.clone())) {
            if before != query {
                return refusal(400, "IdempotentParameterMismatch", "the token came with other parameters");
            }
            let machines: Vec<&Machine> =
                self.machines.iter().filter(|machine| ids.contains(&machine.id)).collect();
            return instances_page("RunInstances", &machines, self.now, None);
        }
        let Some((_, _, vcpus, ..)) = TYPES.iter().find(|(name, ..)| *name == query.text("InstanceType"))
        else {
            return refusal(400, "InvalidInstanceType", "no such type");
        };
        let reserved = match self.reservation_for(query, &zone, count) {
            Ok(reserved) => reserved,
            Err(refused) => return refused,
        };
        let market = reserved.is_none();
        if market && self.sold_out.contains(&(zone_id(&zone).to_owned(), spot)) {
            return refusal(
                500,
                "InsufficientInstanceCapacity",
                "We currently do not have sufficient capacity",
            );
        }
        let code = if spot { "L-C4BD4855" } else { "L-417A185B" };
        let running = |machine: &&Machine| machine.spot == spot && machine.end.is_none();
        let used = u32::try_from(self.machines.iter().filter(running).count() + count).unwrap() * vcpus;
        if market && self.limits.get(code).is_some_and(|limit| used > *limit) {
            let code = if spot { "MaxSpotInstanceCountExceeded" } else { "VcpuLimitExceeded" };
            return refusal(400, code, "You have requested more vCPU capacity than your current limit");
        }
        let ids: Vec<String> = (0..count).map(|_| self.fresh_id()).collect();
        for id in &ids {
            self.machines.push(Machine {
                id: id.clone(),
                token: token.clone(),
                instance_type: query.text("InstanceType").to_owned(),
                zone: zone.clone(),
                spot,
                reserved: reserved.clone(),
                tags: query.tags("instance"),
                created_at: self.now,
                end: None,
            });
        }
        self.tokens.insert((token, zone), (query.clone(), ids.clone()));
        let machines: Vec<&Machine> =
            self.machines.iter().filter(|machine| ids.contains(&machine.id)).collect();
        instances_page("RunInstances", &machines, self.now, None)
    }

    /// In which reservation a create ends up, as EC2 does it: in the one it names, in an open one that fits when it says
    /// nothing, in none when it says so.
    fn reservation_for(
        &self,
        query: &Query,
        zone: &str,
        count: usize,
    ) -> Result<Option<(String, bool, bool)>, Answer> {
        let of = "CapacityReservationSpecification";
        let target = query.text(&format!("{of}.CapacityReservationTarget.CapacityReservationId"));
        let preference = query.text(&format!("{of}.CapacityReservationPreference"));
        let market = query.text("InstanceMarketOptions.MarketType");
        let fits = |have: &&Reserved| have.zone == zone && have.instance_type == query.text("InstanceType");
        let room = |have: &Reserved| have.total.saturating_sub(have.hidden + self.used(have)) >= count;
        if target.is_empty() {
            if market == "capacity-block" {
                return Err(refusal(400, "MissingParameter", "a capacity block is named by its reservation"));
            }
            let open = |have: &&Reserved| have.open && have.state == "active" && room(have);
            let found = self.reservations.iter().filter(fits).find(open);
            let takes = market.is_empty() && preference != "none";
            return Ok(found.filter(|_| takes).map(|have| (have.id.to_owned(), false, false)));
        }
        let Some(have) = self.reservations.iter().find(|have| have.id == target) else {
            return Err(refusal(400, "InvalidCapacityReservationId.NotFound", "no such reservation"));
        };
        if !fits(&have) || have.block != (market == "capacity-block") {
            return Err(refusal(400, "InvalidParameterValue", "the attributes do not match the reservation"));
        }
        if have.state != "active" {
            return Err(refusal(400, "InvalidCapacityReservationState", "the reservation is not active"));
        }
        if !room(have) {
            let message =
                "The requested reservation does not have sufficient compatible and available capacity";
            return Err(refusal(400, "ReservationCapacityExceeded", message));
        }
        Ok(Some((have.id.to_owned(), true, have.block)))
    }

    fn used(&self, have: &Reserved) -> usize {
        let in_it = |machine: &&Machine| machine.reserved.as_ref().is_some_and(|(id, ..)| id == have.id);
        let there = |machine: &&Machine| machine.state(self.now) != "terminated";
        self.machines.iter().filter(in_it).filter(there).count()
    }

    fn reserved(&self, query: &Query) -> Answer {
        let filters = query.filters();
        let fits = |have: &&Reserved| {
            filters.iter().all(|(name, values)| name == "state" && values.iter().any(|one| one == have.state))
        };
        let item = |have: &Reserved| {
            let end = have.ends_at.map_or(String::new(), |at| format!("<endDate>{at}</endDate>"));
            let (kind, criteria) = (
                if have.block { "capacity-block" } else { "default" },
                if have.open { "open" } else { "targeted" },
            );
            format!(
                "<item><capacityReservationId>{}</capacityReservationId><ownerId>{}</ownerId>\
                 <availabilityZoneId>{}</availabilityZoneId><availabilityZone>{}</availabilityZone>\
                 <instanceType>{}</instanceType><instancePlatform>{}</instancePlatform><tenancy>default</tenancy>\
                 <totalInstanceCount>{}</totalInstanceCount><availableInstanceCount>{}</availableInstanceCount>\
                 <state>{}</state><startDate>{}</startDate>{end}<endDateType>{}</endDateType>\
                 <instanceMatchCriteria>{criteria}</instanceMatchCriteria><reservationType>{kind}</reservationType></item>",
                have.id,
                have.owner,
                zone_id(have.zone),
                have.zone,
                have.instance_type,
                have.platform,
                have.total,
                if have.state == "active" { have.total.saturating_sub(self.used(have)) } else { 0 },
                have.state,
                have.starts_at,
                if have.ends_at.is_some() { "limited" } else { "unlimited" },
            )
        };
        let all: Vec<String> = self.reservations.iter().filter(fits).map(item).collect();
        // One on a page: none may be missed.
        let from: usize = query.text("NextToken").parse().unwrap_or(0);
        let next =
            if from + 1 < all.len() { format!("<nextToken>{}</nextToken>", from + 1) } else { String::new() };
        let page = all.get(from).cloned().unwrap_or_default();
        let body = format!("<capacityReservationSet>{page}</capacityReservationSet>{next}");
        wrapped("DescribeCapacityReservations", &body)
    }

    fn fresh_id(&mut self) -> String {
        let id = format!("i-{:017x}", self.next_id);
        self.next_id += 1;
        id
    }

    fn visible(&self, machine: &Machine) -> bool {
        let gone = machine.end.is_some_and(|(at, _)| self.now > at.saturating_add(KEPT).unwrap());
        !gone && self.now >= machine.created_at.saturating_add(LAG).unwrap()
    }

    fn describe(&self, query: &Query) -> Answer {
        let filters = query.filters();
        let fits = |machine: &&Machine| {
            filters.iter().all(|(name, values)| {
                let have = match name.as_str() {
                    "instance-id" => Some(machine.id.as_str()),
                    "instance-state-name" => Some(machine.state(self.now)),
                    name => {
                        name.strip_prefix("tag:").and_then(|key| machine.tags.get(key)).map(String::as_str)
                    }
                };
                have.is_some_and(|have| values.iter().any(|value| value == have))
            })
        };
        let found: Vec<&Machine> =
            self.machines.iter().filter(|machine| self.visible(machine)).filter(fits).collect();
        let from: usize = query.text("NextToken").parse().unwrap_or(0);
        let size: usize = query.text("MaxResults").parse().unwrap_or(1_000);
        let page: Vec<&Machine> = found.iter().skip(from).take(size).copied().collect();
        let next = (from + size < found.len()).then(|| (from + size).to_string());
        let next = if self.endless { Some("0".to_owned()) } else { next };
        instances_page("DescribeInstances", &page, self.now, next.as_deref())
    }

    fn terminate(&mut self, query: &Query) -> Answer {
        let id = query.list("InstanceId").remove(0);
        if !id.starts_with("i-") {
            return refusal(400, "InvalidInstanceID.Malformed", "malformed");
        }
        let now = self.now;
        let Some(machine) = self.machines.iter_mut().find(|machine| machine.id == id) else {
            return refusal(400, "InvalidInstanceID.NotFound", "The instance ID does not exist");
        };
        let before = machine.state(now);
        if machine.end.is_none() {
            machine.end = Some((now, "Client.UserInitiatedShutdown"));
        }
        let after = machine.state(now);
        let item = format!(
            "<item><instanceId>{id}</instanceId><currentState><code>32</code><name>{after}</name></currentState>\
             <previousState><code>16</code><name>{before}</name></previousState></item>"
        );
        wrapped("TerminateInstances", &format!("<instancesSet>{item}</instancesSet>"))
    }

    fn requests(&self, query: &Query) -> Answer {
        assert_eq!(query.filters(), [("tag-key".to_owned(), vec!["hpc-owner".to_owned()])]);
        let item = |request: &SpotRequest| {
            format!(
                "<item><spotInstanceRequestId>sir-1</spotInstanceRequestId><state>active</state><status>\
                 <code>{}</code><updateTime>{}</updateTime></status><instanceId>{}</instanceId></item>",
                request.code, request.at, request.instance
            )
        };
        let items: String = self.spot_requests.iter().map(item).collect();
        wrapped(
            "DescribeSpotInstanceRequests",
            &format!("<spotInstanceRequestSet>{items}</spotInstanceRequestSet>"),
        )
    }
}

fn types(query: &Query) -> Answer {
    let mut items = String::new();
    for wanted in query.list("InstanceType") {
        let Some((name, gpu, vcpus, mib, classes)) = TYPES.iter().find(|(name, ..)| *name == wanted) else {
            return refusal(400, "InvalidInstanceType", &format!("{wanted} does not exist"));
        };
        let classes: String = classes.iter().map(|class| format!("<item>{class}</item>")).collect();
        let gpu = gpu.map_or(String::new(), |(name, count, each)| {
            format!(
                "<gpuInfo><gpus><item><name>{name}</name><manufacturer>NVIDIA</manufacturer><count>{count}</count>\
                 <memoryInfo><sizeInMiB>{each}</sizeInMiB></memoryInfo></item></gpus></gpuInfo>"
            )
        });
        items.push_str(&format!(
            "<item><instanceType>{name}</instanceType><supportedUsageClasses>{classes}</supportedUsageClasses>\
             <vCpuInfo><defaultVCpus>{vcpus}</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>{mib}</sizeInMiB></memoryInfo>\
             {gpu}</item>"
        ));
    }
    wrapped("DescribeInstanceTypes", &format!("<instanceTypeSet>{items}</instanceTypeSet>"))
}

impl Cloud {
    /// EC2 remembers a token for a while only.
    pub(crate) fn forget_tokens(&mut self) {
        self.tokens.clear();
    }
}
