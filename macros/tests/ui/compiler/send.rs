// A message moves between threads, and so does the future of a handler.
#![allow(unused)]
use std::{cell::Cell, rc::Rc};

use treewarden::prelude::*;

struct Counter;

#[treewarden::actor]
impl Counter {
    #[tell]
    fn share(&mut self, n: Rc<u64>) {
        let _ = n;
    }
}

struct NotSync(Cell<u64>);

#[treewarden::actor]
impl NotSync {
    #[ask]
    async fn total(&self) -> u64 {
        self.0.get()
    }
}

fn main() {}
