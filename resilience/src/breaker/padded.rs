//! A value that shares its cache line with nothing else.

use std::ops::Deref;

/// 128 bytes: two lines of 64, because x86 prefetches the neighbour; and one line of some ARM cores.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
