//! What is to be approved, where policies ask for that.

use std::time::Duration;

use auth::{Action, Approver, Asked, Principal};
use base::digest::Digest;

use crate::ask::Named;
use crate::policies::Policies;
use crate::rule::Rule;

impl Policies {
    /// Whether any of them may ask.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.rules.iter().any(|rule| rule.asks.is_some())
    }

    /// Whom policies name that may approve, with what is to vouch for them: the name of a table, or what stands for one.
    pub fn approvers(&self) -> impl Iterator<Item = (&str, &str)> {
        let asks = self.rules.iter().filter_map(|rule| rule.asks.as_ref());
        asks.flat_map(|ask| &ask.approvers).map(|named| (named.issuer.as_str(), named.shown.as_str()))
    }

    /// What is to be approved where the policies of these ids ask. All of them must be satisfied at once: whoever approves is among
    /// the approvers of each that names any, and the shortest time counts.
    pub(crate) fn asked(&self, principal: &Principal, action: &Action<'_>, ids: &[String]) -> Asked {
        let rules: Vec<_> = self.rules.iter().filter(|rule| ids.iter().any(|id| id == rule.id())).collect();
        let asks: Vec<_> = rules.iter().filter_map(|rule| rule.asks.as_ref()).collect();
        let mut reasons: Vec<&str> = Vec::new();
        for ask in &asks {
            if !reasons.contains(&ask.reason.as_str()) {
                reasons.push(&ask.reason);
            }
        }
        let mut approvers: Vec<Vec<Approver>> = Vec::new();
        for ask in asks.iter().filter(|ask| !ask.approvers.is_empty()) {
            let list = ask.approvers.iter().map(|named| self.approver(named)).collect();
            if !approvers.contains(&list) {
                approvers.push(list);
            }
        }
        Asked {
            binding: self.binding((principal, action), &rules).into(),
            reason: reasons.join("\n"),
            policies: ids.to_vec(),
            approvers,
            lasts: asks.iter().map(|ask| ask.lasts).min().unwrap_or(Duration::ZERO),
        }
    }

    fn approver(&self, named: &Named) -> Approver {
        // What is no table of the configuration stands for itself, as `certificates:NAME` does.
        let tokens = self.issuers.iter().find(|(_, name)| **name == named.issuer);
        let issuer = tokens.map_or(&named.issuer, |(issuer, _)| issuer).clone();
        let (name, shown) = (named.name.clone(), named.shown.clone());
        if named.is_group {
            Approver::Group { issuer, group: name, shown }
        } else {
            Approver::Subject { issuer, subject: name, shown }
        }
    }

    /// Stands for who does what, and for what the policies say of that which a person decides by.
    fn binding(&self, (principal, action): (&Principal, &Action<'_>), rules: &[&Rule]) -> String {
        let known = &action.known;
        let optional = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |text| format!("+{text}"));
        let mut texts = vec![
            "approval 1".to_owned(),
            self.route.clone(),
            action.upstream.to_string(),
            action.method.to_owned(),
            format!("{:?}", known.sort),
            optional(action.name),
            optional(known.definition.map(|of| &*of.digest)),
            optional(known.arguments),
            principal.id().to_owned(),
        ];
        for rule in rules {
            texts.extend([rule.id().to_owned(), format!("{:?}", rule.asks)]);
            // Whom they mean, too: a table of that name may come to stand for another issuer.
            let named = rule.asks.iter().flat_map(|ask| &ask.approvers);
            texts.extend(named.map(|named| format!("{:?}", self.approver(named))));
        }
        Digest::of(texts).to_string()
    }
}
