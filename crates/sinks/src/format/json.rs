//! Records as they are, made to fit where messages have an end: the texts of arguments and results go first; what still does not fit
//! goes on in another part, which is a whole JSON object again. Nothing is ever cut in its middle.

use mcp::json::Object;

use super::out::ascii;
use super::record::Record;

/// The texts that callers and servers have written, however long: members of these objects.
const PAYLOADS: &[(&str, &str)] = &[("arguments", "json"), ("result", "json")];

/// The most parts of one record.
pub(crate) const MOST_PARTS: usize = 8;

/// What every part begins with again.
const HEAD: &[&str] = &["v", "type", "time", "replica", "seq"];

/// What is said of what was left out, at most.
const MOST_NAMES: usize = 4;

/// The record without the texts of arguments and results.
pub(super) fn without_payload(record: &Record<'_>) -> String {
    let mut out = String::with_capacity(1024);
    let mut comma = '{';
    for member in record.members().iter() {
        out.push(comma);
        comma = ',';
        out.push_str(member.raw_name);
        out.push(':');
        let payload = PAYLOADS.iter().find(|(outer, _)| *outer == member.name).map(|(_, name)| *name);
        match payload.and_then(|name| Some((name, Object::parse(member.value).ok()?))) {
            Some((name, object)) => out.push_str(&without(&object, name)),
            None => out.push_str(member.value),
        }
    }
    out.push('}');
    out
}

fn without(object: &Object<'_>, name: &str) -> String {
    let kept = object.iter().filter(|member| member.name != name);
    let kept: Vec<_> = kept.map(|member| format!("{}:{}", member.raw_name, member.value)).collect();
    format!("{{{}}}", kept.join(","))
}

/// A member that is not taken apart, of the record or of an object in it.
#[derive(Debug)]
struct Unit {
    outer: Option<String>,
    /// Its name without quotes: for telling that it was left out.
    name: String,
    text: String,
}

impl Unit {
    fn is_of(&self, outer: Option<&str>) -> bool {
        self.outer.as_deref() == outer
    }

    /// How long it is where the part so far is about `before`.
    fn cost(&self, before: Option<&str>) -> usize {
        match &self.outer {
            // `,"outer":{` and `}`
            Some(outer) if !self.is_of(before) => self.text.len() + outer.len() + 6,
            _ => self.text.len() + 1,
        }
    }
}

/// The record in as few parts as fit into `room` bytes each. More than [`MOST_PARTS`], and what does not fit in any, is left out;
/// the last part says so. Nothing if not even what all parts begin with fits.
pub(crate) fn in_parts(record: &Record<'_>, room: usize) -> Option<Vec<String>> {
    let (mut left_out, mut head) = (Vec::new(), String::from("{"));
    for (outer, name) in PAYLOADS {
        if record.inner(outer, name).is_some() {
            left_out.push(format!("{outer}.{name}"));
        }
    }
    let text = ascii(&without_payload(record));
    let members = Object::parse(&text).ok()?;
    let mut units = Vec::new();
    for member in members.iter() {
        let written = format!("{}:{}", member.raw_name, member.value);
        if HEAD.contains(&&*member.name) {
            head.push_str(&written);
            head.push(',');
            continue;
        }
        units.push(Unit { outer: None, name: bare(member.raw_name), text: written });
    }
    // `"part":"1/2"`, and the end.
    let room = room.checked_sub(head.len() + 13)?;
    let units = taken_apart(units, room, &mut left_out);
    let mut filled = fill(&units, room, &mut left_out);
    if !left_out.is_empty() {
        say(&mut filled, &left_out, room);
    }
    let of = filled.len();
    let numbered = filled.into_iter().enumerate();
    Some(numbered.map(|(at, members)| format!("{head}\"part\":\"{}/{of}\"{members}}}", at + 1)).collect())
}

/// A name as it is written, without its quotes.
fn bare(raw: &str) -> String {
    raw.trim_matches('"').to_owned()
}

/// The same units, with objects in their members where they are too long.
fn taken_apart(units: Vec<Unit>, room: usize, left_out: &mut Vec<String>) -> Vec<Unit> {
    let mut all = Vec::new();
    for unit in units {
        if unit.cost(None) <= room {
            all.push(unit);
            continue;
        }
        let value = unit.text.split_once(':').map(|(_, value)| value);
        let Some(object) = value.and_then(|value| Object::parse(value).ok()) else {
            left_out.push(unit.name);
            continue;
        };
        for member in object.iter() {
            let text = format!("{}:{}", member.raw_name, member.value);
            let inner = Unit { outer: Some(unit.name.clone()), name: bare(member.raw_name), text };
            if inner.cost(None) <= room {
                all.push(inner);
            } else {
                left_out.push(format!("{}.{}", unit.name, inner.name));
            }
        }
    }
    all
}

/// The members of each part, with a comma before each.
fn fill(units: &[Unit], room: usize, left_out: &mut Vec<String>) -> Vec<String> {
    let (mut parts, mut part, mut about) = (Vec::new(), String::new(), None::<&str>);
    for unit in units {
        let mut cost = unit.cost(about);
        // The brace that is not written yet.
        if part.len() + cost + usize::from(about.is_some()) > room && !part.is_empty() {
            if parts.len() + 1 == MOST_PARTS {
                left_out
                    .push(unit.outer.iter().fold(unit.name.clone(), |name, outer| format!("{outer}.{name}")));
                continue;
            }
            close(&mut part, &mut about);
            parts.push(std::mem::take(&mut part));
            cost = unit.cost(None);
        }
        if !unit.is_of(about) {
            close(&mut part, &mut about);
        }
        part.reserve(cost);
        part.push(',');
        if let Some(outer) = unit.outer.as_deref().filter(|outer| about != Some(*outer)) {
            // What it is in begins here.
            part.extend(["\"", outer, "\":{"]);
            about = Some(outer);
        }
        part.push_str(&unit.text);
    }
    close(&mut part, &mut about);
    parts.push(part);
    parts
}

fn close(part: &mut String, about: &mut Option<&str>) {
    if about.take().is_some() {
        part.push('}');
    }
}

fn say(parts: &mut Vec<String>, left_out: &[String], room: usize) {
    let named = left_out.iter().take(MOST_NAMES).map(|name| format!("\"{name}\""));
    let more = (left_out.len() > MOST_NAMES).then(|| "\"\\u2026\"".to_owned());
    let said = format!(",\"left_out\":[{}]", named.chain(more).collect::<Vec<_>>().join(","));
    let may_add = said.len() <= room && parts.len() < MOST_PARTS;
    match parts.last_mut() {
        Some(last) if last.len() + said.len() <= room => last.push_str(&said),
        _ if may_add => parts.push(said),
        Some(last) => {
            // Something has to make way, and is not said to be lacking without it being so.
            last.clear();
            last.push_str(",\"left_out\":true");
        }
        None => {}
    }
}
