#![allow(unused)]
use treewarden::prelude::*;

#[derive(Clone)]
struct Counter;

#[treewarden::actor]
impl Counter {
    #[tell]
    fn none(n: u64) {}

    #[tell]
    fn by_value(self, n: u64) {}

    #[ask]
    fn boxed(self: Box<Self>) -> u64 {
        0
    }

    #[ask]
    unsafe fn unchecked(&self) -> u64 {
        0
    }

    #[ask]
    fn bounded(&self) -> u64
    where
        Self: Clone,
    {
        0
    }
}

fn main() {}
