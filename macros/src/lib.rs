//! Methods become the messages of an actor, a typed client, and the dispatch between the two.
//!
//! This crate has one attribute, [`actor`]. Applications use it as `treewarden::actor`, behind the feature `macros`. It
//! writes nothing that could not be written by hand, and what it writes can be mixed with what is: the enum is the truth,
//! and a client is no more than an `ActorRef` with methods.
//!
//! # What is written
//!
#![doc = "```"]
#![doc = "# use std::num::ParseIntError;"]
#![doc = "# use treewarden::prelude::*;"]
#![doc = "# pub struct DivideError;"]
#![doc = "pub struct Counter {"]
#![doc = "    total: u64,"]
#![doc = "}"]
#![doc = ""]
#![doc = include_str!("written/input.rs")]
#![doc = ""]
#![doc = "# #[tokio::main(flavor = \"current_thread\")]"]
#![doc = "# async fn main() -> Result<(), Failure> {"]
#![doc = "let system = System::new(\"demo\");"]
#![doc = "let counter = CounterClient::from(system.spawn(Counter { total: 0 }));"]
#![doc = "counter.add(40).await?;"]
#![doc = "counter.parse(\"2\".to_owned()).await?;"]
#![doc = "assert_eq!(counter.total().await?, (42, 1));"]
#![doc = "# Ok(())"]
#![doc = "# }"]
#![doc = "```"]
//!
//! # What comes of it
//!
//! The whole of it, but for the paths: each name that is not the user's is written in full (`::treewarden::runtime::Reply`).
//!
#![doc = "```"]
#![doc = "# use std::{fmt, num::ParseIntError};"]
#![doc = "# use treewarden::runtime::*;"]
#![doc = "# pub struct DivideError;"]
#![doc = "# pub struct Counter {"]
#![doc = "#     total: u64,"]
#![doc = "# }"]
#![doc = include_str!("written/output.rs")]
#![doc = "# #[tokio::main(flavor = \"current_thread\")]"]
#![doc = "# async fn main() -> Result<(), Failure> {"]
#![doc = "# let system = System::new(\"demo\");"]
#![doc = "# let counter = CounterClient::from(system.spawn(Counter { total: 0 }));"]
#![doc = "# counter.add(40).await?;"]
#![doc = "# counter.parse(\"2\".to_owned()).await?;"]
#![doc = "# assert_eq!(counter.total().await?, (42, 1));"]
#![doc = "# Ok(())"]
#![doc = "# }"]
#![doc = "```"]
#![forbid(unsafe_code)]

mod arguments;
mod errors;
mod expand;
mod input;
mod method;
mod types;

use proc_macro::TokenStream;

/// Makes an actor of an `impl` block: the enum of its messages, `impl Actor`, and a client.
///
/// The [crate's documentation](crate) shows all that is written.
///
/// # Marks
///
/// | mark | the method | in the enum | in the client |
/// |---|---|---|---|
/// | `#[tell] fn add(&mut self, n: u64)` | returns nothing, or a `Result<(), E>` whose error fails the actor | `Add(u64)` | `add(n)` is a `Tell`; `try_add(n)` does not wait |
/// | `#[ask] fn total(&self) -> u64` | what it returns is the answer, also if that is a `Result` | `Total(Reply<u64>)` | `total()` is an `Ask`, so that `.timeout(..)` and the like can follow |
/// | `#[ask(fails)] fn take(&mut self) -> Result<u64, E>` | the `u64` is the answer; an error fails the actor, and the asker gets `AskError::CrashedWhileHandling` | `Take(Reply<u64>)` | `take()`, as above |
/// | `#[ask] fn later(&mut self, reply: Reply<u64>)` | answers when it likes; returns what a tell returns | `Later(Reply<u64>)` | `later()`, as above |
/// | `#[hook] async fn started(..)` | `started`, `stopped` or `label`: moves into `impl Actor` as it stands | | |
/// | none | stays as it is | | |
///
/// - A method takes `&mut self` or `&self`, is `async` or not, and may take `cx: &mut Context<Self>` at any place. The
///   future of an actor moves between threads, so an `async` method with `&self` needs an actor that is `Sync`: where it
///   is not, take `&mut self`.
/// - Its other arguments are the fields of the message, in order. A message outlives the call that sends it, so they are
///   owned values.
/// - Documentation, `cfg`, `deprecated` and visibility go along with the method.
/// - An error becomes the actor's error with `?`, and the [`Failure`](../treewarden_runtime/struct.Failure.html) names the
///   line at which the method says what it returns.
///
/// # Arguments
///
/// All can be left out: `#[treewarden::actor(message = Name, error = MyError)]`.
///
/// | argument | what | if left out |
/// |---|---|---|
/// | `message = Name` | the name of the enum | `CounterMsg` for a `Counter` |
/// | `client = Name` | the name of the client | `CounterClient` |
/// | `error = Type` | `Actor::Error` | `Failure` |
/// | `vis = pub` | the visibility of the enum and of the client. It has to reach as far as that of the actor | the widest of the methods that are messages |
/// | `derive(Clone, Debug)` | what the enum derives | nothing |
/// | `crate = path` | where the facade is, if not at `::treewarden` | |
///
/// # Generics
///
/// The parameters and `where` clauses of the block go along. The enum and the client have those parameters that the
/// messages name, so an actor can have others that its users never see:
///
/// ```
/// use std::{collections::HashMap, hash::Hash};
///
/// use treewarden::prelude::*;
///
/// struct Cache<K, V, F> {
///     known: HashMap<K, V>,
///     load: F,
/// }
///
/// #[treewarden::actor]
/// impl<K, V, F> Cache<K, V, F>
/// where
///     K: Hash + Eq + Clone + Send + 'static,
///     V: Clone + Send + 'static,
///     F: Fn(&K) -> V + Send + 'static,
/// {
///     #[ask]
///     fn get(&mut self, key: K) -> V {
///         let load = &self.load;
///         self.known.entry(key).or_insert_with_key(load).clone()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// # let system = System::new("demo");
/// let cache = Cache { known: HashMap::new(), load: |key: &u32| key.to_string() };
/// let cache: CacheClient<u32, String> = system.spawn(cache).into();
/// assert_eq!(cache.get(7).await?, "7");
/// # Ok(())
/// # }
/// ```
///
/// # By hand
///
/// The client is for those who only talk. Everything else goes through its `actor_ref()`, and takes messages:
///
/// ```
/// use treewarden::{prelude::*, runtime::{Criticality, MessageContext}};
///
/// # struct Counter(u64);
/// #[treewarden::actor(message = Change)]
/// impl Counter {
///     #[tell]
///     fn add(&mut self, n: u64) {
///         self.0 += n;
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// # let system = System::new("demo");
/// let counter = CounterClient::from(system.spawn(Counter(0)));
/// let context = MessageContext::new().with_criticality(Criticality::Critical);
/// counter.actor_ref().tell_with(Change::Add(1), context).await?;
/// counter.actor_ref().stop();
/// # Ok(())
/// # }
/// ```
#[proc_macro_attribute]
pub fn actor(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::actor(arguments.into(), item.into()).into()
}
