//! What the fuzz targets see of the inside: feature `fuzzing`. No part of the interface; it may change at any time.

pub use crate::groups::trial::trial as groups;

/// Takes bytes from the front of an input; zeros when it is used up.
#[derive(Debug)]
pub struct Choices<'d>(&'d [u8]);

impl<'d> Choices<'d> {
    /// Of this input.
    pub fn new(data: &'d [u8]) -> Self {
        Self(data)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    /// As many bytes as the next one says, or as there are.
    pub fn chunk(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (chunk, rest) = self.0.split_at(length);
        self.0 = rest;
        chunk.to_vec()
    }

    /// Whether it is used up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
