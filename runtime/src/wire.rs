//! Replies that cross the network (feature `wire`), so that one type of message serves local and remote asks.
//!
//! A [`Reply`] inside a message is serialized as a number. Which number, and what it stands for, is known to the two ends of the link: the
//! asking side [exports](Export) the reply, which means that it will be answered with bytes; the answering side [imports](Import) the number
//! as a reply that ships bytes back. Answers are encoded with postcard.
//!
//! Serializing a reply anywhere else than in [`ship`], or deserializing one anywhere else than in [`receive`], is an
//! error of the serializer.

use std::{cell::RefCell, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _,
    ser::Error as _,
};

use crate::{ask::AskError, reply::Reply};

/// Takes the encoded answer, or the reason why there is none, on the asking node.
pub type ReplySink = Box<dyn FnOnce(Result<Vec<u8>, AskError>) + Send>;

/// Takes the encoded answer, or the reason why there is none, on the answering node, to ship it back.
pub type ReplySource = Box<dyn FnOnce(Result<Vec<u8>, AskError>) + Send>;

/// A reply leaves this node; the sink is to be called once. The number goes over the wire. A function and not an object: each message that
/// leaves is encoded under one, and few have a reply.
pub type Export = fn(ReplySink) -> u64;

/// The answering end of a link, as far as replies are concerned.
pub trait Import: Send + Sync + 'static {
    /// A reply with this number arrived; the returned function will be called once.
    fn import(&self, number: u64) -> ReplySource;
}

enum Port {
    Export(Export),
    Import(Arc<dyn Import>),
}

thread_local! {
    static PORT: RefCell<Option<Port>> = const { RefCell::new(None) };
}

fn with_port<R>(port: Port, run: impl FnOnce() -> R) -> R {
    struct Restore(Option<Port>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PORT.replace(self.0.take());
        }
    }
    let _restore = Restore(PORT.replace(Some(port)));
    run()
}

/// Encodes something whose replies leave through `export`. Should `encode` fail, the replies that had been exported by then belong to
/// `export` all the same.
pub fn ship<R>(export: Export, encode: impl FnOnce() -> R) -> R {
    with_port(Port::Export(export), encode)
}

/// Decodes something, or several things, whose replies go back through `port`.
pub fn receive<R>(port: Arc<dyn Import>, decode: impl FnOnce() -> R) -> R {
    with_port(Port::Import(port), decode)
}

impl<T: DeserializeOwned + Send + 'static> Serialize for Reply<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let export = PORT.with_borrow(|port| match port {
            Some(Port::Export(export)) => Some(*export),
            Some(Port::Import(_)) | None => None,
        });
        let Some(export) = export else {
            return Err(S::Error::custom(
                "a reply can only be serialized on its way to a remote actor",
            ));
        };
        let answer = self.take();
        let number = export(Box::new(move |bytes| {
            answer(
                bytes.and_then(|bytes| postcard::from_bytes(&bytes).map_err(|_| AskError::NoReply)),
            );
        }));
        serializer.serialize_u64(number)
    }
}

impl<'de, T: Serialize + Send + 'static> Deserialize<'de> for Reply<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let port = PORT.with_borrow(|port| match port {
            Some(Port::Import(port)) => Some(port.clone()),
            Some(Port::Export(_)) | None => None,
        });
        let Some(port) = port else {
            return Err(D::Error::custom(
                "a reply can only be deserialized on its way from a remote actor",
            ));
        };
        let source = port.import(number);
        Ok(Reply::from_fn(move |answer: Result<T, AskError>| {
            source(
                answer.and_then(|answer| {
                    postcard::to_allocvec(&answer).map_err(|_| AskError::NoReply)
                }),
            );
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{scope, sync_ext::MutexExt};

    #[derive(Serialize, Deserialize)]
    enum Msg {
        Get(u32, Reply<String>),
    }

    thread_local! {
        /// Both ends of a link in one thread: what was exported and not imported yet.
        static SINKS: RefCell<Vec<Option<ReplySink>>> = const { RefCell::new(Vec::new()) };
    }

    fn export(sink: ReplySink) -> u64 {
        SINKS.with_borrow_mut(|sinks| {
            sinks.push(Some(sink));
            sinks.len() as u64 - 1
        })
    }

    struct FromSinks;

    impl Import for FromSinks {
        fn import(&self, number: u64) -> ReplySource {
            SINKS.with_borrow_mut(|sinks| sinks[number as usize].take().unwrap())
        }
    }

    fn through_the_wire(message: Msg) -> Msg {
        let bytes = ship(export, || postcard::to_allocvec(&message)).unwrap();
        receive(Arc::new(FromSinks), || {
            postcard::from_bytes(&bytes).unwrap()
        })
    }

    fn ask(then: impl FnOnce(Msg)) -> Result<String, AskError> {
        let answer = Arc::new(Mutex::new(None));
        let place = answer.clone();
        let reply = Reply::from_fn(move |result| *place.locked() = Some(result));
        then(through_the_wire(Msg::Get(7, reply)));
        answer.locked().take().expect("an ask is always settled")
    }

    #[test]
    fn an_answer_comes_back() {
        let answer = ask(|Msg::Get(number, reply)| reply.send(number.to_string()));
        assert_eq!(answer.as_deref(), Ok("7"));
    }

    #[test]
    fn a_reply_that_is_dropped_on_the_other_side_comes_back_as_an_error() {
        assert_eq!(ask(drop), Err(AskError::NoReply));
        assert_eq!(
            ask(|message| scope::discarding(AskError::Dead, || drop(message))),
            Err(AskError::Dead)
        );
    }

    #[test]
    fn a_reply_is_not_serialized_elsewhere() {
        let message = Msg::Get(1, Reply::from_fn(drop));
        assert!(postcard::to_allocvec(&message).is_err());
        let import = || postcard::from_bytes::<Msg>(&[0, 1, 0]);
        assert!(import().is_err());
        assert!(ship(export, import).is_err(), "the other direction");
    }
}
