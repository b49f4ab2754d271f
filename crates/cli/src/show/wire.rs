//! `-v`: what passes on the wire, on stderr, as curl shows it: `>` goes out, `<` comes in, `!` is a process's stderr.

use std::fmt::Write as _;

use base::masks::Masks;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp::json::{self, Object};
use transport::wire::{Tap, WireEvent, shown};

use crate::print::{self, Paint};

/// Shows what passes.
#[derive(Debug)]
pub(crate) struct Wire {
    masks: Masks,
}

impl Wire {
    /// Shows what passes, without secrets.
    pub(crate) fn new(masks: Masks) -> Self {
        Self { masks }
    }
}

impl Tap for Wire {
    fn saw(&self, event: &WireEvent<'_>) {
        let paint = Paint::stderr();
        let text = match event {
            WireEvent::HttpRequest { method, url, headers, body } => {
                let mut lines = vec![format!("{}{method} {url}{}", paint.bold, paint.off)];
                lines.extend(masked(headers));
                if !body.is_empty() {
                    lines.push(String::new());
                    lines.extend(body_lines(body));
                }
                lead('>', &lines)
            }
            WireEvent::HttpResponse { status, headers } => {
                let mut lines = vec![format!("{}{status}{}", paint.bold, paint.off)];
                lines.extend(masked(headers));
                lead('<', &lines)
            }
            WireEvent::Received(bytes) => lead('<', &body_lines(bytes)),
            WireEvent::Sent(bytes) => lead('>', &body_lines(bytes)),
            WireEvent::Stderr(line) => lead('!', &[(*line).to_owned()]),
        };
        print::err(&self.masks.mask(&text));
    }
}

/// Headers, one a line. What is marked as sensitive came from the user, who may have put a secret into any of them.
fn masked(headers: &HeaderMap) -> Vec<String> {
    let value = |name: &HeaderName, value: &HeaderValue| {
        if value.is_sensitive() { "••••".to_owned() } else { shown(name, value) }
    };
    headers.iter().map(|(name, text)| format!("{name}: {}", value(name, text))).collect()
}

/// JSON is broken into lines; events are shown line by line, with the JSON of their data.
fn body_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    if let Some(pretty) = if_json(&text) {
        return pretty;
    }
    let mut lines = Vec::new();
    for line in text.trim_end_matches('\n').lines() {
        match line.strip_prefix("data:").and_then(if_json) {
            Some(pretty) => {
                lines.push("data:".to_owned());
                lines.extend(pretty);
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

fn if_json(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let is_json = Object::parse(text).is_ok() || json::array(text).is_ok();
    is_json.then(|| json::laid_out(text, 0).lines().map(str::to_owned).collect())
}

fn lead(mark: char, lines: &[String]) -> String {
    let paint = Paint::stderr();
    let mut out = String::new();
    for line in lines {
        // Our own colours are the only escapes that a terminal gets.
        let line = if line.starts_with(paint.bold) { line.as_str().into() } else { print::safe_err(line) };
        let space = if line.is_empty() { "" } else { " " };
        let _infallible = writeln!(out, "{}{mark}{}{space}{line}", paint.dim, paint.off);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_shown_as_what_they_are() {
        assert_eq!(body_lines(br#"{"a":1}"#), ["{", "  \"a\": 1", "}"]);
        assert_eq!(
            body_lines(b"event: message\ndata: [1]\n\n"),
            ["event: message", "data:", "[", "  1", "]"]
        );
        assert_eq!(body_lines(b"<html>"), ["<html>"]);
    }

    #[test]
    fn what_the_user_set_is_masked_whatever_its_name() {
        let mut headers = HeaderMap::new();
        let mut value = HeaderValue::from_static("s3cret");
        value.set_sensitive(true);
        headers.append("x-tenant", value);
        headers.append("authorization", HeaderValue::from_static("Bearer s3cret"));
        headers.append("accept", HeaderValue::from_static("application/json"));
        assert_eq!(masked(&headers), ["x-tenant: ••••", "authorization: ••••", "accept: application/json"]);
    }
}
