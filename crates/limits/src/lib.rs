//! How much callers may take: so many calls in a time, so many at once, so many bytes of results, and no call again and again.
//!
//! The gateway holds one [`Limiter`], which outlives a reload, and each route asks its [`RouteLimits`] about a call twice: when it is
//! known who calls, and when it is known where the call goes. What is counted lies in `tally`, within bounds; the arithmetic of
//! rates is [`pace`]; what replicas share is counted in the store (`replicas`), a few at a time (`lease`).

mod key;
mod lease;
mod limit;
mod limiter;
mod loops;
pub mod pace;
mod replicas;
mod tally;

pub use self::key::Subject;
pub use self::limiter::{Entered, Entry, Held, Limiter, RouteLimits, Turn};
pub use self::loops::Repeated;
pub use self::replicas::Shared;
pub use self::tally::MOST;
