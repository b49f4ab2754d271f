//! Lists: pages of tools, prompts, resources and templates, entry by entry and otherwise untouched.

use std::borrow::Cow;

use bytes::Bytes;

use crate::answer::{self, AnswerFault};
use crate::cache::Hints;
use crate::json::{self, JsonFault, Kind, Object, Patch, Span};
use crate::jsonrpc::Message;

/// One page of a list, as a server gave it.
#[derive(Debug, Clone)]
pub struct Page {
    /// The entries' texts in the server's order, whatever they are. Views of the answer's bytes.
    pub entries: Vec<Bytes>,
    /// What stands in the place of the entries, if that is nothing: they count as none.
    pub lacks: Option<&'static str>,
    /// Where the next page begins; an empty cursor is a cursor.
    pub next_cursor: Option<String>,
    /// How long the page is fresh, and for whom.
    pub hints: Hints,
    /// The answer that it came in.
    pub message: Message,
    entries_member: &'static str,
    entries_at: Option<Span>,
    result_at: Span,
}

impl Page {
    /// Reads a list result; `entries` names the member that holds the entries.
    ///
    /// # Errors
    /// When the message is not such a result. What an entry is, is not looked at. Where there is nothing instead of
    /// entries (no member, `null`, or the `{}` that some languages write for an empty array), there are none.
    pub fn read(message: Message, entries: &'static str) -> Result<Self, AnswerFault> {
        let result_at = answer::result_of(&message)?.result;
        let object = Object::parse(message.at(result_at))?;
        let array = object.get(entries)?;
        let lacks = match array {
            None => Some("it is missing"),
            Some("null") => Some("it is null"),
            Some(array) if Kind::of(array) == Kind::Array => None,
            Some(array) if Object::parse(array).is_ok_and(|object| object.is_empty()) => {
                Some("it is an empty object")
            }
            Some(_) => return Err(AnswerFault::NoEntries(entries)),
        };
        let array = array.filter(|_| lacks.is_none());
        let entries_at = array.map(|array| object.span_of(array).shift(result_at.start));
        let hints = Hints::read(&object)?;
        let next_cursor = object.string("nextCursor")?.map(Cow::into_owned);
        let found = array.map(json::array).transpose()?.unwrap_or_default().into_iter();
        let found: Vec<Bytes> = found.map(|entry| message.bytes().slice_ref(entry.as_bytes())).collect();
        drop(object);
        let entries_member = entries;
        Ok(Self { entries: found, lacks, next_cursor, hints, entries_member, entries_at, result_at, message })
    }

    /// The page's answer with other entries, and with all that a modern result must name. What a server says beside
    /// its entries stays; without a cursor the list ends here. `meta` are members of `_meta` that it gets, with their values.
    ///
    /// # Errors
    /// When a member that is written stands twice.
    pub fn rewrite(
        &self,
        entries: &[Bytes],
        hints: Hints,
        next_cursor: Option<&str>,
        meta: &[(&str, String)],
    ) -> Result<Bytes, JsonFault> {
        let object = Object::parse(self.message.at(self.result_at))?;
        let offset = self.result_at.start;
        let mut patch = Patch::new();
        if object.is_empty() {
            // So that each member finds another one to stand before.
            patch.replace(self.result_at, format!(r#"{{"{}":null}}"#, self.entries_member).as_bytes());
            let message = Message::parse(patch.apply(self.message.bytes()))
                .map_err(|fault| JsonFault::Syntax(fault.to_string()))?;
            let page = Self::read(message, self.entries_member)
                .map_err(|fault| JsonFault::Syntax(fault.to_string()))?;
            return page.rewrite(entries, hints, next_cursor, meta);
        }
        match self.entries_at {
            Some(at) => patch.replace(at, &join(entries)),
            None => object.set(self.entries_member, &join(entries), offset, &mut patch)?,
        }
        answer::name_type(&object, self.result_at, &mut patch)?;
        object.set("ttlMs", hints.ttl.as_millis().to_string().as_bytes(), offset, &mut patch)?;
        object.set("cacheScope", json::quote(hints.scope.name()).as_bytes(), offset, &mut patch)?;
        match next_cursor {
            _ if next_cursor == self.next_cursor.as_deref() => {}
            Some(cursor) => object.set("nextCursor", json::quote(cursor).as_bytes(), offset, &mut patch)?,
            None => {}
        }
        set_meta(&object, meta, offset, &mut patch)?;
        let text = patch.apply(self.message.bytes());
        if next_cursor.is_none() && self.next_cursor.is_some() { without_cursor(text) } else { Ok(text) }
    }
}

/// The answer as the last page of its list. It has other members by now, which the one that goes stood among.
fn without_cursor(text: Bytes) -> Result<Bytes, JsonFault> {
    let message = Message::parse(text).map_err(|fault| JsonFault::Syntax(fault.to_string()))?;
    let at = answer::result_of(&message).map_err(|fault| JsonFault::Syntax(fault.to_string()))?.result;
    let mut patch = Patch::new();
    Object::parse(message.at(at))?.remove(|name| name == "nextCursor", at.start, &mut patch);
    Ok(patch.apply(message.bytes()))
}

/// Plans members of a result's `_meta`.
fn set_meta(
    result: &Object<'_>,
    meta: &[(&str, String)],
    offset: usize,
    patch: &mut Patch,
) -> Result<(), JsonFault> {
    if meta.is_empty() {
        return Ok(());
    }
    match result.get("_meta")?.and_then(|raw| Object::parse(raw).ok()).filter(|theirs| !theirs.is_empty()) {
        Some(theirs) => {
            let offset = offset + result.span_of(theirs.text()).start;
            meta.iter().try_for_each(|(name, value)| theirs.set(name, value.as_bytes(), offset, patch))
        }
        None => {
            let members: Vec<_> =
                meta.iter().map(|(name, value)| format!("{}:{value}", json::quote(name))).collect();
            result.set("_meta", format!("{{{}}}", members.join(",")).as_bytes(), offset, patch)
        }
    }
}

/// A JSON array of entries.
#[must_use]
pub fn join(entries: &[Bytes]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.len() + 1).sum::<usize>() + 1);
    out.push(b'[');
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(entry);
    }
    out.push(b']');
    out
}

/// The member that names an entry of a kind: what calls and reads give back.
#[must_use]
pub fn name_member(entries: &str) -> &'static str {
    match entries {
        "resources" => "uri",
        "resourceTemplates" => "uriTemplate",
        _ => "name",
    }
}

/// An entry of a list, looked into.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    object: Object<'a>,
}

impl<'a> Entry<'a> {
    /// Reads an entry.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn read(text: &'a [u8]) -> Result<Self, JsonFault> {
        let text = std::str::from_utf8(text).map_err(|_not_utf8| JsonFault::NotText)?;
        Ok(Self { object: Object::parse(text)? })
    }

    /// The text of a string member, if the entry has it.
    ///
    /// # Errors
    /// When it stands twice or is no string.
    pub fn string(&self, member: &str) -> Result<Option<Cow<'a, str>>, JsonFault> {
        self.object.string(member)
    }

    /// The raw value of a member.
    ///
    /// # Errors
    /// When it stands twice.
    pub fn get(&self, member: &str) -> Result<Option<&'a str>, JsonFault> {
        self.object.get(member)
    }

    /// The entry with other texts for some of its members; members that it lacks are added.
    ///
    /// # Errors
    /// When such a member stands twice.
    pub fn with(&self, texts: &[(&str, &str)]) -> Result<Bytes, JsonFault> {
        let mut patch = Patch::new();
        for (member, text) in texts {
            self.object.set(member, json::quote(text).as_bytes(), 0, &mut patch)?;
        }
        Ok(patch.apply(self.object.text().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::Scope;

    fn page(text: &str) -> Result<Page, AnswerFault> {
        Page::read(Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap(), "tools")
    }

    #[test]
    fn a_page_is_read_and_rewritten_around_what_is_not_ours() {
        let text = r#"{"jsonrpc":"2.0","id":1,"result":{"vendor":1.0,"tools":[{"name":"a","x":[1e2]},7,{"name":"b"}],"nextCursor":"","ttlMs":5}}"#;
        let page = page(text).unwrap();
        assert_eq!(page.next_cursor.as_deref(), Some(""));
        assert_eq!(page.entries, [r#"{"name":"a","x":[1e2]}"#, "7", r#"{"name":"b"}"#]);
        let renamed =
            Entry::read(&page.entries[0]).unwrap().with(&[("name", "gh__a"), ("title", "A")]).unwrap();
        let hints = Hints { ttl: Duration::from_millis(2), scope: Scope::Public };
        let out = page.rewrite(&[renamed], hints, Some("next"), &[]).unwrap();
        assert_eq!(
            out,
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","cacheScope":"public","vendor":1.0,"tools":[{"title":"A","name":"gh__a","x":[1e2]}],"nextCursor":"next","ttlMs":2}}"#
        );
    }

    #[test]
    fn nothing_in_the_place_of_entries_is_none_and_anything_else_is_no_list() {
        let hints = Hints { ttl: Duration::ZERO, scope: Scope::Public };
        for (result, rewritten) in [
            ("{}", r#""_meta":{"m":[1]},"tools":[]}}"#),
            (r#"{"tools":null}"#, r#""_meta":{"m":[1]},"tools":[]}}"#),
            (r#"{"_meta":{"x":2.0},"tools":{}}"#, r#""_meta":{"m":[1],"x":2.0},"tools":[]}}"#),
        ] {
            let page = page(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)).unwrap();
            assert!(page.entries.is_empty() && page.lacks.is_some());
            let out = page.rewrite(&[], hints, None, &[("m", "[1]".to_owned())]).unwrap();
            let out = std::str::from_utf8(&out).unwrap();
            assert!(Message::parse(Bytes::copy_from_slice(out.as_bytes())).is_ok(), "{out}");
            for part in rewritten.trim_end_matches('}').split(",\"tools\"") {
                assert!(out.contains(part), "{out}");
            }
        }
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":{"a":{}}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":"none"}}"#,
        ] {
            assert_eq!(page(text).unwrap_err(), AnswerFault::NoEntries("tools"));
        }
        assert!(page(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[]}}"#).is_err());
    }
}
