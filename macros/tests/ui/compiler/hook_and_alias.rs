// What only the compiler can find is shown at the method as well.
#![allow(unused)]
use treewarden::prelude::*;

type LoadResult = Result<u64, Failure>;

struct Alias;

#[treewarden::actor]
impl Alias {
    #[tell]
    fn load(&mut self) -> LoadResult {
        Ok(7)
    }
}

struct WrongHook;

#[treewarden::actor]
impl WrongHook {
    #[tell]
    fn go(&mut self) {}

    #[hook]
    async fn started(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() {}
