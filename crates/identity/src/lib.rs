//! Who is behind a token, a proof of possession or an API key.
//!
//! Reading order: [`Identities`] (what outlives a reload) makes an [`Identifier`] for each endpoint, which reads what a request
//! shows (`shown`), looks whether it knows the token (`tokens`), reads it (`jws`, `strict`), asks its [`Issuer`] for the key
//! (`issuer`, `discover`, `fetch`, `jwk`), or the issuer itself (`introspect`), and holds what it says against what the endpoint asks for (`token`). A token that is
//! bound to a key needs its proof (`proof`, `nonce`, `replays`). Keys of Portolan's own are looked up in the store (`api_key`), and so is
//! what is revoked (`revocations`); what lasts longer than a request ends with its credentials (`lifetime`), and lists show what a token
//! is good for (`scoped`). Who shows no token may have a certificate (`certificates`, `x509`), or a proxy in front says
//! who it is (`proxies`, `carried`). Workloads of SPIFFE show tokens, too (`spiffe`). Everything that comes from outside is hostile until it is verified, and nothing of
//! it is ever logged or put into an error.
#![warn(missing_docs)]

mod api_key;
mod carried;
mod certificates;
mod discover;
mod fault;
mod fetch;
mod identifier;
mod identities;
mod inspect;
mod introspect;
mod issuer;
mod jwk;
mod jws;
mod lifetime;
mod missing_keys;
mod nonce;
mod percent;
mod proof;
mod proxies;
mod refused;
mod replays;
mod resource;
mod revocations;
mod scoped;
mod shown;
mod spiffe;
mod strict;
#[doc(hidden)]
pub mod testing;
mod token;
mod tokens;
mod url;
mod x509;

pub use self::api_key::ApiKey;
pub use self::fault::{CertificateFault, ProofFault, ProxyFault, TokenFault};
pub use self::identifier::Identifier;
pub use self::identities::Identities;
pub use self::inspect::Finding;
pub use self::issuer::Issuer;
pub use self::lifetime::Lifetime;
pub use self::proof::PROOF_ALGORITHMS;
pub use self::resource::WELL_KNOWN;
pub use self::scoped::Views;
pub use self::scoped::all_names;
pub use self::url::other_spelling;
