#![allow(unused)]
use treewarden::prelude::*;

struct Counter;

#[treewarden::actor]
impl Counter {
    #[tell]
    #[ask]
    fn both(&mut self) {}

    #[tell(later)]
    fn tell_with_argument(&mut self) {}

    #[ask(maybe)]
    fn ask_with_argument(&mut self) {}

    #[ask(fails = true)]
    fn ask_with_value(&mut self) {}
}

struct Unmarked;

#[treewarden::actor]
impl Unmarked {
    fn total(&self) -> u64 {
        0
    }
}

fn main() {}
