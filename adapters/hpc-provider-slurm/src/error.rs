//! What Slurm's words mean: the kind of a failure, how far it reaches, and whether anything can have happened.
//!
//! Its commands end with status 1 for everything and say the rest in English. A text that is not in the tables is
//! [`ErrorKind::Internal`]; for a command that changes something its outcome is then unknown.

use hpc_provider::{Certainty, ErrorKind, ProviderError, Scope};

use crate::commands::{CommandFailure, Output, Program};

use Certainty::{NotDone, Unknown};
use ErrorKind::{Auth, Capacity, Config, Internal, NotFound, Quota, Throttled};

/// A job that is being ended, or has been: Slurm no longer knows it by its number when it is told to cancel it.
pub(crate) const GONE: &str = "JobGone";

/// Part of the text, code, kind, scope, certainty when the command changes something.
///
/// The tests repeat the texts that Slurm 22.05.8 printed; the others are its documented error strings, not seen here.
/// A credential may be refused in the answer as well, when the job is there already: so nobody knows.
const TABLE: &[(&str, &str, ErrorKind, Scope, Certainty)] = &[
    ("Munge encode failed", "MungeDown", Internal, Scope::Provider, NotDone),
    ("Unable to contact slurm controller", "ControllerDown", Internal, Scope::Provider, Unknown),
    ("Socket timed out on send/recv operation", "ControllerSlow", Internal, Scope::Provider, Unknown),
    ("Zero Bytes were transmitted or received", "ControllerBroke", Internal, Scope::Provider, Unknown),
    ("Protocol authentication error", "Authentication", Auth, Scope::Account, Unknown),
    ("Invalid authentication credential", "Authentication", Auth, Scope::Account, Unknown),
    ("Access/permission denied", "PermissionDenied", Auth, Scope::Account, NotDone),
    ("User's group not permitted to use this partition", "GroupNotPermitted", Auth, Scope::Zone, NotDone),
    ("Invalid account or account/partition combination", "InvalidAccount", Auth, Scope::Zone, NotDone),
    ("Invalid qos specification", "InvalidQos", Config, Scope::Zone, NotDone),
    ("Invalid job id specified", GONE, NotFound, Scope::Zone, NotDone),
    ("Job/step already completing or completed", GONE, NotFound, Scope::Zone, NotDone),
    ("Invalid partition name specified", "InvalidPartition", Config, Scope::Zone, NotDone),
    ("Requested node configuration is not available", "NoSuchNode", Config, Scope::Zone, NotDone),
    ("Memory specification can not be satisfied", "NoSuchMemory", Config, Scope::Zone, NotDone),
    ("Invalid generic resource (gres) specification", "InvalidGres", Config, Scope::Zone, NotDone),
    ("Requested reservation is invalid", "InvalidReservation", Config, Scope::Zone, NotDone),
    ("Requested time limit is invalid", "InvalidTimeLimit", Config, Scope::Zone, NotDone),
    ("Requested partition configuration not available now", "PartitionLimits", Config, Scope::Zone, NotDone),
    ("other parameter too long", "TooLong", Config, Scope::Provider, NotDone),
    ("Job violates accounting/QOS policy", "QosPolicy", Quota, Scope::Account, NotDone),
    ("Job violates accounting policy", "AccountingPolicy", Quota, Scope::Account, NotDone),
    ("Slurm temporarily unable to accept job", "QueueFull", Throttled, Scope::Provider, NotDone),
    ("Resource temporarily unavailable", "Busy", Throttled, Scope::Provider, NotDone),
];

/// Why a job waits, when waiting will not help: reason or its beginning, kind.
///
/// Everything else (`Resources`, `Priority`, `None`, ...) may pass, and is no stock if it does not pass in time.
const HOPELESS: &[(&str, ErrorKind)] = &[
    ("PartitionDown", Config),
    ("PartitionInactive", Config),
    ("PartitionConfig", Config),
    ("PartitionNodeLimit", Config),
    ("PartitionTimeLimit", Config),
    ("BadConstraints", Config),
    ("AccountNotAllowed", Config),
    ("InvalidAccount", Config),
    ("InvalidQOS", Config),
    ("QOSNotAllowed", Config),
    ("ReservationDeleted", Config),
    ("JobHeld", Config),
    ("FedJobLock", Config),
    ("QOS", Quota),
    ("Assoc", Quota),
    ("MaxGRESPerAccount", Quota),
    ("MaxCpuPerAccount", Quota),
    ("MaxJobsPerAccount", Quota),
    ("MaxMemoryPerAccount", Quota),
    ("MaxNodePerAccount", Quota),
];

/// The failure in the output of a command that ended with a status other than zero.
pub(crate) fn refused(program: Program, output: &Output) -> ProviderError {
    let said = [output.stderr.as_str(), output.stdout.as_str()].join(" ");
    let known = TABLE.iter().find(|(text, ..)| said.contains(text));
    let (code, kind, scope, certainty) = known
        .map_or(("SlurmError", Internal, Scope::Zone, Unknown), |&(_, code, kind, scope, certainty)| {
            (code, kind, scope, certainty)
        });
    ProviderError::new(kind, scope, after(program, certainty), code, &last_line(&said))
}

/// A command without a whole answer.
pub(crate) fn failed(program: Program, failure: &CommandFailure) -> ProviderError {
    let (code, certainty) = match failure {
        CommandFailure::NotStarted { .. } => ("CommandMissing", NotDone),
        CommandFailure::TooSlow { .. } => ("CommandTooSlow", Unknown),
        CommandFailure::TooMuch { .. } => ("CommandOutput", Unknown),
        CommandFailure::Broken { .. } => ("CommandBroken", Unknown),
    };
    let kind = if code == "CommandTooSlow" { ErrorKind::Deadline } else { Internal };
    ProviderError::new(kind, Scope::Provider, after(program, certainty), code, &failure.to_string())
}

/// An answer that is none: not in the form that this version of the adapter knows.
pub(crate) fn unreadable(program: Program, what: &str) -> ProviderError {
    ProviderError::new(Internal, Scope::Provider, after(program, Unknown), "UnknownAnswer", what)
}

pub(crate) fn config(code: &str, message: &str) -> ProviderError {
    ProviderError::new(Config, Scope::Provider, NotDone, code, message)
}

pub(crate) fn conflict() -> ProviderError {
    let message = "the token submitted something else before";
    ProviderError::new(ErrorKind::Conflict, Scope::Account, NotDone, "TokenReused", message)
}

/// Why a job that waits for `reason` will not start; `None` when it may.
pub(crate) fn hopeless(reason: &str) -> Option<ErrorKind> {
    HOPELESS.iter().find(|(start, _)| reason.starts_with(start)).map(|(_, kind)| *kind)
}

/// A job that was cancelled because it had not started.
pub(crate) fn not_started(reason: &str, seconds: u64) -> ProviderError {
    let kind = hopeless(reason).unwrap_or(Capacity);
    let message = match kind {
        Capacity => format!("it had not started after {seconds} s: {reason}"),
        _ => format!("it would not start: {reason}"),
    };
    let scope = if kind == Quota { Scope::Account } else { Scope::Zone };
    let code = reason.split([',', ' ', '(']).next().filter(|word| !word.is_empty()).unwrap_or("Pending");
    ProviderError::new(kind, scope, NotDone, code, &message)
}

/// Whoever only reads has done nothing.
const fn after(program: Program, certainty: Certainty) -> Certainty {
    if program.only_reads() { NotDone } else { certainty }
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(program: Program, stderr: &str) -> (String, ErrorKind, Certainty) {
        let output = Output { status: 1, stdout: String::new(), stderr: stderr.to_owned() };
        let error = refused(program, &output);
        (error.code.clone(), error.kind, error.certainty)
    }

    #[test]
    fn recorded_refusals_are_known() {
        // Slurm 22.05.8.
        for (stderr, code, kind, certainty) in [
            (
                "sbatch: error: invalid partition specified: nope\n\
                 sbatch: error: Batch job submission failed: Invalid partition name specified\n",
                "InvalidPartition",
                Config,
                NotDone,
            ),
            (
                "sbatch: error: Batch job submission failed: Requested node configuration is not available\n",
                "NoSuchNode",
                Config,
                NotDone,
            ),
            (
                "sbatch: error: Batch job submission failed: Requested reservation is invalid\n",
                "InvalidReservation",
                Config,
                NotDone,
            ),
            (
                "sbatch: error: Batch job submission failed: Pathname of a file, directory or other parameter too long\n",
                "TooLong",
                Config,
                NotDone,
            ),
            (
                "sbatch: error: If munged is up, restart with --num-threads=10\n\
                 sbatch: error: Munge encode failed: Failed to access \"/x/munge.socket\": No such file or directory\n",
                "MungeDown",
                Internal,
                NotDone,
            ),
            (
                "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
                "ControllerDown",
                Internal,
                Unknown,
            ),
            (
                "scancel: error: Kill job error on job id 34: Invalid job id specified\n",
                GONE,
                NotFound,
                NotDone,
            ),
        ] {
            assert_eq!(said(Program::Sbatch, stderr), (code.to_owned(), kind, certainty), "{stderr}");
        }
    }

    #[test]
    fn what_is_not_known_may_have_happened_unless_it_only_reads() {
        assert_eq!(said(Program::Sbatch, "a new text"), ("SlurmError".to_owned(), Internal, Unknown));
        assert_eq!(said(Program::Squeue, "a new text").2, NotDone);
        assert_eq!(
            said(Program::Squeue, "slurm_load_jobs error: Unable to contact slurm controller").2,
            NotDone
        );
        let silent = refused(Program::Sbatch, &Output { status: 1, ..Output::default() });
        assert_eq!(silent.message, "it said nothing");
    }

    #[test]
    fn reasons_that_will_not_pass_are_told_from_those_that_may() {
        for (reason, kind) in [
            ("PartitionDown", Some(Config)),
            ("PartitionTimeLimit", Some(Config)),
            ("QOSNotAllowed", Some(Config)),
            ("QOSMaxGRESPerUser", Some(Quota)),
            ("AssocGrpGRES", Some(Quota)),
            ("AssociationJobLimit", Some(Quota)),
            ("Resources", None),
            ("Priority", None),
            ("Dependency", None),
            ("ReqNodeNotAvail, UnavailableNodes:vm", None),
            ("", None),
        ] {
            assert_eq!(hopeless(reason), kind, "{reason}");
        }
        let error = not_started("ReqNodeNotAvail, UnavailableNodes:vm", 15);
        assert_eq!(
            (error.kind, error.code.as_str(), error.certainty),
            (Capacity, "ReqNodeNotAvail", NotDone)
        );
    }
}
