//! See `treewarden_tests::fuzzing::machine`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treewarden_tests::fuzzing::machine(data));
