//! Writing what really happened, in the format of the files.

use super::template::{Template, Vars};
use super::{Block, Transcript};
use crate::json;

/// Lines longer than this are broken behind a comma.
const WIDTH: usize = 108;

/// What came where a block expects something.
#[derive(Debug, Clone, Default)]
pub(super) struct Came {
    /// The words of the first line.
    pub(super) words: Vec<String>,
    /// The headers that are compared.
    pub(super) headers: Vec<(String, String)>,
    /// The body, if the block has one.
    pub(super) body: Option<String>,
}

impl Came {
    /// Whether it is what the block expects.
    pub(super) fn fits(&self, block: &Block, vars: &mut Vars) -> bool {
        let mut expected = block.headers.clone();
        let mut came = self.headers.clone();
        expected.sort();
        came.sort();
        let heads = expected.len() == came.len()
            && expected.iter().zip(&came).all(|((name, value), (came_name, came_value))| {
                name == came_name && Template::new(value).matches(came_value, vars)
            });
        let bodies = match (&block.body, &self.body) {
            (Some(expected), Some(came)) => Template::new(expected).matches(came, vars),
            (None, None) => true,
            _ => false,
        };
        block.words == self.words && heads && bodies
    }

    /// Its lines. What the block left open stays open.
    pub(super) fn lines(&self, block: &Block, vars: &Vars) -> Vec<String> {
        let prefix = &block.prefix;
        let mut lines = vec![format!("{prefix} {}", self.words.join(" "))];
        for (name, value) in &self.headers {
            let open = block.headers.iter().find(|(given, v)| given == name && has_hole(v));
            let value = open.map_or(value, |(_, value)| value);
            lines.push(format!("{prefix} {name}: {value}"));
        }
        let Some(body) = &self.body else { return lines };
        let bodily = self.words.iter().any(|word| matches!(word.as_str(), "event" | "line"));
        if !bodily {
            lines.push(prefix.clone());
        }
        let old = block.body.as_deref().unwrap_or_default();
        let body = share_id(&reopen(body, old, vars), body, old);
        lines.extend(wrap(&body).into_iter().map(|line| format!("{prefix} {line}")));
        lines
    }
}

impl Transcript {
    /// The file with other lines for some blocks.
    pub(super) fn rewritten(&self, changes: &[(Block, Vec<String>)]) -> String {
        let mut lines = self.lines.clone();
        for (block, new) in changes.iter().rev() {
            lines.splice(block.at.0..block.at.0 + block.at.1, new.iter().cloned());
        }
        lines.join("\n") + "\n"
    }
}

fn has_hole(text: &str) -> bool {
    text.contains('*') || text.contains('<')
}

/// The text with a hole for each member that has a hole in `old`.
fn reopen(text: &str, old: &str, vars: &Vars) -> String {
    let mut out = text.to_owned();
    for (at, _) in old.match_indices("\":") {
        let (before, after) = (old.split_at(at).0, old.split_at(at + 2).1);
        let name = before.rsplit('"').next().unwrap_or_default();
        let value = after.split([',', '}', ']']).next().unwrap_or_default();
        if !has_hole(value) {
            continue;
        }
        let member = format!("\"{name}\":");
        let Some((head, tail)) = out.split_once(&member).map(|(h, t)| (h.to_owned(), t.to_owned())) else {
            continue;
        };
        let end = tail.find([',', '}', ']']).unwrap_or(tail.len());
        out = format!("{head}{member}{value}{}", tail.split_at(end).1);
    }
    // Values that a name stands for already.
    for (name, value) in vars.iter().filter(|(_, value)| value.len() > 12) {
        out = out.replace(value.as_str(), &format!("<{name}>"));
    }
    out
}

/// A progress token that is the request's id has the id's name.
fn share_id(text: &str, came: &str, old: &str) -> String {
    let (Some(name), Some(id)) = (json::at(old, &["id"]), json::at(came, &["id"])) else {
        return text.to_owned();
    };
    let token = |id: &str| format!("\"progressToken\":{id},");
    if has_hole(name) { text.replace(&token(id), &token(name)) } else { text.to_owned() }
}

/// Breaks a JSON text behind commas between members.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut in_string, mut escaped) = (String::new(), false, false);
    let mut last_break = None;
    for c in text.chars() {
        line.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            ',' if !in_string => last_break = Some(line.len()),
            _ => {}
        }
        if line.len() > WIDTH
            && let Some(at) = last_break.take()
        {
            let rest = line.split_off(at);
            lines.push(std::mem::replace(&mut line, format!("  {rest}")));
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_between_members_and_join_again() {
        let text = format!(r#"{{"a":"{},x","b":[1,2],"c":"{}"}}"#, "y".repeat(100), "z".repeat(90));
        let lines = wrap(&text);
        assert!(lines.len() > 1);
        assert_eq!(lines.iter().map(|line| line.trim_start()).collect::<String>(), text);
    }

    #[test]
    fn holes_stay_open() {
        let old = r#"{"id":<a>,"x":1,"t":*}"#;
        assert_eq!(reopen(r#"{"id":7,"x":2,"t":5}"#, old, &Vars::new()), r#"{"id":<a>,"x":2,"t":*}"#);
    }
}
