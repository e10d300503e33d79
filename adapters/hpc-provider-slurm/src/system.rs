//! Commands of this machine: started directly, with a clean environment, a time limit and bounded output.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::commands::{Call, CommandFailure, Commands, Output};

/// Longest time one command may take. A controller that is down is given up by Slurm itself after about nine seconds.
pub const COMMAND_TIME_MAX: Duration = Duration::from_secs(20);
/// Most bytes read of a command's standard output: some 8,000 jobs with full comments.
pub const OUTPUT_BYTES_MAX: usize = 8 << 20;
/// Most bytes read of a command's standard error output.
pub const ERROR_BYTES_MAX: usize = 64 << 10;

/// The commands in one folder.
///
/// A command sees `PATH`, `LC_ALL`, `TZ`, `SLURM_TIME_FORMAT` and, if it was given, `SLURM_CONF`: nothing of this
/// process's environment gets into a job.
#[derive(Clone, Debug)]
pub struct SystemCommands {
    folder: PathBuf,
    configuration: Option<PathBuf>,
    time_max: Duration,
}

impl SystemCommands {
    /// The commands in `folder`; `configuration` is the `slurm.conf` to use instead of the system's own.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, configuration: Option<PathBuf>) -> Self {
        Self { folder: folder.into(), configuration, time_max: COMMAND_TIME_MAX }
    }

    /// Ends a command that takes longer than this; at most [`COMMAND_TIME_MAX`].
    #[must_use]
    pub fn time_max(mut self, most: Duration) -> Self {
        self.time_max = most.min(COMMAND_TIME_MAX);
        self
    }

    async fn finish(&self, call: &Call, program: &'static str) -> Result<Output, CommandFailure> {
        let mut command = Command::new(self.folder.join(program));
        command
            .args(&call.arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("SLURM_TIME_FORMAT", "%s")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A caller that stops waiting leaves no process behind.
            .kill_on_drop(true);
        if let Some(configuration) = &self.configuration {
            command.env("SLURM_CONF", configuration);
        }
        let not_started = |why: std::io::Error| CommandFailure::NotStarted { program, why: why.to_string() };
        let mut child = command.spawn().map_err(not_started)?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let broken = |why: std::io::Error| CommandFailure::Broken { program, why: why.to_string() };
        let write = async {
            if let Some(pipe) = &mut stdin {
                // A command that ends without reading closes the pipe; what it says is in its status.
                let _closed = pipe.write_all(call.input.as_bytes()).await;
            }
            drop(stdin.take());
            Ok(())
        };
        let read = async {
            let (out, err) =
                tokio::try_join!(bounded(stdout, OUTPUT_BYTES_MAX), bounded(stderr, ERROR_BYTES_MAX))
                    .map_err(broken)?;
            match (out, err) {
                (Some(out), Some(err)) => Ok((out, err)),
                (None, _) => Err(CommandFailure::TooMuch { program, limit: OUTPUT_BYTES_MAX }),
                (_, None) => Err(CommandFailure::TooMuch { program, limit: ERROR_BYTES_MAX }),
            }
        };
        let ((), (stdout, stderr)) = tokio::try_join!(write, read)?;
        let status = child.wait().await.map_err(broken)?;
        let status = status
            .code()
            .ok_or_else(|| CommandFailure::Broken { program, why: "ended by a signal".to_owned() })?;
        Ok(Output { status, stdout, stderr })
    }
}

/// Everything, or `None` when there is more than the limit.
async fn bounded(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<Option<String>> {
    let Some(pipe) = pipe else { return Ok(Some(String::new())) };
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    pipe.take(most).read_to_end(&mut bytes).await?;
    Ok((bytes.len() <= limit).then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

#[async_trait]
impl Commands for SystemCommands {
    async fn run(&self, call: &Call) -> Result<Output, CommandFailure> {
        let program = call.program.as_str();
        match tokio::time::timeout(self.time_max, self.finish(call, program)).await {
            Ok(answer) => answer,
            Err(_) => Err(CommandFailure::TooSlow { program }),
        }
    }
}
