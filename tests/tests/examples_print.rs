//! The short examples print what their headers say. (The long ones test themselves, or have files
//! of their own.)

use std::fs;
use std::path::Path;

use gather_tests::programs::{WORKSPACE, build_example, command, printed_by};

/// What an example's header says that it prints.
#[track_caller]
fn promised(example: &str) -> String {
    let source =
        fs::read_to_string(Path::new(WORKSPACE).join(format!("examples/{example}/main.rs"))).unwrap();
    let mut header = source.lines().map_while(|line| line.strip_prefix("//!"));
    assert!(header.any(|line| line == " It prints:"), "{example} does not say what it prints");
    let printed = header.skip(1).map_while(|line| line.strip_prefix("     "));
    printed.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn hello_prints_what_its_header_says() {
    assert_eq!(printed_by(&mut command(build_example("hello"))), promised("hello"));
}

#[test]
fn policy_prints_what_its_header_says() {
    assert_eq!(printed_by(&mut command(build_example("policy"))), promised("policy"));
}
