//! YAML, which some clients have their servers in, → nodes. Its first document; aliases are not followed.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Marked};

use super::members;
use crate::findings::Findings;
use crate::node::{At, Member, Node, Span, Value};

/// How deep lists and mappings may lie in each other.
const DEPTH: usize = 128;

/// Parses it, or says where it ceases to be YAML.
pub(crate) fn parse(findings: &mut Findings<'_>) -> Node {
    let text = findings.source().text.as_str();
    let mut tree = Tree { places: Places::of(text), open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let done = match event {
            Ok((event, span)) => tree.add(event, span, findings),
            Err(fault) => {
                tree.broken(&fault, findings);
                true
            }
        };
        if done {
            break;
        }
    }
    tree.root.unwrap_or_else(|| Node { span: Span::default(), value: Value::Table(Vec::new()) })
}

/// What is built of the events.
struct Tree {
    places: Places,
    /// What is not closed yet, the innermost last.
    open: Vec<Open>,
    root: Option<Node>,
}

/// A list or a mapping that is not closed yet.
struct Open {
    start: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// With the key whose value is to come.
    Table(Vec<Member>, Option<At<String>>),
}

impl Tree {
    /// Adds what an event says; whether nothing more is wanted.
    fn add(&mut self, event: Event<'_>, span: Marked, findings: &mut Findings<'_>) -> bool {
        let span = self.places.span(span);
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                // A tag says what it is, whatever it looks like: `!!str 5`.
                let plain = style == ScalarStyle::Plain && tag.is_none();
                if plain { scalar(&text) } else { Value::Text(text.into_owned()) }
            }
            Event::Alias(_) => Value::Alias,
            Event::SequenceStart(..) => return self.begin(span, Content::List(Vec::new()), findings),
            Event::MappingStart(..) => return self.begin(span, Content::Table(Vec::new(), None), findings),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, content }) = self.open.pop() else { return true };
                let value = match content {
                    Content::List(items) => Value::List(items),
                    Content::Table(members, _) => Value::Table(members),
                };
                self.put(Node { span: Span { start, end: span.end.max(start) }, value }, findings);
                return false;
            }
            Event::DocumentEnd | Event::StreamEnd => return true,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => return false,
        };
        self.put(Node { span, value }, findings);
        false
    }

    fn begin(&mut self, span: Span, content: Content, findings: &mut Findings<'_>) -> bool {
        if self.open.len() == DEPTH {
            findings.error(span, format!("nested deeper than {DEPTH} levels"));
            return true;
        }
        self.open.push(Open { start: span.start, content });
        false
    }

    /// Puts a value where it belongs.
    fn put(&mut self, node: Node, findings: &mut Findings<'_>) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        let (members, key) = match &mut open.content {
            Content::List(items) => return items.push(node),
            Content::Table(members, key) => (members, key),
        };
        let Some(key) = key.take() else {
            *key = Some(At { value: key_text(&node, findings), span: node.span });
            return;
        };
        members::put(members, Member { key, value: node }, findings);
    }

    fn broken(&mut self, fault: &ScanError, findings: &mut Findings<'_>) {
        let at = self.places.byte(fault.marker().index());
        findings
            .error(Span { start: at, end: at }, format!("not YAML: {}", fault.info()))
            .help("look at the indentation, and at what stands right before it");
        self.root = None;
    }
}

/// What a key says. A key that is no text is written as it stands.
fn key_text(node: &Node, findings: &Findings<'_>) -> String {
    match node.text() {
        Some(text) => text.to_owned(),
        None => findings.source().text.get(node.span.range()).unwrap_or_default().to_owned(),
    }
}

/// What a plain scalar is by its looks (YAML 1.2.2 §10.3.2, the core schema).
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
        return Value::Whole(text.parse().unwrap_or(limit));
    }
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    match text.parse() {
        Ok(number) if is_number => Value::Fraction(number),
        _ => Value::Text(text.to_owned()),
    }
}

/// Where in the text its characters are: the parser counts characters.
struct Places {
    /// The first byte of each character; empty where characters are bytes.
    bytes: Vec<usize>,
    end: usize,
}

impl Places {
    fn of(text: &str) -> Self {
        let bytes =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { bytes, end: text.len() }
    }

    fn byte(&self, index: usize) -> usize {
        if self.bytes.is_empty() {
            return index.min(self.end);
        }
        self.bytes.get(index).copied().unwrap_or(self.end)
    }

    fn span(&self, marked: Marked) -> Span {
        let start = self.byte(marked.start.index());
        Span { start, end: self.byte(marked.end.index()).max(start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_they_look_like() {
        let kind = |text: &str| scalar(text).kind();
        for (text, expected) in [
            ("~", "null"),
            ("true", "true or false"),
            ("yes", "text"),
            ("12", "a whole number"),
            ("-1.5", "a number with a fraction"),
            ("1.2.3", "text"),
            ("-", "text"),
            ("infinity", "text"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
