//! Reading the files.

use crate::ask::META;

/// Something that is sent, and what must come of it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) title: String,
    /// The bytes: a body, or a whole request.
    pub(crate) sent: Vec<u8>,
    /// The method that the headers of a body name.
    pub(crate) method: String,
    pub(crate) http_only: bool,
    pub(crate) answer: Answer,
}

/// What must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The server got it, with these headers, and the client its answer.
    Forwarded(Vec<(String, String)>),
    /// A JSON-RPC error, with the id where it could be read.
    Refused { status: u16, code: String, id: Option<String> },
    /// A status, whatever the body.
    Status(u16),
    /// The end of the connection.
    Closed,
}

impl Case {
    /// The body, where it is text. A byte order mark before it is no part of it (RFC 8259 §8.1), and no server gets it.
    pub(crate) fn body_text(&self) -> &str {
        let text = std::str::from_utf8(&self.sent).unwrap_or_default();
        let body = text.split_once("\r\n\r\n").map_or(text, |(_, body)| body);
        body.strip_prefix('\u{feff}').unwrap_or(body)
    }

    /// The bytes for a host.
    pub(crate) fn with_host(&self, host: &str) -> Vec<u8> {
        replaced(&self.sent, b"{host}", host.as_bytes())
    }
}

/// Reads a file.
pub(crate) fn cases(file: &str, text: &str) -> Vec<Case> {
    let mut all: Vec<Case> = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "=" => {
                let http_only = rest.ends_with("(http)");
                let method =
                    rest.split_once(" @").map_or("tools/call", |(_, m)| m.split(' ').next().unwrap_or(m));
                all.push(Case {
                    title: rest.to_owned(),
                    sent: Vec::new(),
                    method: method.to_owned(),
                    http_only,
                    answer: Answer::Closed,
                });
            }
            ">" => lines.push(rest),
            "<" => {
                let case = all.last_mut().unwrap_or_else(|| panic!("{file}:{}: no title", at + 1));
                case.sent = bytes(&std::mem::take(&mut lines));
                case.answer = answer(rest);
            }
            "" | "#" => {}
            _ => panic!("{file}:{}: what is this?", at + 1),
        }
    }
    all
}

fn answer(text: &str) -> Answer {
    let words: Vec<_> = text.split(' ').collect();
    match words.as_slice() {
        ["closed"] => Answer::Closed,
        ["forwarded", headers @ ..] => {
            let header = |pair: &&str| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
            Answer::Forwarded(headers.iter().filter_map(header).collect())
        }
        [status] => Answer::Status(status.parse().unwrap()),
        [status, code, id @ ..] => Answer::Refused {
            status: status.parse().unwrap(),
            code: (*code).to_owned(),
            id: id.first().map(|id| (*id).to_owned()),
        },
        [] => panic!("no answer"),
    }
}

/// The bytes of the lines: `\xNN` is a byte, `{M}` the usual `_meta`, `{V}` the usual headers, `{length}` the body's
/// length, `{hex}` on a line by itself the hexadecimal length of the next one, `«x*N»` N times x. A body is one line; a request's lines end with CR LF.
fn bytes(lines: &[&str]) -> Vec<u8> {
    let lines: Vec<_> = lines.iter().map(|line| expanded(line)).collect();
    let Some(blank) = lines.iter().position(Vec::is_empty) else { return lines.join(&b' ') };
    let mut lines = lines;
    for at in 1..lines.len() {
        if lines[at - 1] == b"{hex}" {
            lines[at - 1] = format!("{:x}", lines[at].len()).into_bytes();
        }
    }
    let (head, body) = lines.split_at(blank);
    let body = body[1..].join(&b"\r\n"[..]);
    let head = head.join(&b"\r\n"[..]);
    let head = replaced(&head, b"{length}", body.len().to_string().as_bytes());
    [&head, &b"\r\n\r\n"[..], &body].concat()
}

fn expanded(line: &str) -> Vec<u8> {
    let usual = "Host: {host}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28";
    let line = line.replace("{M}", META).replace("{V}", usual);
    let mut out = Vec::new();
    let mut rest = line.as_str();
    while let Some(at) = rest.find(['\\', '«']) {
        let (before, hole) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let byte = hole.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        let many = hole.strip_prefix('«').and_then(|hole| hole.split_once('»')).and_then(|(inner, _)| {
            let (what, times) = inner.rsplit_once('*')?;
            Some((what, times.parse::<usize>().ok()?, inner.len() + 2 * '«'.len_utf8()))
        });
        let taken = match (byte, many) {
            (Some(byte), _) => {
                out.push(byte);
                4
            }
            (None, Some((what, times, length))) => {
                out.extend_from_slice(&expanded(what).repeat(times));
                length
            }
            (None, None) => {
                out.push(b'\\');
                1
            }
        };
        rest = hole.split_at(taken).1;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(what) {
            out.extend_from_slice(with);
            at += what.len();
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}
