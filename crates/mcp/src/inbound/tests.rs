use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{era, modern_http, modern_stdio};
use crate::call::Call;
use crate::jsonrpc::Message;
use crate::meta::{LogLevel, LogWish};
use crate::reject::{Reject, code};
use crate::version::Era;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in pairs {
        out.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    }
    out
}

fn call_tool(name_member: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{name_member},{META}}}}}"#)
}

fn read(pairs: &[(&str, &str)], text: &str) -> Result<Call, Reject> {
    modern_http(&headers(pairs), message(text))
}

const GOOD: [(&str, &str); 3] =
    [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "add")];

#[test]
fn a_good_call_is_read() {
    let call = read(&GOOD, &call_tool(r#""name":"add","arguments":{"a":1}"#)).unwrap();
    assert_eq!((call.method_name(), &*call.subject().unwrap().text), ("tools/call", "add"));
    assert_eq!(call.arguments(), Some(r#"{"a":1}"#));
    assert_eq!(call.client().log, LogWish::Nothing);
}

/// MCP 2026-07-28 `basic/transports/streamable-http` and `basic/versioning`: one code for each rule, and the version before
/// the headers that a later revision may have other rules for.
#[test]
fn each_broken_rule_has_its_code() {
    let body = call_tool(r#""name":"add""#);
    let code_of = |pairs: &[(&str, &str)], text: &str| read(pairs, text).map(|_| ()).map_err(|r| r.code());
    assert_eq!(code_of(&GOOD[1..], &body), Err(code::HEADER_MISMATCH), "no version header");
    let other = [("mcp-protocol-version", "2025-11-25"), GOOD[1], GOOD[2]];
    assert_eq!(code_of(&other, &body), Err(code::HEADER_MISMATCH), "header and body differ");
    let twice = [GOOD[0], GOOD[0], GOOD[1], GOOD[2]];
    assert_eq!(code_of(&twice, &body), Err(code::HEADER_MISMATCH), "two version headers");
    let future = body.replace("2026-07-28", "2099-01-01");
    assert_eq!(code_of(&[("mcp-protocol-version", "2099-01-01")], &future), Err(code::UNSUPPORTED_VERSION));
    let no_caps = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    assert_eq!(
        code_of(&[GOOD[0], ("mcp-method", "tools/list")], no_caps),
        Err(code::INVALID_PARAMS),
        "no capabilities"
    );
    let no_meta = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(code_of(&[GOOD[0]], no_meta), Err(code::INVALID_PARAMS), "no _meta");
    assert_eq!(code_of(&[GOOD[0], GOOD[2]], &body), Err(code::HEADER_MISMATCH), "no method header");
    assert_eq!(code_of(&[GOOD[0], ("mcp-method", "Tools/Call"), GOOD[2]], &body), Err(code::HEADER_MISMATCH));
    assert_eq!(code_of(&GOOD[..2], &body), Err(code::HEADER_MISMATCH), "no name header");
    let wrapped = [GOOD[0], GOOD[1], ("mcp-name", "=?base64?YWRk?=")];
    assert_eq!(code_of(&wrapped, &body), Ok(()));
    let lookalike = call_tool(r#""name":"=?base64?YWRk?=""#);
    assert_eq!(code_of(&wrapped, &lookalike), Err(code::HEADER_MISMATCH));
    assert_eq!(code_of(&GOOD, &call_tool(r#""name":7"#)), Err(code::INVALID_PARAMS));
    assert_eq!(code_of(&GOOD, &call_tool(r#""name":"add","name":"sub""#)), Err(code::INVALID_PARAMS));
    assert_eq!(code_of(&GOOD, &call_tool(r#""x":1"#)), Err(code::INVALID_PARAMS), "no name");
}

#[test]
fn an_unknown_method_needs_only_its_method_header() {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"future/thing","params":{{{META}}}}}"#);
    let call = read(&[GOOD[0], ("mcp-method", "future/thing"), ("mcp-name", "whatever")], &text).unwrap();
    assert_eq!(call.method(), None);
}

#[test]
fn a_method_of_the_other_era_is_unknown_whatever_its_params() {
    for method in ["initialize", "ping", "resources/subscribe"] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{META}}}}}"#);
        let unknown = Reject::UnknownMethod(method.to_owned());
        assert_eq!(modern_stdio(message(&text)).unwrap_err(), unknown);
        assert_eq!(read(&[GOOD[0], ("mcp-method", method)], &text).unwrap_err(), unknown);
    }
}

#[test]
fn members_of_meta_are_checked() {
    let with = |extra: &str| {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},{extra}}}}}}}"#
        );
        modern_stdio(message(&text))
    };
    let call = with(r#""progressToken":1.0e1,"io.modelcontextprotocol/logLevel":"warning""#).unwrap();
    assert_eq!(call.progress_token(), Some("1.0e1"));
    assert_eq!(call.client().log, LogWish::AtLeast(LogLevel::Warning));
    for bad in [
        r#""io.modelcontextprotocol/logLevel":"loud""#,
        r#""progressToken":{}"#,
        r#""progressToken":1.5"#,
        r#""io.modelcontextprotocol/clientInfo":"me""#,
        r#""io.modelcontextprotocol/clientCapabilities":{}"#,
    ] {
        assert_eq!(with(bad).map(|_| ()).map_err(|r| r.code()), Err(code::INVALID_PARAMS), "{bad}");
    }
}

#[test]
fn the_opener_tells_the_era() {
    let era_of = |pairs: &[(&str, &str)], text: &str| era(&headers(pairs), &message(text)).unwrap();
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let modern = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{{META}}}}}"#);
    assert_eq!(era_of(&[], initialize), Era::Legacy);
    assert_eq!(era_of(&[], &modern), Era::Modern);
    assert_eq!(era_of(&[("mcp-session-id", "x")], &modern), Era::Modern);
    assert_eq!(era_of(&[("mcp-session-id", "x")], list), Era::Legacy);
    assert_eq!(era_of(&[("mcp-protocol-version", "2025-06-18")], list), Era::Legacy);
    assert_eq!(era_of(&[("mcp-protocol-version", "2026-07-28")], list), Era::Modern);
    assert_eq!(era_of(&[("mcp-protocol-version", "2099-01-01")], list), Era::Modern);
    assert_eq!(era_of(&[], list), Era::Legacy);
}
