//! What a verified token, or what stands for one, says of who sends it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcp::json::{self, Object};

use crate::said_claim::SaidClaim;

/// What was said of a caller by whoever vouches for it. Every member was verified; none is the caller's own word.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Who vouches: the issuer as it is configured, which is as its tokens spell it.
    pub issuer: String,
    /// Whom the issuer means.
    pub subject: String,
    /// The client by which the subject acts (RFC 9068 §2.2 `client_id`, or `azp`).
    pub client: Option<String>,
    /// What the token is good for (RFC 9068 §2.2.3). Without the claim, nothing.
    pub scopes: Vec<String>,
    /// The groups of the subject, by the issuer's word.
    pub groups: Vec<String>,
    /// How well the subject was authenticated (OpenID Connect Core §2 `acr`).
    pub acr: Option<String>,
    /// By what means (RFC 8176).
    pub amr: Vec<String>,
    /// The name of this one token (RFC 7519 §4.1.7).
    pub jti: Option<String>,
    /// When it was issued (RFC 7519 §4.1.6).
    pub issued: Option<SystemTime>,
    /// What else the configuration wants policies to see, by the names that it has for it.
    pub more: Vec<(Arc<str>, SaidClaim)>,
}

impl Claims {
    /// About how many bytes it holds, itself included: for those who keep many.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let one = |text: &String| size_of::<String>() + text.capacity();
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        let lists = [&self.scopes, &self.groups, &self.amr];
        size_of::<Self>()
            + self.issuer.capacity()
            + self.subject.capacity()
            + [&self.client, &self.acr, &self.jti].into_iter().map(optional).sum::<usize>()
            + lists.into_iter().flatten().map(one).sum::<usize>()
            + self
                .more
                .iter()
                .map(|(_, said)| size_of::<(Arc<str>, SaidClaim)>() + said.bytes())
                .sum::<usize>()
    }

    /// Those of `needed` that it does not have; each once, in their order.
    pub fn lacks<'n>(&self, needed: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        let mut lacking: Vec<&str> = Vec::new();
        for scope in needed {
            if !lacking.contains(&scope) && !self.scopes.iter().any(|has| has == scope) {
                lacking.push(scope);
            }
        }
        lacking
    }
}

impl Claims {
    /// As one replica tells another: a JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = |name: &str, value: &str| format!("{}:{}", json::quote(name), json::quote(value));
        let list = |name: &str, values: &[String]| {
            let values = values.iter().map(|value| json::quote(value)).collect::<Vec<_>>().join(",");
            format!("{}:[{values}]", json::quote(name))
        };
        let mut members = vec![text("issuer", &self.issuer), text("subject", &self.subject)];
        let issued = self.issued.and_then(|issued| issued.duration_since(SystemTime::UNIX_EPOCH).ok());
        let issued = issued.map(|issued| issued.as_millis().to_string());
        let optional =
            [("client", &self.client), ("acr", &self.acr), ("jti", &self.jti), ("issued", &issued)];
        members.extend(optional.iter().filter_map(|(name, value)| Some(text(name, value.as_deref()?))));
        members.extend([list("scopes", &self.scopes), list("groups", &self.groups), list("amr", &self.amr)]);
        if !self.more.is_empty() {
            let more: Vec<_> = self
                .more
                .iter()
                .map(|(name, said)| format!("{}:{}", json::quote(name), said.to_json()))
                .collect();
            members.push(format!("\"more\":{{{}}}", more.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }

    /// What another replica has told.
    #[must_use]
    pub fn of_json(text: &str) -> Option<Self> {
        let object = Object::parse(text).ok()?;
        let text = |name: &str| object.string(name).ok().flatten().map(std::borrow::Cow::into_owned);
        let list = |name: &str| -> Option<Vec<String>> {
            let texts = json::array(object.get(name).ok()??).ok()?;
            texts.into_iter().map(|text| Some(json::string(text).ok()?.into_owned())).collect()
        };
        let more = match object.get("more").ok()? {
            Some(text) => Self::read_more(text)?,
            None => Vec::new(),
        };
        Some(Self {
            more,
            issuer: text("issuer")?,
            subject: text("subject")?,
            client: text("client"),
            scopes: list("scopes")?,
            groups: list("groups")?,
            acr: text("acr"),
            amr: list("amr")?,
            jti: text("jti"),
            issued: text("issued").and_then(|millis| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis.parse().ok()?))
            }),
        })
    }
}

impl Claims {
    /// Reads [`Self::more`]: an object of JSON. Nothing where something in it is no such claim.
    #[must_use]
    pub fn read_more(text: &str) -> Option<Vec<(Arc<str>, SaidClaim)>> {
        let object = Object::parse(text).ok()?;
        object.iter().map(|member| Some((Arc::from(&*member.name), SaidClaim::read(member.value)?))).collect()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of people and of tokens stay out of logs that nobody meant to write.
        f.debug_struct("Claims").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_once() {
        let scopes = ["read", "write"].map(str::to_owned).to_vec();
        let claims = Claims { scopes, ..Claims::default() };
        assert_eq!(claims.lacks(["read", "admin", "admin", "writ"]), ["admin", "writ"]);
        assert!(claims.lacks(["write"]).is_empty() && claims.lacks([]).is_empty());
        assert_eq!(Claims::default().lacks(["read"]), ["read"]);
    }

    #[test]
    fn another_replica_reads_what_is_told() {
        let claims = Claims {
            issuer: "https://id.example".to_owned(),
            subject: "a\"\u{e4}".to_owned(),
            client: Some("c".to_owned()),
            scopes: vec!["read".to_owned(), "w\\".to_owned()],
            groups: Vec::new(),
            acr: Some("2".to_owned()),
            amr: vec!["pwd".to_owned()],
            jti: Some("j".to_owned()),
            issued: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_785_196_800_500)),
            more: vec![
                ("org.\"unit".into(), SaidClaim::Text("\u{e4}".to_owned())),
                ("level".into(), SaidClaim::Integer(-3)),
                ("vip".into(), SaidClaim::Flag(true)),
                ("teams".into(), SaidClaim::Texts(vec!["a".to_owned(), String::new()])),
            ],
        };
        assert_eq!(Claims::of_json(&claims.to_json()), Some(claims));
        assert_eq!(Claims::of_json(&Claims::default().to_json()), Some(Claims::default()));
        assert_eq!(Claims::of_json(r#"{"issuer":"x"}"#), None);
    }

    #[test]
    fn people_are_not_shown_by_chance() {
        let claims = Claims { subject: "alice".to_owned(), jti: Some("j1".to_owned()), ..Claims::default() };
        assert!(!format!("{claims:?}").contains("alice") && !format!("{claims:?}").contains("j1"));
    }
}
