//! The demo, told to a buffer: a no is told with its proof, and one seed tells one story.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hpcd::demo::{self, DemoOptions, Ending, Voice};
use serde_json::Value;

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn tell(request: Option<&Path>, data: Option<&Path>, seed: u64) -> (Ending, Vec<Value>) {
    let heard = Heard::default();
    let options = DemoOptions {
        request: request.map(Path::to_owned),
        policies: None,
        policy_key: None,
        catalog: None,
        seed: Some(seed),
        data: data.map(Path::to_owned),
        story: "stock-out".to_owned(),
        json: true,
    };
    let ending = demo::run(options, &Voice::to(true, heard.clone())).await.unwrap();
    let told = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    (ending, told.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn step<'a>(told: &'a [Value], name: &str) -> &'a Value {
    told.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step `{name}`: {told:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_request_ends_with_exit_code_3_and_a_proof() {
    let folder = tempfile::tempdir().unwrap();
    let request = folder.path().join("greedy.yaml");
    std::fs::write(&request, "name: greedy\ngpu: {model: h100, count: 72}\ninstances_max: 9\nduration: 2h\n")
        .unwrap();
    let (ending, told) = tell(Some(&request), None, 7).await;
    let Ending::Refused(code) = ending else { panic!("{ending:?}: {told:?}") };
    assert_eq!((code.code, code.exit_code), ("HPC-POL-0001", 3));
    let decision = &step(&told, "policy")["decision"];
    assert!(decision["allowed"] == false && decision.to_string().contains("at most 64"), "{decision}");
    let audit = step(&told, "audit");
    assert!(audit["verified"] == true && audit["entries"].as_u64() > Some(0), "{audit}");
    assert!(told.iter().all(|step| step["step"] != "lease"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_seed_gives_one_plan() {
    let folder = tempfile::tempdir().unwrap();
    let mut plans = Vec::new();
    for (data, seed) in [("one", 7), ("other", 7), ("third", 8)] {
        let (ending, told) = tell(None, Some(&folder.path().join(data)), seed).await;
        assert!(matches!(ending, Ending::Whole), "{ending:?}");
        plans.push(step(&told, "quotes")["plan"].to_string());
    }
    assert_eq!(plans[0], plans[1]);
    assert_ne!(plans[0], plans[2], "a seed decides");
}
