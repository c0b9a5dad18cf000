// The messages of an actor are seen as far as the actor is.
#![allow(unused)]
use treewarden::prelude::*;

pub struct Counter;

#[treewarden::actor]
impl Counter {
    #[tell]
    fn add(&mut self, n: u64) {}
}

fn main() {}
