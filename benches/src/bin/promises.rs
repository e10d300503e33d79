//! Measures the promises of the design beside their rivals: `promises [NAME...] [--quick] [--list]`.

use std::process::ExitCode;

use hpc_benches::harness::{Bench, machine};
use hpc_benches::promises::{ALL, Promise};

const USAGE: &str = "usage: promises [NAME...] [--quick] [--list]
  --quick   tiny sizes: only checks that everything runs; nothing is judged
  --list    the names, and what each promises";

fn main() -> ExitCode {
    let mut quick = false;
    let mut chosen: Vec<&Promise> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => quick = true,
            "--list" => {
                for promise in ALL {
                    println!("{:24} {}", promise.name, promise.about);
                }
                return ExitCode::SUCCESS;
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            name => match ALL.iter().find(|promise| promise.name == name) {
                Some(promise) => chosen.push(promise),
                None => {
                    let names: Vec<&str> = ALL.iter().map(|promise| promise.name).collect();
                    eprintln!(
                        "error: there is no promise `{name}`; there are: {}\n{USAGE}",
                        names.join(", ")
                    );
                    return ExitCode::from(2);
                }
            },
        }
    }
    if chosen.is_empty() {
        chosen.extend(ALL);
    }
    measure(&chosen, quick)
}

fn measure(chosen: &[&Promise], quick: bool) -> ExitCode {
    println!("{}", machine());
    let bench = match Bench::new(quick) {
        Ok(bench) => bench,
        Err(error) => {
            eprintln!("error: no folder for the measurements: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut missed, mut broken) = (Vec::new(), Vec::new());
    for promise in chosen {
        match (promise.run)(&bench) {
            Ok(report) => {
                println!("{}", report.line(promise.name, quick));
                if let Some(why) = report.why_skipped() {
                    println!("  skipped: {why}");
                }
                report.notes().filter(|_| !quick).for_each(|note| println!("  {note}"));
                if !report.is_met() && !quick {
                    missed.push(promise.name);
                }
            }
            Err(error) => {
                eprintln!("error: `{}` could not be measured: {error}", promise.name);
                broken.push(promise.name);
            }
        }
    }
    if !missed.is_empty() {
        eprintln!("missed: {}", missed.join(", "));
    }
    if missed.is_empty() && broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
