//! hpcd
fn main() {}
