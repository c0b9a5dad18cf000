#![allow(unused)]
use treewarden::prelude::*;

struct Counter;

#[treewarden::actor]
impl Counter {
    #[tell]
    fn pair(&mut self, (a, b): (u64, u64)) {}

    #[tell]
    fn unnamed(&mut self, _: u64) {}

    #[tell]
    fn by_reference(&mut self, ref n: u64) {}

    #[tell]
    fn borrows(&mut self, name: &str) {}

    #[tell]
    fn borrows_inside(&mut self, names: Vec<std::borrow::Cow<'_, str>>) {}

    #[tell]
    fn any(&mut self, n: impl Into<u64>) {}

    #[tell]
    fn generic<T: Into<u64>>(&mut self, n: T) {}

    #[tell]
    fn sometimes(&mut self, #[cfg(unix)] n: u64) {}

    #[tell]
    fn context_by_value(&mut self, cx: Context<Self>) {}

    #[tell]
    fn two_contexts(&mut self, a: &mut Context<Self>, b: &mut Context<Self>) {}

    // These are all right.
    #[tell]
    fn fine(
        &mut self,
        mut n: u64,
        name: &'static str,
        f: fn(&str),
        g: Box<dyn Fn(&str) + Send>,
    ) {
        n += 1;
        let _ = (n, name, f, g);
    }
}

fn main() {}
