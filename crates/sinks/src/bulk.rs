//! The bulk API of Elasticsearch and OpenSearch. A record has the same id whenever it comes, so what comes twice is there once, and
//! another record of the same place is another document; and a status of 200 says nothing of the records: each has its own.
//!
//! An index takes a member in the type in which it came first, and refuses records that have it in another. So each has one type here.

use base::plan::feed::PostPlan;
use ledger::hash::Hash;
use ledger::line::Head;
use mcp::json::{Kind, Member, Object};
use serde_json::{Value, json};

use crate::form::Form;
use crate::post::{Answer, Poster, Surroundings, later};
use crate::receiver::{Bounds, Delivery, Receiver, Taken, Undelivered};

#[derive(Debug)]
pub(crate) struct Bulk {
    poster: Poster,
    index: String,
    form: Form,
}

impl Bulk {
    pub(crate) fn new(plan: &PostPlan, index: &str, form: Form, outside: &Surroundings) -> Self {
        Self { poster: Poster::new(plan, outside), index: index.to_owned(), form }
    }

    fn entry(&self, line: &str) -> String {
        let head = Head::read(line);
        let mut action = json!({ "_index": self.index });
        if let (Some(head), Some(action)) = (&head, action.as_object_mut()) {
            // Two records may have one place: what was written after a power cut has that of what was lost.
            let hash = Hash::of(&[line.as_bytes()]).to_string();
            let hash = hash.get(..16).unwrap_or(&hash);
            action.insert("_id".to_owned(), Value::from(format!("{}-{}-{hash}", head.replica, head.seq)));
        }
        let record = self.form.write(&of_one_type(line));
        let time = head.map(|head| format!("\"@timestamp\":\"{}\",", head.time)).unwrap_or_default();
        // Data streams want a time of that name. What we write is an object, and never an empty one.
        let rest = record.strip_prefix('{').unwrap_or(&record);
        format!("{{\"create\":{action}}}\n{{{time}{rest}\n")
    }
}

impl Receiver for Bulk {
    fn bounds(&self) -> Bounds {
        Bounds { records: 512, bytes: 4 * 1024 * 1024 }
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(async move {
            let body: String = lines.iter().map(|line| self.entry(line)).collect();
            let answer = self.poster.post(body.into_bytes(), "application/x-ndjson", &[]).await?;
            answer.judge()?;
            items(&answer, lines.len())
        })
    }
}

/// A record whose members have the same type in all records. Clients choose whether `id` is a number; `principal` is an object in some
/// types of records and a text in others; and who issues tokens chooses what claims are.
fn of_one_type(line: &str) -> String {
    let Ok(record) = Object::parse(line) else { return line.to_owned() };
    written(&record, |member| match (&*member.name, Kind::of(member.value)) {
        ("id", Kind::Number) => Some(format!("\"{}\"", member.value)),
        ("principal", Kind::String) => Some(format!("{{\"id\":{}}}", member.value)),
        ("principal", Kind::Object) => {
            let principal = Object::parse(member.value).ok()?;
            Some(written(&principal, |member| match &*member.name {
                "claims" => Some(written(&Object::parse(member.value).ok()?, text_of)),
                _ => None,
            }))
        }
        _ => None,
    })
}

fn text_of(member: &Member<'_>) -> Option<String> {
    let is_word = matches!(Kind::of(member.value), Kind::Number | Kind::Boolean);
    is_word.then(|| format!("\"{}\"", member.value))
}

/// An object with some of its values written in another way.
fn written(object: &Object<'_>, other: impl Fn(&Member<'_>) -> Option<String>) -> String {
    let members = object.iter().map(|member| {
        let value = other(&member).unwrap_or_else(|| member.value.to_owned());
        format!("{}:{value}", member.raw_name)
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// What it says of each record.
fn items(answer: &Answer, count: usize) -> Result<Taken, Undelivered> {
    let no_bulk =
        || later(format!("this is no answer of a bulk API: {}{}", answer.status, answer.shown()), None);
    let body: Value = serde_json::from_slice(&answer.body).map_err(|_no_json| no_bulk())?;
    let items = body.get("items").and_then(Value::as_array).ok_or_else(no_bulk)?;
    if items.len() != count {
        return Err(no_bulk());
    }
    let mut taken = Taken::default();
    for (at, item) in items.iter().enumerate() {
        let item = item.get("create").ok_or_else(no_bulk)?;
        let status = item.get("status").and_then(Value::as_u64).ok_or_else(no_bulk)?;
        let error = || {
            let error: String = item.get("error").map(Value::to_string).unwrap_or_default();
            format!("{status} {}", error.chars().take(300).collect::<String>())
        };
        match status {
            // It has it: from now on, or from before.
            200..=299 | 409 => {}
            400 => taken.rejected.push((at, error())),
            // Too much at once, a shard that is away, an index that may not be written: none of that is the record's fault.
            _ => return Err(later(error(), answer.after)),
        }
    }
    Ok(taken)
}
