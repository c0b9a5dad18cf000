#![allow(unused)]
use treewarden::prelude::*;

struct Counter;

#[treewarden::actor]
impl Counter {
    #[tell]
    fn add(&mut self, n: u64) {}

    #[hook]
    async fn start(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }

    #[hook]
    pub async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }

    async fn stopped(&mut self, reason: &ExitReason, cx: &mut Context<Self>) {}

    #[hook]
    fn label(msg: &CounterMsg) -> &'static str {
        ""
    }

    #[hook]
    fn label(msg: &CounterMsg) -> &'static str {
        ""
    }
}

fn main() {}
