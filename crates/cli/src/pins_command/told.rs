//! What people and programs are told of pins.

use mcp::json::quote;
use mcp::method::Kind;
use pins::checks::Finding;
use pins::difference::{self, Part, differences};
use pins::{PinnedDefinition, Seen, canonical, escaped, visible};

use super::word;
use crate::print::Paint;

/// How a thing is, for a list of all.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) server: String,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) digest: String,
    pub(super) findings: Vec<Finding>,
}

impl Row {
    /// What the columns of a table have.
    pub(super) fn cells(&self) -> Vec<String> {
        let name = format!("{}/{}", plain(&self.server), plain(&self.name));
        let digest: String = self.digest.trim_start_matches("sha256:").chars().take(12).collect();
        let findings: Vec<_> = self.findings.iter().map(ToString::to_string).collect();
        vec![word(self.kind).to_owned(), name, self.state.clone(), digest, findings.join("; ")]
    }

    pub(super) fn json(&self) -> String {
        let [server, kind, name] = [self.server.as_str(), word(self.kind), &self.name].map(quote);
        let [state, digest] = [&self.state, &self.digest].map(|text| quote(text));
        let findings = in_json(&self.findings);
        format!(
            r#"{{"server":{server},"kind":{kind},"name":{name},"state":{state},"digest":{digest},"findings":{findings}}}"#
        )
    }
}

/// A name in which everything can be seen.
pub(super) fn plain(name: &str) -> String {
    let quoted = visible(name);
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

fn in_json(findings: &[Finding]) -> String {
    let each = |finding: &Finding| {
        let [what, place, shown] = [finding.what.name(), &finding.place, &finding.shown].map(quote);
        format!(r#"{{"what":{what},"place":{place},"shown":{shown}}}"#)
    };
    let all: Vec<_> = findings.iter().map(each).collect();
    format!("[{}]", all.join(","))
}

/// What has changed, for a program.
pub(super) fn json(
    server: &str,
    seen: &Seen,
    pin: Option<&PinnedDefinition>,
    findings: &[Finding],
) -> String {
    let Seen { kind, name, definition, why } = seen;
    let [of, kind, name, why, digest] =
        [server, word(*kind), name, &why.word(), &definition.digest].map(quote);
    let before = pin.map_or("null", |pin| &pin.text);
    let (after, changed) = match definition.is_kept() {
        true => (&*definition.text, pin),
        false => ("null", None),
    };
    let each = |one: difference::Difference| {
        let side = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
        let had = one.before.is_some();
        let has = one.after.is_some();
        let place = quote(&one.place);
        let (before, after) = (side(one.before), side(one.after));
        format!(r#"{{"member":{place},"had":{had},"has":{has},"before":{before},"after":{after}}}"#)
    };
    let changes: Vec<_> =
        changed.map(|pin| differences(&pin.text, &definition.text)).into_iter().flatten().map(each).collect();
    format!(
        r#"{{"server":{of},"kind":{kind},"name":{name},"why":{why},"digest":{digest},"pinned":{before},"definition":{after},"changes":[{}],"findings":{}}}"#,
        changes.join(","),
        in_json(findings)
    )
}

/// What has changed, for people: member by member, in texts word by word.
pub(super) fn text(
    server: &str,
    seen: &Seen,
    pin: Option<&PinnedDefinition>,
    findings: &[Finding],
) -> String {
    let paint = Paint::stdout();
    let Seen { kind, name, definition, why } = seen;
    let mut out = format!(
        "{}{}/{}{} ({}): {}\n  {}\n",
        paint.bold,
        plain(server),
        plain(name),
        paint.off,
        word(*kind),
        escaped(why.to_string()),
        escaped(definition.digest.to_string())
    );
    match pin {
        _ if !definition.is_kept() => {
            out.push_str(
                "  it is too long to be kept while it waits: --connect asks its server what it says\n",
            );
        }
        None => {
            for line in canonical::pretty(&definition.text, 0).lines() {
                out.push_str(&format!("  {}+ {line}{}\n", paint.good, paint.off));
            }
        }
        Some(pin) => {
            for one in differences(&pin.text, &definition.text) {
                out.push_str(&format!("  {}\n", if one.place.is_empty() { "(all)" } else { &one.place }));
                if let Some((before, after)) = one.texts() {
                    out.push_str(&format!("    {}\n", words(&before, &after, &paint)));
                    continue;
                }
                for (sign, tint, side) in [('-', paint.error, &one.before), ('+', paint.good, &one.after)] {
                    for line in side.iter().flat_map(|text| pretty_lines(text)) {
                        out.push_str(&format!("    {tint}{sign} {line}{}\n", paint.off));
                    }
                }
            }
        }
    }
    for finding in findings {
        out.push_str(&format!("  {}! {}{}\n", paint.error, escaped(finding.to_string()), paint.off));
    }
    // Each text was made visible before it was painted.
    out
}

fn pretty_lines(text: &str) -> Vec<String> {
    canonical::pretty(text, 0).lines().map(str::to_owned).collect()
}

fn words(before: &str, after: &str, paint: &Paint) -> String {
    if !paint.is_on() {
        return difference::line(before, after);
    }
    let mut line = String::new();
    for part in difference::words(before, after) {
        match part {
            Part::Same(text) => line.push_str(&plain(text)),
            Part::Removed(text) => line.push_str(&format!("{}[-{}-]{}", paint.error, plain(text), paint.off)),
            Part::Added(text) => line.push_str(&format!("{}{{+{}+}}{}", paint.good, plain(text), paint.off)),
            Part::Left(_) => line.push_str(" … "),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use pins::Why;

    use super::*;

    /// On a terminal, too: nothing but what is painted here moves its cursor or its reading.
    #[test]
    fn nothing_hidden_is_told() {
        let half = format!(r#"{{"name":"a","description":"\ud800{}{}x"}}"#, '\u{202e}', '\u{9b}');
        let (pin, definition) =
            (PinnedDefinition::of(r#"{"name":"a","description":"x"}"#), PinnedDefinition::of(&half));
        let seen = Seen { kind: Kind::Tool, name: "a\u{202e}".to_owned(), definition, why: Why::Changed };
        for pin in [None, Some(&pin)] {
            let text = text("a", &seen, pin, &pins::checks::check(&half));
            let hides = |c: char| matches!(c, '\u{202e}' | '\u{9b}' | '\u{1b}');
            assert!(!text.contains(hides) && text.contains("\\u202e"), "{text:?}");
        }
    }
}
