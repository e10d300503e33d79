//! A daemon asks the providers that its file names, and no others.

use std::path::PathBuf;

use hpcd::world::{World, WorldOptions};

fn file(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("providers.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn ids(text: &str) -> Result<Vec<String>, hpc_error::HpcError> {
    let dir = tempfile::tempdir().unwrap();
    let options = WorldOptions { providers: Some(file(&dir, text)), ..crate::options(None) };
    let world = World::open(options).await?;
    Ok(world.broker.providers().map(ToString::to_string).collect())
}

#[tokio::test]
async fn without_a_file_all_simulated_clouds_are_asked_and_with_one_those_it_names() {
    let world = World::open(crate::options(None)).await.unwrap();
    let all: Vec<String> = world.broker.providers().map(ToString::to_string).collect();
    assert!(all.len() > 1, "{all:?}");
    assert!(world.broker.all_simulated());
    assert_eq!(ids("providers: [{ simulated: {} }]\n").await.unwrap(), all);
    assert_eq!(ids("providers: [{ simulated: { clouds: [sim-rack] } }]\n").await.unwrap(), ["sim-rack"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_meant_is_refused_with_its_place() {
    for (text, code, said) in [
        ("providers: []\n", "HPC-USG-0010", "names no provider"),
        ("providers: [{ simulated: { clouds: [sim-mars] } }]\n", "HPC-USG-0012", "sim-mars"),
        ("providers: [{ simulated: { cloud: [x] } }]\n", "", "clouds"),
        ("providers: [{ simulatd: {} }]\n", "", "simulated"),
        ("providers: [{ simulated: {} }, { simulated: {} }]\n", "HPC-USG-0009", "sim-"),
    ] {
        let error = ids(text).await.unwrap_err();
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(error.code_text().is_some_and(|found| found.starts_with(code)), "{text}: {error:?}");
    }
    let many = "  - simulated: { clouds: [sim-rack] }\n".repeat(hpcd::providers::PROVIDERS_MAX + 1);
    let error = ids(&format!("providers:\n{many}")).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-USG-0003"), "{error}");
}

/// An entry of EC2 with these settings besides the usual.
fn aws(more: &str) -> String {
    format!(
        "providers:\n  - aws:\n      id: aws\n      instance_types: [p5.48xlarge]\n      \
         regions: [{{ region: us-east-1, image: ami-1 }}]\n{more}"
    )
}

#[cfg(not(feature = "aws"))]
#[tokio::test]
async fn ec2_says_how_to_build_a_daemon_that_has_it() {
    let error = ids(&aws("")).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-USG-0019"), "{error}");
    assert!(error.to_string().contains("cargo build --release -p hpcd --features aws"), "{error}");
    let error = ids(&aws("      imag: x\n")).await.unwrap_err();
    assert!(error.to_string().contains("imag"), "a mistake is found all the same: {error}");
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn ec2_is_a_provider_and_what_cannot_be_meant_is_refused_before_anything_is_asked() {
    assert_eq!(ids(&aws("")).await.unwrap(), ["aws"]);
    let known = "      prices: { as_of: 2026-11-01T00:00:00Z, on_demand: { us-east-1: { p5.48xlarge: 55.04 USD } } }\n";
    assert_eq!(ids(&aws(known)).await.unwrap(), ["aws"]);
    for (more, code, said) in [
        ("      secret: gone\n", "HPC-USG-0012", "hpcd secret put gone"),
        ("      secret: ../audit/log\n", "HPC-USG-0013", "name"),
        ("      agent: { daemon: 'http://hpcd.internal:7801' }\n", "HPC-USG-0012", "agent.daemon"),
        ("      agent: { daemon: \"https://h'; reboot #\" }\n", "HPC-USG-0012", "agent.daemon"),
        ("      endpoint: http://ec2.example\n", "HPC-USG-0012", "endpoint"),
        (
            "      prices: { as_of: 2026-11-01T00:00:00Z, on_demand: { us-east-1: { p5: 0 USD } } }\n",
            "HPC-USG-0007",
            "zero",
        ),
        (
            "      prices: { as_of: 2026-11-01T00:00:00Z, on_demand: { us-east-1: { p5: 5 EUR } } }\n",
            "HPC-USG-0007",
            "dollars",
        ),
        ("      imag: x\n", "", "imag"),
    ] {
        let error = ids(&aws(more)).await.unwrap_err();
        assert!(error.to_string().contains(said), "{more}: {error}");
        assert!(error.code_text().is_some_and(|found| found.starts_with(code)), "{more}: {error:?}");
    }
}

/// Machines of one's own go the whole journey: planned, leased, found again after a restart, released.
#[tokio::test]
async fn machines_of_ones_own_are_leased_and_released() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = "region: berlin-1\n\
        types:\n  dgx-h100:\n    gpus: { model: h100, count: 8, memory_each: 80 GiB }\n    cpu: 192\n    memory: 2 TiB\n    \
        price: 20.00 USD\n\
        machines:\n  - { name: dgx-01, type: dgx-h100, zone: rack-a }\n";
    std::fs::write(dir.path().join("lab.yaml"), inventory).unwrap();
    let providers = file(&dir, "providers: [{ static: { id: lab, inventory: lab.yaml } }]\n");
    let data = dir.path().join("data");
    let options = || WorldOptions { providers: Some(providers.clone()), ..crate::options(Some(&data)) };
    let lease = {
        let world = World::open(options()).await.unwrap();
        assert!(!world.broker.all_simulated());
        assert!(!world.info("you").simulated);
        let lease = crate::lease(&world, &crate::person(&world, "you")).await;
        assert_eq!(lease.offer.as_ref().unwrap().key().provider.as_str(), "lab");
        assert!(!lease.simulated);
        world.audit.close().await.unwrap();
        lease
    };
    let world = World::open(options()).await.unwrap();
    let you = crate::person(&world, "you");
    let request = hpcd::demo::built_in_request().into_request().unwrap();
    let (none, _) = world.broker.plan(&you, request).await.unwrap();
    assert!(none.plan.attempts.is_empty(), "the one machine is taken");
    world.broker.release(&you, &lease.id).await.unwrap();
    crate::lease(&world, &you).await;
}

#[tokio::test]
async fn an_inventory_that_cannot_be_meant_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for (inventory, said) in [
        (None, "lab.yaml"),
        (Some("region: berlin-1\ntypes: {}\nmachines: [{ name: a, type: nothing, zone: z }]\n"), "lab.yaml"),
        (Some("regions: x\n"), "region"),
    ] {
        if let Some(text) = inventory {
            std::fs::write(dir.path().join("lab.yaml"), text).unwrap();
        }
        let providers = file(&dir, "providers: [{ static: { id: lab, inventory: lab.yaml } }]\n");
        let options = WorldOptions { providers: Some(providers), ..crate::options(None) };
        let error = World::open(options).await.map(drop).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
