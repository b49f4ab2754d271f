//! Results and errors on their way between the eras.
//!
//! Source: MCP 2026-07-28 `basic` §resultType, `server/utilities/caching`, `server/resources` §Error Handling;
//! 2025-11-25 `server/resources` §Error Handling.

use bytes::Bytes;

use crate::answer;
use crate::json::{self, JsonFault, Object, Patch};
use crate::jsonrpc::{ErrorParts, Message, MessageKind};
use crate::meta::SERVER_INFO;
use crate::method::Method;
use crate::reject::code;

/// A legacy server's response as a modern server would have given it: results name their type and say how they may
/// be cached, and a resource that is not there has the modern code.
///
/// # Errors
/// When a member that is written stands twice.
pub fn modernize(message: Message, method: Option<&Method>, uri: Option<&str>) -> Result<Message, JsonFault> {
    let mut patch = Patch::new();
    match message.kind() {
        MessageKind::Result(parts) => {
            let result = Object::parse(message.at(parts.result))?;
            // What a server says of its own accord stays, whatever its era.
            let hints = [("ttlMs", "0"), ("cacheScope", "\"private\"")];
            let due = [("resultType", "\"complete\"")];
            let due = due.iter().chain(hints.iter().filter(|_| method.is_some_and(|m| m.cacheable)));
            let mut members = Vec::new();
            for (name, value) in due {
                if result.get(name)?.is_none() {
                    members.push(format!("\"{name}\":{value}"));
                }
            }
            if !members.is_empty() {
                let comma = if result.is_empty() { "" } else { "," };
                patch.insert(parts.result.start + 1, format!("{}{comma}", members.join(",")).as_bytes());
            }
        }
        MessageKind::Error(parts) if parts.code == code::LEGACY_RESOURCE_NOT_FOUND => {
            recode(&message, parts, code::INVALID_PARAMS, uri, &mut patch)?;
        }
        MessageKind::Error(_) | MessageKind::Notification(_) | MessageKind::Request(_) => {}
    }
    reread(message, &patch)
}

/// A modern server's response as a legacy server would have given it: the modern members of results go, and a
/// resource that is not there has the legacy code.
///
/// # Errors
/// When a member that is written stands twice.
pub fn age(message: Message, method: Option<&Method>) -> Result<Message, JsonFault> {
    let mut patch = Patch::new();
    match message.kind() {
        MessageKind::Result(parts) => {
            let result = Object::parse(message.at(parts.result))?;
            let mut gone = vec!["resultType", "ttlMs", "cacheScope"];
            if let Some(meta) = result.get("_meta")?.filter(|raw| raw.starts_with('{')) {
                let object = Object::parse(meta)?;
                if object.iter().all(|member| member.name == SERVER_INFO) {
                    gone.push("_meta");
                } else {
                    let at = result.span_of(meta).shift(parts.result.start);
                    object.remove(|name| name == SERVER_INFO, at.start, &mut patch);
                }
            }
            result.remove(|name| gone.contains(&name), parts.result.start, &mut patch);
        }
        MessageKind::Error(parts) => {
            // Only a read names what it did not find; other bad params keep their code.
            let view = answer::error_view(&message, parts);
            let names_uri =
                view.data.and_then(|d| Object::parse(d).ok()).is_some_and(|d| d.get("uri") != Ok(None));
            if parts.code == code::INVALID_PARAMS
                && names_uri
                && method.is_some_and(|m| m.name == "resources/read")
            {
                recode(&message, parts, code::LEGACY_RESOURCE_NOT_FOUND, None, &mut patch)?;
            }
        }
        MessageKind::Notification(_) | MessageKind::Request(_) => {}
    }
    reread(message, &patch)
}

fn recode(
    message: &Message,
    parts: &ErrorParts,
    code: i64,
    uri: Option<&str>,
    patch: &mut Patch,
) -> Result<(), JsonFault> {
    let error = Object::parse(message.at(parts.error))?;
    error.set("code", code.to_string().as_bytes(), parts.error.start, patch)?;
    if let (Some(uri), None) = (uri, error.get("data")?) {
        let data = format!(r#"{{"uri":{}}}"#, json::quote(uri));
        error.set("data", data.as_bytes(), parts.error.start, patch)?;
    }
    Ok(())
}

fn reread(message: Message, patch: &Patch) -> Result<Message, JsonFault> {
    if patch.is_empty() {
        return Ok(message);
    }
    let text: Bytes = patch.apply(message.bytes());
    Message::parse(text).map_err(|fault| JsonFault::Syntax(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn result(text: &str) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{text}}}"#))
    }

    fn inner(message: &Message) -> String {
        message.at(answer::result_of(message).unwrap().result).to_owned()
    }

    #[test]
    fn legacy_results_get_what_modern_ones_must_have() {
        let call = method::find("tools/call");
        let list = method::find("tools/list");
        let up = |text: &str, m| inner(&modernize(result(text), m, None).unwrap());
        assert_eq!(up(r#"{"content":[ ]}"#, call), r#"{"resultType":"complete","content":[ ]}"#);
        assert_eq!(up("{}", call), r#"{"resultType":"complete"}"#);
        assert_eq!(
            up(r#"{"tools":[]}"#, list),
            r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[]}"#
        );
        assert_eq!(up("{}", list), r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#);
        assert_eq!(up(r#"{"resultType":"complete"}"#, call), r#"{"resultType":"complete"}"#);
        assert_eq!(
            up(r#"{"cacheScope":"public","tools":[]}"#, list),
            r#"{"resultType":"complete","ttlMs":0,"cacheScope":"public","tools":[]}"#
        );
    }

    #[test]
    fn modern_results_lose_what_legacy_ones_never_had() {
        let down = |text: &str| inner(&age(result(text), method::find("tools/list")).unwrap());
        let info = r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}"#;
        assert_eq!(
            down(&format!(
                r#"{{"resultType":"complete","tools":[1.0],"ttlMs":0,"cacheScope":"private",{info}}}"#
            )),
            r#"{"tools":[1.0]}"#
        );
        assert_eq!(
            down(r#"{"_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{}},"x":1}"#),
            r#"{"_meta":{"a":1},"x":1}"#
        );
    }

    #[test]
    fn a_missing_resource_has_the_code_of_its_era() {
        let read = method::find("resources/read");
        let legacy = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no"}}"#;
        let modern = modernize(message(legacy), read, Some("a://b")).unwrap();
        let text =
            r#"{"jsonrpc":"2.0","id":1,"error":{"data":{"uri":"a://b"},"code":-32602,"message":"no"}}"#;
        assert_eq!(modern.bytes(), text);
        let back = age(modern, read).unwrap();
        assert!(std::str::from_utf8(back.bytes()).unwrap().contains("-32002"));
        let other = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#;
        assert_eq!(age(message(other), read).unwrap().bytes(), other);
    }
}
