//! A plain program: capitals of its input, the files it was given, and a failure when it is asked for one.

use std::io::{Read as _, Write as _};

fn main() {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).unwrap();
    let mut output = std::io::stdout().lock();
    output.write_all(input.to_uppercase().as_bytes()).unwrap();
    for argument in std::env::args().skip(1) {
        if argument == "fail" {
            eprintln!("failed as asked");
            std::process::exit(1);
        }
        match std::fs::read_to_string(&argument) {
            Ok(content) => output.write_all(content.as_bytes()).unwrap(),
            Err(error) => eprintln!("{argument}: {:?}", error.kind()),
        }
    }
    if let Ok(value) = std::env::var("GIVEN") {
        output.write_all(value.as_bytes()).unwrap();
    }
}
