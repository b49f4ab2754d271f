//! Whether an answer is what was asked for.
//!
//! The first one is read as JSON. Later ones must have its length, their own id and a result; one that has not is read
//! again in full, because a gateway may write its answers in more than one way. What is wrong ends the load.

use memchr::memmem;
use serde_json::Value;

use super::{Load, What};
use crate::fault::Fault;

/// What answers are held against.
#[derive(Debug, Clone)]
pub(super) struct Check {
    what: What,
    size: usize,
    count: usize,
    /// How long a right answer was.
    length: Option<usize>,
}

impl Check {
    pub(super) fn of(load: &Load) -> Self {
        // A stream ends in a small result.
        let size = if load.what == What::Stream { 64 } else { load.size };
        Self { what: load.what, size, count: load.count, length: None }
    }

    /// An error if this is not the answer to the request with this id.
    pub(super) fn answer(&mut self, status: u16, body: &[u8], id: u64) -> Result<(), Fault> {
        if status == 200
            && self.length == Some(body.len())
            && (self.what == What::File || looks_right(body, id))
        {
            return Ok(());
        }
        self.read(status, body, id).map_err(|why| {
            let shown = String::from_utf8_lossy(&body[..body.len().min(600)]);
            Fault::new(format!("a wrong answer, {why}: HTTP {status}, {} bytes: {shown}", body.len()))
        })?;
        self.length = Some(body.len());
        Ok(())
    }

    fn read(&self, status: u16, body: &[u8], id: u64) -> Result<(), String> {
        if status != 200 {
            return Err("not 200".to_owned());
        }
        let messages = messages(body)?;
        let Some(last) = messages.last() else { return Err("nothing in it".to_owned()) };
        if self.what != What::File && last["id"] != id {
            return Err(format!("not of the request {id}"));
        }
        let result = &last["result"];
        if !result.is_object() || result["isError"] == true {
            return Err("not a result".to_owned());
        }
        match self.what {
            What::Call | What::Stream => {
                let text = result["content"][0]["text"].as_str().unwrap_or_default();
                expect("bytes of text", text.len(), self.size)?;
            }
            What::List | What::File => {
                expect("tools", result["tools"].as_array().map_or(0, Vec::len), self.count)?;
            }
            What::Listen => return Err("the stream has ended".to_owned()),
            What::Session | What::SessionLevel | What::SessionWatch => {}
        }
        if self.what == What::Stream {
            let told = messages.iter().filter(|message| message["method"] == "notifications/progress");
            expect("progress notifications", told.count(), self.count)?;
        }
        Ok(())
    }
}

fn expect(what: &str, got: usize, wanted: usize) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{got} {what} instead of {wanted}")) }
}

/// Whether there is a result and this id, where nothing but the length of a right answer is known.
fn looks_right(body: &[u8], id: u64) -> bool {
    let id = format!("\"id\":{id}");
    memmem::find(body, id.as_bytes()).is_some() && memmem::find(body, b"\"result\":").is_some()
}

/// The messages of a body, which is one message or a stream of events.
fn messages(body: &[u8]) -> Result<Vec<Value>, String> {
    let read = |text: &[u8]| serde_json::from_slice(text).map_err(|error| format!("not JSON ({error})"));
    if body.trim_ascii_start().starts_with(b"{") {
        return Ok(vec![read(body)?]);
    }
    let lines = body.split(|byte| *byte == b'\n');
    let data = lines.filter_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii);
    data.filter(|data| !data.is_empty()).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: What) -> Check {
        Check { what, size: 3, count: 2, length: None }
    }

    fn call(id: u64, text: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
    }

    #[test]
    fn right_answers_pass_the_first_and_the_second_time() {
        let mut calls = check(What::Call);
        calls.answer(200, call(1, "abc").as_bytes(), 1).unwrap();
        calls.answer(200, call(2, "abc").as_bytes(), 2).unwrap();
        // Written in another way: of another length, and still right.
        calls.answer(200, call(3, "abc").replace(':', ": ").as_bytes(), 3).unwrap();
        let progress = r#"data: {"method":"notifications/progress"}"#;
        let stream = format!("id: 1\ndata:\n\n{progress}\n\n{progress}\n\ndata: {}\n\n", call(4, "abc"));
        check(What::Stream).answer(200, stream.as_bytes(), 4).unwrap();
        let list = br#"{"id":1,"result":{"tools":[{},{}]}}"#;
        check(What::List).answer(200, list, 1).unwrap();
    }

    #[test]
    fn wrong_answers_do_not() {
        let mut calls = check(What::Call);
        calls.answer(200, call(1, "abc").as_bytes(), 1).unwrap();
        let error = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"no tool here"}}"#;
        let as_long = format!("{error}{}", " ".repeat(call(1, "abc").len() - error.len()));
        let failed = call(2, "abc").replace("\"content\"", "\"isError\":true,\"content\"");
        for (status, body) in [
            (502, call(2, "abc")),
            (200, call(3, "abc")),
            (200, call(2, "ab")),
            (200, as_long),
            (200, failed),
            (200, error.to_owned()),
            (200, "<html>".to_owned()),
            (200, String::new()),
        ] {
            assert!(calls.answer(status, body.as_bytes(), 2).is_err(), "{status} {body}");
        }
        let stream = format!("data: {}\n\n", call(4, "abc"));
        assert!(check(What::Stream).answer(200, stream.as_bytes(), 4).is_err(), "no progress");
        assert!(check(What::List).answer(200, br#"{"id":1,"result":{"tools":[{}]}}"#, 1).is_err());
    }
}
