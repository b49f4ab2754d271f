//! This process among others: who they are, what each holds, and whom they trust.
//!
//! It knows no route, no listener and no client's session but by name. What is forwarded between replicas is put on the wire
//! and taken off it by the gateway's listeners, which ask here where it goes ([`Replica::home_of`], [`peers`]) and whether it
//! is to be trusted ([`badge`]).

mod replica;

pub use crate::replica::{
    Adoption, Home, Homed, LEASE, PeerNotice, PeerNotices, Replica, ReplicaInfo, badge, peers,
};
