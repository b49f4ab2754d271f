//! Writing JSON in ASCII, from what is known.

use std::fmt::Write as _;

/// Writes an object member by member.
#[derive(Debug)]
pub(super) struct Out {
    text: String,
    /// The most bytes of one text, as it is written.
    most: usize,
}

impl Out {
    /// The whole object that `fill` fills.
    pub(super) fn object_of(most: usize, fill: impl FnOnce(&mut Self)) -> String {
        let mut out = Self { text: String::with_capacity(2048), most };
        out.text.push('{');
        fill(&mut out);
        out.text.push('}');
        out.text
    }

    fn comma(&mut self) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
    }

    /// Only ever called with names of ours.
    fn name(&mut self, name: &str) {
        self.comma();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        push_quoted(&mut self.text, value, self.most);
        self
    }

    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Numbers, and what is JSON in ASCII already.
    pub(super) fn raw(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.name(name);
        // Writing to a text does not fail.
        let _written = write!(self.text, "{value}");
        self
    }

    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.name(name);
        self.text.push('{');
        fill(self);
        self.text.push('}');
        self
    }

    pub(super) fn texts<'t>(&mut self, name: &str, values: impl IntoIterator<Item = &'t str>) -> &mut Self {
        self.name(name);
        self.text.push('[');
        for value in values {
            self.comma();
            push_quoted(&mut self.text, value, self.most);
        }
        self.text.push(']');
        self
    }

    pub(super) fn objects<T>(
        &mut self,
        name: &str,
        each: impl IntoIterator<Item = T>,
        fill: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.name(name);
        self.text.push('[');
        for one in each {
            self.comma();
            self.text.push('{');
            fill(self, one);
            self.text.push('}');
        }
        self.text.push(']');
        self
    }
}

/// A text as JSON in ASCII, cut where it would be longer than `most`.
fn push_quoted(out: &mut String, text: &str, most: usize) {
    out.push('"');
    let begin = out.len();
    for c in text.chars() {
        let before = out.len();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            other => push_escaped(out, other),
        }
        if out.len() - begin > most {
            out.truncate(before);
            out.push_str("\\u2026");
            break;
        }
    }
    out.push('"');
}

fn push_escaped(out: &mut String, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        // Writing to a text does not fail.
        let _written = write!(out, "\\u{unit:04x}");
    }
}

/// The same JSON in ASCII, on one line: what is not ASCII stands in strings only, and can be escaped there.
pub(super) fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            ' '..='~' => out.push(c),
            // In strings there is none of these, and between tokens they are spaces.
            '\u{0}'..='\u{1f}' => out.push(' '),
            other => push_escaped(&mut out, other),
        }
    }
    out
}
