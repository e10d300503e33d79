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
