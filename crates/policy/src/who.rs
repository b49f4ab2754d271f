//! Who calls, as policies see it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use auth::{Claims, Principal, SaidClaim};
use cedar_policy::{Entity, EntityUid, RestrictedExpression as Expression};

use crate::schema::vocabulary;

/// Somebody who calls, with what policies may look at.
#[derive(Debug)]
pub(crate) struct Who {
    /// Stands for all of that: two of one key are one to the policies at hand.
    pub(crate) key: Arc<str>,
    pub(crate) uid: EntityUid,
    pub(crate) entity: Entity,
    /// The same for policies that look at nothing of it but its groups.
    pub(crate) nameless: Entity,
    /// Its own name and those of its groups.
    pub(crate) names: BTreeSet<EntityUid>,
    pub(crate) scopes: Vec<String>,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
}

/// How policies call those who vouch: what tokens have as `iss` → the name of the table.
pub(crate) type Issuers = BTreeMap<String, String>;

impl Who {
    /// `looks` says whether policies look at more than groups that they name, which are `named`.
    pub(crate) fn new(
        (principal, claims): (&Principal, Option<&Claims>),
        issuers: &Issuers,
        (looks, named): (bool, &HashSet<EntityUid>),
    ) -> Self {
        let words = vocabulary();
        let issuer = claims.map(|claims| claims.issuer.as_str()).unwrap_or_default();
        let vouched_by = issuers.get(issuer).map_or(issuer, String::as_str);
        let groups = claims.map(|claims| claims.groups.as_slice()).unwrap_or_default();
        let groups: BTreeSet<EntityUid> =
            groups.iter().map(|group| words.uid("Group", &format!("{vouched_by}/{group}"))).collect();
        let uid = words.uid("User", principal.id());
        let text = |value: &str| Expression::new_string(value.to_owned());
        let mut attributes = HashMap::from([
            ("anonymous".to_owned(), Expression::new_bool(claims.is_none())),
            ("vouched_by".to_owned(), text(vouched_by)),
            ("issuer".to_owned(), text(issuer)),
            ("subject".to_owned(), text(claims.map(|claims| claims.subject.as_str()).unwrap_or_default())),
        ]);
        if let Some(client) = claims.and_then(|claims| claims.client.as_deref()) {
            attributes.insert("client".to_owned(), text(client));
        }
        let more: Vec<_> = claims.iter().flat_map(|claims| &claims.more).map(tag).collect();
        let parents: HashSet<EntityUid> = groups.iter().cloned().collect();
        let nameless = Entity::new_no_attrs(uid.clone(), parents.clone());
        #[expect(
            clippy::expect_used,
            reason = "texts, booleans and what is made of them are values already: nothing is evaluated"
        )]
        let entity = Entity::new_with_tags(uid.clone(), attributes, parents, more).expect("values");
        let list = |of: fn(&Claims) -> &Vec<String>| claims.map(of).cloned().unwrap_or_default();
        let (scopes, amr) = (list(|claims| &claims.scopes), list(|claims| &claims.amr));
        let acr = claims.and_then(|claims| claims.acr.clone());
        let key = if looks {
            let client = claims.and_then(|claims| claims.client.as_deref());
            let more = claims.map(|claims| &claims.more);
            format!("{:?}", (principal.id(), issuer, client, &groups, &scopes, &acr, &amr, more))
        } else {
            let seen: Vec<_> = groups.iter().filter(|group| named.contains(group)).collect();
            format!("{:?}", (claims.is_none(), seen))
        };
        let names = groups.into_iter().chain([uid.clone()]).collect();
        Self { key: key.into(), uid, entity, nameless, names, scopes, acr, amr }
    }
}

/// A claim as the schema has it.
fn tag((name, said): &(Arc<str>, SaidClaim)) -> (String, Expression) {
    let text = |text: &String| Expression::new_string(text.clone());
    let (kind, member, value) = match said {
        SaidClaim::Text(said) => ("string", "text", text(said)),
        SaidClaim::Integer(number) => ("integer", "integer", Expression::new_long(*number)),
        SaidClaim::Flag(flag) => ("boolean", "flag", Expression::new_bool(*flag)),
        SaidClaim::Texts(texts) => ("array", "texts", Expression::new_set(texts.iter().map(text))),
    };
    let members = [("kind".to_owned(), Expression::new_string(kind.to_owned())), (member.to_owned(), value)];
    // Names stand once.
    let record = Expression::new_record(members).unwrap_or_else(|_impossible| Expression::new_bool(false));
    (name.to_string(), record)
}
