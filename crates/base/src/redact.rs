//! What is taken out of a JSON text before anybody keeps it: members by their places, and whatever looks like something.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use mcp::json;
use regex_automata::meta::{BuildError, Config, Regex};

/// What stands in the place of what was taken out.
pub const PUT: &str = "[redacted]";
/// The most that patterns may take when they are compiled.
const MOST_COMPILED: usize = 1024 * 1024;
/// How deep a text may lie that is looked at. Of a deeper one nothing is kept.
const DEEPEST: usize = 256;

/// What is taken out.
#[derive(Clone, Default)]
pub struct Redaction {
    places: Arc<[Vec<Segment>]>,
    patterns: Option<Regex>,
    said: Arc<[String]>,
}

/// One step of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// The member of that name, or the entry of that number.
    Named(String),
    /// Any member or entry.
    Any,
    /// Any number of steps.
    Deep,
}

/// A place on the way: the number of the place that is looked for, and how many steps of it are done.
type Step = (usize, usize);

impl Redaction {
    /// These places are taken out: JSON pointers (RFC 6901), in which `*` is any one member or entry, and `**` any number of them. And
    /// what these patterns match, in texts, names and numbers.
    ///
    /// # Errors
    /// When a pattern is none, or too much.
    pub fn new(places: &[String], patterns: &[String]) -> Result<Self, Box<BuildError>> {
        let config = Config::new().nfa_size_limit(Some(MOST_COMPILED)).hybrid_cache_capacity(MOST_COMPILED);
        let compiled = if patterns.is_empty() {
            None
        } else {
            Some(Regex::builder().configure(config).build_many(patterns).map_err(Box::new)?)
        };
        Ok(Self {
            places: places.iter().map(|place| segments(place)).collect(),
            patterns: compiled,
            said: places.iter().chain(patterns).cloned().collect(),
        })
    }

    /// Whether nothing is taken out.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.said.is_empty()
    }

    /// Whether a pattern matches where there is nothing, so that it would take out what nobody means.
    #[must_use]
    pub fn matches_nothing(&self) -> bool {
        self.patterns.as_ref().is_some_and(|patterns| patterns.is_match(""))
    }

    /// A JSON text without what is taken out, and how many things that were. Nothing where it cannot be read: then it is not to be kept.
    #[must_use]
    pub fn apply<'t>(&self, text: &'t str) -> Option<(Cow<'t, str>, usize)> {
        if self.is_nothing() {
            return Some((Cow::Borrowed(text), 0));
        }
        let mut walk = Walk { by: self, text, at: 0, out: String::new(), copied: 0, count: 0 };
        let mut steps = Vec::new();
        (0..self.places.len()).for_each(|place| self.enter((place, 0), &mut steps));
        walk.value(&steps, 0)?;
        walk.space();
        if walk.at != text.len() {
            return None;
        }
        if walk.count == 0 {
            return Some((Cow::Borrowed(text), 0));
        }
        walk.out.push_str(text.get(walk.copied..)?);
        Some((Cow::Owned(walk.out), walk.count))
    }

    /// Stands at a step; where any number of steps may come, behind those, too.
    fn enter(&self, (place, done): Step, steps: &mut Vec<Step>) {
        if !steps.contains(&(place, done)) {
            steps.push((place, done));
        }
        let next = self.places.get(place).and_then(|segments| segments.get(done));
        if next == Some(&Segment::Deep) {
            self.enter((place, done + 1), steps);
        }
    }

    fn is_there(&self, steps: &[Step]) -> bool {
        steps.iter().any(|(place, done)| self.places.get(*place).is_some_and(|all| all.len() == *done))
    }

    /// The steps in a member or an entry of that name.
    fn step(&self, steps: &[Step], name: &str) -> Vec<Step> {
        let mut next = Vec::new();
        for (place, done) in steps.iter().copied() {
            match self.places.get(place).and_then(|segments| segments.get(done)) {
                Some(Segment::Named(wanted)) if wanted == name => self.enter((place, done + 1), &mut next),
                Some(Segment::Any) => self.enter((place, done + 1), &mut next),
                Some(Segment::Deep) => self.enter((place, done), &mut next),
                _ => {}
            }
        }
        next
    }

    /// A text without what the patterns match; nothing where they match nothing.
    fn plain(&self, text: &str) -> Option<(String, usize)> {
        let patterns = self.patterns.as_ref()?;
        let (mut out, mut copied, mut count) = (String::new(), 0, 0);
        for found in patterns.find_iter(text).filter(|found| !found.is_empty()) {
            out.push_str(text.get(copied..found.start())?);
            out.push_str(PUT);
            (copied, count) = (found.end(), count + 1);
        }
        if count == 0 {
            return None;
        }
        out.push_str(text.get(copied..)?);
        Some((out, count))
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.said).finish()
    }
}

fn segments(place: &str) -> Vec<Segment> {
    let steps = place.split('/').skip(1);
    let segment = |step: &str| match step {
        "*" => Segment::Any,
        "**" => Segment::Deep,
        name => Segment::Named(name.replace("~1", "/").replace("~0", "~")),
    };
    steps.map(segment).collect()
}

/// One way through a text, which was found to be JSON by whoever has read it before.
struct Walk<'t, 'r> {
    by: &'r Redaction,
    text: &'t str,
    at: usize,
    out: String,
    /// Up to where the text is in `out`.
    copied: usize,
    count: usize,
}

impl Walk<'_, '_> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.next().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> Option<()> {
        self.space();
        if self.next() != Some(byte) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn replace(&mut self, span: Range<usize>, with: &str, count: usize) -> Option<()> {
        self.out.push_str(self.text.get(self.copied..span.start)?);
        self.out.push_str(with);
        self.copied = span.end;
        self.count += count;
        Some(())
    }

    fn value(&mut self, steps: &[Step], depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        self.space();
        let start = self.at;
        if self.by.is_there(steps) {
            self.skip(depth)?;
            return self.replace(start..self.at, &json::quote(PUT), 1);
        }
        match self.next()? {
            b'{' => self.object(steps, depth),
            b'[' => self.array(steps, depth),
            b'"' => {
                let span = self.string()?;
                match self.inside(&span, depth) {
                    Some((text, count)) => self.replace(span, &json::quote(&text), count),
                    None => self.look(span),
                }
            }
            _ => {
                self.scalar()?;
                let span = start..self.at;
                // A number may be what a text would be: a card's, for one.
                match self.by.plain(self.text.get(span.clone())?) {
                    Some((_, count)) => self.replace(span, &json::quote(PUT), count),
                    None => Some(()),
                }
            }
        }
    }

    fn object(&mut self, steps: &[Step], depth: usize) -> Option<()> {
        self.takes(b'{')?;
        self.space();
        if self.next() == Some(b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            let span = self.string()?;
            let name = json::string(self.text.get(span.clone())?).ok()?;
            let next = if steps.is_empty() { Vec::new() } else { self.by.step(steps, &name) };
            self.look(span)?;
            self.takes(b':')?;
            self.value(&next, depth + 1)?;
            self.space();
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn array(&mut self, steps: &[Step], depth: usize) -> Option<()> {
        self.takes(b'[')?;
        self.space();
        if self.next() == Some(b']') {
            self.at += 1;
            return Some(());
        }
        for number in 0_u64.. {
            let next = if steps.is_empty() { Vec::new() } else { self.by.step(steps, &number.to_string()) };
            self.value(&next, depth + 1)?;
            self.space();
            match self.next()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
        None
    }

    /// Goes behind a value, whatever is in it.
    fn skip(&mut self, depth: usize) -> Option<()> {
        let nothing = Redaction::default();
        let (text, at) = (self.text, self.at);
        let mut inner = Walk { by: &nothing, text, at, out: String::new(), copied: 0, count: 0 };
        inner.value(&[], depth)?;
        self.at = inner.at;
        Some(())
    }

    /// The JSON that stands in a text, without what is taken out: servers say in `content` once more what is in `structuredContent`. As
    /// nobody knows where in the whole it would be, the rest of a place is enough. Nothing where the text is none, or nothing is
    /// taken out.
    fn inside(&self, span: &Range<usize>, depth: usize) -> Option<(String, usize)> {
        let quoted = self.text.get(span.clone())?;
        if self.by.places.is_empty() || !quoted.contains(['{', '[']) {
            return None;
        }
        let text = json::string(quoted).ok()?;
        if !text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let mut inner = Walk { by: self.by, text: &text, at: 0, out: String::new(), copied: 0, count: 0 };
        let mut steps = Vec::new();
        for (place, segments) in self.by.places.iter().enumerate() {
            (0..segments.len()).for_each(|done| self.by.enter((place, done), &mut steps));
        }
        // `**` at the end is all that is inside.
        steps.retain(|(place, done)| self.by.places.get(*place).is_some_and(|all| all.len() > *done));
        let is_json = inner.value(&steps, depth + 1).is_some();
        inner.space();
        if !is_json || inner.at != text.len() || inner.count == 0 {
            return None;
        }
        inner.out.push_str(text.get(inner.copied..)?);
        Some((inner.out, inner.count))
    }

    /// Goes behind a text, and says where it is.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.takes(b'"')?;
        loop {
            match self.next()? {
                b'"' => {
                    self.at += 1;
                    return Some(start..self.at);
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn scalar(&mut self) -> Option<()> {
        let start = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Takes out of a text what the patterns match.
    fn look(&mut self, span: Range<usize>) -> Option<()> {
        if self.by.patterns.is_none() {
            return Some(());
        }
        let text = json::string(self.text.get(span.clone())?).ok()?;
        match self.by.plain(&text) {
            Some((text, count)) => self.replace(span, &json::quote(&text), count),
            None => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(places: &[&str], patterns: &[&str], text: &str) -> Option<(String, usize)> {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let redaction = Redaction::new(&own(places), &own(patterns)).unwrap();
        redaction.apply(text).map(|(text, count)| (text.into_owned(), count))
    }

    #[test]
    fn places_are_taken_out_and_all_else_stays_as_it_is() {
        for (places, text, expected, count) in [
            (
                &["/password"][..],
                r#"{ "user":"a", "password" : {"x":[1]} }"#,
                r#"{ "user":"a", "password" : "[redacted]" }"#,
                1,
            ),
            (
                &["/items/*/ssn"],
                r#"{"items":[{"ssn":1,"n":42.0},{"ssn":"2"}],"ssn":3}"#,
                r#"{"items":[{"ssn":"[redacted]","n":42.0},{"ssn":"[redacted]"}],"ssn":3}"#,
                2,
            ),
            (
                &["/**/ssn"],
                r#"{"ssn":1,"a":{"b":[{"ssn":2}]}}"#,
                r#"{"ssn":"[redacted]","a":{"b":[{"ssn":"[redacted]"}]}}"#,
                2,
            ),
            (&["/a/1"], "{\"a\":[1,2,3]}", "{\"a\":[1,\"[redacted]\",3]}", 1),
            (&["/a~1b/c~0d"], r#"{"a/b":{"c~d":1}}"#, r#"{"a/b":{"c~d":"[redacted]"}}"#, 1),
            // A name may be spelled with escapes.
            (&["/password"], r#"{"pass\u0077ord":"x"}"#, r#"{"pass\u0077ord":"[redacted]"}"#, 1),
            // One that stands twice stands nowhere afterwards.
            (&["/p"], r#"{"p":1,"p":2}"#, r#"{"p":"[redacted]","p":"[redacted]"}"#, 2),
            (&["/a/**"], r#"{"a":{"b":1}}"#, r#"{"a":"[redacted]"}"#, 1),
            (&["/x"], "[]", "[]", 0),
        ] {
            assert_eq!(redacted(places, &[], text), Some((expected.to_owned(), count)), "{places:?} {text}");
        }
    }

    #[test]
    fn json_in_a_text_is_looked_at() {
        let text = r#"{"content":[{"type":"text","text":"{ \"who\": {\"ssn\": 12}, \"n\": 42.0 }"}],"structuredContent":{"who":{"ssn":12}}}"#;
        let (out, count) = redacted(&["/structuredContent/who/ssn"], &[], text).unwrap();
        assert_eq!(count, 2);
        assert!(!out.contains("12") && out.contains("42.0"), "{out}");
        let inner = r#""text":"{ \"who\": {\"ssn\": \"[redacted]\"}, \"n\": 42.0 }""#;
        assert!(out.contains(inner), "{out}");
        // What is no JSON is a text, and what has nothing of it stays as it is.
        for same in [r#"{"a":"{ssn: 12}"}"#, r#"{"a":"[1, 2"}"#, r#"{"a":"{\"b\":1}"}"#] {
            assert_eq!(redacted(&["/x/ssn"], &[], same), Some((same.to_owned(), 0)));
        }
        let both = redacted(&["/ssn"], &["[0-9]{4}"], r#"{"a":"{\"ssn\":1,\"b\":\"x1234\"}"}"#).unwrap();
        assert_eq!(both, (r#"{"a":"{\"ssn\":\"[redacted]\",\"b\":\"x[redacted]\"}"}"#.to_owned(), 2));
    }

    #[test]
    fn patterns_find_texts_names_and_numbers() {
        let card = r"\b\d{16}\b";
        let text = r#"{"n":"pay 4111111111111111 \u0034111111111111112","c":4111111111111111,"4111111111111111":true}"#;
        let (found, count) = redacted(&[], &[card], text).unwrap();
        assert_eq!(count, 4);
        assert_eq!(found, r#"{"n":"pay [redacted] [redacted]","c":"[redacted]","[redacted]":true}"#);
        assert_eq!(
            redacted(&[], &["(?i)SECRET"], r#"["a","my secret"]"#).unwrap().0,
            r#"["a","my [redacted]"]"#
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_kept() {
        for text in ["", "{", "{\"a\":}", "[1", "{\"a\":1}x", "\"a", "{\"a\" 1}", "\"\\"] {
            assert_eq!(redacted(&["/a"], &["b"], text), None, "{text}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(redacted(&["/a"], &[], &deep), None);
        assert_eq!(redacted(&["/0"], &[], &deep), None);
        assert_eq!(redacted(&[], &[], &deep).unwrap().1, 0, "nothing is to be taken out");
    }

    #[test]
    fn a_pattern_that_is_none_or_too_much_is_an_error() {
        for pattern in ["(", "a{1000}{1000}"] {
            assert!(Redaction::new(&[], &[pattern.to_owned()]).is_err(), "{pattern}");
        }
        assert!(Redaction::new(&[], &["a*".to_owned()]).unwrap().matches_nothing());
    }
}
