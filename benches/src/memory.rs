//! The resident size of this process, for the programs that print a cost in bytes.

use std::fs;

/// Now.
pub(crate) fn resident_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// The largest resident size that this process has had.
pub(crate) fn peak_resident_bytes() -> u64 {
    status_bytes("VmHWM:")
}

/// A size from the kernel's account of this process; 0 on systems that keep none, and then the row is meaningless.
fn status_bytes(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
