//! The one thing the adapter asks of the world: run this command.

use async_trait::async_trait;

/// A command of Slurm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// Submits a job.
    Sbatch,
    /// Lists jobs.
    Squeue,
    /// Cancels jobs.
    Scancel,
    /// Lists partitions and nodes.
    Sinfo,
    /// Changes a job.
    Scontrol,
}

impl Program {
    /// Its file name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sbatch => "sbatch",
            Self::Squeue => "squeue",
            Self::Scancel => "scancel",
            Self::Sinfo => "sinfo",
            Self::Scontrol => "scontrol",
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn only_reads(self) -> bool {
        matches!(self, Self::Squeue | Self::Sinfo)
    }
}

/// One command with its arguments. No shell ever sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which program.
    pub program: Program,
    /// Its arguments, each as it is.
    pub arguments: Vec<String>,
    /// What it reads from its standard input; nothing when empty.
    pub input: String,
}

impl Call {
    pub(crate) fn new(program: Program, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program, arguments, input: String::new() }
    }
}

/// What a command that ended has said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error output.
    pub stderr: String,
}

/// Why a command has not ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandFailure {
    /// It could not be started: nothing was sent.
    #[error("`{program}` cannot be started: {why}")]
    NotStarted {
        /// Which.
        program: &'static str,
        /// Why.
        why: String,
    },
    /// It took too long and was ended: what it sent may have arrived.
    #[error("`{program}` did not end in time")]
    TooSlow {
        /// Which.
        program: &'static str,
    },
    /// It wrote more than is read, and was ended.
    #[error("`{program}` wrote more than {limit} bytes")]
    TooMuch {
        /// Which.
        program: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It was ended by a signal, or its output could not be read: what it sent may have arrived.
    #[error("`{program}` broke off: {why}")]
    Broken {
        /// Which.
        program: &'static str,
        /// Why.
        why: String,
    },
}

/// Runs commands of Slurm: [`crate::SystemCommands`] really, a stub in tests.
///
/// Times in the output are seconds of the epoch (`SLURM_TIME_FORMAT=%s`), texts are English (`LC_ALL=C`).
#[async_trait]
pub trait Commands: Send + Sync {
    /// Runs one command to its end. A status other than zero is an answer, not an error.
    ///
    /// # Errors
    /// [`CommandFailure`] when there is no whole answer.
    async fn run(&self, call: &Call) -> Result<Output, CommandFailure>;
}
