//! What an endpoint makes of a token, thing by thing: for the operator who wonders why it is refused.

use std::sync::Arc;

use mcp::json::Object;

use crate::fault::TokenFault;
use crate::identifier::Identifier;
use crate::issuer::{Choice, Issuer, NoKeys};
use crate::jwk::sha256;
use crate::jws::{Header, Jws};
use crate::strict;
use crate::token::{Measure, Word, binding, holds};

/// One thing that is looked at in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is, as `aud`.
    pub what: &'static str,
    /// What the token says there, as it stands; nothing where it says nothing. Never the signature.
    pub says: Option<String>,
    /// Why the token is refused for it, if it is.
    pub fault: Option<&'static str>,
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
        found.push(Finding { what: "kid", says: said(&header.members, "kid"), fault: signed.err() });
        Self::claims_of(found, &measure, (&claims, Word::Signed));
        self.revoked(found, &measure, &claims).await;
        Ok(())
    }

    fn claims_of(found: &mut Vec<Finding>, measure: &Measure<'_>, (claims, word): (&Object<'_>, Word)) {
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
            let who = format!("subject {:?}, client {:?}", read.subject, read.client.unwrap_or_default());
            found.push(Finding { what: "principal", says: Some(who), fault: None });
            found.push(Finding { what: "scopes", says: Some(read.scopes.join(" ")), fault: None });
            found.push(Finding { what: "groups", says: Some(read.groups.join(" ")), fault: None });
        }
        drop(note(found, "cnf", said(claims, "cnf"), binding(claims)));
        // What only shows when all comes together, such as a principal that lacks a part.
        let whole = measure.take(claims, word).map(drop);
        if found.iter().all(|finding| finding.fault.is_none()) {
            drop(note(found, "as a whole", None, whole));
        }
    }

    /// Whether it is revoked, where that can be found out.
    async fn revoked(&self, found: &mut Vec<Finding>, measure: &Measure<'_>, claims: &Object<'_>) {
        let (Some(revocations), Ok(claims)) = (self.revocations(), measure.claims(claims)) else { return };
        let fault = match revocations.known().await {
            Err(_away) => Some("whether it is revoked cannot be found out: the store is away"),
            Ok(()) => self.is_revoked(&claims).then(|| TokenFault::Revoked.text()),
        };
        found.push(Finding { what: "revoked", says: fault.is_none().then(|| "no".to_owned()), fault });
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
                    found.push(Finding { what: "asked", says: name, fault: Some(why) });
                    continue;
                }
                Ok(said) => said,
            };
            // What others have said of it does not matter any more.
            found = vec![Finding { what: "asked", says: name, fault: None }];
            let measure = Measure { issuer: issuer.plan(), resource: self.plan(), now: self.now() };
            if let Ok(claims) = note(&mut found, "claims", None, strict::object(&said)) {
                let matches = measure.issuer_matches(&claims, Word::Asked);
                let says = claims.get("iss").ok().flatten().map(str::to_owned);
                drop(note(&mut found, "iss", says, matches));
                Self::claims_of(&mut found, &measure, (&claims, Word::Asked));
                self.revoked(&mut found, &measure, &claims).await;
            }
            return found;
        }
        if found.is_empty() {
            found.push(Finding { what: "form", says: None, fault: Some(TokenFault::NotThreeParts.text()) });
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
    found.push(Finding { what, says, fault });
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
