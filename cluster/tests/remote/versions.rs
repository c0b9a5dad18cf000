//! Two versions of a message at once, and encodings of one's own.

use serde::{Deserialize, Serialize};
use treewarden_cluster::remote::{
    CodecError, LinkCount, OpenRefusal, Payload, RemoteAskError, RemoteMessage, RemoteTellError,
};
use treewarden_runtime::{Actor, ActorRef, Context, Failure, Reply};

use crate::support::*;

/// As it was.
#[derive(Serialize, Deserialize)]
enum V1 {
    Add(u64),
    Total(Reply<u64>),
}

/// As it is: an amount has a weight.
#[derive(Serialize, Deserialize)]
enum V2 {
    Add { amount: u64, weight: u64 },
    Total(Reply<u64>),
}

impl RemoteMessage for V1 {
    const NAME: &'static str = "test/sum";
    const VERSION: u32 = 1;
}

impl RemoteMessage for V2 {
    const NAME: &'static str = "test/sum";
    const VERSION: u32 = 2;
}

impl From<V1> for V2 {
    fn from(old: V1) -> Self {
        match old {
            V1::Add(amount) => Self::Add { amount, weight: 1 },
            V1::Total(reply) => Self::Total(reply),
        }
    }
}

#[derive(Default)]
struct Sum(u64);

impl Actor for Sum {
    type Msg = V2;
    type Error = Failure;

    async fn handle(&mut self, msg: V2, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            V2::Add { amount, weight } => self.0 += amount * weight,
            V2::Total(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

struct OldSum(u64);

impl Actor for OldSum {
    type Msg = V1;
    type Error = Failure;

    async fn handle(&mut self, msg: V1, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            V1::Add(amount) => self.0 += amount,
            V1::Total(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

/// Tells and asks in the new version, and in the old one where the new one is not known.
async fn add_and_total(from: &Node, to: &Node, amount: u64) -> (u64, u32) {
    let new = from.links.remote::<V2>(&to.id, "sum");
    let old = from.links.remote::<V1>(&to.id, "sum");
    match soon(new.ask(V2::Total)).await {
        Ok(_) => {
            soon(new.tell(V2::Add { amount, weight: 1 })).await.unwrap();
            (soon(new.ask(V2::Total)).await.unwrap(), 2)
        }
        Err(RemoteAskError::NotOpened(OpenRefusal::WrongVersion { takes: 1 })) => {
            soon(old.tell(V1::Add(amount))).await.unwrap();
            (soon(old.ask(V1::Total)).await.unwrap(), 1)
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn during_a_rolling_upgrade_old_and_new_nodes_talk_in_both_directions() {
    let world = World::default();
    let old = Node::start(&world, "old").await;
    let actor = old.system.spawn(OldSum(0));
    old.links.expose("sum", &actor).unwrap();
    let new = Node::start(&world, "new").await;
    let actor: ActorRef<V2> = new.system.spawn(Sum::default());
    new.links.expose("sum", &actor).unwrap();
    new.links.expose_also::<V1, V2>("sum", &actor).unwrap();

    // A node of the old version knows the old messages alone.
    let from_old = old.links.remote::<V1>(&new.id, "sum");
    soon(from_old.tell(V1::Add(3))).await.unwrap();
    assert_eq!(soon(from_old.ask(V1::Total)).await, Ok(3));
    // A node of the new version uses what the other takes.
    assert_eq!(add_and_total(&new, &old, 5).await, (5, 1));
    assert_eq!(add_and_total(&old, &new, 4).await, (7, 2));
    assert_eq!(new.count(LinkCount::LinksLost), 0);
}

/// A name in the encoding of its own: its bytes, backwards.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Backwards(String);

impl RemoteMessage for Backwards {
    const NAME: &'static str = "test/backwards";
    const VERSION: u32 = 1;

    fn encode(&self, out: &mut Payload) -> Result<(), CodecError> {
        let bytes: Vec<u8> = self.0.bytes().rev().collect();
        out.extend(&bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let bytes = bytes.iter().rev().copied().collect();
        String::from_utf8(bytes)
            .map(Backwards)
            .map_err(|error| CodecError::Failed(error.to_string()))
    }
}

struct Keeper(tokio::sync::mpsc::UnboundedSender<Backwards>);

impl Actor for Keeper {
    type Msg = Backwards;
    type Error = Failure;

    async fn handle(&mut self, msg: Backwards, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.send(msg)?;
        Ok(())
    }
}

#[tokio::test]
async fn a_message_can_have_an_encoding_of_its_own_within_the_same_bounds() {
    let world = World::default();
    let (a, b) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
    );
    let (kept, mut keeps) = tokio::sync::mpsc::unbounded_channel();
    let actor = b.system.spawn(Keeper(kept));
    b.links.expose("keeper", &actor).unwrap();
    let keeper = a.links.remote::<Backwards>(&b.id, "keeper");
    soon(keeper.tell(Backwards("straße".into()))).await.unwrap();
    assert_eq!(soon(keeps.recv()).await, Some(Backwards("straße".into())));
    let too_long = Backwards("x".repeat((64 << 20) + 1));
    let refused = soon(keeper.tell(too_long)).await;
    assert!(matches!(refused, Err(RemoteTellError::TooLarge { .. })));
}

#[tokio::test]
async fn only_an_actor_that_is_exposed_can_take_further_versions() {
    let world = World::default();
    let b = Node::start(&world, "b").await;
    let actor: ActorRef<V2> = b.system.spawn(Sum::default());
    assert!(b.links.expose_also::<V1, V2>("sum", &actor).is_err());
    b.links.expose("sum", &actor).unwrap();
    let other: ActorRef<V2> = b.system.spawn(Sum::default());
    assert!(b.links.expose_also::<V1, V2>("sum", &other).is_err());
    assert!(b.links.expose_also::<V1, V2>("sum", &actor).is_ok());
}
