//! What policies see of the arguments of a call: one pass over the text as it came, which gives the values that they read, each
//! under its JSON Pointer (RFC 6901).
//!
//! Nothing a caller writes may mean two things: a member that stands twice in one object, however it is spelled, is refused, at
//! any depth. Nothing is dropped in silence: what is too much is said.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use mcp::json::{self, JsonFault, Step};

use crate::number::Number;
use crate::pointers::{self, Pointers};

/// The most values that policies are shown.
const MOST_LEAVES: usize = 512;
/// The most bytes of texts that they are shown.
const MOST_TEXT: usize = 64 * 1024;
/// How deep a value may lie that they are shown.
const MOST_DEPTH: usize = 64;
/// So many names of one object are compared with each other quickest.
const FEW: usize = 16;

/// The arguments as policies see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) values: BTreeMap<String, Value>,
    /// Whether that is all that was to be shown.
    pub(crate) complete: bool,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// As the schema has it.
    pub(crate) kind: &'static str,
    pub(crate) text: Option<String>,
    pub(crate) integer: Option<i64>,
    pub(crate) decimal: Option<String>,
    pub(crate) flag: Option<bool>,
    pub(crate) size: Option<i64>,
    pub(crate) texts: Option<BTreeSet<String>>,
    pub(crate) clean: Option<bool>,
}

/// Which of them are looked for, made ready once.
#[derive(Debug)]
pub(crate) struct Wanted {
    pointers: Pointers,
    /// Those that are named, in small letters.
    folded: BTreeSet<String>,
}

impl Wanted {
    pub(crate) fn of(pointers: &Pointers) -> Self {
        let folded = pointers.named.iter().map(|pointer| pointer.to_lowercase()).collect();
        Self { pointers: pointers.clone(), folded }
    }
}

/// Why arguments cannot be shown to policies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsFault {
    #[error("{0}")]
    Json(#[from] JsonFault),
    /// Two readers could read two things: some do not look at capitals.
    #[error("a member stands more than once in one object")]
    Twice,
    /// Some servers take it for the other.
    #[error("a member is one that a policy reads, but for its capitals")]
    Capitals,
    /// It is as good as a whole number to many servers, and to policies it is none.
    #[error("a number is written so that it can be read as two")]
    Number,
    /// Some servers take the first element of a list for the object.
    #[error("the arguments are no object")]
    NoObject,
}

impl Value {
    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            text: None,
            integer: None,
            decimal: None,
            flag: None,
            size: None,
            texts: None,
            clean: None,
        }
    }
}

impl Arguments {
    /// Those of a call without any.
    pub(crate) fn none() -> Self {
        Self { values: BTreeMap::new(), complete: true }
    }

    /// Those of a call: an object, if there are any.
    pub(crate) fn of_call(text: &str, wanted: &Wanted) -> Result<Self, ArgumentsFault> {
        match json::Kind::of(text.trim_start()) {
            json::Kind::Object => Self::look(text, wanted),
            json::Kind::Null => Ok(Self::none()),
            _ => Err(ArgumentsFault::NoObject),
        }
    }

    /// Whether a number is none of the decimals that policies can have.
    pub(crate) fn lacks_a_decimal(&self) -> bool {
        self.values
            .values()
            .any(|value| ["integer", "number"].contains(&value.kind) && value.decimal.is_none())
    }

    /// Reads what is wanted of the arguments that `text` holds.
    pub(crate) fn read(text: &str, wanted: &Pointers) -> Result<Self, ArgumentsFault> {
        Self::look(text, &Wanted::of(wanted))
    }

    fn look(text: &str, wanted: &Wanted) -> Result<Self, ArgumentsFault> {
        let mut reading = Reading {
            wanted: &wanted.pointers,
            folded: &wanted.folded,
            found: Self::none(),
            open: Vec::new(),
            pointer: String::new(),
            bytes: 0,
        };
        json::walk(text, |step| reading.take(step))?;
        Ok(reading.found)
    }
}

/// What is known in mid-text.
struct Reading<'w, 'a> {
    wanted: &'w Pointers,
    /// The pointers that are wanted, in small letters.
    folded: &'w BTreeSet<String>,
    found: Arguments,
    open: Vec<Open<'a>>,
    /// Where the next value stands.
    pointer: String,
    /// How many bytes of texts are shown.
    bytes: usize,
}

/// An object or array that has begun.
struct Open<'a> {
    is_object: bool,
    /// How long its own pointer is.
    pointer: usize,
    size: usize,
    /// The names so far; of an array none.
    names: Names<'a>,
    /// The elements, of an array that is wanted and has nothing but texts.
    texts: Option<BTreeSet<String>>,
}

/// The names of one object so far.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: BTreeSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Whether it is new.
    fn add(&mut self, name: Cow<'a, str>) -> bool {
        if self.many.is_empty() && self.few.len() < FEW {
            let is_new = !self.few.contains(&name);
            self.few.push(name);
            return is_new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(name)
    }
}

impl<'a> Reading<'_, 'a> {
    fn take(&mut self, step: Step<'a>) -> Result<(), ArgumentsFault> {
        match step {
            Step::Name(raw) => return self.name(raw),
            Step::Object => self.begin(true),
            Step::Array => self.begin(false),
            Step::Scalar(raw) => {
                self.enter();
                self.scalar(raw)?;
            }
            Step::End => self.end(),
        }
        Ok(())
    }

    fn name(&mut self, raw: &'a str) -> Result<(), ArgumentsFault> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        // A name that is no Unicode text has no pointer: nobody can ask for it, and whoever asks for all does not see it.
        let (name, is_text) = match json::string(raw) {
            Ok(name) => (name, true),
            Err(_lone_surrogate) => (raw.into(), false),
        };
        self.pointer.truncate(open.pointer);
        pointers::push(&mut self.pointer, &name);
        open.size += 1;
        self.found.complete &= is_text || !self.wanted.all;
        if !open.names.add(fold(name)) {
            return Err(ArgumentsFault::Twice);
        }
        if !self.wants() && self.folded.contains(&*fold(self.pointer.as_str().into())) {
            return Err(ArgumentsFault::Capitals);
        }
        Ok(())
    }

    /// A value begins: of an array, the next element.
    fn enter(&mut self) {
        if let Some(open) = self.open.last_mut().filter(|open| !open.is_object) {
            self.pointer.truncate(open.pointer);
            self.pointer.push('/');
            self.pointer.push_str(&open.size.to_string());
            open.size += 1;
        }
    }

    fn begin(&mut self, is_object: bool) {
        self.enter();
        self.no_text();
        let texts = (!is_object && self.wants()).then(BTreeSet::new);
        self.open.push(Open {
            is_object,
            pointer: self.pointer.len(),
            size: 0,
            names: Names::default(),
            texts,
        });
    }

    /// What is open has something that is no text.
    fn no_text(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.texts = None;
        }
    }

    fn wants(&self) -> bool {
        self.wanted.has(&self.pointer)
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        self.pointer.truncate(open.pointer);
        if self.wants() {
            let mut value = Value::of(if open.is_object { "object" } else { "array" });
            value.size = i64::try_from(open.size).ok();
            value.texts = open.texts;
            self.show(value);
        }
    }

    fn scalar(&mut self, raw: &str) -> Result<(), ArgumentsFault> {
        let kind = json::Kind::of(raw);
        if kind == json::Kind::String {
            self.string(raw);
            return Ok(());
        }
        self.no_text();
        if !self.wants() {
            return Ok(());
        }
        let mut value = Value::of("null");
        match kind {
            json::Kind::Boolean => {
                value.kind = "boolean";
                value.flag = json::boolean(raw);
            }
            json::Kind::Number => {
                let number = Number::read(raw);
                value.kind = if number.integer.is_some() { "integer" } else { "number" };
                value.integer = number.integer;
                value.decimal = number.decimal;
                let float: f64 = raw.parse().unwrap_or(f64::NAN);
                if number.integer.is_none() && (float.fract() == 0.0 || !float.is_finite()) {
                    return Err(ArgumentsFault::Number);
                }
                if !self.pays(raw.len()) {
                    return Ok(());
                }
                value.text = Some(raw.to_owned());
            }
            _ => {}
        }
        self.show(value);
        Ok(())
    }

    fn string(&mut self, raw: &str) {
        let collects = self.open.last().is_some_and(|open| open.texts.is_some());
        let wants = self.wants();
        if !collects && !wants {
            return;
        }
        let Ok(text) = json::string(raw) else {
            // What is no Unicode text can be compared with nothing.
            self.found.complete = false;
            self.no_text();
            return;
        };
        if collects {
            let size = self.open.last().map_or(0, |open| open.size);
            self.found.complete &= size <= MOST_LEAVES;
            if size <= MOST_LEAVES && self.pays(text.len()) {
                let texts = self.open.last_mut().and_then(|open| open.texts.as_mut());
                texts.map(|texts| texts.insert(text.clone().into_owned())).unwrap_or_default();
            } else {
                self.no_text();
            }
        }
        if wants && self.pays(text.len()) {
            let mut value = Value::of("string");
            value.size = i64::try_from(text.chars().count()).ok();
            value.clean = Some(is_clean(&text));
            value.text = Some(text.into_owned());
            self.show(value);
        }
    }

    /// Whether so many more bytes of texts may be shown.
    fn pays(&mut self, bytes: usize) -> bool {
        let is_room = self.bytes.saturating_add(bytes) <= MOST_TEXT;
        self.found.complete &= is_room;
        if is_room {
            self.bytes += bytes;
        }
        is_room
    }

    fn show(&mut self, value: Value) {
        let is_room = self.found.values.len() < MOST_LEAVES && self.open.len() <= MOST_DEPTH;
        if is_room && self.pays(self.pointer.len()) {
            self.found.values.insert(self.pointer.clone(), value);
        } else {
            self.found.complete = false;
        }
    }
}

/// The name in small letters.
fn fold(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.chars().any(char::is_uppercase) { name.to_lowercase().into() } else { name }
}

/// Whether nothing in a path or URL leads elsewhere than it seems: no `..`, no empty part but after the scheme, no escaped dot,
/// slash, backslash or NUL, and none of the last two as they are.
pub(crate) fn is_clean(text: &str) -> bool {
    if text.bytes().any(|byte| byte == b'\\' || byte == 0) {
        return false;
    }
    let hides = |rest: &str| {
        let code = rest.get(..2).map(str::to_ascii_lowercase);
        // An escaped percent sign may become any of them, where two readers take turns.
        code.is_some_and(|code| ["2e", "2f", "5c", "00", "25"].contains(&code.as_str()))
    };
    if text.split('%').skip(1).any(hides) {
        return false;
    }
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    };
    let path = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest.strip_prefix('/').unwrap_or(rest),
        _ => text,
    };
    !path.contains("//") && !path.split(['/', '?', '#']).any(|part| part == ".." || part == ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pointers: &[&str]) -> Pointers {
        Pointers { all: false, named: pointers.iter().map(|&pointer| pointer.to_owned()).collect() }
    }

    fn all() -> Pointers {
        Pointers { all: true, named: BTreeSet::new() }
    }

    fn read(text: &str, wanted: &Pointers) -> Arguments {
        Arguments::read(text, wanted).unwrap()
    }

    #[test]
    fn each_value_stands_under_its_pointer() {
        let text = r#"{"a":1000.0,"b":{"a/b~":[true,null,"x",1.25]},"":"e"}"#;
        let seen = read(text, &all());
        assert!(seen.complete);
        let kinds: Vec<_> =
            seen.values.iter().map(|(pointer, value)| (pointer.as_str(), value.kind)).collect();
        let expected = [
            ("", "object"),
            ("/", "string"),
            ("/a", "integer"),
            ("/b", "object"),
            ("/b/a~1b~0", "array"),
            ("/b/a~1b~0/0", "boolean"),
            ("/b/a~1b~0/1", "null"),
            ("/b/a~1b~0/2", "string"),
            ("/b/a~1b~0/3", "number"),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(seen.values["/a"].integer, Some(1000));
        assert_eq!(seen.values["/a"].text.as_deref(), Some("1000.0"));
        assert_eq!(seen.values["/b/a~1b~0/3"].decimal.as_deref(), Some("1.2500"));
        assert_eq!(seen.values["/b/a~1b~0"].size, Some(4));
        assert_eq!(seen.values["/b/a~1b~0"].texts, None);
    }

    #[test]
    fn only_what_is_wanted_is_there() {
        let seen = read(r#"{"to":["b","a","b"],"n":1,"deep":{"to":[[]]}}"#, &of(&["/to", "/none"]));
        assert_eq!(seen.values.len(), 1);
        assert_eq!(seen.values["/to"].size, Some(3));
        let texts = seen.values["/to"].texts.as_ref().unwrap();
        assert_eq!(texts.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
        let mixed = read(r#"{"to":["b",[],"a"]}"#, &of(&["/to"]));
        assert_eq!(mixed.values["/to"].texts, None);
        let last = read(r#"{"to":["b",1]}"#, &of(&["/to"]));
        assert_eq!(last.values["/to"].texts, None);
        assert_eq!(read(r#"{"to":[]}"#, &of(&["/to"])).values["/to"].texts, Some(BTreeSet::new()));
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_wherever_it_stands() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":[{"y":{"b":1,"c":2,"b":3}}]}"#,
            r#"{"\ud800":1,"\ud800":2}"#,
            r#"{"a":1,"A":1}"#,
            r#"{"x":{"\u00e4":1,"\u00c4":1}}"#,
        ] {
            assert_eq!(Arguments::read(text, &of(&["/other"])), Err(ArgumentsFault::Twice), "{text}");
        }
        let names: Vec<_> = (0..40).map(|n| format!("\"m{n}\":0")).collect();
        assert!(Arguments::read(&format!("{{{}}}", names.join(",")), &all()).is_ok());
        let twice = format!("{{{},\"m3\":0}}", names.join(","));
        assert_eq!(Arguments::read(&twice, &all()), Err(ArgumentsFault::Twice));
        // Two objects may have the same names.
        assert!(Arguments::read(r#"[{"a":1},{"a":{"a":1}}]"#, &all()).is_ok());
    }

    #[test]
    fn what_some_servers_take_for_another_is_refused() {
        let fault = |text: &str, pointer: &str| Arguments::of_call(text, &Wanted::of(&of(&[pointer]))).err();
        assert_eq!(fault(r#"{"AMOUNT":1}"#, "/amount"), Some(ArgumentsFault::Capitals));
        assert_eq!(fault(r#"{"to":{"Name":1}}"#, "/to/name"), Some(ArgumentsFault::Capitals));
        assert_eq!(fault(r#"{"amount":1,"Other":1}"#, "/amount"), None);
        for number in ["2000.00000000000000000001", "18446744073709551616", "1e400", "9223372036854775808"] {
            assert_eq!(
                fault(&format!(r#"{{"n":{number}}}"#), "/n"),
                Some(ArgumentsFault::Number),
                "{number}"
            );
            assert_eq!(fault(&format!(r#"{{"m":{number}}}"#), "/n"), None, "nobody reads it");
        }
        for number in ["1.5", "1e3", "2000.0", "0.30000000000000004"] {
            assert_eq!(fault(&format!(r#"{{"n":{number}}}"#), "/n"), None, "{number}");
        }
        assert!(read(r#"{"n":0.30000000000000004}"#, &of(&["/n"])).lacks_a_decimal());
        assert!(!read(r#"{"n":0.3,"m":0.30000000000000004}"#, &of(&["/n"])).lacks_a_decimal());
        assert_eq!(fault(r#"[{"n":1}]"#, "/n"), Some(ArgumentsFault::NoObject));
        assert_eq!(fault("null", "/n"), None);
    }

    #[test]
    fn what_is_too_much_is_said() {
        let long = format!(r#"{{"a":"{}","b":1}}"#, "x".repeat(MOST_TEXT + 1));
        let seen = read(&long, &all());
        assert!(!seen.complete && !seen.values.contains_key("/a") && seen.values.contains_key("/b"));
        // What no policy reads may be as long as it likes.
        assert!(read(&long, &of(&["/b"])).complete);
        let many = format!("[{}]", vec!["0"; MOST_LEAVES + 1].join(","));
        assert!(!read(&many, &all()).complete);
        let deep = format!("{}1{}", "[".repeat(MOST_DEPTH + 1), "]".repeat(MOST_DEPTH + 1));
        assert!(!read(&deep, &all()).complete);
        let no_text = read(r#"{"a":"\ud800"}"#, &of(&["/a"]));
        assert!(!no_text.complete && no_text.values.is_empty());
        assert!(!read(r#"{"\ud800":1}"#, &all()).complete);
        assert!(read(r#"{"\ud800":1,"a":2}"#, &of(&["/a"])).complete);
    }

    #[test]
    fn a_path_is_clean_if_it_leads_where_it_seems() {
        for clean in
            ["/srv/a.txt", "a/b", "https://example.com/a?b=c", "file:///srv/a", "", "..a/b..", "100%"]
        {
            assert!(is_clean(clean), "{clean}");
        }
        for odd in [
            "/srv/../etc",
            "..",
            "a/..",
            "/srv//a",
            "/srv/%2e%2E/a",
            "/srv/%2fa",
            "a\\b",
            "a\0",
            "https://x//a",
            "./a",
            "x:y://a//",
            "%252e",
            "a/..?x",
            "//host/a",
        ] {
            assert!(!is_clean(odd), "{odd}");
        }
    }
}
