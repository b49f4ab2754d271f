//! Who vouches for callers, and what an endpoint asks of them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;
use mcp::method::Kind;
use transport::http::client::{ClientSettings, Destination};

use crate::globs::Globs;

mod certificates;
mod proxies;

pub use self::certificates::{CertificateName, CertificatesPlan};
pub use self::proxies::{CarriedPlan, CertificateForm, Peers, ProxyPlan};

/// Who vouches for callers: an authorization server, or another maker of signed tokens. Two that are the same are one issuer,
/// which a reload leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerPlan {
    /// Its name in the configuration.
    pub name: String,
    /// What its tokens have as `iss`, byte for byte (RFC 8414 §2: no query, no fragment); or the SPIFFE ID of a trust domain.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// What it may sign with. Nothing else is looked at, whatever a token says.
    pub algorithms: Vec<Algorithm>,
    /// What its tokens have as `aud` in place of an endpoint's URL; empty where it can be told the URL.
    pub audiences: Vec<String>,
    /// By how much its clock may be wrong.
    pub leeway: Duration,
    /// What its tokens have as `typ`.
    pub types: TokenTypes,
    /// Which of its claims mean what.
    pub claims: ClaimNames,
    /// What else its tokens must say.
    pub required: Vec<ClaimRule>,
    /// Whether one subject is another principal by another client.
    pub principal_by_client: bool,
    /// How it is asked about tokens that say nothing themselves.
    pub introspection: Option<IntrospectionPlan>,
    /// The header in which a proxy in front sends its tokens. They are good there, and nowhere else.
    pub token_header: Option<HeaderName>,
    /// The load balancer that signs its tokens: their header must name it as `signer`, and then they need no `aud`.
    pub signer: Option<String>,
    /// Tokens that were issued earlier are not good any more.
    pub not_before: Option<SystemTime>,
    /// Whether people can log in there: then clients are told of it.
    pub sign_in: bool,
    /// Whether it may be asked over plain HTTP at a loopback address.
    pub allow_http: bool,
    /// The connection to it.
    pub client: ClientSettings,
}

impl IssuerPlan {
    /// The trust domain whose workloads it makes tokens for, if it is one of SPIFFE: then its name is that domain's SPIFFE ID.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.issuer.strip_prefix("spiffe://").filter(|_| self.types == TokenTypes::Svids)
    }

    /// The default of [`Self::leeway`].
    pub const LEEWAY: Duration = Duration::from_secs(30);

    /// An issuer of that name that is found by its metadata, and all else by default.
    #[must_use]
    pub fn new(name: &str, issuer: &str) -> Self {
        Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            keys: KeySource::Discover,
            algorithms: Algorithm::USUAL.to_vec(),
            audiences: Vec::new(),
            leeway: Self::LEEWAY,
            types: TokenTypes::default(),
            claims: ClaimNames::default(),
            required: Vec::new(),
            principal_by_client: false,
            introspection: None,
            token_header: None,
            signer: None,
            not_before: None,
            sign_in: true,
            allow_http: false,
            client: ClientSettings { idle_connections: 1, ..ClientSettings::default() },
        }
    }
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Where its metadata says: RFC 8414, then OpenID Connect Discovery.
    Discover,
    /// At this URL.
    Url(Destination),
    /// Each under its name below this URL, in PEM.
    Named(Destination),
    /// These: the text of a JWK Set (RFC 7517 §5), as a file held it.
    Given(Arc<[u8]>),
}

/// How something is signed (RFC 7518 §3.1, RFC 8037 §3.1). Only what nobody can make who can check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA, P-256.
    Es256,
    /// ECDSA, P-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PSS, SHA-256.
    Ps256,
    /// RSASSA-PSS, SHA-384.
    Ps384,
    /// RSASSA-PSS, SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5, SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5, SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5, SHA-512.
    Rs512,
}

impl Algorithm {
    /// What a JWT-SVID may be signed with, and is known here (SPIFFE JWT-SVID §2.1).
    pub const OF_SVIDS: [Self; 8] = [
        Self::Es256,
        Self::Es384,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];
    /// All that there are.
    pub const ALL: [Self; 9] = [
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];
    /// What an issuer may sign with if nothing is said.
    pub const USUAL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Ps256, Self::Rs256];

    /// As it is written in a header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// The one of that name. `Ed25519` is what RFC 9864 calls EdDSA with that curve.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// What an issuer's tokens may have as `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenTypes {
    /// `at+jwt`, `JWT`, `JOSE` or nothing: issuers of today.
    #[default]
    Usual,
    /// `at+jwt` and nothing else (RFC 9068 §4).
    AccessTokens,
    /// `JWT`, `JOSE` or nothing (SPIFFE JWT-SVID §2.3): it is a trust domain, whose tokens are known by their subjects.
    Svids,
}

/// Which claims mean what. Where a claim lies in another, the names on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who it is; a text.
    pub subject: Vec<String>,
    /// The client; if not said, `client_id`, `azp`, `cid` or `appid`, whichever is there first.
    pub client: Option<Vec<String>>,
    /// The groups; a text or a list of texts.
    pub groups: Vec<String>,
    /// The scopes; if not said, `scope` or `scp`.
    pub scopes: Option<Vec<String>>,
    /// Those that policies may look at beside, by the names that policies have for them.
    pub more: Vec<(Arc<str>, Vec<String>)>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let one = |name: &str| vec![name.to_owned()];
        Self { subject: one("sub"), client: None, groups: one("groups"), scopes: None, more: Vec::new() }
    }
}

/// Something that a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRule {
    /// The names on the way to the claim.
    pub claim: Vec<String>,
    /// Of these it is one, or has one if it is a list. Numbers and truth values are compared as they are written.
    pub values: Vec<String>,
}

/// How an issuer is asked about a token (RFC 7662).
#[derive(Clone, PartialEq, Eq)]
pub struct IntrospectionPlan {
    /// Where.
    pub endpoint: Destination,
    /// Who we are to it.
    pub client_id: String,
    /// What shows that.
    pub secret: String,
}

impl fmt::Debug for IntrospectionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a secret, too.
        f.debug_struct("IntrospectionPlan").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// What a route asks of its callers: it is a protected resource (RFC 9728).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration")]
pub struct ResourcePlan {
    /// The route's name, which a key of Portolan's own may be limited to.
    pub route: String,
    /// Its URL for everybody outside, byte for byte as it is written: `resource` of its metadata, the audience of its tokens,
    /// and what proofs of possession are bound to.
    pub resource: String,
    /// The route's path, which that URL stands for.
    pub path: String,
    /// Where its HTTP+SSE streams are: the path, and its URL for everybody outside. Clients take it for a resource of its own.
    pub sse: Option<(String, String)>,
    /// Whether what its one issuer says of itself is shown at the origin, for clients that look there and nowhere else.
    pub shows_issuer: bool,
    /// Other audiences that mean it.
    pub also_audiences: Vec<String>,
    /// The names of the issuers that vouch for its callers.
    pub issuers: Vec<String>,
    /// The scopes that a client asks for at first.
    pub scopes_supported: Vec<String>,
    /// Which scopes what needs.
    pub scopes: Vec<ScopeRule>,
    /// Whether lists leave out what a token lacks a scope for.
    pub hides: bool,
    /// What becomes of proofs of possession.
    pub dpop: DpopRule,
    /// Whether keys of Portolan's own are good here.
    pub api_keys: bool,
    /// Whose certificates say who calls, if there is no token.
    pub certificates: Vec<CertificatesPlan>,
    /// Whether clients can show a certificate here, to which a token may be bound (RFC 8705 §3).
    pub certificate_bound: bool,
    /// Who stands in front and says who calls.
    pub proxies: Vec<ProxyPlan>,
}

impl ResourcePlan {
    /// A route that these issuers vouch for, and all else by default.
    #[must_use]
    pub fn new(route: &str, resource: &str, path: &str, issuers: &[&str]) -> Self {
        Self {
            route: route.to_owned(),
            resource: resource.to_owned(),
            path: path.to_owned(),
            sse: None,
            shows_issuer: false,
            also_audiences: Vec::new(),
            issuers: issuers.iter().map(|name| (*name).to_owned()).collect(),
            scopes_supported: Vec::new(),
            scopes: Vec::new(),
            hides: true,
            dpop: DpopRule::default(),
            api_keys: false,
            certificates: Vec::new(),
            certificate_bound: false,
            proxies: Vec::new(),
        }
    }

    /// All scopes that something needs which has these names or URIs: those of every rule that one of them falls under, each once.
    /// What a template stands for is not known: whatever it may stand for counts.
    pub fn scopes_of(&self, kind: Kind, names: &[&str]) -> Vec<&str> {
        let falls_under = |rule: &&ScopeRule| match kind {
            Kind::Template => {
                let literal = |name: &&str| name.split('{').next().unwrap_or_default().to_owned();
                rule.kind == Kind::Resource
                    && names.iter().any(|name| rule.names.may_match_from(&literal(name)))
            }
            kind => rule.kind == kind && names.iter().any(|name| rule.names.is_match(name)),
        };
        let mut needed: Vec<&str> = Vec::new();
        for scope in self.scopes.iter().filter(falls_under).flat_map(|rule| &rule.scopes) {
            if !needed.contains(&scope.as_str()) {
                needed.push(scope);
            }
        }
        needed
    }
}

/// What needs which scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRule {
    /// What kind of thing.
    pub kind: Kind,
    /// Which, by their public names or URIs.
    pub names: Globs,
    /// The scopes that it needs, all of them.
    pub scopes: Vec<String>,
}

/// What becomes of proofs of possession (RFC 9449).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DpopRule {
    /// A token that is bound to a key needs its proof; others are bearer tokens.
    #[default]
    Accept,
    /// Only bound tokens are good.
    Require,
    /// Only bound tokens are good, and their proofs must have a nonce that was made here a moment ago (RFC 9449 §9): a proof
    /// cannot be made ahead of its time. It costs a client a request every now and then.
    RequireNonce,
    /// Bound tokens are not good here.
    Off,
}

#[cfg(test)]
mod tests {
    use globset::Glob;

    use super::*;

    #[test]
    fn all_scopes_of_a_thing_are_named_at_once() {
        let rule = |kind, glob: &str, scopes: &[&str]| ScopeRule {
            kind,
            names: Globs::new(vec![Glob::new(glob).unwrap()]).unwrap(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let plan = ResourcePlan {
            scopes: vec![
                rule(Kind::Tool, "gh__*", &["gh", "read"]),
                rule(Kind::Tool, "*_delete", &["write", "gh"]),
                rule(Kind::Prompt, "*", &["prompts"]),
                rule(Kind::Resource, "file:///secret/*", &["secrets"]),
            ],
            ..ResourcePlan::new("main", "https://gw.example/mcp", "/mcp", &[])
        };
        assert_eq!(plan.scopes_of(Kind::Tool, &["gh__repo_delete"]), ["gh", "read", "write"]);
        assert_eq!(plan.scopes_of(Kind::Prompt, &["gh__x"]), ["prompts"]);
        assert_eq!(
            plan.scopes_of(Kind::Tool, &["fs__read", "x_delete"]),
            ["write", "gh"],
            "by any of its names"
        );
        assert!(plan.scopes_of(Kind::Tool, &["fs__read"]).is_empty());
        for template in ["file:///{path}", "file:///secret/{name}", "{+uri}"] {
            assert_eq!(plan.scopes_of(Kind::Template, &[template]), ["secrets"], "{template}");
        }
        assert!(plan.scopes_of(Kind::Template, &["mem://{x}"]).is_empty());
    }

    #[test]
    fn algorithms_are_known_by_their_names() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::named("Ed25519"), Some(Algorithm::EdDsa));
        for name in ["none", "None", "HS256", "es256", "ES256 ", "ES512", ""] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let plan = IntrospectionPlan {
            endpoint: Destination::new("https://id.example/introspect?key=s3cret".parse().unwrap()).unwrap(),
            client_id: "gateway".to_owned(),
            secret: "s3cret".to_owned(),
        };
        let issuer = IssuerPlan { introspection: Some(plan), ..IssuerPlan::new("id", "https://id.example") };
        assert!(!format!("{issuer:?}").contains("s3cret") && format!("{issuer:?}").contains("gateway"));
    }
}
