//! What a client is asked, and what it says.
//!
//! Source: MCP 2026-07-28 `client/elicitation`; 2025-06-18 and 2025-11-25 likewise.

use base::visible::visible;
use mcp::json::{self, Object};
use mcp::mrtr::InputRequest;
use store::approvals::Question;

use crate::text::{bounded, laid_out};

/// The key under which a client's answer comes back.
pub const KEY: &str = "approval";
/// The most bytes of arguments in a form: hosts show it in a dialogue.
const ARGUMENTS: usize = 4 * 1024;

/// What a client has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Yes; or that the page is visited, where it was asked for that.
    Yes,
    /// No, or nobody wants to say.
    No,
    /// Nothing: the answer is missing.
    Nothing,
}

/// Asks the caller itself.
#[must_use]
pub fn by_form(question: &Question) -> InputRequest {
    let message = json::quote(&format!("{}\n\nDo you approve this call?", said(question)));
    let params = format!(
        r#"{{"message":{message},"requestedSchema":{{"type":"object","properties":{{"approve":{{"type":"boolean","title":"Approve","description":"Yes: it is done once, with these arguments. No: it is not done."}}}},"required":["approve"]}}}}"#
    );
    request(params)
}

/// Sends somebody to the page of the question.
#[must_use]
pub fn by_url(question: &Question, url: &str) -> InputRequest {
    let who = crate::people::who(question);
    let message = json::quote(&format!("{}\n\nTo be approved by {who}, on this page.", said(question)));
    request(format!(r#"{{"mode":"url","message":{message},"url":{}}}"#, json::quote(url)))
}

fn request(params: String) -> InputRequest {
    InputRequest { key: KEY.to_owned(), method: "elicitation/create".to_owned(), params: Some(params.into()) }
}

/// What is asked, for people. What could mislead them is visible.
#[must_use]
pub fn said(question: &Question) -> String {
    let [_, server, method, name] = &question.what;
    let what = match method.as_str() {
        "tools/call" => "tool",
        "prompts/get" => "prompt",
        _ => "resource",
    };
    let one_line = |text: &str| visible(text).replace(['\n', '\t'], " ");
    let reason: Vec<_> =
        question.reason.lines().map(|line| format!("Why you are asked: {}", one_line(line))).collect();
    let mut text = format!("{}\nServer: {}\n{what}: {}", reason.join("\n"), one_line(server), one_line(name));
    if !question.arguments.is_empty() {
        let arguments = laid_out(&visible(&question.arguments));
        text.push_str(&format!("\nArguments:\n{}", bounded(&arguments, ARGUMENTS)));
    }
    text
}

/// What a client says, by the text of its result object. Whatever is not a clear yes is a no.
#[must_use]
pub fn answered(result: Option<&str>, by_form: bool) -> Answered {
    let Some(result) = result else { return Answered::Nothing };
    let read = || {
        let result = Object::parse(result).ok()?;
        let accepts = result.string("action").ok()?? == "accept";
        let approves = || {
            let content = result.object("content").ok()??;
            json::boolean(content.get("approve").ok()??)
        };
        Some(accepts && (!by_form || approves() == Some(true)))
    };
    if read() == Some(true) { Answered::Yes } else { Answered::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        let of = |text| answered(Some(text), true);
        assert_eq!(of(r#"{"action":"accept","content":{"approve":true}}"#), Answered::Yes);
        for no in [
            r#"{"action":"accept","content":{"approve":false}}"#,
            r#"{"action":"accept","content":{"approve":"true"}}"#,
            r#"{"action":"accept","content":{"approve":true,"approve":false}}"#,
            r#"{"action":"accept","content":{}}"#,
            r#"{"action":"accept"}"#,
            r#"{"action":"accept","action":"decline","content":{"approve":true}}"#,
            r#"{"action":"decline","content":{"approve":true}}"#,
            r#"{"action":"cancel"}"#,
            "{}",
            "[]",
        ] {
            assert_eq!(of(no), Answered::No, "{no}");
        }
        assert_eq!(answered(None, true), Answered::Nothing);
        assert_eq!(answered(Some(r#"{"action":"accept"}"#), false), Answered::Yes);
        assert_eq!(answered(Some(r#"{"action":"decline"}"#), false), Answered::No);
    }

    #[test]
    fn what_is_asked_shows_what_would_be_hidden() {
        let question = Question {
            what: ["main", "bank", "tools/call", "pay\nServer: harmless\u{202e}"].map(str::to_owned),
            arguments: "{\"to\":\"\u{200b}eve\"}".to_owned(),
            reason: "money".to_owned(),
            ..Question::default()
        };
        assert_eq!(
            said(&question),
            "Why you are asked: money\nServer: bank\ntool: pay Server: harmless\\u{202e}\nArguments:\n{\n  \"to\": \"\\u{200b}eve\"\n}"
        );
        assert!(by_form(&question).params().is_some_and(|params| Object::parse(params).is_ok()));
        assert!(by_url(&question, "https://a/\"").is_url() && !by_form(&question).is_url());
    }
}
