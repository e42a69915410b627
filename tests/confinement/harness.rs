//! As much of libtest as `cargo test` and `cargo nextest` ask for: a list of names, filters, and one test after another.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

pub(crate) type Test = (&'static str, fn());

/// Options of libtest that have a value of their own, which is no filter.
const WITH_VALUE: &[&str] = &[
    "--format",
    "--test-threads",
    "--color",
    "--skip",
    "--logfile",
];

pub(crate) fn run(arguments: &[String], tests: &[Test]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let mut filters = Vec::new();
    let mut all = arguments.iter();
    while let Some(argument) = all.next() {
        if WITH_VALUE.contains(&argument.as_str()) {
            all.next();
        } else if !argument.starts_with("--") {
            filters.push(argument.as_str());
        }
    }
    let wanted = |name: &str| {
        // None of these tests is marked as ignored.
        !has("--ignored")
            && (filters.is_empty()
                || filters.iter().any(|filter| match has("--exact") {
                    true => name == *filter,
                    false => name.contains(filter),
                }))
    };
    let chosen: Vec<&Test> = tests.iter().filter(|(name, _)| wanted(name)).collect();
    if has("--list") {
        for (name, _) in chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, test) in &chosen {
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    println!("\n{} passed, {failed} failed", chosen.len() - failed);
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
