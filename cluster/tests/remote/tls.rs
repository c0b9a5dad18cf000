//! Links under mutual TLS, and who is kept out.

use treewarden_cli::certs::Authority;
use treewarden_cluster::{
    remote::{LinkCount, Refusal},
    transport::{Credentials, Identity},
};

use super::support::{Msg, Node, Recorder, Spec, World, id, soon, until};

fn authority() -> Authority {
    Authority::generate("test", 1).unwrap()
}

pub(crate) fn credentials_of(authority: &Authority, cluster: &str, node: &str) -> Credentials {
    let issued = authority
        .issue(&Identity::new(cluster, node).unwrap(), 1)
        .unwrap();
    Credentials::from_pem(
        authority.issued().certificate.as_bytes(),
        issued.certificate.as_bytes(),
        issued.key.as_bytes(),
    )
    .unwrap()
}

async fn node(world: &World, name: &str, credentials: Option<Credentials>) -> Node {
    let spec = Spec {
        credentials,
        ..Spec::default()
    };
    Node::start_with(world, id(name, 1), spec).await
}

#[tokio::test]
async fn nodes_with_certificates_of_one_authority_talk() {
    let (world, ours) = (World::default(), authority());
    let a = node(&world, "a", Some(credentials_of(&ours, "test", "a"))).await;
    let b = node(&world, "b", Some(credentials_of(&ours, "test", "b"))).await;
    b.expose("r", Recorder::default());
    let r = a.remote(&b, "r");
    for n in 0..1000 {
        soon(r.tell(Msg::Note(n))).await.unwrap();
    }
    let noted = soon(r.ask(Msg::Noted)).await.unwrap();
    assert_eq!(noted, (0..1000).collect::<Vec<_>>());
    let long = "x".repeat(1 << 20);
    let echo = soon(r.ask(|reply| Msg::Echo(long.clone(), reply))).await;
    assert_eq!(echo.unwrap(), long);
    b.links.shutdown().await;
    assert_eq!(a.count(LinkCount::LinksLost), 0, "it was closed in order");
}

/// Who may not link with `b`, and which of the two counts the refusal as its own.
#[tokio::test]
async fn who_has_no_certificate_of_the_cluster_for_itself_is_refused_and_counted() {
    let (ours, theirs) = (authority(), authority());
    let table: [(&str, Option<Credentials>); 4] = [
        (
            "of another authority",
            Some(credentials_of(&theirs, "test", "a")),
        ),
        ("for another node", Some(credentials_of(&ours, "test", "c"))),
        (
            "for another cluster",
            Some(credentials_of(&ours, "other", "a")),
        ),
        ("none at all", None),
    ];
    for (what, credentials) in table {
        let world = World::default();
        let has_any = credentials.is_some();
        let a = node(&world, "a", credentials).await;
        let b = node(&world, "b", Some(credentials_of(&ours, "test", "b"))).await;
        b.expose("r", Recorder::default());
        assert!(
            soon(a.remote(&b, "r").ask(Msg::Noted)).await.is_err(),
            "{what}"
        );
        let refusals = || {
            let (a, b) = (a.links.counters(), b.links.counters());
            a.refused(Refusal::WrongCertificate) + b.refused(Refusal::WrongCertificate)
        };
        until(|| refusals() >= 1).await;
        assert_eq!(b.count(LinkCount::LinksAccepted), 0, "{what}");
        if has_any {
            let counters = a.links.counters();
            until(|| {
                counters.refused(Refusal::WrongCertificate)
                    + counters.was_refused(Refusal::WrongCertificate)
                    >= 1
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_node_with_certificates_does_not_talk_to_one_without() {
    let (world, ours) = (World::default(), authority());
    let a = node(&world, "a", Some(credentials_of(&ours, "test", "a"))).await;
    let b = node(&world, "b", None).await;
    b.expose("r", Recorder::default());
    assert!(soon(a.remote(&b, "r").ask(Msg::Noted)).await.is_err());
    assert_eq!(b.count(LinkCount::LinksAccepted), 0);
}

#[tokio::test]
async fn who_does_not_finish_the_tls_handshake_is_turned_away_in_time() {
    let (world, ours) = (World::default(), authority());
    let mut spec = Spec {
        credentials: Some(credentials_of(&ours, "test", "b")),
        ..Spec::default()
    };
    spec.config.connect_timeout = std::time::Duration::from_millis(200);
    let b = Node::start_with(&world, id("b", 1), spec).await;
    let _mute = tokio::net::TcpStream::connect(b.links.local_addr())
        .await
        .unwrap();
    until(|| b.links.counters().refused(Refusal::TooSlow) == 1).await;
}
