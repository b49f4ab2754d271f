//! What a token says, once it is known that its issuer says so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use auth::{Claims, Identity, Principal, SaidClaim};
use base::plan::identity::{ClaimRule, IssuerPlan, ResourcePlan, TokenTypes};
use mcp::json::{self, Kind, Object};

use crate::fault::TokenFault;
use crate::{spiffe, strict};

/// The longest name of a subject. A SPIFFE ID may have so many bytes; others have at most 255 (OpenID Connect Core §2).
const LONGEST_SUBJECT: usize = 2048;

/// Who shows a good token.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) identity: Identity,
    pub(crate) bound: Binding,
}

/// What a token is bound to, so that it is good for nobody else. All that it says must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Binding {
    /// The thumbprint of the key of its proofs (RFC 9449 §6.1).
    pub(crate) key: Option<[u8; 32]>,
    /// The thumbprint of the certificate of the connection (RFC 8705 §3.1).
    pub(crate) certificate: Option<[u8; 32]>,
}

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The token's own, signed.
    Signed,
    /// The answer of an issuer that was asked about it (RFC 7662 §2.2).
    Asked,
}

/// What a token is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure<'a> {
    pub(crate) issuer: &'a IssuerPlan,
    pub(crate) resource: &'a ResourcePlan,
    pub(crate) now: SystemTime,
}

impl Measure<'_> {
    /// Whether a token may be of that type.
    pub(crate) fn takes_type(&self, kind: Option<&str>) -> bool {
        match (self.issuer.types, kind) {
            // JOSE may stand in a JWT-SVID (SPIFFE JWT-SVID §2.3).
            (TokenTypes::Usual | TokenTypes::AccessTokens, Some("at+jwt"))
            | (TokenTypes::Usual | TokenTypes::Svids, Some("jwt" | "jose") | None) => true,
            (TokenTypes::Usual | TokenTypes::AccessTokens | TokenTypes::Svids, _) => false,
        }
    }

    /// Whether it is written and signed as its issuer does it. An AWS load balancer names itself in the header, and fills up the
    /// parts.
    pub(crate) fn is_signers(&self, header: &Object<'_>, is_padded: bool) -> Result<(), TokenFault> {
        match &self.issuer.signer {
            None if is_padded => Err(TokenFault::NotBase64),
            None => Ok(()),
            Some(signer) if strict::text(header, "signer")?.as_deref() == Some(signer) => Ok(()),
            Some(_) => Err(TokenFault::Signer),
        }
    }

    /// Who it is that shows a token which says this.
    ///
    /// # Errors
    /// When the token is not good here, or not now.
    pub(crate) fn take(&self, members: &Object<'_>, word: Word) -> Result<Verified, TokenFault> {
        self.issuer_matches(members, word)?;
        self.audience(members)?;
        let until = self.times(members, word)?;
        for rule in &self.issuer.required {
            holds(rule, members)?;
        }
        let claims = self.claims(members)?;
        let bound = binding(members)?;
        let principal = match &claims.client {
            Some(client) if claims.subject.is_empty() || self.issuer.principal_by_client => {
                Principal::of(&claims.issuer, &claims.subject, Some(client))
            }
            None if claims.subject.is_empty() || self.issuer.principal_by_client => {
                return Err(TokenFault::NoSubject);
            }
            _ => Principal::of(&claims.issuer, &claims.subject, None),
        };
        Ok(Verified {
            identity: Identity { principal, until, claims: Some(Arc::new(claims)), address: None },
            bound,
        })
    }

    pub(crate) fn issuer_matches(&self, members: &Object<'_>, word: Word) -> Result<(), TokenFault> {
        if self.issuer.trust_domain().is_some() {
            let subject = strict::text(members, "sub")?.ok_or(TokenFault::NoSubject)?;
            let domain = spiffe::trust_domain(&subject).ok_or(TokenFault::NoSpiffeId)?;
            let is_its = self.issuer.trust_domain() == Some(domain);
            return if is_its { Ok(()) } else { Err(TokenFault::UnknownIssuer) };
        }
        match strict::text(members, "iss")? {
            // Simple comparison: no case, no slash, no default port is made up for.
            Some(issuer) if issuer == self.issuer.issuer => Ok(()),
            None if word == Word::Asked => Ok(()),
            _ => Err(TokenFault::UnknownIssuer),
        }
    }

    /// RFC 7519 §4.1.3; MCP 2026-07-28 `basic/authorization` §Token Handling. An answer to a question must say it, too: the
    /// issuer knows the token, and not necessarily that it was asked for us.
    pub(crate) fn audience(&self, members: &Object<'_>) -> Result<(), TokenFault> {
        // Its header names who has signed it instead, and that is looked at before.
        if self.issuer.signer.is_some() {
            return Ok(());
        }
        let value = members.get("aud").map_err(TokenFault::from)?.ok_or(TokenFault::Audience)?;
        let named = strict::texts(value)?;
        let is_us = |audience: &String| {
            let sse = self.resource.sse.as_ref().map(|(_, url)| url);
            let by_url = self.issuer.audiences.is_empty()
                && (*audience == self.resource.resource || Some(audience) == sse);
            by_url
                || self.issuer.audiences.contains(audience)
                || self.resource.also_audiences.contains(audience)
        };
        if named.iter().any(is_us) { Ok(()) } else { Err(TokenFault::Audience) }
    }

    /// Until when it is good.
    pub(crate) fn times(&self, members: &Object<'_>, word: Word) -> Result<Option<SystemTime>, TokenFault> {
        let (now, leeway) = (self.now, self.issuer.leeway);
        let late = |time: SystemTime| time.checked_add(leeway).unwrap_or(time);
        let is_ahead = |time: SystemTime| time.duration_since(now).is_ok_and(|ahead| ahead > leeway);
        let expires = strict::time(members, "exp")?.map(late);
        match expires {
            // RFC 7519 §4.1.4: on or after that time it must not be accepted.
            Some(expires) if expires <= now => return Err(TokenFault::Expired),
            None if word == Word::Signed => return Err(TokenFault::NoExpiry),
            _ => {}
        }
        if strict::time(members, "nbf")?.is_some_and(is_ahead) {
            return Err(TokenFault::NotYet);
        }
        let issued = strict::time(members, "iat")?;
        if issued.is_some_and(is_ahead) {
            return Err(TokenFault::IssuedAhead);
        }
        if self.issuer.not_before.is_some_and(|before| issued.is_none_or(|issued| issued < before)) {
            return Err(TokenFault::IssuedTooEarly);
        }
        Ok(expires)
    }

    pub(crate) fn claims(&self, members: &Object<'_>) -> Result<Claims, TokenFault> {
        let names = &self.issuer.claims;
        let subject = match found(members, &names.subject)? {
            None => String::new(),
            Some(value) => Some(json::string(value).map_err(TokenFault::from)?.into_owned())
                .filter(|subject| (1..=LONGEST_SUBJECT).contains(&subject.len()))
                .ok_or(TokenFault::NoSubject)?,
        };
        let client = match &names.client {
            Some(path) => found(members, path)?,
            None => first(members, &["client_id", "azp", "cid", "appid"])?,
        };
        let client = client.map(json::string).transpose().map_err(TokenFault::from)?;
        let scopes = match &names.scopes {
            Some(path) => found(members, path)?,
            None => first(members, &["scope", "scp"])?,
        };
        let list = |value: Option<&str>| value.map(strict::texts).transpose().map(Option::unwrap_or_default);
        let mut words: Vec<String> = Vec::new();
        for word in list(scopes)?.iter().flat_map(|text| text.split(' ')).filter(|word| !word.is_empty()) {
            if !words.iter().any(|other| other == word) {
                words.push(word.to_owned());
            }
        }
        let mut more = Vec::new();
        for (name, path) in &names.more {
            let Some(value) = found(members, path)? else { continue };
            match SaidClaim::read(value) {
                Some(said) => more.push((Arc::clone(name), said)),
                None => left_out(&self.issuer.name, name),
            }
        }
        let optional = |name| strict::text(members, name).map(|value| value.map(|text| text.into_owned()));
        Ok(Claims {
            issuer: self.issuer.issuer.clone(),
            subject,
            client: client.map(|client| client.into_owned()).filter(|client| !client.is_empty()),
            scopes: words,
            groups: list(found(members, &names.groups)?)?,
            acr: optional("acr")?,
            amr: list(members.get("amr").map_err(TokenFault::from)?)?,
            jti: optional("jti")?,
            issued: strict::time(members, "iat")?,
            more,
        })
    }
}

/// The claims that have been left out before. Their names are the configuration's, so there are few.
static LEFT_OUT: Mutex<BTreeSet<(String, Arc<str>)>> = Mutex::new(BTreeSet::new());

/// Says once that a claim is none that policies can see.
fn left_out(issuer: &str, claim: &Arc<str>) {
    let mut before = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    if before.insert((issuer.to_owned(), Arc::clone(claim))) {
        tracing::warn!(
            issuer,
            claim = &**claim,
            "a token has another thing there than a text, a whole number, a truth value or a list of texts, or too much: policies do not see it"
        );
    }
}

/// The claim at the end of a way; nothing where something on the way is not there.
fn found<'a>(members: &Object<'a>, path: &[String]) -> Result<Option<&'a str>, TokenFault> {
    let Some((last, way)) = path.split_last() else { return Ok(None) };
    let mut members = members.clone();
    for name in way {
        match members.get(name).map_err(TokenFault::from)? {
            Some(value) if Kind::of(value) == Kind::Object => {
                members = Object::parse(value).map_err(TokenFault::from)?;
            }
            _ => return Ok(None),
        }
    }
    members.get(last).map_err(TokenFault::from).map(|value| value.filter(|value| *value != "null"))
}

fn first<'a>(members: &Object<'a>, names: &[&str]) -> Result<Option<&'a str>, TokenFault> {
    for name in names {
        if let Some(value) = members.get(name).map_err(TokenFault::from)?.filter(|value| *value != "null") {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

pub(crate) fn holds(rule: &ClaimRule, members: &Object<'_>) -> Result<(), TokenFault> {
    let value = found(members, &rule.claim)?.ok_or(TokenFault::Rule)?;
    let said = if Kind::of(value) == Kind::Array {
        json::array(value).map_err(TokenFault::from)?
    } else {
        vec![value]
    };
    let fits = |value: &str| match Kind::of(value) {
        Kind::String => json::string(value).is_ok_and(|text| rule.values.iter().any(|one| *one == text)),
        Kind::Number | Kind::Boolean => rule.values.iter().any(|one| one == value),
        Kind::Array | Kind::Null | Kind::Object => false,
    };
    if said.into_iter().any(fits) { Ok(()) } else { Err(TokenFault::Rule) }
}

/// What a token is bound to (RFC 7800 §3). One that is bound in another way cannot be checked, so it is not good.
pub(crate) fn binding(members: &Object<'_>) -> Result<Binding, TokenFault> {
    let mut bound = Binding::default();
    let Some(confirmation) = members.get("cnf").map_err(TokenFault::from)? else { return Ok(bound) };
    let confirmation = Object::parse(confirmation).map_err(|_fault| TokenFault::UnknownBinding)?;
    for way in confirmation.iter() {
        let place = match &*way.name {
            "jkt" => &mut bound.key,
            "x5t#S256" => &mut bound.certificate,
            _ => return Err(TokenFault::UnknownBinding),
        };
        let thumbprint = json::string(way.value).map_err(|_fault| TokenFault::UnknownBinding)?;
        let thumbprint = strict::base64url(&thumbprint).and_then(|bytes| bytes.try_into().ok());
        if place.replace(thumbprint.ok_or(TokenFault::UnknownBinding)?).is_some() {
            return Err(TokenFault::UnknownBinding);
        }
    }
    if bound == Binding::default() { Err(TokenFault::UnknownBinding) } else { Ok(bound) }
}

/// By how much a time may differ from now in either direction.
pub(crate) fn is_within(time: SystemTime, now: SystemTime, most: Duration) -> bool {
    let apart = time.duration_since(now).unwrap_or_else(|before| before.duration());
    apart <= most
}
