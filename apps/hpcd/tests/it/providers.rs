//! A daemon asks the providers that its file names, and no others.

use std::path::PathBuf;

use hpcd::clock::{Pace, wall_now};
use hpcd::world::{World, WorldOptions};

fn file(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("providers.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

const LAB: &str = "region: berlin-1\n\
        types:\n  dgx-h100:\n    gpus: { model: h100, count: 8, memory_each: 80 GiB }\n    cpu: 192\n    memory: 2 TiB\n    \
        price: 20.00 USD\n\
        machines:\n  - { name: dgx-01, type: dgx-h100, zone: rack-a }\n";

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

/// A catalog prices what it lists, tells what it is, and is refused when it is too old to buy anything at.
#[cfg(any(feature = "aws", feature = "gcp"))]
#[tokio::test]
async fn prices_come_from_a_catalog_with_its_hash_and_age() {
    const LIST: &str = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot\n\
        p5.48xlarge,us-east-1,55.04,192,2048,8,H100,80,False\np5.48xlarge,us-east-1,0.0,192,2048,8,H100,80,True\n\
        a2-ultragpu-8g,us-central1,20.27,96,1360,8,A100,80,True\nbroken\n";
    let entries: &[fn(&str) -> String] = &[
        #[cfg(feature = "aws")]
        aws,
        #[cfg(feature = "gcp")]
        |more| gcp(&format!("      endpoint: http://127.0.0.1:1\n{more}")),
    ];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prices.csv"), LIST).unwrap();
    for entry in entries {
        let open = async |prices: &str| {
            let text = entry(&format!("      prices: {{ {prices} }}\n"));
            let providers = Some(file(&dir, &text));
            World::open(WorldOptions { providers, ..crate::options(None) }).await
        };
        let now = World::open(crate::options(None)).await.unwrap().now();
        let old = |hours: i64| now.checked_sub(jiff::SignedDuration::from_hours(hours)).unwrap();
        let world = open(&format!("catalog: {{ file: prices.csv, as_of: '{}' }}", old(335))).await.unwrap();
        let status = world.broker.provider_statuses().remove(0);
        let [source] = &status.price_sources[..] else { panic!("{status:#?}") };
        assert_eq!((source.name.as_str(), source.priced, source.refused), ("prices.csv", 2, 2));
        assert_eq!((source.as_of, source.unknown_from, source.hash.len()), (old(335), Some(old(-1)), 64));
        let too_old = format!("catalog: {{ file: prices.csv, as_of: '{}' }}", old(336));
        for (prices, code, said) in [
            (too_old.as_str(), "HPC-PRC-0002", "prices.csv"),
            ("catalog: { file: none.csv }", "HPC-USG-0005", "none.csv"),
            ("catalog: { file: providers.yaml }", "HPC-USG-0012", "columns"),
            ("catalog: { file: prices.csv, max_age: 7 }", "", "max_age_hours"),
            ("catalog: { file: prices.csv, max_age_hours: 0 }", "HPC-USG-0011", "max_age_hours"),
            ("catalog: { file: prices.csv }, as_of: 2026-11-01T00:00:00Z", "HPC-USG-0012", "not both"),
            ("on_demand: {}", "HPC-USG-0012", "as_of"),
        ] {
            let error = open(prices).await.map(drop).unwrap_err();
            assert!(error.to_string().contains(said), "{prices}: {error}");
            assert!(error.code_text().is_some_and(|found| found.starts_with(code)), "{prices}: {error:?}");
        }
    }
}

/// An entry of Compute Engine with these settings besides the usual.
fn gcp(more: &str) -> String {
    format!(
        "providers:\n  - gcp:\n      id: gcp\n      project: research-1234\n      image: family/gpu\n      \
         instance_types: [a2-ultragpu-8g]\n      regions: [{{ region: us-central1 }}]\n{more}"
    )
}

#[cfg(not(feature = "gcp"))]
#[tokio::test]
async fn compute_engine_says_how_to_build_a_daemon_that_has_it() {
    let error = ids(&gcp("")).await.unwrap_err();
    assert_eq!(error.code_text(), Some("HPC-USG-0019"), "{error}");
    assert!(error.to_string().contains("cargo build --release -p hpcd --features gcp"), "{error}");
    let error = ids(&gcp("      imag: x\n")).await.unwrap_err();
    assert!(error.to_string().contains("imag"), "a mistake is found all the same: {error}");
}

#[cfg(feature = "gcp")]
#[tokio::test]
async fn compute_engine_is_a_provider_and_what_cannot_be_meant_is_refused_before_anything_is_asked() {
    let here = "      endpoint: http://127.0.0.1:1\n";
    assert_eq!(ids(&gcp(here)).await.unwrap(), ["gcp"]);
    let prices = |spot: &str| {
        format!(
            "{here}      prices: {{ as_of: 2026-11-01T00:00:00Z, spot: {{ us-central1: {{ {spot} }} }} }}\n"
        )
    };
    assert_eq!(ids(&gcp(&prices("a2-ultragpu-8g: 20.27 USD"))).await.unwrap(), ["gcp"]);
    for (more, code, said) in [
        ("      secret: gone\n".to_owned(), "HPC-USG-0012", "hpcd secret put gone"),
        (
            format!("{here}      agent: {{ daemon: 'http://hpcd.internal:7801' }}\n"),
            "HPC-USG-0012",
            "agent.daemon",
        ),
        ("      endpoint: http://compute.example\n".to_owned(), "HPC-USG-0012", "endpoint"),
        (format!("{here}      disk_type: ''\n"), "HPC-USG-0012", "disk type"),
        (prices("a2-ultragpu-8g: 0 USD"), "HPC-USG-0007", "zero"),
        (prices("a2-ultragpu-8g: 5 EUR"), "HPC-USG-0007", "dollars"),
        ("      imag: x\n".to_owned(), "", "imag"),
    ] {
        let error = ids(&gcp(&more)).await.unwrap_err();
        assert!(error.to_string().contains(said), "{more}: {error}");
        assert!(error.code_text().is_some_and(|found| found.starts_with(code)), "{more}: {error:?}");
    }
}

/// Machines of one's own go the whole journey: planned, leased, found again after a restart, released.
#[tokio::test]
async fn machines_of_ones_own_are_leased_and_released() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lab.yaml"), LAB).unwrap();
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
async fn time_passes_faster_for_simulated_clouds_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lab.yaml"), LAB).unwrap();
    let own = file(&dir, "providers: [{ simulated: {} }, { static: { id: lab, inventory: lab.yaml } }]\n");
    let at = |providers| WorldOptions { providers, pace: Pace::Times(20), ..crate::options(None) };
    let error = World::open(at(Some(own.clone()))).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("`lab`"), "{error}");
    // Where it ran ahead, real machines would be charged for time that has not passed.
    let data = dir.path().join("ahead");
    let world = World::open(crate::options(Some(&data))).await.unwrap();
    let years = wall_now().duration_since(world.now()).unsigned_abs() + std::time::Duration::from_secs(60);
    world.pass(years).unwrap();
    world.audit.close().await.unwrap();
    drop(world);
    let own = WorldOptions { providers: Some(own), ..crate::options(Some(&data)) };
    let error = World::open(own).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("ahead"), "{error}");
    let world = World::open(at(None)).await.unwrap();
    // In this order what passed there is at least twenty times what is measured here. Plans last five minutes there.
    let (before, from) = (world.now(), wall_now());
    let lease = crate::lease(&world, &crate::person(&world, "you")).await;
    let wall = wall_now().duration_since(from);
    let passed = world.now().duration_since(before);
    assert!(passed >= wall * 20 && !passed.is_zero(), "{passed:?} in {wall:?}");
    assert!(lease.simulated);
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

const HALL: &str = "region: berlin-1\n\
    partitions:\n  gpu:\n    shapes:\n      h100-8:\n        gpus: { model: h100, count: 8, memory_each: 80 GiB }\n        \
    gres_type: h100\n        cpu: 64\n        memory: 512 GiB\n        price: 16.00 USD\n";

/// A folder with commands that know just enough of a cluster for one lease: one node, one job.
fn commands(dir: &tempfile::TempDir) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = dir.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let job = dir.path().join("job");
    let (job, ended) = (job.display(), dir.path().join("ended"));
    let ended = ended.display();
    let scripts = [
        (
            "sinfo",
            "echo 'gpu*|up|infinite|idle|gpu:h100:8|gpu:h100:0(IDX:N/A)|0/64/0/64|1000000|0|'".to_owned(),
        ),
        (
            "sbatch",
            format!(
                "for a in \"$@\"; do case \"$a\" in --job-name=*) n=${{a#*=}};; --comment=*) c=${{a#*=}};; esac; done\n\
                 printf '%s %s' \"$n\" \"$c\" > {job}; echo 1"
            ),
        ),
        (
            "squeue",
            format!(
                "[ -e {job} ] || exit 0\nread -r n c < {job}\ns=RUNNING; [ -e {ended} ] && s=CANCELLED\n\
                 echo \"1|$n|$s|None|gpu|1000000000|1000000000|1000000060|node-1|$c|\""
            ),
        ),
        ("scontrol", format!("c=${{3#Comment=}}; read -r n _ < {job}; printf '%s %s' \"$n\" \"$c\" > {job}")),
        ("scancel", format!("touch {ended}")),
    ];
    for (name, script) in scripts {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// A cluster goes the whole journey: planned, leased, released.
#[tokio::test]
async fn a_slurm_cluster_is_leased_and_released() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hall.yaml"), HALL).unwrap();
    let folder = commands(&dir);
    let entry = format!("{{ slurm: {{ id: hall, cluster: hall.yaml, commands: {} }} }}", folder.display());
    let providers = file(&dir, &format!("providers: [{entry}]\n"));
    let options = WorldOptions { providers: Some(providers), ..crate::options(None) };
    let world = World::open(options).await.unwrap();
    assert!(!world.broker.all_simulated());
    let you = crate::person(&world, "you");
    let lease = crate::lease(&world, &you).await;
    assert_eq!(lease.offer.as_ref().unwrap().key().to_string(), "hall/berlin-1/gpu/h100-8/owned");
    assert!(!lease.simulated);
    world.broker.release(&you, &lease.id).await.unwrap();
    assert!(dir.path().join("ended").exists(), "the job was cancelled");
}

#[tokio::test]
async fn settings_of_a_cluster_that_cannot_be_meant_are_refused_by_their_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hall.yaml"), HALL).unwrap();
    std::fs::write(dir.path().join("cheap.yaml"), HALL.replace("16.00 USD", "0.00 USD")).unwrap();
    for (entry, said) in [
        ("{ id: hall, cluster: none.yaml }", "none.yaml"),
        ("{ id: hall, cluster: cheap.yaml }", "write `free`"),
        ("{ id: 'a b', cluster: hall.yaml }", "provider id"),
        ("{ id: hall, cluster: hall.yaml, commands: bin }", "absolute"),
        ("{ id: hall, cluster: hall.yaml, user: root }", "user"),
    ] {
        let providers = file(&dir, &format!("providers: [{{ slurm: {entry} }}]\n"));
        let options = WorldOptions { providers: Some(providers), ..crate::options(None) };
        let error = World::open(options).await.map(drop).unwrap_err();
        assert!(error.to_string().contains(said), "{entry}: {error}");
    }
}
