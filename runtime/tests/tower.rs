//! An ask as a tower service.
#![allow(missing_docs)]

use std::future::poll_fn;
use std::task::Poll;

use tower_service::Service;
use treewarden_runtime::{Actor, AskError, Context, Failure, Reply, System};

struct Doubler;

impl Actor for Doubler {
    type Msg = (u32, Reply<u32>);
    type Error = Failure;

    async fn handle(
        &mut self,
        (n, reply): Self::Msg,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        match n {
            13 => return Err(Failure::msg("unlucky")),
            _ => reply.send(2 * n),
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_call_is_an_ask_and_its_error_that_of_the_ask() {
    let doubler = System::new("test").spawn(Doubler);
    let mut service = doubler.service(|n: u32, reply| (n, reply));
    let is_ready = poll_fn(|cx| Poll::Ready(Service::<u32>::poll_ready(&mut service, cx))).await;
    assert_eq!(is_ready, Poll::Ready(Ok(())));
    assert_eq!(service.clone().call(4).await, Ok(8));
    assert_eq!(service.call(13).await, Err(AskError::CrashedWhileHandling));
    doubler.closed().await;
    let is_ready = poll_fn(|cx| Poll::Ready(Service::<u32>::poll_ready(&mut service, cx))).await;
    assert_eq!(is_ready, Poll::Ready(Err(AskError::Dead)));
    assert_eq!(service.call(4).await, Err(AskError::Dead));
}
