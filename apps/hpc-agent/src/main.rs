//! hpc-agent
fn main() {}
