//! Who may answer a question, as the store keeps it.

use std::borrow::Cow;

use auth::approval::may_approve;
use auth::{Approver, Claims, Principal};
use mcp::json::{self, JsonFault, Object};
use store::approvals::Question;

/// As JSON.
#[must_use]
pub fn write(lists: &[Vec<Approver>]) -> String {
    let one = |approver: &Approver| {
        let (kind, issuer, name) = match approver {
            Approver::Group { issuer, group, .. } => ("group", issuer, group),
            Approver::Subject { issuer, subject, .. } => ("subject", issuer, subject),
        };
        let (issuer, name, shown) = (json::quote(issuer), json::quote(name), json::quote(approver.shown()));
        format!("{{\"issuer\":{issuer},\"{kind}\":{name},\"shown\":{shown}}}")
    };
    let list = |of: &Vec<Approver>| format!("[{}]", of.iter().map(one).collect::<Vec<_>>().join(","));
    format!("[{}]", lists.iter().map(list).collect::<Vec<_>>().join(","))
}

/// What [`write()`] has written. What cannot be read names nobody, so that nobody may answer.
#[must_use]
pub fn read(text: &str) -> Vec<Vec<Approver>> {
    let one = |text: &str| -> Result<Option<Approver>, JsonFault> {
        let object = Object::parse(text)?;
        let text = |name| Ok::<_, JsonFault>(object.string(name)?.map(Cow::into_owned));
        let (Some(issuer), Some(shown)) = (text("issuer")?, text("shown")?) else { return Ok(None) };
        Ok(match (text("group")?, text("subject")?) {
            (Some(group), None) => Some(Approver::Group { issuer, group, shown }),
            (None, Some(subject)) => Some(Approver::Subject { issuer, subject, shown }),
            _ => None,
        })
    };
    let list = |text: &&str| -> Option<Vec<Approver>> {
        json::array(text).ok()?.into_iter().map(|text| one(text).ok().flatten()).collect()
    };
    let lists = json::array(text).ok().and_then(|lists| lists.iter().map(list).collect::<Option<Vec<_>>>());
    lists.unwrap_or_else(|| vec![Vec::new()])
}

/// Who may answer, for people.
#[must_use]
pub fn who(question: &Question) -> String {
    let lists = read(&question.approvers);
    if lists.is_empty() {
        return "the caller".to_owned();
    }
    let list = |of: &Vec<Approver>| of.iter().map(Approver::shown).collect::<Vec<_>>().join(" or ");
    let lists: Vec<_> = lists.iter().map(list).collect();
    if let [only] = lists.as_slice() {
        only.clone()
    } else {
        format!("somebody of each: {}", lists.join("; "))
    }
}

/// Whether it is the caller who answers.
#[must_use]
pub fn asks_the_caller(question: &Question) -> bool {
    read(&question.approvers).is_empty()
}

/// Whether somebody may answer, of whom this was said.
#[must_use]
pub fn may_answer(question: &Question, whose: (&Principal, Option<&Claims>)) -> bool {
    let caller =
        Some((question.whose.0.as_str(), question.whose.1.as_str())).filter(|(issuer, _)| !issuer.is_empty());
    may_approve(&read(&question.approvers), (&question.principal, caller), whose)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approvers() -> Vec<Vec<Approver>> {
        let (issuer, shown) = (|| "https://id".to_owned(), |text: &str| text.to_owned());
        let leads =
            Approver::Group { issuer: issuer(), group: "le\"ads".to_owned(), shown: shown("company/leads") };
        let eve = Approver::Subject {
            issuer: issuer(),
            subject: "eve".to_owned(),
            shown: shown("user company/eve"),
        };
        vec![vec![leads.clone(), eve], vec![leads]]
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&write(&approvers())), approvers());
        assert_eq!(read(&write(&[])), Vec::<Vec<Approver>>::new());
        let question = Question { approvers: write(&approvers()), ..Question::default() };
        assert_eq!(who(&question), "somebody of each: company/leads or user company/eve; company/leads");
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_answer() {
        for odd in [
            "",
            "{}",
            "[1]",
            "[[1]]",
            r#"[[{"issuer":"a","shown":"b"}]]"#,
            r#"[[{"issuer":"a","group":"x","subject":"y","shown":"b"}]]"#,
        ] {
            let question = Question {
                principal: "anonymous".to_owned(),
                approvers: odd.to_owned(),
                ..Question::default()
            };
            assert!(!asks_the_caller(&question), "{odd}");
            let claims = Claims { issuer: "a".to_owned(), subject: "y".to_owned(), ..Claims::default() };
            assert!(!may_answer(&question, (&Principal::anonymous(), Some(&claims))), "{odd}");
        }
    }
}
