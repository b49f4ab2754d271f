//! What differs between two definitions, for people: member by member, and in texts word by word.

use base::define;
use std::collections::BTreeMap;
use std::time::Duration;

use mcp::json::{self, Kind, Object};
use similar::{ChangeTag, DiffTag, TextDiff};

use crate::hidden::visible;

/// So deep a definition is taken apart.
const DEEPEST: usize = 128;
/// Around words that have changed, so many others are shown, the spaces between them counted.
const AROUND: usize = 16;
/// Longer texts are not compared word by word.
const LONGEST: usize = 40_000;
/// For so long words are compared; what is found until then is right, and not the least.
const PATIENCE: Duration = Duration::from_millis(250);
/// So many characters of a place are told.
pub(crate) const MOST_PLACE: usize = 160;

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The member, as `inputSchema.properties.path`.
    pub place: String,
    /// What it was before, as JSON text.
    pub before: Option<String>,
    /// What it is now.
    pub after: Option<String>,
}

/// A part of a text, and what has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'t> {
    /// It stayed.
    Same(&'t str),
    /// It is gone.
    Removed(&'t str),
    /// It is new.
    Added(&'t str),
    /// So many words in between are not shown.
    Left(usize),
}

/// What differs between two definitions, in the order of members.
#[must_use]
pub fn differences(before: &str, after: &str) -> Vec<Difference> {
    let mut all = Vec::new();
    compare("", (before.trim(), after.trim()), 0, &mut all);
    all
}

fn compare(place: &str, (before, after): (&str, &str), depth: usize, all: &mut Vec<Difference>) {
    if define::canonical(before) == define::canonical(after) {
        return;
    }
    match (Object::parse(before), Object::parse(after)) {
        // Where a member stands twice, which one counts is for whoever reads it: nothing of it is left out.
        (Ok(one), Ok(other))
            if depth < DEEPEST && one.deny_duplicates().is_ok() && other.deny_duplicates().is_ok() =>
        {
            let mut members: BTreeMap<String, (Option<&str>, Option<&str>)> = BTreeMap::new();
            one.iter().for_each(|member| {
                members.entry(member.name.into_owned()).or_default().0 = Some(member.value);
            });
            other.iter().for_each(|member| {
                members.entry(member.name.into_owned()).or_default().1 = Some(member.value);
            });
            for (name, values) in members {
                let place = inner(place, &name);
                match values {
                    (Some(before), Some(after)) => compare(&place, (before, after), depth + 1, all),
                    (before, after) => all.push(difference(&place, before, after)),
                }
            }
        }
        _ => all.push(difference(place, Some(before), Some(after))),
    }
}

fn inner(place: &str, name: &str) -> String {
    let quoted = visible(name);
    let is_plain =
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '$');
    let name = if is_plain { name } else { &quoted };
    cut(if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") })
}

/// A place that is no longer than people read.
pub(crate) fn cut(place: String) -> String {
    match place.char_indices().nth(MOST_PLACE) {
        Some((at, _)) => format!("{}…", place.get(..at).unwrap_or_default()),
        None => place,
    }
}

fn difference(place: &str, before: Option<&str>, after: Option<&str>) -> Difference {
    Difference {
        place: place.to_owned(),
        before: before.map(define::canonical),
        after: after.map(define::canonical),
    }
}

impl Difference {
    /// Both texts, where it is texts that differ.
    #[must_use]
    pub fn texts(&self) -> Option<(String, String)> {
        let text = |json: &Option<String>| {
            let json = json.as_deref().filter(|json| Kind::of(json) == Kind::String)?;
            json::string(json).ok().map(std::borrow::Cow::into_owned)
        };
        Some((text(&self.before)?, text(&self.after)?))
    }
}

/// The words that differ between two texts, with a few around them.
#[must_use]
pub fn words<'t>(before: &'t str, after: &'t str) -> Vec<Part<'t>> {
    if before.len() + after.len() > LONGEST {
        return vec![Part::Removed(before), Part::Added(after)];
    }
    let diff = TextDiff::configure().timeout(PATIENCE).diff_words(before, after);
    let groups = diff.grouped_ops(AROUND);
    let mut parts = Vec::new();
    let mut reached = 0;
    for op in groups.iter().flatten() {
        let old = op.old_range();
        if old.start > reached {
            parts.push(Part::Left(old.start - reached));
        }
        reached = old.end;
        for change in diff.iter_changes(op) {
            let text = change.value();
            parts.push(match change.tag() {
                ChangeTag::Equal => Part::Same(text),
                ChangeTag::Delete => Part::Removed(text),
                ChangeTag::Insert => Part::Added(text),
            });
        }
        debug_assert!(
            op.tag() != DiffTag::Equal || old.len() == op.new_range().len(),
            "what stayed is as long"
        );
    }
    let count = diff.old_slices().len();
    if count > reached {
        parts.push(Part::Left(count - reached));
    }
    parts
}

/// The same as one line: `[-gone-]`, `{+new+}`, and what cannot be seen escaped.
#[must_use]
pub fn line(before: &str, after: &str) -> String {
    let mut line = String::new();
    let shown = |text: &str| {
        let quoted = visible(text);
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
    };
    let mut open = "";
    let close = |line: &mut String, open: &mut &str, next: &'static str| {
        if *open != next {
            line.push_str(match *open {
                "[-" => "-]",
                "{+" => "+}",
                _ => "",
            });
            line.push_str(next);
            *open = next;
        }
    };
    for part in words(before, after) {
        match part {
            Part::Same(text) => {
                close(&mut line, &mut open, "");
                line.push_str(&shown(text));
            }
            Part::Removed(text) => {
                close(&mut line, &mut open, "[-");
                line.push_str(&shown(text));
            }
            Part::Added(text) => {
                close(&mut line, &mut open, "{+");
                line.push_str(&shown(text));
            }
            Part::Left(_) => {
                close(&mut line, &mut open, "");
                line.push_str(" … ");
            }
        }
    }
    close(&mut line, &mut open, "");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_compared_one_by_one() {
        let before = r#"{"name":"a","inputSchema":{"properties":{"x":{"type":"string"},"y":{}},"type":"object"},"n":1}"#;
        let after = r#"{"n":1,"name":"a","inputSchema":{"type":"object","properties":{"x":{"type":"number"},"z z":{}}}}"#;
        let all = differences(before, after);
        let places: Vec<_> = all.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(
            places,
            ["inputSchema.properties.x.type", "inputSchema.properties.y", "inputSchema.properties.\"z z\""]
        );
        assert_eq!(all[1].after, None);
        assert_eq!(all[2].before, None);
        assert_eq!(all[0].texts(), Some(("string".to_owned(), "number".to_owned())));
        assert_eq!(differences(before, before), []);
    }

    #[test]
    fn a_member_that_stands_twice_hides_no_change() {
        let before = r#"{"inputSchema":{"description":"x"}}"#;
        let after = r#"{"inputSchema":{"description":"EVIL","description":"x"}}"#;
        let all = differences(before, after);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].place, "inputSchema");
        assert!(all[0].after.as_ref().unwrap().contains("EVIL"), "{all:?}");
        let swapped = r#"{"inputSchema":{"description":"x","description":"EVIL"}}"#;
        assert_eq!(differences(after, swapped).len(), 1, "which is the last makes a difference");
    }

    #[test]
    fn a_long_name_is_cut() {
        let after = format!(r#"{{"{}":1}}"#, "n".repeat(100_000));
        let all = differences("{}", &after);
        assert_eq!(all[0].place.chars().count(), MOST_PLACE + 1);
    }

    #[test]
    fn texts_are_compared_word_by_word() {
        let before = "Reads one file and gives what is in it, as text.";
        let after = "Reads one file and its \u{200b}neighbours and gives what is in it, as text.";
        assert_eq!(
            line(before, after),
            "Reads one file and {+its \\u200bneighbours and +}gives what is in it, as text."
        );
        let long = "word ".repeat(50);
        let said = line(&format!("{long}end"), &format!("{long}END"));
        assert!(said.starts_with(" … ") && said.ends_with("[-end-]{+END+}"), "{said}");
    }
}
