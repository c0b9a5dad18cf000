//! See `treewarden_tests::fuzzing::line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treewarden_tests::fuzzing::line(data));
