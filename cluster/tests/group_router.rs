//! Routers over groups of running nodes, on real sockets of the loopback interface.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use treewarden_cluster::{
    Node, NodeConfig,
    groups::{Address, GroupAskError, GroupRouteError, GroupRouter},
    membership::{CORDON, Metadata},
    node::{Key, Preset},
    remote::{RemoteAskError, RemoteMessage},
};
use treewarden_runtime::{
    Actor, ActorRef, AskError, Context, Ejection, Failure, PeakEwma, Recipient, Reply, Routing,
    System,
};

/// Nothing here takes long; whoever waits longer waits for ever.
const SAFETY_NET: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, Deserialize)]
struct Note(u64);

#[derive(Serialize, Deserialize)]
enum Work {
    Who(Reply<String>),
    Note(Note),
    Notes(Reply<Vec<u64>>),
    Be(Mood),
}

/// What a worker does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mood {
    Helpful,
    DropsReplies,
    NeverAnswers,
}

impl From<Note> for Work {
    fn from(note: Note) -> Self {
        Self::Note(note)
    }
}

// For a broadcast, which tells nobody to answer.
impl Clone for Work {
    fn clone(&self) -> Self {
        match self {
            Self::Note(note) => Self::Note(note.clone()),
            Self::Be(mood) => Self::Be(*mood),
            Self::Who(_) | Self::Notes(_) => panic!("an ask is not broadcast"),
        }
    }
}

impl RemoteMessage for Work {
    const NAME: &'static str = "test/work";
    const VERSION: u32 = 1;
}

struct Worker {
    name: String,
    notes: Vec<u64>,
    mood: Mood,
    held: Vec<Reply<String>>,
}

impl Worker {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            notes: Vec::new(),
            mood: Mood::Helpful,
            held: Vec::new(),
        }
    }
}

impl Actor for Worker {
    type Msg = Work;
    type Error = Failure;

    async fn handle(&mut self, msg: Work, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Work::Who(reply) => match self.mood {
                Mood::Helpful => reply.send(self.name.clone()),
                Mood::DropsReplies => drop(reply),
                Mood::NeverAnswers => self.held.push(reply),
            },
            Work::Note(Note(number)) => self.notes.push(number),
            Work::Notes(reply) => reply.send(self.notes.clone()),
            Work::Be(mood) => self.mood = mood,
        }
        Ok(())
    }
}

/// A node in a zone, with a worker in the group. Others take seconds to find it dead, so that no busy machine makes a member
/// ineligible in between.
async fn start(name: &str, zone: &str, seeds: &[&Node]) -> (Node, ActorRef<Work>) {
    let system = System::new(name);
    let config = NodeConfig::new("test", name)
        .preset(Preset::Lan)
        .key(Key::from_bytes([7; 32]))
        .plaintext_links_on_loopback()
        .metadata(Metadata {
            zone: zone.to_owned(),
            ..Metadata::default()
        })
        .seeds(seeds.iter().map(|seed| seed.local_addr()));
    let node = Node::start(&system, config).await.unwrap();
    let worker = system.spawn(Worker::new(name));
    node.groups().join("workers", &worker).unwrap();
    (node, worker)
}

/// Waits until `node` sees that many members that may be given something.
async fn until(node: &Node, open: usize) {
    let router = node.groups().router::<Work>("workers", Routing::RoundRobin);
    let wait = async {
        while router
            .members()
            .iter()
            .filter(|member| member.is_eligible)
            .count()
            != open
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(SAFETY_NET, wait).await;
    waited.unwrap_or_else(|_| panic!("not {open} members: {:?}", router.members()));
}

/// Who answers so many asks.
async fn who(router: &GroupRouter<Work>, asks: usize) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..asks {
        answers.push(router.ask(SAFETY_NET, Work::Who).await.unwrap());
    }
    answers.sort();
    answers.dedup();
    answers
}

#[tokio::test]
async fn every_policy_reaches_every_member_on_every_node_and_a_key_has_the_same_one_everywhere() {
    let (a, on_a) = start("a", "", &[]).await;
    let (b, on_b) = start("b", "", &[&a]).await;
    let (c, on_c) = start("c", "", &[&a, &b]).await;
    for node in [&a, &b, &c] {
        until(node, 3).await;
    }
    let policies = [
        Routing::RoundRobin,
        Routing::LeastLoaded,
        Routing::PowerOfTwo(PeakEwma::default()),
        Routing::Rendezvous,
    ];
    for routing in policies {
        let router = a.groups().router::<Work>("workers", routing);
        assert_eq!(who(&router, 60).await, ["a", "b", "c"], "{routing:?}");
    }
    let routers: Vec<GroupRouter<Work>> = [&a, &b, &c]
        .map(|node| node.groups().router("workers", Routing::RoundRobin))
        .into();
    for key in 0..20 {
        let mut answers = Vec::new();
        for router in &routers {
            answers.push(router.ask_by(&key, SAFETY_NET, Work::Who).await.unwrap());
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "key {key}: {answers:?}");
    }
    let counts = routers[0].broadcast(Work::Note(Note(7))).await;
    assert_eq!((counts.told, counts.missed), (3, 0));
    // The router and local and remote members are told things in the same way.
    let members: Vec<Recipient<Note>> = a
        .groups()
        .members::<Work>("workers")
        .iter()
        .map(|member| member.recipient())
        .collect();
    for member in members {
        member.tell(Note(8)).await.unwrap();
    }
    for worker in [on_a, on_b, on_c] {
        let noted = async {
            loop {
                let notes = worker.ask(Work::Notes).await.unwrap();
                if notes.len() == 2 {
                    break notes;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let noted = tokio::time::timeout(SAFETY_NET, noted).await.unwrap();
        assert_eq!(noted, [7, 8]);
    }
}

#[tokio::test]
async fn messages_stay_in_the_zone_while_it_has_members_and_go_elsewhere_when_it_has_none() {
    let (a, on_a) = start("a", "north", &[]).await;
    let (b, on_b) = start("b", "north", &[&a]).await;
    let (_c, _on_c) = start("c", "south", &[&a, &b]).await;
    until(&a, 3).await;
    let router = a.groups().router::<Work>("workers", Routing::RoundRobin);
    assert_eq!(who(&router, 30).await, ["a", "b"]);
    let over_all = a
        .groups()
        .router_over_all_zones::<Work>("workers", Routing::RoundRobin);
    assert_eq!(who(&over_all, 30).await, ["a", "b", "c"]);
    on_b.stop();
    until(&a, 2).await;
    assert_eq!(who(&router, 30).await, ["a"]);
    on_a.stop();
    until(&a, 1).await;
    assert_eq!(who(&router, 30).await, ["c"]);
}

#[tokio::test]
async fn who_is_unreachable_draining_or_cordoned_gets_nothing_and_without_members_the_message_comes_back()
 {
    let (a, on_a) = start("a", "", &[]).await;
    let (b, _on_b) = start("b", "", &[&a]).await;
    let (c, _on_c) = start("c", "", &[&a, &b]).await;
    until(&a, 3).await;
    let router = a.groups().router::<Work>("workers", Routing::RoundRobin);
    let metadata = b.agent().metadata();
    let mut drains = metadata.clone();
    drains.health_percent = 0;
    let mut is_cordoned = metadata.clone();
    is_cordoned.values.insert(CORDON.into(), "new disk".into());
    for takes_nothing in [drains, is_cordoned] {
        b.agent().set_metadata(takes_nothing).await.unwrap();
        until(&a, 2).await;
        assert_eq!(who(&router, 30).await, ["a", "c"]);
        b.agent().set_metadata(metadata.clone()).await.unwrap();
        until(&a, 3).await;
        assert_eq!(who(&router, 30).await, ["a", "b", "c"]);
    }
    b.agent().shutdown().await;
    until(&a, 2).await;
    c.agent().shutdown().await;
    until(&a, 1).await;
    assert_eq!(who(&router, 30).await, ["a"]);
    on_a.stop();
    until(&a, 0).await;
    let refused = router.tell(Work::Note(Note(1))).await.unwrap_err();
    assert!(matches!(
        refused,
        GroupRouteError::NobodyEligible(Work::Note(Note(1)))
    ));
    let refused = router.ask(SAFETY_NET, Work::Who).await;
    assert_eq!(refused, Err(GroupAskError::NobodyEligible));
}

/// The member on the node of this name.
fn on(router: &GroupRouter<Work>, name: &str) -> Address {
    let members = router.members();
    let mut addresses = members.into_iter().map(|member| member.address);
    let found = addresses.find(|address| address.node.name.to_string() == name);
    found.expect("it is a member")
}

fn ejected(router: &GroupRouter<Work>) -> Vec<String> {
    let members = router.members().into_iter();
    let out = members.filter(|member| member.is_ejected);
    out.map(|member| member.address.node.name.to_string())
        .collect()
}

/// How many of so many asks fail.
async fn failures(router: &GroupRouter<Work>, asks: usize) -> usize {
    let mut failures = 0;
    for _ in 0..asks {
        let answer = router.ask(SAFETY_NET, Work::Who).await;
        failures += usize::from(answer.is_err());
    }
    failures
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_member_that_fails_too_often_in_a_row_is_left_out_by_the_router_that_saw_it_and_comes_back()
 {
    let (a, _on_a) = start("a", "", &[]).await;
    let (b, on_b) = start("b", "", &[&a]).await;
    let (c, on_c) = start("c", "", &[&a, &b]).await;
    until(&a, 3).await;
    let router = |lasting| {
        let ejection = Ejection::after(3).lasting(lasting, HOUR);
        let builder = a.groups().router_builder("workers", Routing::RoundRobin);
        builder.eject(ejection).build::<Work>()
    };
    let patient = router(HOUR);
    let forgiving = router(Duration::from_millis(50));
    let indifferent = a.groups().router::<Work>("workers", Routing::RoundRobin);
    on_c.tell(Work::Be(Mood::DropsReplies)).await.unwrap();
    assert_eq!(failures(&patient, 60).await, 3);
    assert_eq!(ejected(&patient), ["c"]);
    assert_eq!(ejected(&indifferent), [""; 0]);
    assert_eq!(failures(&indifferent, 60).await, 20);
    // Of three members at a half one may be out. Whose turn it would be, goes to one of the others by lot.
    on_b.tell(Work::Be(Mood::DropsReplies)).await.unwrap();
    let failed = failures(&patient, 60).await;
    assert!((20..=40).contains(&failed), "{failed}");
    assert_eq!(ejected(&patient), ["c"]);
    on_b.tell(Work::Be(Mood::Helpful)).await.unwrap();
    // Neither told nor asked, by key or by lot.
    let counts = patient.broadcast(Work::Note(Note(1))).await;
    assert_eq!((counts.told, counts.missed), (2, 1));
    for key in 0..20 {
        let answer = patient.ask_by(&key, SAFETY_NET, Work::Who).await;
        assert_ne!(answer.unwrap(), "c");
    }
    // Back by a word, or when its time is up.
    assert_eq!(failures(&forgiving, 9).await, 3);
    on_c.tell(Work::Be(Mood::Helpful)).await.unwrap();
    assert!(patient.readmit(&on(&patient, "c")));
    assert_eq!(who(&patient, 30).await, ["a", "b", "c"]);
    let back = async {
        while !ejected(&forgiving).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SAFETY_NET, back).await.unwrap();
    assert_eq!(who(&forgiving, 30).await, ["a", "b", "c"]);
    drop(c);
}

#[tokio::test]
async fn what_is_reported_counts_and_a_member_can_be_ejected_by_hand() {
    let (a, _on_a) = start("a", "", &[]).await;
    let (_b, _on_b) = start("b", "", &[&a]).await;
    until(&a, 2).await;
    let builder = a.groups().router_builder("workers", Routing::RoundRobin);
    let router = builder
        .eject(Ejection::after(2).lasting(HOUR, HOUR))
        .build::<Work>();
    let b = on(&router, "b");
    assert!(router.report(&b, false) && router.report(&b, true) && router.report(&b, false));
    assert_eq!(ejected(&router), [""; 0], "not in a row");
    assert!(router.report(&b, false));
    assert_eq!(ejected(&router), ["b"]);
    assert!(router.readmit(&b) && router.eject(&b, None));
    assert_eq!(ejected(&router), ["b"]);
    let nobody = Address {
        target: "nobody".into(),
        ..b
    };
    assert!(!router.report(&nobody, false));
    assert!(!router.eject(&nobody, None) && !router.readmit(&nobody));
}

/// Takes other messages than the group is for.
struct Stranger;

#[derive(Serialize, Deserialize)]
struct Other;

impl RemoteMessage for Other {
    const NAME: &'static str = "test/other";
    const VERSION: u32 = 1;
}

impl Actor for Stranger {
    type Msg = Other;
    type Error = Failure;

    async fn handle(&mut self, _: Other, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test]
async fn a_member_that_takes_no_such_messages_is_ejected_though_it_says_so_at_once() {
    let (a, _on_a) = start("a", "", &[]).await;
    let (b, _on_b) = start("b", "", &[&a]).await;
    let stranger = System::new("strangers").spawn(Stranger);
    b.groups().join("workers", &stranger).unwrap();
    until(&a, 3).await;
    let builder = a.groups().router_builder("workers", Routing::RoundRobin);
    let router = builder.eject(Ejection::after(3)).build::<Work>();
    assert_eq!(failures(&router, 60).await, 3);
    assert_eq!(ejected(&router), ["b"]);
    assert_eq!(who(&router, 30).await, ["a", "b"]);
}

#[tokio::test]
async fn a_gather_over_nodes_is_over_with_the_first_a_quorum_or_all_and_says_who_is_missing() {
    let (a, _on_a) = start("a", "north", &[]).await;
    let (b, on_b) = start("b", "south", &[&a]).await;
    let (_c, on_c) = start("c", "south", &[&a, &b]).await;
    until(&a, 3).await;
    let router = a.groups().router::<Work>("workers", Routing::RoundRobin);
    let gather = |timeout| router.gather(timeout, Work::Who);
    let mut names = gather(SAFETY_NET).await.unwrap().answers;
    names.sort();
    assert_eq!(names, ["a", "b", "c"], "in all zones");
    assert_eq!(gather(SAFETY_NET).first().await.unwrap().answers.len(), 1);

    // One that is silent is not waited for once there is enough.
    on_c.tell(Work::Be(Mood::NeverAnswers)).await.unwrap();
    let most = gather(SAFETY_NET).quorum(2).await.unwrap();
    assert_eq!((most.answers.len(), most.failures.len()), (2, 0));
    let too_few = gather(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(too_few.needed, 3);
    let timeout = GroupAskError::Failed(RemoteAskError::Ask(AskError::Timeout));
    let silent = (on(&router, "c"), timeout);
    assert!(too_few.gathered.failures.contains(&silent), "{too_few}");

    // One that fails and one that is not asked are named, and what the others say is there.
    on_c.tell(Work::Be(Mood::DropsReplies)).await.unwrap();
    assert!(router.eject(&on(&router, "b"), None));
    let too_few = gather(SAFETY_NET).await.unwrap_err();
    assert_eq!(too_few.gathered.answers, ["a"]);
    let no_reply = GroupAskError::Failed(RemoteAskError::Ask(AskError::NoReply));
    let missing = [
        (on(&router, "b"), GroupAskError::NobodyEligible),
        (on(&router, "c"), no_reply),
    ];
    assert_eq!(too_few.gathered.failures, missing);
    let too_few = gather(SAFETY_NET).quorum(2).await.unwrap_err();
    assert_eq!(too_few.needed, 2);
    on_b.stop();
    let nobody = a.groups().router::<Work>("nobody", Routing::RoundRobin);
    let too_few = nobody.gather(SAFETY_NET, Work::Who).await.unwrap_err();
    assert!(too_few.gathered.failures.is_empty());
}

/// Answers with what the other members say.
struct Asker(GroupRouter<Work>);

impl Actor for Asker {
    type Msg = Work;
    type Error = Failure;

    async fn handle(&mut self, msg: Work, _: &mut Context<Self>) -> Result<(), Failure> {
        if let Work::Who(reply) = msg {
            let others = self.0.gather(SAFETY_NET, Work::Who).quorum(2).await;
            reply.send(format!("{:?}", others.expect("two others").answers));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_member_that_gathers_from_its_own_group_is_not_asked_itself() {
    let (a, _on_a) = start("a", "", &[]).await;
    let (b, _on_b) = start("b", "", &[&a]).await;
    let router = a.groups().router::<Work>("workers", Routing::RoundRobin);
    let asker = System::new("askers").spawn(Asker(router));
    a.groups().join("workers", &asker).unwrap();
    until(&a, 3).await;
    let answer = asker.ask(Work::Who).timeout(SAFETY_NET).await.unwrap();
    assert!(
        [r#"["a", "b"]"#, r#"["b", "a"]"#].contains(&&*answer),
        "{answer}"
    );
    drop(b);
}
