//! Bytes that are not copied on their way.

use serde::{Deserialize, Serialize};
use treewarden_cli::certs::Authority;
use treewarden_cluster::remote::{RemoteMessage, RemoteRef, SharedBytes};
use treewarden_runtime::{Actor, Context, Failure, Reply};

use crate::{support::*, tls::credentials_of};

#[derive(Serialize, Deserialize)]
enum Parcel {
    /// Two pieces with something between them and behind them.
    Put(SharedBytes, u32, SharedBytes, String),
    /// Is anything of what was put not as it was? How many bytes are there?
    Checked(Reply<Result<usize, String>>),
}

impl RemoteMessage for Parcel {
    const NAME: &'static str = "test/parcel";
    const VERSION: u32 = 1;
}

#[derive(Default)]
struct Shelf(Vec<(SharedBytes, u32, SharedBytes, String)>);

impl Actor for Shelf {
    type Msg = Parcel;
    type Error = Failure;

    async fn handle(&mut self, msg: Parcel, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Parcel::Put(first, number, second, text) => self.0.push((first, number, second, text)),
            Parcel::Checked(reply) => {
                let mut bytes = 0;
                let wrong = (0..)
                    .zip(&self.0)
                    .find(|(n, (first, number, second, text))| {
                        bytes += first.len() + second.len();
                        let expected = (content(*n, first.len()), content(*n + 1, second.len()));
                        (number, first, second) != (n, &expected.0, &expected.1) || text != "end"
                    });
                reply.send(match wrong {
                    Some((n, _)) => Err(format!("the parcel of number {n}")),
                    None => Ok(bytes),
                });
            }
        }
        Ok(())
    }
}

fn content(number: u32, length: usize) -> SharedBytes {
    let byte = |i| (i % 251) as u8 ^ number as u8;
    (0..length).map(byte).collect::<Vec<_>>().into()
}

/// Around each of the bounds: what is copied, what has memory of its own at the receiver, what goes in fragments.
const LENGTHS: [usize; 12] = [
    0, 100, 8191, 8192, 20_000, 32_768, 65_536, 65_537, 120_000, 131_072, 140_000, 1_500_000,
];

async fn check(a: &Node, b: &Node) {
    let shelf = b.system.spawn(Shelf::default());
    b.links.expose("shelf", &shelf).unwrap();
    let r: RemoteRef<Parcel> = a.links.remote(&b.id, "shelf");
    let (mut number, mut bytes) = (0, 0);
    for first in LENGTHS {
        for second in [0, 9000, first] {
            let (one, two) = (content(number, first), content(number + 1, second));
            bytes += first + second;
            let put = Parcel::Put(one, number, two, "end".into());
            soon(r.tell(put)).await.unwrap();
            number += 1;
        }
    }
    assert_eq!(soon(r.ask(Parcel::Checked)).await, Ok(Ok(bytes)));
}

#[tokio::test]
async fn shared_bytes_of_any_length_arrive_as_they_left_and_stay_so_when_they_are_kept() {
    let (a, b, _) = pair().await;
    check(&a, &b).await;
}

#[tokio::test]
async fn under_tls_shared_bytes_arrive_as_they_left() {
    let (world, authority) = (World::default(), Authority::generate("test", 1).unwrap());
    let spec = |name| Spec {
        credentials: Some(credentials_of(&authority, "test", name)),
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), spec("a")).await;
    let b = Node::start_with(&world, id("b", 1), spec("b")).await;
    check(&a, &b).await;
}
