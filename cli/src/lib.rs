//! What the `treewarden` command does, as a library: other programs of a project can make the same files.
//!
//! | module | command |
//! |---|---|
//! | [`member`] | `treewarden member`: a member of a cluster that prints what it sees |
//! | [`certs`] | `treewarden certs`: an authority, node certificates and a gossip key for a development cluster |

#![forbid(unsafe_code)]

pub mod certs;
pub mod member;
