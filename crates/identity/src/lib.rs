//! Who is behind a token, a proof of possession or an API key.
//!
//! Reading order: [`Identities`] (what outlives a reload) makes an [`Identifier`] for each endpoint, which reads what a request
//! shows (`shown`) and asks an [`Issuer`]. Everything that comes from outside is hostile until it is verified, and nothing of
//! it is ever logged or put into an error.
#![warn(missing_docs)]

mod identifier;
mod identities;
mod issuer;
mod percent;
mod shown;

pub use self::identifier::Identifier;
pub use self::identities::Identities;
pub use self::issuer::Issuer;
