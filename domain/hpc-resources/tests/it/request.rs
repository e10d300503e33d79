//! Requests: what is accepted survives its document, what is not says what to do.

use hpc_resources::{
    AcceleratorModel, Bytes, Money, OfferKind, OnInterruption, ProviderId, Region, RequestDocument,
    RequestError, RequestPriority, ResourceRequest, ResourceUnit, TeamId,
};
use proptest::prelude::*;

fn model() -> impl Strategy<Value = AcceleratorModel> {
    proptest::sample::select(AcceleratorModel::all().collect::<Vec<_>>())
}

fn request() -> impl Strategy<Value = ResourceRequest> {
    let resources =
        (model(), 1..4_097_u32, 1..1_000_u32, 1..1_000_000_u64, proptest::option::of(1..1_000_000_u64));
    let limits = (proptest::option::of(1..i64::MAX), 60..1_000_000_u64, 1..4_096_u32);
    let names = ("[a-z ]{1,40}", proptest::option::of("[a-z-]{1,20}"), proptest::option::of("[ -~]{1,60}"));
    let sets = (
        proptest::collection::vec("[a-z0-9-]{1,12}", 0..6),
        proptest::collection::vec(0..OfferKind::ALL.len(), 0..4),
        proptest::collection::btree_map("[a-z]{1,8}", "[ -~]{1,8}", 0..6),
    );
    (resources, limits, names, sets).prop_map(|(resources, limits, names, sets)| {
        let (model, count, cpu, memory, storage) = resources;
        let (hourly, duration, instances) = limits;
        let (name, team, purpose) = names;
        let (regions, kinds, labels) = sets;
        let all = OfferKind::ALL;
        let mut builder = ResourceRequest::new(name)
            .add_accelerator(model, count)
            .add_cpu(cpu)
            .add_memory(memory, ResourceUnit::MiB)
            .with_priority(RequestPriority::Critical)
            .with_regions(regions.iter().map(|text| Region::parse(text.clone()).unwrap()))
            .with_providers(regions.iter().map(|text| ProviderId::parse(text.clone()).unwrap()))
            .with_kinds(kinds.into_iter().map(|kind| all[kind]))
            .with_duration_s(duration)
            .with_instances_max(instances);
        if instances % 2 == 0 {
            builder = builder.with_hedge_s(1 + u64::from(instances) % 600);
        }
        if let Some(storage) = storage {
            builder = builder.add_storage(storage, ResourceUnit::MB);
        }
        if let Some(nanos) = hourly {
            let limit = Money::from_nanos(nanos, hpc_resources::Currency::USD);
            builder = builder.with_max_hourly(limit).with_max_total(limit);
        }
        if let Some(team) = team {
            builder = builder.with_team(TeamId::parse(team).unwrap());
        }
        if let Some(purpose) = purpose {
            builder = builder.with_purpose(purpose);
        }
        for (key, value) in labels {
            builder = builder.with_label(key, value);
        }
        builder.build().unwrap()
    })
}

proptest! {
    #[test]
    fn a_request_survives_its_document(request in request()) {
        let text = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(serde_json::from_str::<ResourceRequest>(&text).unwrap(), request);
    }

    #[test]
    fn sizes_survive_their_text(size in 0..=hpc_resources::BYTES_MAX) {
        prop_assert_eq!(Bytes(size).to_string().parse::<Bytes>(), Ok(Bytes(size)));
    }

    #[test]
    fn any_text_is_a_size_a_model_a_duration_or_an_error(text in "\\PC{0,80}") {
        let _ = text.parse::<Bytes>();
        let _ = AcceleratorModel::parse(&text);
        let _ = hpc_resources::parse_duration_s(&text);
        let _ = Region::parse(text.clone());
        let _ = serde_json::from_str::<RequestDocument>(&text);
    }

    #[test]
    fn a_model_is_found_in_any_case_and_spacing(model in model(), upper in any::<bool>(), gap in "[ _-]{0,2}") {
        let spelt = model.as_str().replace('-', &gap);
        let spelt = if upper { spelt.to_uppercase() } else { spelt };
        prop_assert_eq!(AcceleratorModel::parse(&spelt), Ok(model));
    }
}

#[test]
fn every_mistake_is_named() {
    let gpu = || ResourceRequest::new("r").add_gpu_nvidia_h100(1);
    let named = |result: Result<ResourceRequest, RequestError>| result.unwrap_err().to_string();
    for (result, says) in [
        (ResourceRequest::new("r").build(), "asks for nothing"),
        (ResourceRequest::new("r").add_gpu_nvidia_h100(0).build(), "`gpu.count` is 0"),
        (ResourceRequest::new("r").add_gpu_nvidia_h100(u32::MAX).build(), "1 to 4096"),
        (gpu().add_gpu_nvidia_h100(1).build(), "`gpu` is asked for twice"),
        (ResourceRequest::new("r").add_gpu_named("a100", 1).build(), "ambiguous"),
        (ResourceRequest::new("r").add_gpu_named("h10", 1).build(), "did you mean `h100`"),
        (gpu().add_memory(u64::MAX, ResourceUnit::PiB).build(), "1 EiB"),
        (gpu().add_memory(0, ResourceUnit::B).build(), "`memory` is 0"),
        (gpu().add_network(0).build(), "`network` is 0"),
        (gpu().with_duration_s(59).build(), "60 to"),
        (gpu().with_duration_s(u64::MAX).build(), "60 to"),
        (gpu().with_hedge_s(0).build(), "`hedge (seconds)` is 0, allowed is 1 to 600"),
        (gpu().with_hedge_s(601).build(), "`hedge (seconds)` is 601"),
        (gpu().with_instances_max(0).build(), "`instances_max` is 0"),
        (gpu().with_max_hourly("0".parse().unwrap()).build(), "above zero"),
        (gpu().with_max_total("-1".parse().unwrap()).build(), "above zero"),
        (ResourceRequest::new("").add_cpu(1).build(), "`name`"),
        (ResourceRequest::new("x".repeat(257)).add_cpu(1).build(), "`name`"),
        (gpu().with_purpose("a\nb").build(), "`purpose`"),
        (gpu().with_label("", "x").build(), "`labels`"),
        ((0..40).fold(gpu(), |b, n| b.with_label(format!("l{n}"), "x")).build(), "`labels`"),
        (gpu().with_regions((0..100).map(|n| Region::parse(format!("r{n}")).unwrap())).build(), "`regions`"),
    ] {
        let text = named(result);
        assert!(text.contains(says), "`{text}` should say `{says}`");
    }
}

#[test]
fn nothing_follows_an_interruption_unless_it_is_asked_for() {
    let gpu = || ResourceRequest::new("r").add_gpu_nvidia_h100(1);
    let silent = gpu().build().unwrap();
    assert_eq!(silent.on_interruption(), OnInterruption::End);
    assert!(!serde_json::to_string(&silent).unwrap().contains("on_interruption"), "as before there was one");
    let asked = gpu().with_on_interruption(OnInterruption::Replace).build().unwrap();
    let text = serde_json::to_string(&asked).unwrap();
    assert!(text.contains(r#""on_interruption":"replace""#), "{text}");
    assert_eq!(serde_json::from_str::<ResourceRequest>(&text).unwrap(), asked);
    let wrong = text.replace("\"replace\"", "\"retry\"");
    assert!(serde_json::from_str::<ResourceRequest>(&wrong).is_err(), "{wrong}");
}

#[test]
fn the_rest_of_a_request_is_the_same_but_for_time_money_and_who_pays() {
    let limit = |text: &str| Some(text.parse::<Money>().unwrap());
    let whole = ResourceRequest::new("r").add_gpu_nvidia_h100(1).with_label("a", "b").with_duration_s(7_200);
    let whole = whole.with_on_interruption(OnInterruption::Replace).build().unwrap();
    let team = || TeamId::parse("ml").unwrap();
    let rest = whole.rest(60, limit("0.01 USD"), team()).unwrap();
    assert_eq!((rest.duration_s(), rest.max_total(), rest.team()), (60, limit("0.01 USD"), Some(&team())));
    assert_eq!(
        (rest.labels(), rest.resources(), rest.name()),
        (whole.labels(), whole.resources(), whole.name())
    );
    assert_eq!(rest.on_interruption(), OnInterruption::Replace, "it may be replaced in its turn");
    assert!(matches!(whole.rest(59, None, team()), Err(RequestError::Range { .. })));
    for spent in ["0 USD", "-1 USD"] {
        assert!(matches!(whole.rest(60, limit(spent), team()), Err(RequestError::Limit { .. })), "{spent}");
    }
}

#[test]
fn the_first_mistake_counts_and_unknown_fields_are_mistakes() {
    let error = ResourceRequest::new("r").add_cpu(0).add_gpu_named("nothing", 1).build().unwrap_err();
    assert!(matches!(error, RequestError::Range { field: "cpu", .. }), "{error}");
    for text in [
        r#"{"name":"r","gpus":{"model":"h100","count":8}}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8,"vendor":"nvidia"}}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":-8}}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"max_hourly":30}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"max_hourly":"30 usd"}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"duration":"-2h"}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"hedge":20}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"hedge":"11m"}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"kinds":["preemptible"]}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"memory":"80 G"}"#,
        r#"{"name":"r","gpu":{"model":"h100","count":8},"regions":["us east"]}"#,
    ] {
        assert!(serde_json::from_str::<ResourceRequest>(text).is_err(), "{text}");
    }
}
