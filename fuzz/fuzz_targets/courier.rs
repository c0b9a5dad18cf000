//! See `treewarden_tests::fuzzing::courier`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treewarden_tests::fuzzing::courier(data));
