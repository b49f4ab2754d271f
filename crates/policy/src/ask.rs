//! What a policy says of approvals, in its annotations: `@approval("why")`, `@approvers("company/leads")`, `@expires("15 min")`.

use std::time::Duration;

use base::nearest::nearest;
use cedar_policy::Policy;

/// How long a question is open, and what was approved is good, if the policy does not say.
const LASTS: Duration = Duration::from_secs(15 * 60);
/// The bounds of what it may say.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest reason, in characters, and the most approvers.
const LONGEST_REASON: usize = 500;
const MOST_APPROVERS: usize = 32;

const APPROVAL: &str = "approval";
const APPROVERS: &str = "approvers";
const EXPIRES: &str = "expires";
const WORDS: [&str; 3] = [APPROVAL, APPROVERS, EXPIRES];

/// That a policy asks for an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskRule {
    /// What people are told.
    pub(crate) reason: String,
    /// Who may approve; if there is none, the caller itself.
    pub(crate) approvers: Vec<Named>,
    pub(crate) lasts: Duration,
}

/// An approver, as a policy names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) is_group: bool,
    /// The name of a table in the configuration, or what stands for one.
    pub(crate) issuer: String,
    pub(crate) name: String,
    pub(crate) shown: String,
}

/// What is wrong with an annotation, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskFault {
    /// Its name.
    pub(crate) annotation: String,
    pub(crate) text: String,
    pub(crate) help: &'static str,
}

/// What the annotations of a policy say; whether anybody can be asked about what it is about.
///
/// # Errors
/// The first thing that is wrong with them.
pub(crate) fn read(policy: &Policy, can_be_asked: bool) -> Result<Option<AskRule>, AskFault> {
    let fault =
        |annotation: &str, text: String, help| AskFault { annotation: annotation.to_owned(), text, help };
    for (name, _) in policy.annotations() {
        // One that is misspelt would permit what it was to ask about.
        if let Some(meant) = nearest(name, WORDS).filter(|meant| *meant != name) {
            return Err(fault(name, format!("@{name} says nothing"), HELP[usize::from(meant != APPROVAL)]));
        }
    }
    let Some(reason) = policy.annotation(APPROVAL) else {
        let alone = [APPROVERS, EXPIRES].into_iter().find(|name| policy.annotation(name).is_some());
        let text = |name| format!("@{name} is for a policy that has @approval, too");
        return alone.map_or(Ok(None), |name| Err(fault(name, text(name), HELP[0])));
    };
    if !can_be_asked {
        let text = "nobody can be asked about lists, subscriptions, completions and tasks".to_owned();
        return Err(fault(APPROVAL, text, "let the policy be about call, get or read"));
    }
    // It is told in errors, where a challenge's parameters are looked for (`auth::Refusal`).
    let is_odd = |c: char| base::visible::is_hidden(c) || "=\"\\".contains(c);
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON || reason.chars().any(is_odd) {
        let text = format!(
            "@approval has a reason for people: 1 to {LONGEST_REASON} characters, none of = \" \\ and no line break"
        );
        return Err(fault(APPROVAL, text, HELP[0]));
    }
    let approvers = match policy.annotation(APPROVERS) {
        Some(text) => approvers(text).map_err(|text| fault(APPROVERS, text, HELP[1]))?,
        None => Vec::new(),
    };
    let lasts = match policy.annotation(EXPIRES) {
        Some(text) => time(text).filter(|time| (SHORTEST..=LONGEST).contains(time)).ok_or_else(|| {
            let text = format!("@expires({text:?}) is no time from 10 s to 7 days");
            fault(EXPIRES, text, "@expires(\"15 min\"), \"2 h\", \"1 day\"")
        })?,
        None => LASTS,
    };
    Ok(Some(AskRule { reason: reason.to_owned(), approvers, lasts }))
}

const HELP: [&str; 2] = [
    "@approval(\"why people are asked\")",
    "@approvers(\"company/leads\") is a group ISSUER/GROUP, and \"user company/alice\" one of them; several by comma",
];

fn approvers(text: &str) -> Result<Vec<Named>, String> {
    let mut all = Vec::new();
    for shown in text.split(',').map(str::trim) {
        let (is_group, name) = match shown.strip_prefix("user ") {
            Some(name) => (false, name.trim()),
            None => (true, shown),
        };
        let parts = name.split_once('/').filter(|(issuer, name)| !issuer.is_empty() && !name.is_empty());
        let Some((issuer, name)) = parts.filter(|_| !name.contains(char::is_control)) else {
            return Err(format!("@approvers has {shown:?}, which names nobody"));
        };
        let (issuer, name, shown) = (issuer.to_owned(), name.to_owned(), shown.to_owned());
        all.push(Named { is_group, issuer, name, shown });
    }
    if all.len() > MOST_APPROVERS {
        return Err(format!("@approvers names more than {MOST_APPROVERS}"));
    }
    Ok(all)
}

/// `90 s`, `15 min`, `2h`, `1 day`.
fn time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds = match unit.trim() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 24 * 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn of(annotations: &str) -> Result<Option<AskRule>, AskFault> {
        let policy =
            Policy::from_str(&format!("{annotations} permit (principal, action, resource);")).unwrap();
        read(&policy, true)
    }

    #[test]
    fn annotations_are_read() {
        assert_eq!(of(r#"@id("a") @reason("b") @author("c")"#), Ok(None));
        let asks = of(r#"@approval("money") @approvers("company/leads, user api-keys/a b") @expires("2 h")"#);
        let asks = asks.unwrap().unwrap();
        assert_eq!((asks.reason.as_str(), asks.lasts), ("money", Duration::from_secs(7200)));
        let names: Vec<_> =
            asks.approvers.iter().map(|one| (one.is_group, &*one.issuer, &*one.name)).collect();
        assert_eq!(names, [(true, "company", "leads"), (false, "api-keys", "a b")]);
        let asks = of(r#"@approval("money")"#).unwrap().unwrap();
        assert!(asks.approvers.is_empty() && asks.lasts == LASTS);
    }

    #[test]
    fn what_is_wrong_with_them_is_said() {
        for (annotations, named) in [
            (r#"@approval("")"#, "approval"),
            ("@approval", "approval"),
            (r#"@approval("a\nb")"#, "approval"),
            (r#"@approval("a\u{202e}b")"#, "approval"),
            (r#"@approvers("company/leads")"#, "approvers"),
            (r#"@expires("5 min")"#, "expires"),
            (r#"@approval("x") @approvers("leads")"#, "approvers"),
            (r#"@approval("x") @approvers("")"#, "approvers"),
            (r#"@approval("x") @approvers("company/a,,company/b")"#, "approvers"),
            (r#"@approval("x") @expires("soon")"#, "expires"),
            (r#"@approval("x") @expires("8 days")"#, "expires"),
            (r#"@approval("x") @expires("1 s")"#, "expires"),
            (r#"@approval("x") @expires("99999999999999999999 s")"#, "expires"),
            (r#"@aproval("x")"#, "aproval"),
            (r#"@approve("x")"#, "approve"),
            (r#"@approval("x") @approver("company/leads")"#, "approver"),
            (r#"@approval("x") @expire("5 min")"#, "expire"),
        ] {
            assert_eq!(of(annotations).unwrap_err().annotation, named, "{annotations}");
        }
        let policy = Policy::from_str(r#"@approval("x") permit (principal, action, resource);"#).unwrap();
        assert!(read(&policy, false).is_err());
    }
}
