//! What outlives a request: today the [`seal`] for everything that is handed out and comes back. Durable facts in
//! SQLite and PostgreSQL will live beside it.

pub mod seal;
