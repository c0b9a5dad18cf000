//! A picture of the living tree, as data and as text.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use crate::{exit::ExitReason, mailbox::ByClass};

/// All trees and single actors of a [`System`](crate::System) at about one moment.
///
/// It is taken node by node while everything goes on, so two nodes may be seen at slightly different times. `Display`
/// draws it as text.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The name of the system.
    pub system: Arc<str>,
    /// The trees and the actors outside any tree, in the order in which they were made.
    pub roots: Vec<NodeSnapshot>,
    /// How many dead letters there were since the system began.
    pub dead_letters: u64,
}

/// One node of the tree.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// Its path, for example `/app/counter`.
    pub path: Arc<str>,
    /// What it is: `actor`, `task`, `supervisor (one_for_one)`, ...
    pub kind: Cow<'static, str>,
    /// `running`, `restarting`, `stopped`, ...
    pub state: Cow<'static, str>,
    /// How many messages wait, for those who have a mailbox.
    pub queue_depth: Option<usize>,
    /// How many messages were taken into a handler, for those who have a mailbox.
    pub handled: Option<u64>,
    /// How many messages its mailbox refused on arrival or gave up later, by class; none unless it sheds or is fair.
    pub shed: ByClass,
    /// How often it was restarted.
    pub restarts: u64,
    /// How its last incarnations ended, the newest last.
    pub last_exits: Vec<ExitReason>,
    /// How long ago the newest of them was, for those who are supervised.
    pub since_last_exit: Option<Duration>,
    /// What it supervises, in start order.
    pub children: Vec<NodeSnapshot>,
}

/// A node that can be pictured. Supervisors and actors implement it.
pub trait Inspect: Send + Sync {
    /// The node and what is below it, now. It must not block.
    fn inspect(&self) -> NodeSnapshot;
}

impl Snapshot {
    /// The node with this path, wherever it is.
    pub fn find(&self, path: &str) -> Option<&NodeSnapshot> {
        fn search<'a>(nodes: &'a [NodeSnapshot], path: &str) -> Option<&'a NodeSnapshot> {
            nodes.iter().find_map(|node| {
                if &*node.path == path {
                    Some(node)
                } else {
                    search(&node.children, path)
                }
            })
        }
        search(&self.roots, path)
    }
}

impl NodeSnapshot {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn draw(&self, f: &mut fmt::Formatter<'_>, before: &str, branch: &str) -> fmt::Result {
        write!(
            f,
            "{before}{branch}{} [{}] {}",
            self.name(),
            self.kind,
            self.state
        )?;
        if let Some(depth) = self.queue_depth {
            write!(f, ", {depth} queued")?;
        }
        if let Some(handled) = self.handled {
            write!(f, ", {handled} handled")?;
        }
        if self.shed.total() > 0 {
            let ByClass { critical, .. } = self.shed;
            write!(f, ", {} shed ({critical} critical)", self.shed.total())?;
        }
        if self.restarts > 0 {
            let s = if self.restarts == 1 { "" } else { "s" };
            write!(f, ", {} restart{s}", self.restarts)?;
        }
        if let Some(last) = self.last_exits.last() {
            match self.since_last_exit {
                Some(ago) => write!(f, ", last exit {} s ago: {last}", ago.as_secs())?,
                None => write!(f, ", last exit: {last}")?,
            }
        }
        writeln!(f)?;
        let below = match branch {
            "" => String::new(),
            "└─ " => format!("{before}   "),
            _ => format!("{before}│  "),
        };
        for (index, child) in self.children.iter().enumerate() {
            let is_last = index + 1 == self.children.len();
            child.draw(f, &below, if is_last { "└─ " } else { "├─ " })?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draw(f, "", "")
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} dead letters)", self.system, self.dead_letters)?;
        for (index, root) in self.roots.iter().enumerate() {
            let is_last = index + 1 == self.roots.len();
            root.draw(f, "", if is_last { "└─ " } else { "├─ " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, children: Vec<NodeSnapshot>) -> NodeSnapshot {
        NodeSnapshot {
            path: path.into(),
            kind: "actor".into(),
            state: "running".into(),
            queue_depth: None,
            handled: None,
            shed: ByClass::default(),
            restarts: 0,
            last_exits: Vec::new(),
            since_last_exit: None,
            children,
        }
    }

    #[test]
    fn is_drawn_as_a_tree_and_searched_by_path() {
        let mut b = node("/app/b", vec![node("/app/b/c", vec![])]);
        b.restarts = 2;
        b.last_exits = vec![ExitReason::Killed];
        b.since_last_exit = Some(Duration::from_millis(7_900));
        let snapshot = Snapshot {
            system: "demo".into(),
            roots: vec![
                node("/app", vec![node("/app/a", vec![]), b]),
                node("/x", vec![]),
            ],
            dead_letters: 3,
        };
        assert_eq!(
            snapshot.to_string(),
            "demo (3 dead letters)\n\
             ├─ app [actor] running\n\
             │  ├─ a [actor] running\n\
             │  └─ b [actor] running, 2 restarts, last exit 7 s ago: killed\n\
             │     └─ c [actor] running\n\
             └─ x [actor] running\n"
        );
        assert_eq!(snapshot.find("/app/b/c").unwrap().name(), "c");
        assert!(snapshot.find("/app/d").is_none());
    }
}
