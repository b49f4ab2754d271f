use bytes::Bytes;

use super::{MetaRewrite, Rewrite, body, mirror};
use crate::call::Call;
use crate::jsonrpc::Message;
use crate::meta::{ClientFacts, LogWish};
use crate::trace::Trace;
use crate::{inbound, version};

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn legacy(text: &str) -> Call {
    let facts =
        ClientFacts { capabilities: Bytes::from_static(b"{}"), info: None, log: LogWish::ServerDefault };
    inbound::legacy(message(text), facts).unwrap()
}

fn modern() -> MetaRewrite<'static> {
    MetaRewrite::Modern {
        revision: version::newest(version::Era::Modern),
        capabilities: r#"{"roots":{}}"#,
        client_info: r#"{"name":"portolan","version":"0"}"#,
        log_level: None,
    }
}

fn written(call: &Call, rewrite: &Rewrite<'_>) -> String {
    let out = body(call, rewrite);
    assert!(Message::parse(out.clone()).is_ok(), "{out:?}");
    String::from_utf8(out.to_vec()).unwrap()
}

const PLAIN: Rewrite<'static> =
    Rewrite { id: 9, subject: None, progress_token: None, trace: &NO_TRACE, meta: MetaRewrite::Legacy };

static NO_TRACE: Trace = Trace::NONE;

#[test]
fn only_the_owned_fields_of_a_legacy_call_change() {
    let call = legacy(
        r#"{ "x":1e0,"jsonrpc":"2.0", "method":"tools/call","id":"a","params":{"name":"gh__add","arguments":{"b":42.0,"a":1180591620717411303424,"u":"\u00e9\/"},"vendor":[ ],"_meta":{"k":1.0,"progressToken":"p"}}}"#,
    );
    let rewrite = Rewrite { subject: Some("add"), progress_token: Some(3), ..PLAIN };
    assert_eq!(
        written(&call, &rewrite),
        r#"{ "x":1e0,"jsonrpc":"2.0", "method":"tools/call","id":9,"params":{"name":"add","arguments":{"b":42.0,"a":1180591620717411303424,"u":"\u00e9\/"},"vendor":[ ],"_meta":{"k":1.0,"progressToken":3}}}"#
    );
}

#[test]
fn meta_is_added_wherever_it_is_missing() {
    let modern = Rewrite { meta: modern(), ..PLAIN };
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"portolan","version":"0"}}"#;
    for (text, expected) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            format!(r#"{{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{{"_meta":{meta}}}}}"#),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{ }}"#,
            format!(r#"{{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{{"_meta":{meta} }}}}"#),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":""}}"#,
            format!(
                r#"{{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{{"_meta":{meta},"cursor":""}}}}"#
            ),
        ),
    ] {
        assert_eq!(written(&legacy(text), &modern), expected);
    }
    assert_eq!(
        written(&legacy(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#), &PLAIN),
        r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#
    );
}

#[test]
fn a_completion_is_renamed_inside_its_reference() {
    let call = legacy(
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"gh__p"},"argument":{"name":"a","value":""}}}"#,
    );
    let out = written(&call, &Rewrite { subject: Some("p"), ..PLAIN });
    assert!(out.contains(r#""ref":{"type":"ref/prompt","name":"p"}"#), "{out}");
}

#[test]
fn headers_mirror_what_was_written() {
    let call = legacy(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"gh__ü"}}"#);
    let mut headers = http::HeaderMap::new();
    mirror(&call, Some("ü"), version::newest(version::Era::Modern), &mut headers);
    assert_eq!(headers["mcp-name"], "=?base64?w7w=?=");
    assert_eq!(headers["mcp-method"], "tools/call");
    assert_eq!(headers["mcp-protocol-version"], "2026-07-28");
}
