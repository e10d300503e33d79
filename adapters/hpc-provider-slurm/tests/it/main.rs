//! The adapter against a stub of Slurm's commands, and against a real cluster where `HPC_TEST_SLURM` names its `slurm.conf`
//! (`tests/counterparts/slurm.sh` starts one).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod conformance;
mod real;
mod rig;
mod settings;
mod stories;
mod stub;
mod system;
