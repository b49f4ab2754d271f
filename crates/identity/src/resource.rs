//! What an endpoint says of itself as a protected resource: its metadata (RFC 9728), and the challenge to who may not.

use std::sync::Arc;

use auth::{Refusal, Why};
use base::plan::identity::{Algorithm, DpopRule, ResourcePlan};
use http::{HeaderValue, Uri};
use mcp::json;

use crate::issuer::Issuer;
use crate::proof::PROOF_ALGORITHMS;

/// Where the metadata of a protected resource are; what follows is its path (RFC 9728 §3).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A protected resource, as those see it who want to use it.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The JSON text of its metadata.
    pub(crate) metadata: String,
    /// Where they are for everybody outside.
    place: String,
    /// The paths at which they are found here (RFC 9728 §3.1): at the well-known path with that of its route, and with that of its
    /// URL outside.
    pub(crate) places: [String; 2],
    scopes: String,
    dpop: DpopRule,
    /// Whether anybody can log in for it.
    can_sign_in: bool,
}

impl Resource {
    /// The one at a path, whose URL outside is that.
    pub(crate) fn new((inside, url): (&str, &str), plan: &ResourcePlan, issuers: &[Arc<Issuer>]) -> Self {
        let (origin, path) = split(url);
        Self {
            metadata: metadata(url, plan, issuers),
            place: format!("{origin}{WELL_KNOWN}{}", path.trim_end_matches('/')),
            places: [inside, &path].map(|path| format!("{WELL_KNOWN}{}", path.trim_end_matches('/'))),
            scopes: plan.scopes_supported.join(" "),
            dpop: plan.dpop,
            can_sign_in: issuers.iter().any(|issuer| issuer.plan().sign_in),
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1); none where no other token would help.
    ///
    /// Official clients take a parameter from wherever its name stands first: so the description, which is fixed text, comes last,
    /// and there is one challenge.
    pub(crate) fn challenge(&self, refusal: &Refusal) -> Option<HeaderValue> {
        let (error, scopes, text) = match refusal {
            Refusal::Unauthenticated(why) => {
                let text = (*why != Why::NoToken).then(|| why.to_string());
                (why.code(), self.scopes.clone(), text)
            }
            Refusal::Malformed(text) => (Some("invalid_request"), String::new(), Some((*text).to_owned())),
            Refusal::Scopes(needed) => {
                (Some("insufficient_scope"), needed.join(" "), Some(refusal.to_string()))
            }
            _ => return None,
        };
        let is_of_dpop = matches!(refusal, Refusal::Unauthenticated(why) if why.is_of_dpop());
        let scheme = if is_of_dpop || matches!(self.dpop, DpopRule::Require | DpopRule::RequireNonce) {
            "DPoP"
        } else {
            "Bearer"
        };
        let place = if self.can_sign_in { self.place.as_str() } else { "" };
        let algorithms = if scheme == "DPoP" { proofs().join(" ") } else { String::new() };
        let parameters = [
            ("resource_metadata", place),
            ("error", error.unwrap_or_default()),
            ("scope", &scopes),
            ("algs", &algorithms),
            ("error_description", text.as_deref().unwrap_or_default()),
        ];
        let parameters = parameters.into_iter().filter(|(_, text)| !text.is_empty());
        let parameters: Vec<_> = parameters.map(|(name, text)| format!("{name}=\"{text}\"")).collect();
        // Scopes and URLs are of the configuration, which takes none that have other characters.
        HeaderValue::from_str(format!("{scheme} {}", parameters.join(", ")).trim_end()).ok()
    }
}

/// How a proof of possession may be signed.
fn proofs() -> Vec<&'static str> {
    PROOF_ALGORITHMS.map(Algorithm::name).to_vec()
}

/// A URL's origin and its path, as they are written.
fn split(url: &str) -> (&str, String) {
    let path = url.parse::<Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(after..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| after + at);
    (url.get(..end).unwrap_or(url), path)
}

/// RFC 9728 §2.
fn metadata(url: &str, plan: &ResourcePlan, issuers: &[Arc<Issuer>]) -> String {
    let list = |texts: &[&str]| texts.iter().map(|text| json::quote(text)).collect::<Vec<_>>().join(",");
    let servers = issuers.iter().map(|issuer| issuer.plan()).filter(|issuer| issuer.sign_in);
    let servers: Vec<&str> = servers.map(|issuer| issuer.issuer.as_str()).collect();
    let mut members = vec![
        format!("\"resource\":{}", json::quote(url)),
        "\"bearer_methods_supported\":[\"header\"]".to_owned(),
    ];
    // A member without elements is left out (§3.2).
    if !servers.is_empty() {
        members.push(format!("\"authorization_servers\":[{}]", list(&servers)));
    }
    if !plan.scopes_supported.is_empty() {
        let scopes: Vec<&str> = plan.scopes_supported.iter().map(String::as_str).collect();
        members.push(format!("\"scopes_supported\":[{}]", list(&scopes)));
    }
    if plan.dpop != DpopRule::Off {
        members.push(format!("\"dpop_signing_alg_values_supported\":[{}]", list(&proofs())));
    }
    if matches!(plan.dpop, DpopRule::Require | DpopRule::RequireNonce) {
        members.push("\"dpop_bound_access_tokens_required\":true".to_owned());
    }
    if plan.certificate_bound {
        members.push("\"tls_client_certificate_bound_access_tokens\":true".to_owned());
    }
    format!("{{{}}}", members.join(","))
}
