//! toolcell
fn main() {}
