//! See `treewarden_tests::fuzzing::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treewarden_tests::fuzzing::frames(data));
