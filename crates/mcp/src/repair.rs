//! Entries of lists that clients would refuse, and with them the whole list.
//!
//! Official SDKs read a list by the schema of its revision as one value: one tool without an `inputSchema`, and none of the
//! others is there, of whatever server. Here an entry is held against that schema (`rules`), and mended where what it
//! means is not in doubt: `null` is absent, `[]` is what some languages write for `{}`, a schema of arguments is always
//! one of an object. An optional member that nobody could read goes. What is left after that cannot be used.
//!
//! An entry that the schema of its server's revision allows is not touched, and of one that it does not allow only the
//! bytes in question.
//!
//! Source: MCP `schema/*/schema.ts`: `Tool`, `Prompt`, `Resource`, `ResourceTemplate`; 2026-07-28 allows any schema as
//! `outputSchema` and booleans among the `properties`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;

use crate::json::{self, JsonFault, Kind as JsonKind, Object, Patch, Span};
use crate::method::Kind;
use crate::version::{Era, Revision, Structured};

use self::rules::{Otherwise, Rule, Want};

mod rules;
mod schema;

/// So many faults of one entry are told. All are mended.
const MOST_FAULTS: usize = 8;
/// So many characters of a place are told: names of properties are the server's to choose.
const MOST_PLACE: usize = 80;

/// Something about an entry that clients would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The member, as a path (`inputSchema.properties.q`); empty for the entry itself.
    pub place: String,
    /// What is wrong there.
    pub wrong: Cow<'static, str>,
    /// What was done about it; none if nothing can be.
    pub done: Option<&'static str>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.place.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.place, self.wrong)?;
        self.done.map_or(Ok(()), |done| write!(f, " ({done})"))
    }
}

/// An entry that was held against the schema of its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its text as clients can read it; none if it cannot be mended.
    pub text: Option<Bytes>,
    /// The same for clients that know only schemas of objects, where it differs.
    pub narrow: Option<Bytes>,
    /// What was wrong. The last one is why there is no text.
    pub faults: Vec<Fault>,
}

/// Holds an entry of a list against the schema of the revision that its server speaks.
#[must_use]
pub fn check(kind: Kind, entry: &Bytes, from: &Revision) -> Checked {
    let useless = |wrong: Cow<'static, str>| Fault { place: String::new(), wrong, done: None };
    let Some(rules) = rules::of(kind) else {
        return Checked { text: Some(entry.clone()), narrow: None, faults: Vec::new() };
    };
    let Ok(text) = std::str::from_utf8(entry) else {
        let faults = vec![useless("it is no Unicode text".into())];
        return Checked { text: None, narrow: None, faults };
    };
    let walk = |objects_only| {
        let mut walk = Walk { root: text, objects_only, spells: from.era == Era::Legacy, faults: Vec::new() };
        let mut patch = Patch::new();
        let made = walk.entry(text, rules, &mut patch);
        if let Err(wrong) = made {
            walk.faults.truncate(MOST_FAULTS - 1);
            walk.faults.push(useless(wrong));
            return (None, walk.faults);
        }
        let mended = if patch.is_empty() { entry.clone() } else { patch.apply(entry) };
        (Some(mended), walk.faults)
    };
    let (wide, faults) = walk(false);
    if wide.is_none() || from.structured == Structured::Any {
        return Checked { text: wide, narrow: None, faults };
    }
    let (narrow, faults) = walk(true);
    let narrow = narrow.filter(|narrow| Some(narrow) != wide.as_ref());
    Checked { text: wide, narrow, faults }
}

/// Whether a value is as it must be, once the planned changes are made; else what is wrong with it.
type Fits = Result<(), Cow<'static, str>>;

/// A way over one entry.
struct Walk<'a> {
    /// The entry's text, in which all places are.
    root: &'a str,
    /// Whether an `outputSchema` is one of objects.
    objects_only: bool,
    /// Whether booleans among `properties` are spelled as objects.
    spells: bool,
    faults: Vec<Fault>,
}

impl<'a> Walk<'a> {
    fn entry(&mut self, text: &'a str, rules: &'static [Rule], patch: &mut Patch) -> Fits {
        match JsonKind::of(text) {
            JsonKind::Object => self.object(text, rules, "", patch),
            other => Err(format!("it is {other}, not an object").into()),
        }
    }

    /// An object whose members have rules; all others are its author's business.
    fn object(&mut self, text: &'a str, rules: &'static [Rule], place: &str, patch: &mut Patch) -> Fits {
        let members: Vec<_> = Object::parse(text).map_err(|fault| unreadable(&fault))?.iter().collect();
        let mut mend = Mend::new(self.root, text);
        for rule in rules {
            let here = below(place, rule.name);
            let mut found = false;
            for member in members.iter().filter(|member| member.name == rule.name) {
                found = true;
                let mark = self.faults.len();
                let mut inner = Patch::new();
                let wrong = match self.value(member.value, &rule.want, &here, &mut inner) {
                    Ok(()) => {
                        mend.patch.append(inner);
                        continue;
                    }
                    Err(wrong) => wrong,
                };
                self.faults.truncate(mark);
                match rule.otherwise {
                    Otherwise::Gone => {
                        mend.remove(member.raw_name);
                        self.say(&here, wrong, "left out");
                    }
                    Otherwise::Useless => return Err(format!("{}: {wrong}", rule.name).into()),
                    Otherwise::Like(others) => {
                        let Some((other, done)) = like(&members, others) else {
                            return Err(format!("{}: {wrong}", rule.name).into());
                        };
                        mend.patch.replace(Span::locate(self.root, member.value), other.as_bytes());
                        self.say(&here, wrong, done);
                    }
                    Otherwise::Given(_) => return Err(format!("{}: {wrong}", rule.name).into()),
                }
            }
            match (found, rule.otherwise) {
                (true, _) | (false, Otherwise::Gone) => {}
                (false, Otherwise::Useless) => return Err(format!("it has no {}", rule.name).into()),
                (false, Otherwise::Given(value)) => {
                    mend.add(rule.name, value);
                    self.say(&here, "missing", value);
                }
                (false, Otherwise::Like(others)) => {
                    let Some((other, done)) = like(&members, others) else {
                        return Err(format!("it has no {}", rule.name).into());
                    };
                    mend.add(rule.name, other);
                    self.say(&here, "missing", done);
                }
            }
        }
        let items = members.iter().map(|m| (m.raw_name, m.value)).collect::<Vec<_>>();
        mend.finish(&items, patch);
        Ok(())
    }

    fn value(&mut self, text: &'a str, want: &'static Want, place: &str, patch: &mut Patch) -> Fits {
        let kind = JsonKind::of(text);
        let fits = match want {
            Want::Text => kind == JsonKind::String,
            Want::Time => kind == JsonKind::String && rules::is_time(text),
            Want::Number => kind == JsonKind::Number,
            Want::Share => kind == JsonKind::Number && rules::is_share(text),
            Want::OneOf(words) => {
                kind == JsonKind::String && json::string(text).is_ok_and(|word| words.contains(&&*word))
            }
            Want::Flag => match text {
                "\"true\"" | "\"false\"" => {
                    self.replace(text, text.trim_matches('"'), patch);
                    self.say(place, "a text", "its boolean");
                    true
                }
                _ => kind == JsonKind::Boolean,
            },
            Want::Object(rules) => match kind {
                JsonKind::Object => return self.object(text, rules, place, patch),
                JsonKind::Array if is_empty_array(text) && rules.iter().all(Rule::may_miss) => {
                    self.replace(text, "{}", patch);
                    self.say(place, "an empty array", "{}");
                    true
                }
                _ => false,
            },
            Want::List(want) => return self.list(text, want, place, patch),
            Want::Input => return self.input(text, place, patch),
            Want::Output => return self.output(text, place, patch),
        };
        if fits { Ok(()) } else { Err(want.not(kind)) }
    }

    fn list(&mut self, text: &'a str, want: &'static Want, place: &str, patch: &mut Patch) -> Fits {
        match JsonKind::of(text) {
            JsonKind::Array => {}
            JsonKind::Object if Object::parse(text).is_ok_and(|object| object.is_empty()) => {
                self.replace(text, "[]", patch);
                self.say(place, "an empty object", "[]");
                return Ok(());
            }
            JsonKind::String => {
                self.value(text, want, place, patch)?;
                let at = Span::locate(self.root, text);
                patch.insert(at.start, b"[");
                patch.insert(at.end, b"]");
                self.say(place, "a text", "an array of it");
                return Ok(());
            }
            other => return Err(format!("{other}, not an array").into()),
        }
        let elements = json::array(text).map_err(|fault| unreadable(&fault))?;
        let mut mend = Mend::new(self.root, text);
        for (at, element) in elements.iter().enumerate() {
            let here = format!("{place}[{at}]");
            let mark = self.faults.len();
            let mut inner = Patch::new();
            match self.value(element, want, &here, &mut inner) {
                Ok(()) => mend.patch.append(inner),
                Err(wrong) => {
                    self.faults.truncate(mark);
                    mend.remove(element);
                    self.say(&here, wrong, "left out");
                }
            }
        }
        let items: Vec<_> = elements.into_iter().map(|element| (element, element)).collect();
        mend.finish(&items, patch);
        Ok(())
    }

    fn replace(&self, text: &str, with: &str, patch: &mut Patch) {
        patch.replace(Span::locate(self.root, text), with.as_bytes());
    }

    fn say(&mut self, place: &str, wrong: impl Into<Cow<'static, str>>, done: &'static str) {
        if self.faults.len() < MOST_FAULTS {
            let place = place.chars().take(MOST_PLACE).collect();
            self.faults.push(Fault { place, wrong: wrong.into(), done: Some(done) });
        }
    }
}

/// The first of some members that is a text, and what is said when it stands in for another one.
fn like<'a>(
    members: &[json::Member<'a>],
    others: &'static [(&'static str, &'static str)],
) -> Option<(&'a str, &'static str)> {
    others.iter().find_map(|(other, done)| {
        let member = members.iter().find(|member| member.name == *other)?;
        (JsonKind::of(member.value) == JsonKind::String).then_some((member.value, *done))
    })
}

/// Changes to one object or array, whose items may go.
struct Mend<'a> {
    root: &'a str,
    text: &'a str,
    patch: Patch,
    /// Where items begin that go.
    gone: HashSet<usize>,
    added: Vec<String>,
}

impl<'a> Mend<'a> {
    fn new(root: &'a str, text: &'a str) -> Self {
        Self { root, text, patch: Patch::new(), gone: HashSet::new(), added: Vec::new() }
    }

    /// The item that begins with this text goes.
    fn remove(&mut self, begin: &str) {
        self.gone.insert(Span::locate(self.root, begin).start);
    }

    fn add(&mut self, name: &str, value: &str) {
        self.added.push(format!("{}:{value}", json::quote(name)));
    }

    /// Plans it all into `patch`. `items` are where each begins and where it ends.
    fn finish(self, items: &[(&str, &str)], patch: &mut Patch) {
        let at = Span::locate(self.root, self.text);
        let span = |(begin, end): &(&str, &str)| Span {
            start: Span::locate(self.root, begin).start,
            end: Span::locate(self.root, end).end,
        };
        let items: Vec<Span> = items.iter().map(span).collect();
        let stay = items.iter().filter(|item| !self.gone.contains(&item.start)).count();
        if stay == 0 && !items.is_empty() && !self.added.is_empty() {
            patch.replace(at, format!("{{{}}}", self.added.join(",")).as_bytes());
            return;
        }
        if !self.added.is_empty() {
            let comma = if items.is_empty() { "" } else { "," };
            patch.insert(at.start + 1, format!("{}{comma}", self.added.join(",")).as_bytes());
        }
        let mut kept_before = None;
        for (index, item) in items.iter().enumerate() {
            if !self.gone.contains(&item.start) {
                kept_before = Some(item.end);
                continue;
            }
            let next = items.get(index + 1).map_or(item.end, |next| next.start);
            let span = match kept_before {
                // Takes the comma before it along.
                Some(end) => Span { start: end, end: item.end },
                // Takes the comma after it along, if one follows.
                None => Span { start: item.start, end: next },
            };
            if kept_before.is_some() {
                kept_before = Some(item.end);
            }
            patch.replace(span, b"");
        }
        patch.append(self.patch);
    }
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn is_empty_array(text: &str) -> bool {
    json::array(text).is_ok_and(|elements| elements.is_empty())
}

fn unreadable(fault: &JsonFault) -> Cow<'static, str> {
    fault.to_string().into()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
