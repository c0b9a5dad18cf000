//! What is wrong is said at the user's line.
#![allow(missing_docs)]

use std::process::Command;

#[test]
fn errors_are_at_the_line_of_the_user_and_say_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The words are the compiler's, so they are compared where it is the one that they were taken from.
#[test]
fn what_only_the_compiler_finds_is_at_the_line_of_the_user_as_well() {
    let compiler = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let version = Command::new(compiler).arg("--version").output().unwrap();
    if version.stdout.starts_with(b"rustc 1.95.") {
        trybuild::TestCases::new().compile_fail("tests/ui/compiler/*.rs");
    }
}
