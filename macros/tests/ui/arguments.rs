#![allow(unused)]
use treewarden::prelude::*;

struct Unknown;

#[treewarden::actor(mesage = UnknownMsg)]
impl Unknown {
    #[tell]
    fn go(&mut self) {}
}

struct Twice;

#[treewarden::actor(message = One, message = Other)]
impl Twice {
    #[tell]
    fn go(&mut self) {}
}

struct NoValue;

#[treewarden::actor(client)]
impl NoValue {
    #[tell]
    fn go(&mut self) {}
}

struct NoVisibility;

#[treewarden::actor(vis = Name)]
impl NoVisibility {
    #[tell]
    fn go(&mut self) {}
}

struct NoName;

#[treewarden::actor("NoName")]
impl NoName {
    #[tell]
    fn go(&mut self) {}
}

struct SameName;

#[treewarden::actor(message = Name, client = Name)]
impl SameName {
    #[tell]
    fn go(&mut self) {}
}

fn main() {}
