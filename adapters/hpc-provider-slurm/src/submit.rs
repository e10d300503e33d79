//! The words of a submission: what sbatch is called with.

use hpc_provider::ProvisionSpec;

use crate::cluster::Shape;
use crate::commands::{Call, Program};
use crate::error;
use crate::note::{COMMENT_BYTES_MAX, Note};

/// What a placeholder runs: it holds the allocation until it is cancelled.
const PLACEHOLDER: &str = "#!/bin/sh\nexec sleep infinity\n";

/// The submission of a job called `name`.
///
/// One job of as many tasks as instances starts whole or not at all; an array would start in parts. `singleton` lets only
/// one job of a name run, so that a token submitted twice holds nothing twice.
pub(crate) fn call(
    spec: &ProvisionSpec,
    shape: &Shape,
    name: &str,
    note: &Note,
) -> hpc_provider::Result<Call> {
    let comment = note.write();
    if comment.len() > COMMENT_BYTES_MAX {
        let what = format!(
            "tags of {} bytes; with all else a job's comment holds {COMMENT_BYTES_MAX}",
            comment.len()
        );
        return Err(error::config("Tags", &what));
    }
    let mut arguments = vec![
        "--parsable".to_owned(),
        format!("--job-name={name}"),
        format!("--comment={comment}"),
        format!("--partition={}", shape.zone),
        format!("--ntasks={}", spec.instances),
        format!("--cpus-per-task={}", shape.cpus),
        format!("--mem-per-cpu={}M", shape.mib_per_cpu()),
    ];
    match (shape.gpus(), &shape.gres_type) {
        (0, _) => {}
        (count, Some(kind)) => arguments.push(format!("--gpus-per-task={kind}:{count}")),
        (count, None) => arguments.push(format!("--gpus-per-task={count}")),
    }
    arguments.extend(
        [
            "--dependency=singleton",
            "--no-requeue",
            "--input=/dev/null",
            "--output=/dev/null",
            "--error=/dev/null",
            "--chdir=/",
        ]
        .map(str::to_owned),
    );
    arguments.extend(shape.options.iter().cloned());
    Ok(Call { program: Program::Sbatch, arguments, input: PLACEHOLDER.to_owned() })
}

/// The number in what `sbatch --parsable` prints: `4711`, or `4711;cluster`.
pub(crate) fn number(stdout: &str) -> Option<u64> {
    stdout.trim().split(';').next()?.parse().ok()
}

/// Cancels a job only while it waits, and only if it still has this name.
pub(crate) fn cancel_waiting(number: u64, name: &str) -> Call {
    Call::new(Program::Scancel, ["--state=PENDING"]).and(format!("--name={name}")).and(number.to_string())
}

/// Cancels a job only if it still has this name: a number that Slurm used again cancels nobody else's.
pub(crate) fn cancel(number: u64, name: &str) -> Call {
    Call::new(Program::Scancel, [format!("--name={name}")]).and(number.to_string())
}

/// Writes a job's comment anew.
pub(crate) fn comment(number: u64, note: &Note) -> Call {
    let words = ["update".to_owned(), format!("JobId={number}"), format!("Comment={}", note.write())];
    Call::new(Program::Scontrol, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_a_cluster() {
        assert_eq!(number("4711\n"), Some(4_711));
        assert_eq!(number("4711;hall\n"), Some(4_711));
        for text in ["", "Submitted batch job 4711", "-1", "4711_1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
