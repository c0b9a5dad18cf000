#![allow(unused)]
use treewarden::prelude::*;

struct Counter(String);

#[treewarden::actor]
impl Counter {
    #[tell]
    fn a_number(&mut self) -> u64 {
        0
    }

    #[tell]
    fn a_result(&mut self) -> Result<u64, Failure> {
        Ok(0)
    }

    #[ask]
    fn borrowed(&self) -> &str {
        &self.0
    }

    #[ask]
    fn future(&self) -> impl Future<Output = u64> {
        async { 0 }
    }

    #[ask(fails)]
    fn cannot_fail(&self) -> u64 {
        0
    }

    #[ask(fails)]
    fn returns_nothing(&self) {}

    #[ask]
    fn replies_and_returns(&self, reply: Reply<u64>) -> u64 {
        0
    }

    #[ask]
    fn replies_twice(&self, one: Reply<u64>, other: Reply<u64>) {}

    #[ask(fails)]
    fn replies_and_fails(&self, reply: Reply<u64>) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() {}
