// An error of a handler becomes the error of the actor.
#![allow(unused)]
use treewarden::prelude::*;

struct Mine;

struct Counter;

#[treewarden::actor(error = Mine)]
impl Counter {
    #[tell]
    fn parse(&mut self, text: String) -> Result<(), std::num::ParseIntError> {
        text.parse::<u64>()?;
        Ok(())
    }
}

impl From<Mine> for Failure {
    fn from(_: Mine) -> Self {
        Failure::msg("mine")
    }
}

fn main() {}
