//! Credit: how much may be on its way to one remote mailbox. Pure.
//!
//! Both sides begin with [`Window::INITIAL`], so that nothing has to be asked before the first message. The receiver adds
//! to it what its window is larger. The sender spends; the receiver gives back what the mailbox has taken, in portions of
//! half a window. A message may be sent while at least one message *and* at least one byte of credit is left: the last
//! one may bring the bytes below zero, so that a message longer than the window is not stuck.
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

/// The receiver's side of the account.
#[derive(Debug)]
pub(crate) struct ReceiveCredit {
    window: Window,
    /// What the sender may still send, if it has heard of everything.
    granted: SendCredit,
    /// What was taken by the mailbox and not given back yet.
    returned_messages: u32,
    returned_bytes: u64,
}

impl ReceiveCredit {
    /// The account, and what to grant at once.
    pub(crate) fn new(window: Window) -> (Self, Option<Window>) {
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
        let account = Self {
            window,
            granted,
            returned_messages: 0,
            returned_bytes: 0,
        };
        let is_any = extra.messages > 0 || extra.bytes > 0;
        (account, is_any.then_some(extra))
    }

    /// A message came.
    pub(crate) fn receive(&mut self, bytes: usize) -> Result<(), Overrun> {
        if !self.granted.is_left() {
            return Err(Overrun);
        }
        self.granted.spend(bytes);
        Ok(())
    }

    /// A message that came has left this side's hands. Returns what to grant now, if it is enough to be worth a frame.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Window> {
        self.returned_messages += 1;
        self.returned_bytes += bytes as u64;
        if self.returned_messages < self.window.messages / 2
            && self.returned_bytes < self.window.bytes / 2
        {
            return None;
        }
        let grant = Window {
            messages: std::mem::take(&mut self.returned_messages),
            bytes: std::mem::take(&mut self.returned_bytes),
        };
        self.granted.add(grant.messages, grant.bytes);
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Sends `sizes` through an account whose receiver takes a message whenever the sender is stuck, and returns the most
    /// that was held by the receiver.
    fn check(window: Window, sizes: impl IntoIterator<Item = usize>) -> (u32, u64) {
        let mut sender = SendCredit::new();
        let (mut receiver, extra) = ReceiveCredit::new(window);
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
                if let Some(grant) = receiver.take(taken) {
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
        let (_, extra) = ReceiveCredit::new(Window {
            messages: 1,
            bytes: 1,
        });
        assert_eq!(extra, None);
    }

    #[test]
    fn a_sender_that_breaks_the_rule_is_found() {
        let (mut receiver, _) = ReceiveCredit::new(Window::INITIAL);
        for _ in 0..Window::INITIAL.messages {
            receiver.receive(1).unwrap();
        }
        assert_eq!(receiver.receive(1), Err(Overrun));

        let (mut receiver, _) = ReceiveCredit::new(Window::INITIAL);
        receiver.receive(Window::INITIAL.bytes as usize).unwrap();
        assert_eq!(receiver.receive(0), Err(Overrun));
    }
}
