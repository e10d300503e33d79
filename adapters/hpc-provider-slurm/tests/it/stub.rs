//! A stub of Slurm's commands: one node of eight GPUs, three partitions, a clock that is moved by hand.
//!
//! It knows only the arguments that the adapter sends, and refuses all others. What it prints is in the form that
//! Slurm 22.05.8 printed on the cluster of `tests/counterparts/slurm.sh`.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hpc_provider_slurm::{Call, CommandFailure, Commands, Output, Program};
use jiff::Timestamp;

/// Devices of the node.
pub(crate) const GPUS: u32 = 8;
const BEGIN: i64 = 1_795_708_800;

#[derive(Clone, Debug)]
pub(crate) struct StubJob {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) comment: String,
    pub(crate) partition: String,
    pub(crate) state: &'static str,
    pub(crate) reason: String,
    pub(crate) gpus: u32,
    pub(crate) submitted: i64,
    pub(crate) started: Option<i64>,
    pub(crate) ended: Option<i64>,
    pub(crate) limit_s: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) now: i64,
    pub(crate) jobs: Vec<StubJob>,
    /// Nothing starts any more, for this reason.
    pub(crate) held_for: Option<&'static str>,
    pub(crate) partitions_down: Vec<&'static str>,
}

/// The stub.
#[derive(Debug)]
pub(crate) struct StubSlurm(Mutex<State>);

impl StubSlurm {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { now: BEGIN, partitions_down: vec!["off"], ..State::default() };
        Arc::new(Self(Mutex::new(state)))
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.with(|state| Timestamp::from_second(state.now).unwrap())
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.with(|state| {
            state.now += seconds;
            state.settle();
        });
    }
}

impl State {
    fn is_live(job: &StubJob) -> bool {
        matches!(job.state, "PENDING" | "RUNNING")
    }

    fn used(&self) -> u32 {
        self.jobs.iter().filter(|job| job.state == "RUNNING").map(|job| job.gpus).sum()
    }

    /// Ends what is over its limit, forgets what ended five minutes ago... of which a test may want to see more, so an hour;
    /// starts what can start.
    fn settle(&mut self) {
        let now = self.now;
        for job in self.jobs.iter_mut().filter(|job| job.state == "RUNNING") {
            let end = job.started.zip(job.limit_s).map(|(started, limit)| started + limit);
            if let Some(end) = end.filter(|end| *end <= now) {
                (job.state, job.reason, job.ended) = ("TIMEOUT", "TimeLimit".to_owned(), Some(end));
            }
        }
        self.jobs.retain(|job| job.ended.is_none_or(|ended| now - ended < 3_600));
        for index in 0..self.jobs.len() {
            let job = self.jobs[index].clone();
            if job.state != "PENDING" {
                continue;
            }
            let first = |other: &StubJob| Self::is_live(other) && other.name == job.name;
            let reason = if self.partitions_down.contains(&job.partition.as_str()) {
                Some("PartitionDown")
            } else if self.jobs[..index].iter().any(first) {
                Some("Dependency")
            } else if let Some(reason) = self.held_for {
                Some(reason)
            } else if self.used() + job.gpus > GPUS {
                Some("Resources")
            } else {
                None
            };
            let job = &mut self.jobs[index];
            match reason {
                Some(reason) => job.reason = reason.to_owned(),
                None => (job.state, job.reason, job.started) = ("RUNNING", "None".to_owned(), Some(now)),
            }
        }
    }

    fn submit(&mut self, arguments: &[String], input: &str) -> Output {
        let value = |name: &str| {
            let prefix = format!("--{name}=");
            arguments.iter().find_map(|argument| argument.strip_prefix(&prefix)).map(str::to_owned)
        };
        let known = ["--parsable", "--no-requeue", "--dependency=singleton", "--chdir=/"];
        let values =
            ["job-name", "comment", "partition", "ntasks", "cpus-per-task", "mem-per-cpu", "gpus-per-task"];
        for argument in arguments {
            let good = known.contains(&argument.as_str())
                || ["input", "output", "error"].iter().any(|name| *argument == format!("--{name}=/dev/null"))
                || values.iter().any(|name| argument.starts_with(&format!("--{name}=")));
            assert!(good, "unknown argument `{argument}`");
        }
        assert!(input.starts_with("#!"), "sbatch wants a script");
        let refuse = |text: &str| {
            let stderr = format!("sbatch: error: Batch job submission failed: {text}\n");
            Output { status: 1, stdout: String::new(), stderr }
        };
        let (name, comment, partition) =
            (value("job-name").unwrap(), value("comment").unwrap(), value("partition").unwrap());
        if comment.len() > 1_024 {
            return refuse("Pathname of a file, directory or other parameter too long");
        }
        if !["gpu", "short", "off"].contains(&partition.as_str()) {
            return refuse("Invalid partition name specified");
        }
        let tasks: u32 = value("ntasks").unwrap().parse().unwrap();
        let gpus: u32 = value("gpus-per-task").unwrap().strip_prefix("h100:").unwrap().parse().unwrap();
        let number = self.jobs.iter().map(|job| job.number).max().unwrap_or(0) + 1;
        let mut job = StubJob {
            number,
            name,
            comment,
            limit_s: (partition == "short").then_some(600),
            partition,
            state: "PENDING",
            reason: "None".to_owned(),
            gpus: tasks * gpus,
            submitted: self.now,
            started: None,
            ended: None,
        };
        if gpus > GPUS {
            // As Slurm does: it refuses, and a record of it stays.
            (job.state, job.reason, job.ended) = ("FAILED", "BadConstraints".to_owned(), Some(self.now));
            self.jobs.push(job);
            return refuse("Requested node configuration is not available");
        }
        self.jobs.push(job);
        Output { stdout: format!("{number}\n"), ..Output::default() }
    }

    fn list(&self, arguments: &[String]) -> Output {
        let [a, b, c, d, format] = arguments else { panic!("{arguments:?}") };
        assert_eq!([a, b, c, d], ["--noheader", "--me", "--states=all", "--Format"]);
        let mut stdout = String::new();
        for job in &self.jobs {
            let seconds = |time: Option<i64>| time.map_or("N/A".to_owned(), |time| time.to_string());
            let limit = job.started.zip(job.limit_s).map(|(started, limit)| started + limit);
            // Without a limit a job that runs ends in a year, as Slurm says it.
            let end = job.ended.or(limit).or(job.started.map(|started| started + 31_536_000));
            for field in format.split(',') {
                let text = match field.strip_suffix(":|").unwrap() {
                    "JobID" => job.number.to_string(),
                    "Name" => job.name.clone(),
                    "State" => job.state.to_owned(),
                    "Reason" => job.reason.clone(),
                    "Partition" => job.partition.clone(),
                    "SubmitTime" => job.submitted.to_string(),
                    "StartTime" => seconds(job.started.or(job.ended)),
                    "EndTime" => seconds(end),
                    "NodeList" => job.started.map_or(String::new(), |_| "vm".to_owned()),
                    "Comment" => job.comment.clone(),
                    other => panic!("field `{other}`"),
                };
                stdout.push_str(&text);
                stdout.push('|');
            }
            stdout.push('\n');
        }
        Output { stdout, ..Output::default() }
    }

    /// Ends with status 0 whatever the filters leave, but not for a job that has ended.
    fn cancel(&mut self, arguments: &[String]) -> Output {
        let now = self.now;
        let (number, filters) = arguments.split_last().unwrap();
        let number: u64 = number.parse().unwrap();
        let pending_only = filters.iter().any(|filter| filter == "--state=PENDING");
        let name =
            filters.iter().find_map(|filter| filter.strip_prefix("--name=")).expect("never without a name");
        let hit = |job: &&mut StubJob| {
            job.number == number && job.name == name && (!pending_only || job.state == "PENDING")
        };
        if !self.jobs.iter().any(|job| job.number == number && Self::is_live(job)) {
            let stderr =
                format!("scancel: error: Kill job error on job id {number}: Invalid job id specified\n");
            return Output { status: 1, stdout: String::new(), stderr };
        }
        for job in self.jobs.iter_mut().filter(|job| Self::is_live(job)).filter(hit) {
            (job.state, job.ended) = ("CANCELLED", Some(now));
        }
        Output::default()
    }

    fn update(&mut self, arguments: &[String]) -> Output {
        let [update, number, comment] = arguments else { panic!("{arguments:?}") };
        assert_eq!(update, "update");
        let number: u64 = number.strip_prefix("JobId=").unwrap().parse().unwrap();
        let comment = comment.strip_prefix("Comment=").unwrap();
        match self.jobs.iter_mut().find(|job| job.number == number && Self::is_live(job)) {
            Some(job) => {
                comment.clone_into(&mut job.comment);
                Output::default()
            }
            None => {
                Output { status: 1, stdout: String::new(), stderr: "Invalid job id specified\n".to_owned() }
            }
        }
    }

    fn nodes(&self, arguments: &[String]) -> Output {
        let [a, b, c, format, only] = arguments else { panic!("{arguments:?}") };
        assert_eq!([a, b, c], ["--noheader", "--Node", "--Format"]);
        let used = self.used();
        let mut stdout = String::new();
        for name in only.strip_prefix("--partition=").unwrap().split(',') {
            let down = self.partitions_down.contains(&name);
            for field in format.split(',') {
                let text = match field.strip_suffix(":|").unwrap() {
                    "Partition" if name == "gpu" => "gpu*".to_owned(),
                    "Partition" => name.to_owned(),
                    "Available" => if down { "down" } else { "up" }.to_owned(),
                    "Time" => if name == "short" { "10:00" } else { "infinite" }.to_owned(),
                    "StateLong" => if used == 0 { "idle" } else { "mixed" }.to_owned(),
                    "Gres" => format!("gpu:h100:{GPUS}"),
                    "GresUsed" if used == 0 => "gpu:h100:0(IDX:N/A)".to_owned(),
                    "GresUsed" => format!("gpu:h100:{used}(IDX:0-{})", used - 1),
                    "CPUsState" => format!("{used}/{}/0/8", GPUS - used),
                    "Memory" => "4000".to_owned(),
                    "AllocMem" => "0".to_owned(),
                    other => panic!("field `{other}`"),
                };
                stdout.push_str(&text);
                stdout.push('|');
            }
            stdout.push('\n');
        }
        Output { stdout, ..Output::default() }
    }
}

#[async_trait]
impl Commands for StubSlurm {
    async fn run(&self, call: &Call) -> Result<Output, CommandFailure> {
        Ok(self.with(|state| {
            if call.program != Program::Sbatch {
                state.settle();
            }
            match call.program {
                Program::Sbatch => state.submit(&call.arguments, &call.input),
                Program::Squeue => state.list(&call.arguments),
                Program::Scancel => state.cancel(&call.arguments),
                Program::Scontrol => state.update(&call.arguments),
                Program::Sinfo => state.nodes(&call.arguments),
            }
        }))
    }
}
