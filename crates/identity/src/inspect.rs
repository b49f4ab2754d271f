//! What an endpoint makes of a token, thing by thing: for the operator who wonders why it is refused.

use std::sync::Arc;

use auth::Claims;
use base::plan::identity::DpopRule;
use mcp::json::Object;
use mcp::method::Kind;
use store::StoreFault;
use store::api_keys::ApiKeyFacts;
use store::revocations::{API_KEYS, Revocation};

use crate::api_key::ApiKey;
use crate::fault::TokenFault;
use crate::identifier::Identifier;
use crate::issuer::{Choice, Issuer, NoKeys};
use crate::jwk::sha256;
use crate::jws::{Header, Jws};
use crate::strict;
use crate::token::{Binding, Measure, Word, binding, holds};

/// One thing that is looked at in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is, as `aud`.
    pub what: &'static str,
    /// What the token says there, as it stands; nothing where it says nothing. Never the signature.
    pub says: Option<String>,
    /// Why the token is refused for it, if it is.
    pub fault: Option<&'static str>,
    /// What must be so besides where it is not refused, or what it is no good for all the same.
    pub only: Option<String>,
}

impl Finding {
    fn good(what: &'static str, says: String) -> Self {
        Self { what, says: Some(says), fault: None, only: None }
    }

    fn bad(what: &'static str, says: Option<String>, fault: &'static str) -> Self {
        Self { what, says, fault: Some(fault), only: None }
    }

    /// What an endpoint makes of that of which this was found: the end of a sentence that its name begins.
    #[must_use]
    pub fn verdict(found: &[Self]) -> String {
        if found.iter().any(|finding| finding.fault.is_some()) {
            return "refuses it".to_owned();
        }
        let takes = std::iter::once("takes it");
        takes.chain(found.iter().filter_map(|finding| finding.only.as_deref())).collect::<Vec<_>>().join(", ")
    }
}

/// What cannot be looked at further.
struct Over;

impl Identifier {
    /// Looks at a signed token as for a call, and goes on after what is wrong as far as that makes sense. It is good if nothing
    /// has a fault. Its issuer may be asked for its keys; nothing is remembered.
    pub async fn inspect(&self, token: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        // Whatever was to be said of it is said.
        let (Ok(()) | Err(Over)) = self.look_through(token, &mut found).await;
        found
    }

    async fn look_through(&self, token: &str, found: &mut Vec<Finding>) -> Result<(), Over> {
        let jws = note(found, "form", None, Jws::read(token))?;
        let header = note(found, "header", Some(jws.header.clone()), jws.header())?;
        let claims = note(found, "claims", None, strict::object(&jws.claims))?;
        let issuer = self.issuer_of(&claims).map(|(_, issuer)| issuer);
        let issuer = note(found, "iss", said(&claims, "iss"), issuer)?;
        let now = self.now();
        let measure = Measure { issuer: issuer.plan(), resource: self.plan(), now };
        let allowed = header.algorithm.filter(|one| issuer.plan().algorithms.contains(one));
        let allowed = allowed.ok_or(TokenFault::Algorithm).map(drop);
        let kind = if measure.takes_type(header.kind.as_deref()) { Ok(()) } else { Err(TokenFault::Type) };
        let signers = measure.is_signers(&header.members, jws.is_padded);
        drop(note(found, "signer", said(&header.members, "signer"), signers));
        drop(note(found, "alg", said(&header.members, "alg"), allowed));
        drop(note(found, "typ", said(&header.members, "typ"), kind));
        let signed = is_signed(issuer, &header, &jws).await;
        let key = said(&header.members, "kid");
        found.push(Finding { what: "kid", says: key, fault: signed.err(), only: None });
        if let Some(carrier) = &issuer.plan().token_header {
            let only = format!("only in the header {carrier}, as the proxy in front sends it");
            let sent = Finding::good("sent", carrier.to_string());
            found.push(Finding { only: Some(only), ..sent });
        }
        self.claims_of(found, &measure, (&claims, Word::Signed));
        self.revoked(found, &measure, &claims).await;
        Ok(())
    }

    fn claims_of(
        &self,
        found: &mut Vec<Finding>,
        measure: &Measure<'_>,
        (claims, word): (&Object<'_>, Word),
    ) {
        let times = ["exp", "nbf", "iat"]
            .into_iter()
            .filter_map(|name| Some(format!("{name} {}", said(claims, name)?)));
        let times = Some(times.collect::<Vec<_>>().join(", ")).filter(|times| !times.is_empty());
        drop(note(found, "aud", said(claims, "aud"), measure.audience(claims)));
        drop(note(found, "times", times, measure.times(claims, word)));
        for rule in &measure.issuer.required {
            let first = rule.claim.first().map(String::as_str).unwrap_or_default();
            drop(note(found, "required claim", said(claims, first), holds(rule, claims)));
        }
        if let Ok(read) = note(found, "who", None, measure.claims(claims)) {
            let client = read.client.as_deref().unwrap_or_default();
            let who = format!("subject {:?}, client {client:?}", read.subject);
            found.push(Finding::good("principal", who));
            found.push(Finding::good("scopes", read.scopes.join(" ")));
            found.extend(self.lacking(&read));
            found.push(Finding::good("groups", read.groups.join(" ")));
        }
        if let Ok(bound) = note(found, "cnf", said(claims, "cnf"), binding(claims)) {
            found.extend(self.possession(bound));
        }
        // What only shows when all comes together, such as a principal that lacks a part.
        let whole = measure.take(claims, word).map(drop);
        if found.iter().all(|finding| finding.fault.is_none()) {
            drop(note(found, "as a whole", None, whole));
        }
    }

    /// What must be shown beside a token that is bound, or that should be.
    fn possession(&self, bound: Binding) -> Vec<Finding> {
        let mut found = Vec::new();
        let plan = self.plan();
        if bound.certificate.is_some() {
            let with = "the certificate that it is bound to".to_owned();
            let only = Some(format!("only over a connection with {with}"));
            let shown = Finding { only, ..Finding::good("certificate", with) };
            let cannot = "it is bound to a certificate, and clients cannot show one here: client_certificates of the listener";
            found.push(if plan.certificate_bound {
                shown
            } else {
                Finding::bad("certificate", None, cannot)
            });
        }
        let requires = matches!(plan.dpop, DpopRule::Require | DpopRule::RequireNonce);
        match (bound.key, plan.dpop) {
            (Some(_), DpopRule::Off) => found.push(Finding::bad("dpop", None, TokenFault::BoundOff.text())),
            (Some(_), _) => {
                let with = "a proof of the key that it is bound to".to_owned();
                let only = Some(format!("only with {with}"));
                found.push(Finding { only, ..Finding::good("dpop", with) });
            }
            (None, _) if requires => found.push(Finding::bad("dpop", None, TokenFault::NotBound.text())),
            (None, _) => {}
        }
        found
    }

    /// Which scopes of the endpoint's it does not have, and what that leaves.
    fn lacking(&self, claims: &Claims) -> Option<Finding> {
        let rules = &self.plan().scopes;
        let mut lacks = claims.lacks(rules.iter().flat_map(|rule| rule.scopes.iter().map(String::as_str)));
        if lacks.is_empty() {
            return None;
        }
        lacks.sort_unstable();
        let is_shut = |kind: &(Kind, &str)| {
            rules.iter().any(|rule| {
                let needed = rule.scopes.iter().map(String::as_str);
                rule.kind == kind.0 && rule.names.match_all() && !claims.lacks(needed).is_empty()
            })
        };
        let kinds = [(Kind::Tool, "tools"), (Kind::Prompt, "prompts"), (Kind::Resource, "resources")];
        let shut: Vec<&str> = kinds.iter().filter(|kind| is_shut(kind)).map(|kind| kind.1).collect();
        let has = if claims.scopes.is_empty() { "no scope" } else { "these scopes" };
        let only = match shut.as_slice() {
            [] => None,
            shut if shut.len() == kinds.len() => Some(format!("but with {has} it may use nothing")),
            shut => Some(format!("but with {has} it may use no {}", shut.join(" and no "))),
        };
        let says = format!("{}: what needs one of these is refused", lacks.join(" "));
        Some(Finding { only, ..Finding::good("lacks", says) })
    }

    /// Looks at a key of Portolan's own. Nothing is remembered.
    ///
    /// # Errors
    /// When the store is away in which keys are kept.
    pub async fn inspect_key(&self, text: &str) -> Result<Vec<Finding>, StoreFault> {
        let mut found = Vec::new();
        let facts = self.facts_of(text, &mut found).await?;
        let (plan, route) = (self.plan(), Some(self.plan().route.clone()));
        if !plan.api_keys {
            found.push(Finding::bad("route", route, "this route takes no keys: api_keys = true"));
        } else if matches!(plan.dpop, DpopRule::Require | DpopRule::RequireNonce) {
            let why = "this route takes only tokens that are bound to a key (dpop)";
            found.push(Finding::bad("route", route, why));
        }
        let Some(facts) = facts else { return Ok(found) };
        let all = if facts.routes.is_empty() { "all".to_owned() } else { facts.routes.join(" ") };
        let is_here = facts.routes.is_empty() || facts.routes.contains(&plan.route);
        found.push(if is_here {
            Finding::good("routes", all)
        } else {
            Finding::bad("routes", Some(all), "this key is for other routes")
        });
        found.push(Finding::good("scopes", facts.scopes.join(" ")));
        found.extend(self.lacking(&Claims { scopes: facts.scopes, ..Claims::default() }));
        Ok(found)
    }

    /// What the store knows of a key.
    async fn facts_of(
        &self,
        text: &str,
        found: &mut Vec<Finding>,
    ) -> Result<Option<ApiKeyFacts>, StoreFault> {
        let Some(key) = ApiKey::read(text) else {
            found.push(Finding::bad("form", None, "a character of this key is wrong or missing"));
            return Ok(None);
        };
        let id = Some(key.id());
        let Some(store) = self.store() else {
            found.push(Finding::bad("known", id, "keys are kept in a store, and there is none"));
            return Ok(None);
        };
        let facts = store.api_key(&key.digest()).await?;
        let is_revoked = |one: &Revocation| one.issuer == API_KEYS && one.name == key.id();
        found.push(match &facts {
            Some(facts) => Finding::good("known", format!("{} of {:?}", facts.id, facts.principal)),
            None if store.revocations().await?.iter().any(is_revoked) => {
                Finding::bad("known", id, "this key was taken back")
            }
            None => {
                let why = "there is no such key: it has expired, was taken back, or was never made";
                Finding::bad("known", id, why)
            }
        });
        Ok(facts)
    }

    /// Whether it is revoked, where that can be found out.
    async fn revoked(&self, found: &mut Vec<Finding>, measure: &Measure<'_>, claims: &Object<'_>) {
        let (Some(revocations), Ok(claims)) = (self.revocations(), measure.claims(claims)) else { return };
        let fault = match revocations.known().await {
            Err(_away) => Some("whether it is revoked cannot be found out: the store is away"),
            Ok(()) => self.is_revoked(&claims).then(|| TokenFault::Revoked.text()),
        };
        let says = fault.is_none().then(|| "no".to_owned());
        found.push(Finding { what: "revoked", says, fault, only: None });
    }

    /// Looks at a token that says nothing itself: the issuers that can be asked about it are. Nothing is remembered.
    pub async fn inspect_opaque(&self, token: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let digest = sha256(token.as_bytes());
        for issuer in self.issuers() {
            let name = Some(issuer.plan().name.clone());
            let said = match issuer.says_of(token, &digest).await {
                None => continue,
                Some(Err(_away)) => Err("this issuer cannot be asked now"),
                Some(Ok(None)) => Err(TokenFault::Inactive.text()),
                Some(Ok(Some(said))) => Ok(said),
            };
            let said = match said {
                Err(why) => {
                    found.push(Finding { what: "asked", says: name, fault: Some(why), only: None });
                    continue;
                }
                Ok(said) => said,
            };
            // What others have said of it does not matter any more.
            found = vec![Finding { what: "asked", says: name, fault: None, only: None }];
            let measure = Measure { issuer: issuer.plan(), resource: self.plan(), now: self.now() };
            if let Ok(claims) = note(&mut found, "claims", None, strict::object(&said)) {
                let matches = measure.issuer_matches(&claims, Word::Asked);
                let says = claims.get("iss").ok().flatten().map(str::to_owned);
                drop(note(&mut found, "iss", says, matches));
                self.claims_of(&mut found, &measure, (&claims, Word::Asked));
                self.revoked(&mut found, &measure, &claims).await;
            }
            return found;
        }
        if found.is_empty() {
            found.push(Finding::bad("form", None, TokenFault::NotThreeParts.text()));
        }
        found
    }
}

fn said(members: &Object<'_>, name: &str) -> Option<String> {
    members.get(name).ok().flatten().map(str::to_owned)
}

fn note<T>(
    found: &mut Vec<Finding>,
    what: &'static str,
    says: Option<String>,
    outcome: Result<T, TokenFault>,
) -> Result<T, Over> {
    let fault = outcome.as_ref().err().map(|fault| fault.text());
    found.push(Finding { what, says, fault, only: None });
    outcome.map_err(|_said| Over)
}

/// Whether the issuer has signed it.
async fn is_signed(issuer: &Arc<Issuer>, header: &Header<'_>, jws: &Jws<'_>) -> Result<(), &'static str> {
    let algorithm = header.algorithm.ok_or_else(|| TokenFault::Algorithm.text())?;
    let known = issuer.known();
    let has = known
        .as_ref()
        .is_some_and(|keys| !matches!(keys.choose(algorithm, header.key.as_deref()), Choice::None));
    let keys = match known.filter(|_| has) {
        Some(keys) => keys,
        None => issuer
            .asked((algorithm, header.key.as_deref()))
            .await
            .map_err(|NoKeys { .. }| "the keys of the issuer cannot be fetched now")?,
    };
    match keys.choose(algorithm, header.key.as_deref()) {
        Choice::None => Err(TokenFault::NoKey.text()),
        Choice::Several => Err(TokenFault::SeveralKeys.text()),
        Choice::One(key) if key.has_signed(algorithm, jws.signed, &jws.signature) => Ok(()),
        Choice::One(_) => Err(TokenFault::Signature.text()),
    }
}
