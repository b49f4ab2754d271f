//! The data plane: from a client's request to a server's answer and back.
//!
//! It knows no file format, no SQL, no command line and no HTML; configuration comes as a [`plan::Plan`] and the
//! outside world as a [`world::World`]. Reading order: `call` is the spine, and everything else is a room on
//! its way: `listener` and `bridge` (in), `route` and `catalog` (whose), [`upstream`] (out), `relay` and [`reply`]
//! (back); `watch`, `news` and `subscription` carry changes; [`live`] puts it together.

mod admin;
mod aside;
mod bridge;
mod call;
mod catalog;
pub mod clock;
pub mod descriptors;
mod digest;
pub mod error;
pub mod fault;
mod flow;
mod kept;
mod listener;
mod listing;
pub mod live;
pub mod masks;
pub mod metrics;
mod news;
pub mod plan;
mod relay;
pub mod replica;
pub mod reply;
mod route;
mod subscription;
mod suspend;
mod sync;
mod tally;
mod tasks;
pub mod upstream;
mod watch;
pub mod world;
