//! The data plane: from a client's request to a server's answer and back.
//!
//! It knows no file format, no SQL, no command line and no HTML; configuration comes as a [`base::plan::Plan`] and the
//! outside world as a [`base::world::World`]. Reading order: `call` is the spine, and everything else is a room on
//! its way: `listener` and `bridge` (in), `route` and `catalog` (whose), [`::upstream`] (out), `relay`
//! (back); `changes` tells what servers say has changed; [`assembly`] puts it together.

pub mod assembly;
mod bridge;
mod call;
mod flow;
mod forward;
mod listener;
mod live;
mod outcome;
mod own;
mod route;
mod tasks;
