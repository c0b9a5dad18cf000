#![allow(unused)]
use treewarden::prelude::*;

#[treewarden::actor]
struct Counter;

#[treewarden::actor]
impl Clone for Counter {
    fn clone(&self) -> Self {
        Counter
    }
}

struct Borrowing<'a>(&'a str);

#[treewarden::actor]
impl<'a> Borrowing<'a> {
    #[ask]
    fn len(&self) -> usize {
        self.0.len()
    }
}

#[treewarden::actor]
impl Counter {
    #[tell]
    #[tell]
    fn twice(&mut self) {}
}

struct Async;

#[treewarden::actor]
#[async_trait::async_trait]
impl Async {
    #[tell]
    async fn go(&mut self) {}
}

fn main() {}
