//! What servers tell of changes, on its way to clients: heard at each server, put into a route's public names, and told to whoever
//! has subscribed to it.

pub(crate) mod feed;
pub(crate) mod subscription;
pub(crate) mod watch;
