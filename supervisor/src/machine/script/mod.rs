//! The text form of scripts: a supervisor and the fates of its children in a line, and what the machine makes of it.
//!
//! ```text
//! supervisor one_for_all intensity 3 10s
//! start a b:transient c:temporary; exit b panic; tick 5s; shutdown
//! ```
//!
//! Steps are separated by semicolons or ends of lines; `#` begins a comment. [`parse`] reads them (the words are
//! listed at [`Step`] and [`ChildOption`]), [`Simulation`] runs them in virtual time against children that obey at
//! once unless the script says otherwise, and writes down every command of the machine. There is no shell, no task and no real
//! time here.

mod parse;
mod simulation;

pub use parse::{ChildLine, ChildOption, Fate, ScriptError, Step, parse};
pub use simulation::{Handle, Outcome, Seen, Simulation};
