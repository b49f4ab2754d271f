//! What the fuzz targets look at: readers of what anybody can send. No configuration leads here.

use std::time::{Duration, SystemTime};

use base::plan::identity::Algorithm;

use crate::jwk::Key;
use crate::jws::Jws;
use crate::proof::About;
use crate::strict;

/// A signed text as it is read.
#[derive(Debug)]
pub struct Signed {
    /// The JSON text of its header, if no member of it stands twice.
    pub header: Option<String>,
    /// Likewise of what it says.
    pub claims: Option<String>,
    /// The text as it would be written.
    pub again: String,
}

/// Reads a signed text.
#[must_use]
pub fn signed(text: &str) -> Option<Signed> {
    let jws = Jws::read(text).ok()?;
    drop(jws.header().map(|header| (header.algorithm, header.key.is_some(), header.kind)));
    let clear = |text: &String| strict::object(text).is_ok().then(|| text.clone());
    let parts = [jws.header.as_bytes(), jws.claims.as_bytes(), &jws.signature].map(strict::to_base64url);
    Some(Signed { header: clear(&jws.header), claims: clear(&jws.claims), again: parts.join(".") })
}

/// Whether a text is a good proof; none is that was not made for this.
#[must_use]
pub fn is_proof(text: &str) -> bool {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_196_800);
    let url = "https://gw.example/mcp";
    About { method: "POST", url, token: &[1; 32], key: &[2; 32], now }.check(text).is_ok()
}

/// Whether a text is a key that can be used.
#[must_use]
pub fn is_key(text: &str) -> bool {
    Key::read(text, &Algorithm::ALL).is_ok()
}

/// The normal form of a URL.
#[must_use]
pub fn url(text: &str) -> Option<String> {
    crate::url::normal(text)
}
