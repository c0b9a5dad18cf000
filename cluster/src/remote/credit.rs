//! Credit: how much may be on its way to one remote mailbox. Pure.
//!
//! Both sides begin with [`Window::INITIAL`], so that nothing has to be asked before the first message. The receiver adds
//! to it what its window is larger. The sender spends; the receiver gives back what the mailbox has taken, in portions of
//! a quarter of a window. A message may be sent while at least one message *and* at least one byte of credit is left: the last
//! one may bring the bytes below zero, so that a message longer than the window is not stuck.
//!
//! Two give back at the receiver, the reader and the forwarder, each with an account of its own, so that they need no lock for
//! each message. What lies in both and was not given back is less than half a window, so that a sender is never stuck for it.
//!
//! The receiver's count is never behind the sender's: it has granted before the sender can have heard of it. So a sender
//! that keeps the rule is never accused, and one that breaks it is always found.

/// How many messages and bytes of payload one sending node may have waiting at one mailbox of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Messages.
    pub messages: u32,
    /// Bytes of payload; exceeded by at most one message.
    pub bytes: u64,
}

impl Window {
    /// What every channel begins with, by protocol. No window is smaller.
    pub const INITIAL: Self = Self {
        messages: 64,
        bytes: 64 * 1024,
    };
}

/// More arrived than was granted: the other side does not keep the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

/// What may still be sent.
#[derive(Debug)]
pub(crate) struct SendCredit {
    messages: u32,
    bytes: i64,
}

impl SendCredit {
    pub(crate) fn new() -> Self {
        Self {
            messages: Window::INITIAL.messages,
            bytes: Window::INITIAL.bytes as i64,
        }
    }

    pub(crate) fn is_left(&self) -> bool {
        self.messages > 0 && self.bytes > 0
    }

    /// To be called if some [is left](Self::is_left).
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as i64);
    }

    pub(crate) fn add(&mut self, messages: u32, bytes: u64) {
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self
            .bytes
            .saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// The receiver's side of the account: what the sender may still send, if it has heard of everything.
#[derive(Debug)]
pub(crate) struct ReceiveCredit(SendCredit);

impl ReceiveCredit {
    /// The account, what becomes of what is taken, and what to grant at once.
    pub(crate) fn new(window: Window) -> (Self, Returns, Option<Window>) {
        let window = Window {
            messages: window.messages.max(Window::INITIAL.messages),
            bytes: window
                .bytes
                .clamp(Window::INITIAL.bytes, i64::MAX as u64 / 2),
        };
        let extra = Window {
            messages: window.messages - Window::INITIAL.messages,
            bytes: window.bytes - Window::INITIAL.bytes,
        };
        let mut granted = SendCredit::new();
        granted.add(extra.messages, extra.bytes);
        let is_any = extra.messages > 0 || extra.bytes > 0;
        let returns = Returns {
            portion: Window {
                messages: window.messages / 4,
                bytes: window.bytes / 4,
            },
            taken: Window {
                messages: 0,
                bytes: 0,
            },
        };
        (Self(granted), returns, is_any.then_some(extra))
    }

    /// A message came. An overrun is none if there are grants that this has not [heard](Self::granted) of.
    pub(crate) fn receive(&mut self, bytes: usize) -> Result<(), Overrun> {
        if !self.0.is_left() {
            return Err(Overrun);
        }
        self.0.spend(bytes);
        Ok(())
    }

    /// More was granted.
    pub(crate) fn granted(&mut self, grant: Window) {
        self.0.add(grant.messages, grant.bytes);
    }
}

/// What has left the receiver's hands, until it is enough to be worth a frame.
#[derive(Clone, Debug)]
pub(crate) struct Returns {
    portion: Window,
    taken: Window,
}

impl Returns {
    /// A message that came has left this side's hands. Returns what to grant now.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Window> {
        self.taken.messages += 1;
        self.taken.bytes += bytes as u64;
        if self.taken.messages < self.portion.messages && self.taken.bytes < self.portion.bytes {
            return None;
        }
        let nothing = Window {
            messages: 0,
            bytes: 0,
        };
        Some(std::mem::replace(&mut self.taken, nothing))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Sends `sizes` through an account whose receiver takes a message whenever the sender is stuck, reader and forwarder in turns, and
    /// returns the most that was held by the receiver.
    fn check(window: Window, sizes: impl IntoIterator<Item = usize>) -> (u32, u64) {
        let mut sender = SendCredit::new();
        let (mut receiver, returns, extra) = ReceiveCredit::new(window);
        let mut returns = [returns.clone(), returns];
        let mut takes = 0;
        if let Some(extra) = extra {
            sender.add(extra.messages, extra.bytes);
        }
        let mut held = VecDeque::new();
        let (mut messages_max, mut bytes_max) = (0, 0);
        for size in sizes {
            while !sender.is_left() {
                let taken = held
                    .pop_front()
                    .expect("a stuck sender has messages at the receiver");
                takes += 1;
                if let Some(grant) = returns[takes / 3 % 2].take(taken) {
                    receiver.granted(grant);
                    sender.add(grant.messages, grant.bytes);
                }
            }
            sender.spend(size);
            receiver.receive(size).expect("the sender keeps the rule");
            held.push_back(size);
            messages_max = messages_max.max(held.len() as u32);
            bytes_max = bytes_max.max(held.iter().map(|&size| size as u64).sum());
        }
        (messages_max, bytes_max)
    }

    #[test]
    fn a_sender_is_never_stuck_for_ever_and_never_above_the_window() {
        let window = Window {
            messages: 100,
            bytes: 100_000,
        };
        assert_eq!(check(window, [1; 10_000]), (100, 100));
        let (_, bytes) = check(window, [30_000; 100]);
        assert!(bytes <= 100_000 + 30_000, "{bytes}");
        let (messages, bytes) = check(window, [1_000_000; 10]);
        assert_eq!((messages, bytes), (1, 1_000_000));
        let (messages, bytes) = check(window, (0..1000).map(|i| i * 7919 % 5000));
        assert!(messages <= 100 && bytes <= 105_000, "{messages} {bytes}");
    }

    #[test]
    fn a_window_below_the_initial_one_is_the_initial_one() {
        let (_, _, extra) = ReceiveCredit::new(Window {
            messages: 1,
            bytes: 1,
        });
        assert_eq!(extra, None);
    }

    #[test]
    fn a_sender_that_breaks_the_rule_is_found() {
        let (mut receiver, ..) = ReceiveCredit::new(Window::INITIAL);
        for _ in 0..Window::INITIAL.messages {
            receiver.receive(1).unwrap();
        }
        assert_eq!(receiver.receive(1), Err(Overrun));

        let (mut receiver, ..) = ReceiveCredit::new(Window::INITIAL);
        receiver.receive(Window::INITIAL.bytes as usize).unwrap();
        assert_eq!(receiver.receive(0), Err(Overrun));
    }
}
