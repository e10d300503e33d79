//! The command line client.

use std::io::IsTerminal as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let around = hpc::Surroundings { home: hpc::context::home_from_env(), now: hpc::now };
    let mut out = anstream::stdout().lock();
    let mut err = anstream::stderr().lock();
    let mut input = std::io::stdin().is_terminal().then(|| std::io::stdin().lock());
    let input = input.as_mut().map(|input| input as &mut dyn std::io::BufRead);
    let io = hpc::Io { out: &mut out, err: &mut err, input };
    ExitCode::from(hpc::run(std::env::args_os(), &around, io))
}
