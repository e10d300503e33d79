//! The command line client of HPC Foundation: ask for capacity, get it under policy, prove what happened.
//!
//! Never decides anything the daemon decides, never writes anything but results to standard output, never asks without
//! a terminal, never prints what a daemon sent without taking control characters out.
//!
//! ```
//! // What the binary does, without a terminal and without a daemon:
//! let (mut out, mut err) = (Vec::new(), Vec::new());
//! let io = hpc::Io { out: &mut out, err: &mut err, input: None };
//! let around = hpc::Surroundings { home: hpc::context::home_from_env(), now: hpc::now };
//! let code = hpc::run(["hpc", "explain", "HPC-CAP-0001"], &around, io);
//! assert_eq!(code, 0);
//! assert!(String::from_utf8(out)?.contains("no capacity"));
//! # Ok::<(), std::string::FromUtf8Error>(())
//! ```
//!
//! - [`context`]: which daemon to talk to and as whom; a daemon writes contexts with it
//! - [`run`]: a whole invocation, with its exit code
//!
//! No features.

mod args;
mod clock;
mod command;
pub mod context;
mod focus;
pub mod key_files;
mod output;
pub mod policy_keys;
mod remembered;
mod render;
mod session;
mod table;
mod text;

pub use clock::now;
pub use command::{command_tree, run};
pub use output::Io;
pub use session::Surroundings;
