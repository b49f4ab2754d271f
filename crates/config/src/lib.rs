//! Configuration: a file → checked, every mistake at once → [`base::plan::Plan`].
//!
//! Two layers. `file` holds exactly what was written, each value with its place; other clients' formats (`foreign`) are
//! turned into the same tables. `lower` checks them and makes the plan, and no default is applied before it. What a
//! mistake looks like to a person is [`Diagnostic`]. Nothing here listens, connects or starts anything, and nothing
//! prints a secret.
//!
//! Reading order: `file` (the format), `lower` (what it means), [`diagnostic`], `foreign`; then the ground they stand
//! on: `node` (a parsed file), `syntax` (TOML and JSON → nodes), `read` (nodes → tables), `template` (`${env:NAME}`), `secret`.

mod convert;
pub mod diagnostic;
mod file;
mod findings;
mod foreign;
mod load;
mod lower;
mod node;
mod outside;
mod read;
mod schema;
mod secret;
mod source;
mod syntax;
mod template;
mod value;

pub use convert::Converted;
pub use diagnostic::{Diagnostic, Severity};
pub use load::{Loaded, convert, load, load_text, load_text_with, load_with};
pub use outside::{Environment, Inherit};
pub use schema::{reference, schema};
pub use source::Source;
pub use value::lasting as duration;
