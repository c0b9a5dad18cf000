use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;
use treewarden_cluster::remote::RemoteRef;
use treewarden_runtime::{Actor, Context, Criticality, Failure, MessageContext, Reply};

use crate::support::*;

/// Answers an echo with what travelled with it.
struct Describes;

impl Actor for Describes {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        if let Msg::Echo(_, reply) = msg {
            let description = cx.message().map(|context| {
                format!(
                    "{:?}, attempt {}, request {:?}, deadline: {}",
                    context.criticality(),
                    context.attempt(),
                    context.request_id(),
                    context.deadline().is_some()
                )
            });
            reply.send(description.unwrap_or("nothing".to_owned()));
        }
        Ok(())
    }
}

/// Asks an actor of another node in its handler.
struct Front(RemoteRef<Msg>);

impl Actor for Front {
    type Msg = Reply<String>;
    type Error = Failure;

    async fn handle(&mut self, reply: Reply<String>, _: &mut Context<Self>) -> Result<(), Failure> {
        let described = self.0.ask(|reply| Msg::Echo(String::new(), reply)).await?;
        reply.send(described);
        Ok(())
    }
}

#[tokio::test]
async fn an_ask_made_in_a_handler_inherits_the_context_across_nodes() {
    let (a, b, _) = pair().await;
    let describes = b.system.spawn(Describes);
    b.links.expose("describes", &describes).unwrap();
    let front = a.system.spawn(Front(a.remote(&b, "describes")));
    let context = MessageContext::new()
        .with_deadline(Instant::now() + Duration::from_secs(20))
        .with_criticality(Criticality::Critical)
        .with_attempt(2)
        .with_request_id(NonZeroU64::new(7).unwrap());
    let described = soon(front.ask(|reply| reply).context(context)).await;
    assert_eq!(
        described.unwrap(),
        "Critical, attempt 2, request Some(7), deadline: true"
    );
    let described = soon(front.ask(|reply| reply)).await;
    assert_eq!(described.unwrap(), "nothing");
}
