//! Passing over JSON text while checking it, and nothing more: no value is made of anything.
//!
//! Every byte of every message goes through here, so this is written by hand. What it takes for JSON is exactly what
//! serde_json takes for JSON, of which the tests and a fuzz target make sure; why a text is not JSON, serde_json says.
//! Source: RFC 8259.

use self::plain::plain_until;
use super::{Span, spelling};

mod plain;

/// A place in a text. Every step gives `None` where the text is not JSON, and then stands anywhere.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether a member that was passed, at any depth, is called `uri` or as those of [`URIS`].
    pub(super) uri: bool,
    /// Whether a value that was passed, at any depth, is null or an empty array.
    pub(super) nothing: bool,
    /// How many objects and arrays are open here.
    level: usize,
    /// The most that were open at once: 0 of a text without any, 1 of `{}`.
    pub(super) deepest: usize,
}

/// The name of a member that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    /// Where it stands, with its quotes.
    pub(super) at: Span,
    /// Whether it is spelled with an escape.
    pub(super) escaped: bool,
}

/// Members of `_meta` that name the resource of a user interface: those of the extension MCP Apps, and what came before it.
const URIS: [&[u8]; 3] = [b"resourceUri", b"ui/resourceUri", b"openai/outputTemplate"];

/// Whether a member's name, as it is written with its quotes, is one of those. Most names have another length.
#[inline]
fn names_an_app(raw: &[u8]) -> bool {
    matches!(raw.len(), 13 | 16 | 23)
        && URIS.iter().any(|of| raw.get(1..raw.len().saturating_sub(1)) == Some(*of))
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, uri: false, nothing: false, level: 0, deepest: 0 }
    }

    /// How many bytes were passed.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next byte.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes white space.
    #[inline]
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes one byte, if it is this one.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// An object or an array begins here.
    #[inline]
    fn opens(&mut self) {
        self.level += 1;
        self.deepest = self.deepest.max(self.level);
    }

    /// The innermost one ends here.
    #[inline]
    fn closes(&mut self) {
        self.level -= 1;
    }

    /// Whether nothing but white space is left.
    pub(super) fn ends(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// Passes a member's name, which begins here, and what is between it and its value.
    #[inline]
    pub(super) fn name(&mut self) -> Option<Name> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at;
        let escaped = self.string()?;
        let at = Span { start, end: self.at };
        self.uri |= match self.text.get(start..self.at) {
            Some(raw) if escaped => {
                spelling::means(raw, b"uri") || URIS.iter().any(|of| spelling::means(raw, of))
            }
            raw => raw == Some(b"\"uri\"") || raw.is_some_and(names_an_app),
        };
        self.space();
        if !self.eat(b':') {
            return None;
        }
        self.space();
        Some(Name { at, escaped })
    }

    /// Passes one value, which begins here, and everything in it, however deep.
    pub(super) fn value(&mut self) -> Option<()> {
        let mut open = Open::NONE;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    self.at += 1;
                    self.opens();
                    self.space();
                    if !self.eat(b'}') {
                        self.name()?;
                        open.push(true);
                        continue;
                    }
                    self.closes();
                }
                b'[' => {
                    self.at += 1;
                    self.opens();
                    self.space();
                    if !self.eat(b']') {
                        open.push(false);
                        continue;
                    }
                    self.closes();
                    self.nothing = true;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => {
                    self.word(b"null")?;
                    self.nothing = true;
                }
                _ => return None,
            }
            // A value ends here, and whatever ends with it.
            loop {
                let Some(object) = open.innermost() else { return Some(()) };
                self.space();
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.name()?;
                        }
                        break;
                    }
                    b'}' if object => self.at += 1,
                    b']' if !object => self.at += 1,
                    _ => return None,
                }
                open.pop();
                self.closes();
            }
        }
    }

    /// Passes a string, whose quote is here. Whether it has an escape.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let (at, ends) = plain_until(self.text, self.at);
            self.at = at + 1;
            match ends? {
                b'"' => return Some(escaped),
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _control => return None,
            }
        }
    }

    /// Passes what follows a backslash.
    fn escape(&mut self) -> Option<()> {
        let kind = self.peek()?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// Passes digits, of which there must be one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }
}

/// Passes the members of an object, whose brace is the next byte but for white space. `value` is called at the beginning of
/// each value and passes it, or ends it all.
#[inline]
pub(super) fn members<'a>(
    scanner: &mut Scanner<'a>,
    mut value: impl FnMut(&mut Scanner<'a>, Name) -> Option<()>,
) -> Option<()> {
    list(scanner, b'{', b'}', |scanner| {
        let name = scanner.name()?;
        value(scanner, name)
    })
}

/// Passes the elements of an array, whose bracket is the next byte but for white space, and says where each stands.
pub(super) fn elements(scanner: &mut Scanner<'_>, mut each: impl FnMut(Span)) -> Option<()> {
    list(scanner, b'[', b']', |scanner| {
        let start = scanner.at();
        scanner.value()?;
        each(Span { start, end: scanner.at() });
        Some(())
    })
}

/// Passes what stands between two brackets, with commas between one and the next.
#[inline]
fn list<'a>(
    scanner: &mut Scanner<'a>,
    opens: u8,
    ends: u8,
    mut one: impl FnMut(&mut Scanner<'a>) -> Option<()>,
) -> Option<()> {
    scanner.space();
    if !scanner.eat(opens) {
        return None;
    }
    scanner.opens();
    scanner.space();
    if scanner.eat(ends) {
        scanner.closes();
        return Some(());
    }
    loop {
        one(scanner)?;
        scanner.space();
        if !scanner.eat(b',') {
            scanner.closes();
            return scanner.eat(ends).then_some(());
        }
        scanner.space();
    }
}

/// The objects and arrays that are open, the innermost last: a bit for each, because a stranger says how deep it goes.
#[derive(Debug)]
struct Open {
    /// The innermost ones, the last in the lowest bit, below a bit that ends them.
    last: u64,
    /// The rest, 63 in each.
    outer: Vec<u64>,
}

impl Open {
    const NONE: Self = Self { last: 1, outer: Vec::new() };

    #[inline]
    fn push(&mut self, object: bool) {
        if self.last >> 63 == 1 {
            self.outer.push(self.last);
            self.last = 1;
        }
        self.last = self.last << 1 | u64::from(object);
    }

    #[inline]
    fn pop(&mut self) {
        self.last >>= 1;
        if self.last == 1
            && let Some(outer) = self.outer.pop()
        {
            self.last = outer;
        }
    }

    /// Whether the innermost one is an object.
    #[inline]
    fn innermost(&self) -> Option<bool> {
        (self.last != 1).then_some(self.last & 1 == 1)
    }
}

#[cfg(test)]
mod tests;
