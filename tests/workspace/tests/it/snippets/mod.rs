//! The specification's snippets, compiled and run under the import paths shown there.
//!
//! Between `// begin` and `// end` stands the snippet as it is written; what it leaves open (values, other imports, the
//! peer it talks to) stands around it.

mod cloud;
mod communication;
mod observability;
mod security;

use std::path::Path;
use std::process::Command;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs one test of this binary in a process of its own, in `folder`, with one more variable.
fn alone(test: &str, folder: &Path, (name, value): (&str, &str)) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", test])
        .current_dir(folder)
        .env("HPC_TESTS_ALONE", test)
        .env(name, value)
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Whether this process is that one.
fn is_alone(test: &str) -> bool {
    std::env::var("HPC_TESTS_ALONE").is_ok_and(|wanted| wanted == test)
}

/// Every line of the specification's Rust blocks is in these files. What a snippet leaves open is listed here.
#[test]
fn no_line_of_the_specification_is_bent() {
    // Hosts and ports of a real peer.
    const LEFT_OPEN: [&str; 2] = [
        "let channel = GrpcClientBuilder::new(\"https://server:50051\")",
        "let client = InfluxDbClient::new(\"http://influxdb:8086\", \"token\")?;",
    ];
    let path = crate::arrow::root().join("../shared/spec/hpc-foundation.md");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: the specification is not beside this workspace");
        return;
    };
    let here = [
        include_str!("cloud.rs"),
        include_str!("communication.rs"),
        include_str!("observability.rs"),
        include_str!("security.rs"),
    ];
    let have = bare(&here.concat());
    let mut missing = Vec::new();
    for block in text.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let lines = block.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        missing.extend(lines.filter(|line| !LEFT_OPEN.contains(line) && !have.contains(&bare(line))));
    }
    assert!(missing.is_empty(), "not in the snippets' tests:\n{}\n", missing.join("\n"));
}

/// Formatting is no call: without spaces, without commas before closing brackets, imported names in order.
fn bare(text: &str) -> String {
    let ordered = text.lines().map(|line| match line.trim().split_once('{') {
        Some((path, names)) if path.starts_with("use ") && names.ends_with("};") => {
            let mut names: Vec<&str> = names.trim_end_matches("};").split(", ").collect();
            names.sort_unstable();
            format!("{path}{{{}}};", names.join(","))
        }
        _ => line.to_owned(),
    });
    let bare: String =
        ordered.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    bare.replace(",}", "}").replace(",)", ")").trim_end_matches(',').to_owned()
}
