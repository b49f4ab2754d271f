//! Who calls one endpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Claims, Connection, Credentials, Identified, Identity, Principal, Refusal};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base::plan::identity::{Algorithm, CertificatesPlan, DpopRule, IssuerPlan, ResourcePlan};
use base::world::World;
use http::{HeaderName, HeaderValue};
use mcp::json::Object;
use mcp::method::Kind;
use store::Store;
use store::revocations::API_KEYS;

use crate::api_key::{ApiKeys, is_api_key};
use crate::certificates::Certificates;
use crate::fault::{ProofFault, TokenFault};
use crate::introspect::GOOD;
use crate::issuer::{Choice, Issuer, KeySet, NoKeys};
use crate::jwk::sha256;
use crate::jws::{Jws, has_five_parts, has_three_parts};
use crate::nonce;
use crate::proof::About;
use crate::proxies::Proxies;
use crate::refused::RefusedTokens;
use crate::replays::{Replays, Uses};
use crate::resource::Resource;
use crate::revocations::{NotBefore, Revocations};
use crate::shown::{Scheme, Shown};
use crate::token::{Measure, Verified, Word};
use crate::tokens::{Known, TokenDigest, Tokens};
use crate::url::{normal, spellings};

mod in_front;
use crate::{spiffe, strict, x509};

/// Finds out who calls an endpoint.
#[derive(Debug)]
pub struct Identifier {
    plan: ResourcePlan,
    issuers: Vec<Arc<Issuer>>,
    world: World,
    tokens: Tokens,
    refused: RefusedTokens,
    replays: Arc<dyn Replays>,
    /// Where keys of Portolan's own are known, if they are good here.
    keys: Option<Arc<ApiKeys>>,
    certificates: Certificates,
    revocations: Option<Arc<Revocations>>,
    not_before: Arc<NotBefore>,
    proxies: Proxies,
    /// In which proxies in front send tokens, each once.
    carriers: Vec<HeaderName>,
    resource: Resource,
    /// The same at the path of its HTTP+SSE streams.
    sse: Option<Resource>,
}

/// How long it is remembered that an issuer does not stand by a token.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// What comes of a token that was not seen lately.
enum Looked {
    Good(Known),
    /// The keys of this issuer, of which this one is missing, must be asked for.
    Ask {
        issuer: usize,
        algorithm: Algorithm,
        key: Option<String>,
    },
}

/// What outlives a reload: the proofs that were used, keys of Portolan's own, what is revoked, and what was issued too early.
pub(crate) type Kept = (Arc<dyn Replays>, Option<Arc<ApiKeys>>, (Option<Arc<Revocations>>, Arc<NotBefore>));

impl Identifier {
    pub(crate) fn new(
        plan: ResourcePlan,
        issuers: Vec<Arc<Issuer>>,
        (replays, keys, (revocations, not_before)): Kept,
        world: &World,
    ) -> Arc<Self> {
        let keys = keys.filter(|_| plan.api_keys);
        let (tokens, refused) = (Tokens::default(), RefusedTokens::new(REFUSED_FOR));
        let resource = Resource::new((&plan.path, &plan.resource), &plan, &issuers);
        let sse = plan.sse.as_ref().map(|(path, url)| Resource::new((path, url), &plan, &issuers));
        let certificates = Certificates::new(&plan.certificates);
        let proxies = Proxies::new(&plan.proxies);
        let mut carriers: Vec<HeaderName> = Vec::new();
        for name in issuers.iter().filter_map(|issuer| issuer.plan().token_header.as_ref()) {
            if !carriers.contains(name) {
                carriers.push(name.clone());
            }
        }
        let world = world.clone();
        Arc::new(Self {
            plan,
            issuers,
            world,
            tokens,
            refused,
            replays,
            keys,
            certificates,
            revocations,
            not_before,
            proxies,
            carriers,
            resource,
            sse,
        })
    }

    /// What the endpoint asks of its callers.
    #[must_use]
    pub fn plan(&self) -> &ResourcePlan {
        &self.plan
    }

    /// The JSON text of its metadata as a protected resource (RFC 9728 §2).
    #[must_use]
    pub fn metadata(&self) -> &str {
        &self.resource.metadata
    }

    /// Its metadata at a path, by the paths here or by those outside: that which is written for this path says so.
    #[must_use]
    pub fn metadata_at(&self, path: &str, outside: bool) -> Option<&str> {
        let mut resources = std::iter::once(&self.resource).chain(&self.sse);
        let place = |of: &Resource| of.places.get(usize::from(outside)).is_some_and(|place| place == path);
        resources.find(|of| place(of)).map(|of| of.metadata.as_str())
    }

    /// What it says to whom it refuses, at the path of its HTTP+SSE streams or at its own: the value of `WWW-Authenticate`, if
    /// another token would help.
    #[must_use]
    pub fn challenge(&self, refusal: &Refusal, at_sse: bool) -> Option<HeaderValue> {
        self.sse.as_ref().filter(|_| at_sse).unwrap_or(&self.resource).challenge(refusal)
    }

    /// Whether it would let in whom somebody of the same keys has let in: one that it knows the issuer of, and in time.
    #[must_use]
    pub fn stands_by(&self, identity: &Identity, now: SystemTime) -> bool {
        let Some(claims) = identity.claims.as_ref().filter(|claims| !self.is_taken_back(claims)) else {
            return false;
        };
        let by_key = self.keys.is_some() && claims.issuer == API_KEYS;
        let by_issuer = || self.issuers.iter().any(|issuer| issuer.plan().issuer == claims.issuer);
        let by_connection =
            || self.certificates.vouches(&claims.issuer) || self.proxies.vouches(&claims.issuer);
        identity.until.is_none_or(|until| now < until) && (by_key || by_issuer() || by_connection())
    }

    /// The refusal of something by names of which each means it, if the caller's token is not good for it: all scopes that it
    /// needs. Who is anonymous is not asked: over stdio nobody is, and over HTTP none comes so far.
    #[must_use]
    pub fn lacks(
        &self,
        identity: (&Principal, Option<&Claims>),
        kind: Kind,
        names: &[&str],
    ) -> Option<Refusal> {
        if self.plan.scopes.is_empty() || *identity.0 == Principal::anonymous() {
            return None;
        }
        let needed = self.plan.scopes_of(kind, names);
        let nothing = Claims::default();
        let lacking = identity.1.unwrap_or(&nothing).lacks(needed.iter().copied());
        (!lacking.is_empty()).then(|| Refusal::Scopes(needed.into_iter().map(str::to_owned).collect()))
    }

    /// Whose token it is by its own word, with its place among the issuers: by `iss`, or by the trust domain of its subject.
    pub(crate) fn issuer_of(&self, claims: &Object<'_>) -> Result<(usize, &Arc<Issuer>), TokenFault> {
        let named = strict::text(claims, "iss")?;
        let all = || self.issuers.iter().enumerate();
        let is_named = |issuer: &IssuerPlan| named.as_deref() == Some(&*issuer.issuer);
        let by_name = |(_, issuer): &(usize, &Arc<Issuer>)| {
            issuer.plan().trust_domain().is_none() && is_named(issuer.plan())
        };
        if let Some(found) = all().find(by_name) {
            return Ok(found);
        }
        // A JWT-SVID need not have `iss` (SPIFFE JWT-SVID §3): it is its subject that says whose it is.
        let mut domains = all().filter(|(_, issuer)| issuer.plan().trust_domain().is_some()).peekable();
        domains.peek().ok_or(TokenFault::UnknownIssuer)?;
        let subject = strict::text(claims, "sub")?.ok_or(TokenFault::UnknownIssuer)?;
        let domain = spiffe::trust_domain(&subject);
        let found = domains.find(|(_, issuer)| domain.is_some() && issuer.plan().trust_domain() == domain);
        let is_no_id = subject.starts_with("spiffe:") && domain.is_none();
        found.ok_or(if is_no_id { TokenFault::NoSpiffeId } else { TokenFault::UnknownIssuer })
    }

    /// The same of what a URI or a template names, as it is written or as its server may read it.
    #[must_use]
    pub fn lacks_for_uri(
        &self,
        identity: (&Principal, Option<&Claims>),
        kind: Kind,
        uri: &str,
    ) -> Option<Refusal> {
        let [written, read] = spellings(uri);
        self.lacks(identity, kind, &[&written, &read])
    }

    /// Who vouches for its callers.
    #[must_use]
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// Authorities of clients' certificates whose own have ended, by the tables that they stand in. They vouch on.
    #[must_use]
    pub fn ended_authorities(&self) -> Vec<(String, String)> {
        let carried = self.plan.proxies.iter().filter_map(|proxy| proxy.certificate.as_ref());
        let all = self.plan.certificates.iter().chain(carried.flat_map(|carried| &carried.of));
        let of = |plan: &CertificatesPlan| {
            let ended = x509::ended(&plan.authorities, self.now());
            ended.into_iter().map(|subject| (plan.name.clone(), subject)).collect::<Vec<_>>()
        };
        all.flat_map(of).collect()
    }

    /// Where keys and revocations are kept, if anywhere.
    pub(crate) fn store(&self) -> Option<&Arc<Store>> {
        self.world.store.as_ref()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.world.clock.now()
    }

    /// What is revoked, where that can be found out.
    pub(crate) fn revocations(&self) -> Option<&Arc<Revocations>> {
        self.revocations.as_ref()
    }

    /// Since when tokens are good, by the newest configuration.
    pub(crate) fn not_before(&self) -> &NotBefore {
        &self.not_before
    }

    /// Whether this is said of something that was good once, and has been revoked or refused as too old since.
    pub(crate) fn is_taken_back(&self, claims: &Claims) -> bool {
        self.is_revoked(claims) || self.not_before.refuses(claims)
    }

    /// Whether it is known that this is said of something revoked.
    pub(crate) fn is_revoked(&self, claims: &Claims) -> bool {
        self.revocations.as_ref().is_some_and(|revocations| revocations.has(claims))
    }

    fn standing(&self, verified: Verified) -> Result<Arc<Verified>, TokenFault> {
        let is_revoked = verified.identity.claims.as_deref().is_some_and(|claims| self.is_revoked(claims));
        if is_revoked { Err(TokenFault::Revoked) } else { Ok(Arc::new(verified)) }
    }

    /// How many tokens are known, and how many bytes they hold.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        self.tokens.held()
    }

    /// A token that was verified lately, by keys that its issuer still has, and is not revoked.
    fn known(&self, header: Option<&HeaderName>, digest: &TokenDigest, now: SystemTime) -> Option<Known> {
        self.tokens.find(digest, now, |known| {
            let of = |issuer: &Arc<Issuer>| {
                issuer.plan().token_header.as_ref() == header
                    && (known.generation.is_none() || issuer.generation() == known.generation)
            };
            self.issuers.get(known.issuer).is_some_and(of)
                && !known.verified.identity.claims.as_deref().is_some_and(|claims| self.is_revoked(claims))
        })
    }

    /// An issuer's token, once it is known what is revoked.
    fn token<'a>(&'a self, shown: Shown<'a>, credentials: Credentials<'a>) -> Identified<'a> {
        if has_three_parts(shown.token) {
            return self.signed(shown, credentials);
        }
        if has_five_parts(shown.token) {
            return Identified::Now(Err(TokenFault::Encrypted.into()));
        }
        self.opaque(shown, credentials)
    }

    fn signed<'a>(&'a self, shown: Shown<'a>, credentials: Credentials<'a>) -> Identified<'a> {
        let (digest, now) = (sha256(shown.token.as_bytes()), self.now());
        if let Some(known) = self.known(shown.header, &digest, now) {
            return self.admit((&shown, &digest), credentials, &known.verified, now);
        }
        let keys = |issuer: &Arc<Issuer>| issuer.known();
        match self.look(&shown, now, keys) {
            Err(fault) => Identified::Now(Err(fault.into())),
            Ok(Looked::Good(known)) => self.keep((shown, digest), credentials, known, now),
            Ok(Looked::Ask { issuer, algorithm, key }) => Identified::Later(Box::pin(async move {
                let Some(issuer) = self.issuers.get(issuer) else {
                    return Err(TokenFault::UnknownIssuer.into());
                };
                let asked = issuer.asked((algorithm, key.as_deref())).await;
                let keys = asked.map_err(|NoKeys { retry_after }| Refusal::Unavailable { retry_after })?;
                let now = self.now();
                match self.look(&shown, now, |_| Some(Arc::clone(&keys)))? {
                    Looked::Good(known) => {
                        self.keep((shown, digest), credentials, known, now).outcome().await
                    }
                    Looked::Ask { .. } => Err(TokenFault::NoKey.into()),
                }
            })),
        }
    }

    /// Looks at a signed token. What is cheap to say comes first, and what the token says of itself only counts once it is
    /// known that its issuer has said so.
    fn look(
        &self,
        shown: &Shown<'_>,
        now: SystemTime,
        keys: impl FnOnce(&Arc<Issuer>) -> Option<Arc<KeySet>>,
    ) -> Result<Looked, TokenFault> {
        let jws = Jws::read(shown.token)?;
        let header = jws.header()?;
        let claims = strict::object(&jws.claims)?;
        let (number, issuer) = self.issuer_of(&claims)?;
        // A token that a proxy sends is good where only the proxy puts it, and not where its client could.
        if issuer.plan().token_header.as_ref() != shown.header {
            return Err(TokenFault::UnknownIssuer);
        }
        let allowed = header.algorithm.filter(|one| issuer.plan().algorithms.contains(one));
        let algorithm = allowed.ok_or(TokenFault::Algorithm)?;
        let measure = Measure { issuer: issuer.plan(), resource: &self.plan, now };
        if !measure.takes_type(header.kind.as_deref()) {
            return Err(TokenFault::Type);
        }
        measure.is_signers(&header.members, jws.is_padded)?;
        let ask = || {
            let key = header.key.as_deref().map(str::to_owned);
            Ok(Looked::Ask { issuer: number, algorithm, key })
        };
        let Some(keys) = keys(issuer) else { return ask() };
        let key = match keys.choose(algorithm, header.key.as_deref()) {
            Choice::One(key) => key,
            Choice::None => return ask(),
            Choice::Several => return Err(TokenFault::SeveralKeys),
        };
        if !key.has_signed(algorithm, jws.signed, &jws.signature) {
            return Err(TokenFault::Signature);
        }
        let verified = self.standing(measure.take(&claims, Word::Signed)?)?;
        let until = verified.identity.until.ok_or(TokenFault::NoExpiry)?;
        Ok(Looked::Good(Known { verified, until, issuer: number, generation: Some(keys.generation) }))
    }

    /// A key of Portolan's own. It is shown as a bearer token, and to nobody else, whether it is good here or not.
    fn own<'a>(&'a self, shown: &Shown<'a>) -> Identified<'a> {
        let refused = |fault: TokenFault| Identified::Now(Err(fault.into()));
        let Some(keys) = &self.keys else { return refused(TokenFault::UnknownKey) };
        if matches!(self.plan.dpop, DpopRule::Require | DpopRule::RequireNonce) {
            return refused(TokenFault::NotBound);
        }
        if shown.scheme == Scheme::Dpop {
            return refused(TokenFault::Unbound);
        }
        let (token, route, now) = (shown.token, &*self.plan.route, self.now());
        match keys.lately(token, route, now) {
            Some(outcome) => Identified::Now(outcome.map_err(Refusal::from)),
            None => Identified::Later(Box::pin(keys.find(token, route, now))),
        }
    }

    /// Who sends no token, by what is known of the connection.
    fn without_token(
        &self,
        connection: Connection<'_>,
        certificates: &Certificates,
    ) -> Result<Identity, Refusal> {
        match certificates.identify(connection, self.now()) {
            Some(outcome) => outcome.map_err(Refusal::from),
            None => Err(self.nothing()),
        }
    }

    /// What does not say itself who it is for: issuers are asked, one after the other.
    fn opaque<'a>(&'a self, shown: Shown<'a>, credentials: Credentials<'a>) -> Identified<'a> {
        let (digest, now) = (sha256(shown.token.as_bytes()), self.now());
        if let Some(known) = self.known(shown.header, &digest, now) {
            return self.admit((&shown, &digest), credentials, &known.verified, now);
        }
        if let Some(fault) = self.refused.find(&digest) {
            return Identified::Now(Err(fault.into()));
        }
        if !self.issuers.iter().any(|issuer| issuer.can_be_asked()) {
            return Identified::Now(Err(TokenFault::NotThreeParts.into()));
        }
        Identified::Later(Box::pin(async move {
            let known = self.ask(shown.token, digest).await?;
            self.keep((shown, digest), credentials, known, self.now()).outcome().await
        }))
    }

    /// What issuers say of a token that says nothing itself.
    async fn ask(&self, token: &str, digest: TokenDigest) -> Result<Known, Refusal> {
        let mut away = None;
        for (number, issuer) in self.issuers.iter().enumerate() {
            match issuer.says_of(token, &digest).await {
                None | Some(Ok(None)) => {}
                Some(Err(refusal)) => away = Some(refusal),
                Some(Ok(Some(said))) => {
                    let known = self.measured(&said, (number, issuer), self.now());
                    return Ok(known.inspect_err(|fault| self.refused.put(digest, *fault))?);
                }
            }
        }
        if away.is_none() {
            self.refused.put(digest, TokenFault::Inactive);
        }
        Err(away.unwrap_or_else(|| TokenFault::Inactive.into()))
    }

    /// Whether a token says nothing itself, so that issuers are asked about it.
    #[must_use]
    pub fn is_opaque(token: &str) -> bool {
        !is_api_key(token) && !has_three_parts(token) && !has_five_parts(token)
    }

    /// Whether somebody is known by the word of an issuer that is asked about its tokens.
    pub(crate) fn asks_about(&self, claims: Option<&Arc<Claims>>) -> bool {
        let of = |issuer: &Arc<Issuer>| {
            issuer.can_be_asked() && claims.is_some_and(|claims| claims.issuer == issuer.plan().issuer)
        };
        self.issuers.iter().any(of)
    }

    /// Whether an issuer still stands by such a token; nothing if that cannot be found out now.
    pub(crate) async fn is_active(&self, token: &str) -> Option<bool> {
        let digest = sha256(token.as_bytes());
        if self.known(None, &digest, self.now()).is_some() {
            return Some(true);
        }
        if self.refused.find(&digest).is_some() {
            return Some(false);
        }
        match self.ask(token, digest).await {
            Ok(known) => {
                self.tokens.put(digest, known);
                Some(true)
            }
            Err(Refusal::Unavailable { .. }) => None,
            Err(_) => Some(false),
        }
    }

    /// Holds what an issuer has said of a token against what the endpoint asks for.
    fn measured(
        &self,
        said: &str,
        (number, issuer): (usize, &Arc<Issuer>),
        now: SystemTime,
    ) -> Result<Known, TokenFault> {
        let measure = Measure { issuer: issuer.plan(), resource: &self.plan, now };
        let verified = self.standing(measure.take(&strict::object(said)?, Word::Asked)?)?;
        let again = now.checked_add(GOOD).unwrap_or(now);
        let until = verified.identity.until.map_or(again, |until| until.min(again));
        Ok(Known { verified, until, issuer: number, generation: None })
    }

    fn keep<'a>(
        &'a self,
        (shown, digest): (Shown<'a>, TokenDigest),
        credentials: Credentials<'a>,
        known: Known,
        now: SystemTime,
    ) -> Identified<'a> {
        let verified = Arc::clone(&known.verified);
        self.tokens.put(digest, known);
        self.admit((&shown, &digest), credentials, &verified, now)
    }

    /// Lets in who shows a good token, if it is shown as it must be.
    fn admit<'a>(
        &'a self,
        (shown, digest): (&Shown<'a>, &TokenDigest),
        credentials: Credentials<'a>,
        verified: &Verified,
        now: SystemTime,
    ) -> Identified<'a> {
        let refused = |fault: TokenFault| Identified::Now(Err(fault.into()));
        // RFC 8705 §3: whichever authority has signed it, and whether any has.
        if let Some(bound) = &verified.bound.certificate {
            let Some(presented) = credentials.connection.thumbprint else {
                return refused(TokenFault::NoCertificate);
            };
            if verify_slices_are_equal(bound, presented).is_err() {
                return refused(TokenFault::OtherCertificate);
            }
        }
        let Some(key) = &verified.bound.key else {
            return match (shown.scheme, self.plan.dpop) {
                (_, DpopRule::Require | DpopRule::RequireNonce) => refused(TokenFault::NotBound),
                (Scheme::Dpop, _) => refused(TokenFault::Unbound),
                (Scheme::Bearer, _) => Identified::Now(Ok(verified.identity.clone())),
            };
        };
        if self.plan.dpop == DpopRule::Off {
            return refused(TokenFault::BoundOff);
        }
        // RFC 9449 §7.1: a bound token is good for nobody without its key.
        if shown.scheme == Scheme::Bearer {
            return refused(TokenFault::Bound);
        }
        let refused = |fault: ProofFault| Identified::Now(Err(fault.into()));
        let Some(proof) = shown.proof else { return refused(ProofFault::Missing) };
        let Some(url) = self.url(credentials.target) else { return refused(ProofFault::Url) };
        let about = About { method: credentials.method.as_str(), url: &url, token: digest, key, now };
        let proven = match about.check(proof) {
            Ok(proven) => proven,
            Err(fault) => return refused(fault),
        };
        if self.plan.dpop == DpopRule::RequireNonce
            && let Err(refusal) = nonce::check(&self.world.seal, key, proven.nonce.as_deref(), now)
        {
            return Identified::Now(Err(refusal));
        }
        match self.replays.first(proven.mark, now, proven.until) {
            Uses::Now(used) => Identified::Now(used.map(|()| verified.identity.clone())),
            Uses::Later(used) => {
                let identity: Identity = verified.identity.clone();
                Identified::Later(Box::pin(async move { used.await.map(|()| identity) }))
            }
        }
    }

    /// The URL that a request was sent to, as everybody outside writes it. Its `Host` says nothing: whoever sends the request
    /// chooses it, and proxies write it anew. Other paths of the endpoint (HTTP+SSE has two) lie beside its own.
    fn url(&self, target: &str) -> Option<String> {
        let path = target.split('?').next().unwrap_or_default();
        let resource = self.plan.resource.split(['?', '#']).next().unwrap_or_default();
        if path == self.plan.path {
            return normal(resource);
        }
        resource.strip_suffix(&*self.plan.path).and_then(|before| normal(&format!("{before}{path}")))
    }
}
