//! Gossip membership and remote references for Treewarden.
