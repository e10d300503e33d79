//! The demo on one's own input: the same input and seed, the same decisions.

use std::path::Path;
use std::process::Command;

use hpc_error::HpcError;
use hpcd::demo::{DemoOptions, Ending, Voice};
use serde_json::Value;

const REQUEST: &str = "HPC_DEMO_REQUEST";
const POLICIES: &str = "HPC_DEMO_POLICIES";
const CATALOG: &str = "HPC_DEMO_CATALOG";
const DATA: &str = "HPC_DEMO_DATA";
const SEED: &str = "HPC_DEMO_SEED";
const STORY: &str = "HPC_DEMO_STORY";

/// The child, whose standard output is read: does nothing unless it is asked to.
#[test]
fn child() {
    let Ok(story) = std::env::var(STORY) else { return };
    println!();
    let path = |name: &str| std::env::var_os(name).map(Into::into);
    let options = DemoOptions {
        request: path(REQUEST),
        policies: path(POLICIES),
        policy_key: None,
        catalog: path(CATALOG),
        seed: std::env::var(SEED).ok().map(|text| text.parse().unwrap()),
        data: path(DATA),
        story,
        json: true,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended: Result<Ending, HpcError> = runtime.block_on(hpcd::demo::run(options, &Voice::new(true)));
    let (exit, code, message) = match ended {
        Ok(Ending::Whole) => (0, "", String::new()),
        Ok(Ending::Refused(code)) => (code.exit_code, code.code, code.title.to_owned()),
        Err(error) => (error.exit_code(), error.registered().map_or("", |code| code.code), error.to_string()),
    };
    println!("\n{}", serde_json::json!({"step": "end", "exit": exit, "code": code, "message": message}));
}

/// What a demo is given.
#[derive(Default)]
pub struct Given<'a> {
    pub request: Option<&'a Path>,
    pub policies: Option<&'a Path>,
    pub catalog: Option<&'a Path>,
    pub data: Option<&'a Path>,
    pub seed: Option<u64>,
    pub story: Option<&'a str>,
}

/// What a demo told, one document for each step; the last one is how it ended.
pub struct Story {
    pub steps: Vec<Value>,
}

impl Story {
    pub fn tell(given: &Given<'_>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "--test-threads=1", "surface::demo::child"]);
        let paths = [
            (REQUEST, given.request),
            (POLICIES, given.policies),
            (CATALOG, given.catalog),
            (DATA, given.data),
        ];
        for (name, path) in paths {
            if let Some(path) = path {
                command.env(name, path);
            }
        }
        if let Some(seed) = given.seed {
            command.env(SEED, seed.to_string());
        }
        let output = command.env(STORY, given.story.unwrap_or("stock-out")).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success() && !err.contains("panicked"), "{out}\n{err}");
        let steps: Vec<Value> =
            out.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect();
        assert!(steps.last().is_some_and(|last| last["step"] == "end"), "{out}\n{err}");
        Self { steps }
    }

    pub fn steps(&self, name: &str) -> Vec<&Value> {
        self.steps.iter().filter(|step| step["step"] == name).collect()
    }

    pub fn end(&self) -> &Value {
        self.steps.last().unwrap()
    }

    /// Ended with this exit code and error code; the message is one line and says `word`.
    pub fn ended(&self, exit: u8, code: &str, word: &str) {
        let end = self.end();
        assert!(end["exit"] == exit && end["code"] == code, "wanted {exit} {code}: {end}");
        let message = end["message"].as_str().unwrap();
        assert!(message.contains(word) && message.lines().count() <= 1, "wanted `{word}`: {end}");
    }
}

pub const MY_REQUEST: &str = "name: mine\ngpu: {model: h100, count: 8}\nkinds: [spot, on-demand]\nduration: 3h\nmax_hourly: 80.00 USD\n";

#[test]
fn the_same_input_and_seed_give_the_same_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let (request, policies) = (folder.path().join("my.yaml"), folder.path().join("my"));
    std::fs::write(&request, MY_REQUEST).unwrap();
    std::fs::create_dir(&policies).unwrap();
    for (name, text) in hpcd::policies::STARTER {
        std::fs::write(policies.join(name), text).unwrap();
    }
    let tell = |data: &str, seed: u64, story| {
        let data = folder.path().join(data);
        Story::tell(&Given {
            request: Some(&request),
            policies: Some(&policies),
            data: Some(&data),
            seed: Some(seed),
            story: Some(story),
            ..Given::default()
        })
    };
    for story in hpc_provider_sim::STORIES {
        let [one, other] = ["one", "other"].map(|data| tell(&format!("{data}-{story}"), 7, story));
        for told in [&one, &other] {
            assert_eq!(told.end()["exit"], 0, "{story}: {:?}", told.steps);
        }
        for step in ["request", "policy", "quotes", "provision", "lease", "cost"] {
            let steps = one.steps(step);
            assert!(!steps.is_empty(), "{story} has no step `{step}`");
            assert_eq!(steps, other.steps(step), "{story}, step `{step}`");
        }
        let audit = &one.steps("audit")[0];
        assert!(audit["verified"] == true && audit["proven"].as_u64() > Some(3), "{audit}");
    }
    assert_ne!(
        tell("again", 8, "none").steps("quotes"),
        tell("more", 9, "none").steps("quotes"),
        "a seed decides"
    );
    // The second run over one directory continues it.
    let second = tell("one-none", 7, "none");
    assert_eq!((&second.end()["exit"], &second.steps("opening")[0]["run"]), (&0.into(), &2.into()));
}

#[test]
fn what_is_simulated_and_what_is_not_is_said() {
    let told = Story::tell(&Given::default());
    assert_eq!(told.end()["exit"], 0);
    assert_eq!(told.steps("opening")[0]["simulated"], true);
    let telemetry = told.steps("telemetry")[0];
    assert_eq!((&telemetry["gpus_simulated"], &telemetry["host_simulated"]), (&true.into(), &false.into()));
    assert!(telemetry["points_stored"].as_u64() > Some(0) && telemetry["points_refused"] == 0, "{telemetry}");
    assert!(told.steps("provision").len() >= 2, "the first zone has no stock: there is a failover");
}

#[test]
fn real_prices_are_a_catalog() {
    let catalog = crate::arrow::root().join("../shared/data/prices/aws-accelerated-us-east-1.csv");
    if !catalog.is_file() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "`{}` is missing", catalog.display());
        println!("skipped: `{}` is missing", catalog.display());
        return;
    }
    let told = Story::tell(&Given { catalog: Some(&catalog), ..Given::default() });
    assert_eq!(told.end()["exit"], 0, "{:?}", told.steps);
    let read = &told.steps("opening")[0]["catalogs"][0];
    assert!(read["rows_used"].as_u64() > Some(10), "{read}");
}
