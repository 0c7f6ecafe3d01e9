//! A keeper as a program.
fn main() {}
