//! See `treewarden_tests::fuzzing::groups`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| treewarden_tests::fuzzing::groups(data));
