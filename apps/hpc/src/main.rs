//! hpc
fn main() {}
