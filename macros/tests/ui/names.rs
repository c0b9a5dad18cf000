#![allow(unused)]
use treewarden::prelude::*;

struct Counter;

#[treewarden::actor]
impl Counter {
    #[tell]
    fn add_all(&mut self, n: u64) {}

    #[tell]
    fn add__all(&mut self, n: u64) {}

    #[tell]
    fn add(&mut self, n: u64) {}

    #[ask]
    fn try_add(&mut self, n: u64) {}

    #[ask]
    fn actor_ref(&mut self) {}
}

fn main() {}
