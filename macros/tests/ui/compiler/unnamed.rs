// The compiler has more to say about a block for a type of somebody else's.
#![allow(unused)]

#[treewarden::actor]
impl (u64, u64) {
    #[tell]
    fn go(&mut self) {}
}

fn main() {}
