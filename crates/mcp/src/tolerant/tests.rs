use bytes::Bytes;
use proptest::prelude::{any, prop, proptest};

use super::*;
use crate::jsonrpc::{Message, MessageKind, Unread};

const MOST_DEPTH: usize = 16;

fn server(text: &str) -> String {
    let message = Message::of_server(Bytes::copy_from_slice(text.as_bytes()), MOST_DEPTH);
    String::from_utf8(message.unwrap().bytes().to_vec()).unwrap()
}

fn client(text: &str) -> Result<String, Unread> {
    let message = Message::of_client(&Bytes::copy_from_slice(text.as_bytes()), MOST_DEPTH)?;
    Ok(String::from_utf8(message.bytes().to_vec()).unwrap())
}

fn result(inner: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"result":{inner}}}"#)
}

#[test]
fn ids_count_by_value() {
    for same in ["7", "\"7\"", "7.0", "70e-1", "\"7.0\"", "\" 7 \"", r#""\u0037""#, "\"07\"", "\"+7\""] {
        assert_eq!(number(same), Some(7), "{same}");
        let text = format!(r#"{{"jsonrpc":"2.0","result":{{"id":{same}}},"id":{same}}}"#);
        assert_eq!(server(&text), format!(r#"{{"jsonrpc":"2.0","result":{{"id":{same}}},"id":7}}"#));
        let text = format!(r#"{{"id":{same},"jsonrpc":"2.0","error":{{"code":1,"message":"m"}}}}"#);
        assert_eq!(server(&text), r#"{"id":7,"jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#);
    }
    for other in ["\"\"", "\"a\"", "7.5", "-7", "null", "[7]", "\"0x7\"", "\"inf\"", "\"7a\"", "1e999"] {
        assert_eq!(number(other), None, "{other}");
    }
    // A server's own ids are its own.
    let asks = r#"{"jsonrpc":"2.0","id":"7","method":"ping"}"#;
    assert_eq!(server(asks), asks);
}

#[test]
fn null_is_absent_in_the_envelope() {
    let done = result("{}");
    for text in [
        r#"{"jsonrpc":"2.0","id":7,"result":{},"error":null}"#,
        r#"{"error":null,"jsonrpc":"2.0","id":7,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":null,"params":null,"result":{},"error":null}"#,
    ] {
        assert_eq!(server(text), done, "{text}");
    }
    assert_eq!(
        server(r#"{"jsonrpc":"2.0","id":7,"result":null,"error":{"code":1,"message":"m","data":null}}"#),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m","data":null}}"#
    );
    let told = r#"{"jsonrpc":"2.0","id":null,"method":"notifications/tools/list_changed","params":null}"#;
    assert_eq!(server(told), r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    let told = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":[]}"#;
    assert_eq!(server(told), r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    let lost = r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#;
    assert_eq!(server(lost), lost);
    // What says two things says nothing.
    for text in [
        result("null"),
        result("[]"),
        r#"{"jsonrpc":"2.0","id":7,"result":{},"error":null,"error":{"code":1,"message":"m"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":null,"id":7,"method":"m"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":7,"result":{},"method":"m"}"#.to_owned(),
    ] {
        assert!(Message::of_server(Bytes::from(text.clone()), MOST_DEPTH).is_err(), "{text}");
    }
    assert_eq!(server(&format!("\u{feff}{done}")), done);
}

#[test]
fn a_clients_byte_order_mark_is_no_part_of_its_message() {
    let ask = r#"{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{}}"#;
    let read = |text: String| Message::of_client(&Bytes::from(text), MOST_DEPTH);
    assert_eq!(read(format!("\u{feff}{ask}")).unwrap().bytes(), ask.as_bytes());
    assert!(read(format!("\u{feff}\u{feff}{ask}")).is_err());
}

#[test]
fn null_is_absent_where_a_schema_has_an_optional_member() {
    for (said, read) in [
        (r#"{"tools":[],"nextCursor":null,"_meta":null,"ttlMs":null}"#, r#"{"tools":[]}"#),
        (
            r#"{"tools":[{"name":"a","title":null,"inputSchema":{"type":"object","default":null},"annotations":{"title":null,"readOnlyHint":true,"x":null},"outputSchema":null,"icons":[{"src":"s","sizes":null}],"vendor":null}]}"#,
            r#"{"tools":[{"name":"a","inputSchema":{"type":"object","default":null},"annotations":{"readOnlyHint":true,"x":null},"icons":[{"src":"s"}],"vendor":null}]}"#,
        ),
        (
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":null},"prompts":null,"logging":[],"experimental":{"x":{"y":1}}},"serverInfo":{"name":"s","title":null,"version":"1"},"instructions":null}"#,
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"logging":{},"experimental":{"x":{"y":1}}},"serverInfo":{"name":"s","version":"1"}}"#,
        ),
        (r#"{"capabilities":[],"supportedVersions":[]}"#, r#"{"capabilities":{},"supportedVersions":[]}"#),
        (
            r#"{"content":[{"type":"resource","resource":{"uri":"u","text":"t","mimeType":null,"blob":null},"annotations":[],"_meta":null}],"structuredContent":null,"isError":null}"#,
            r#"{"content":[{"type":"resource","resource":{"uri":"u","text":"t"}}]}"#,
        ),
        (r#"{"content":null}"#, r#"{"content":null}"#),
        (
            r#"{"resultType":"complete","structuredContent":null,"content":[]}"#,
            r#"{"resultType":"complete","structuredContent":null,"content":[]}"#,
        ),
        (
            r#"{"prompts":[{"name":"p","description":null,"arguments":[{"name":"a","required":null}]}],"_meta":{"x":null,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1","title":null}}}"#,
            r#"{"prompts":[{"name":"p","arguments":[{"name":"a"}]}],"_meta":{"x":null,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#,
        ),
        (
            r#"{"completion":{"values":[],"total":null,"hasMore":false}}"#,
            r#"{"completion":{"values":[],"hasMore":false}}"#,
        ),
        (
            r#"{"task":{"taskId":"t","ttl":null,"statusMessage":null}}"#,
            r#"{"task":{"taskId":"t","ttl":null}}"#,
        ),
        (
            r#"{"vendor":null,"x":[{"title":null}],"title":{"title":null}}"#,
            r#"{"vendor":null,"x":[{"title":null}],"title":{"title":null}}"#,
        ),
        (r#"{"title":null,"title":"t"}"#, r#"{"title":null,"title":"t"}"#),
    ] {
        assert_eq!(server(&result(said)), result(read));
    }
    assert_eq!(
        server(
            r#"{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"t","annotations":null}}],"modelPreferences":null,"systemPrompt":null,"maxTokens":1,"tools":null}}"#
        ),
        r#"{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"t"}}],"maxTokens":1}}"#
    );
}

#[test]
fn a_client_may_say_that_there_is_nothing() {
    let call = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list"{params}}}"#);
    for (said, read) in [
        (r#","params":null"#, ""),
        (r#","params":[ ]"#, ""),
        (r#","params":{"_meta":null,"cursor":null}"#, r#","params":{}"#),
        (r#","params":{"_meta":[],"name":"n","arguments":null}"#, r#","params":{"name":"n"}"#),
        (r#","params":{"name":"n","arguments":[]}"#, r#","params":{"name":"n","arguments":{}}"#),
        (
            r#","params":{"arguments":{"a":null,"b":[]},"x":null}"#,
            r#","params":{"arguments":{"a":null,"b":[]},"x":null}"#,
        ),
        (r#","params":{"_meta":{"progressToken":null,"x":null}}"#, r#","params":{"_meta":{"x":null}}"#),
    ] {
        assert_eq!(client(&call(said)).unwrap(), call(read));
    }
    let opens =
        |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
    assert_eq!(
        client(&opens(r#"{"protocolVersion":"v","capabilities":[],"clientInfo":null}"#)).unwrap(),
        opens(r#"{"protocolVersion":"v","capabilities":{}}"#)
    );
    assert_eq!(
        client(&opens(r#"{"capabilities":{"roots":[],"sampling":null,"elicitation":{"form":[]}}}"#)).unwrap(),
        opens(r#"{"capabilities":{"roots":{},"elicitation":{"form":{}}}}"#)
    );
}

#[test]
fn a_client_is_otherwise_read_strictly_and_told_by_its_id() {
    let id = |text: &str| client(text).unwrap_err().id.map(|id| id.raw().to_owned());
    for text in [
        r#"{"jsonrpc":"1.0","id":5,"method":"m"}"#,
        r#"{"id":5,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"m","params":[1]}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":null}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"m","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"m","params":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":5}"#,
        &format!(r#"{{"jsonrpc":"2.0",{}"id":5}}"#, "\"x\":1,".repeat(2000)),
    ] {
        assert_eq!(id(text).as_deref(), Some("5"), "{text}");
    }
    for text in [
        r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":5.5,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":5,"\u0069d":6,"method":"m"}"#,
        // Its id is ours.
        r#"{"jsonrpc":"2.0","id":5,"result":{},"error":null}"#,
        r#"{"jsonrpc":"2.0","id":5,"result":null}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"m""#,
        "[]",
    ] {
        assert_eq!(id(text), None, "{text}");
    }
}

proptest! {
    /// Whatever is mended can be read as it is then, and needs no mending.
    #[test]
    fn once_is_enough(
        members in prop::collection::vec(
            ("id|method|params|result|error|_meta|tools|content|capabilities|title|arguments|x", prop::sample::select(vec![
                "null", "[]", "{}", "7", "\"7\"", "7.0", "\"m\"", r#"{"_meta":null,"title":null}"#, r#"[{"title":null,"x":null}]"#,
                r#"{"tools":[],"content":[],"capabilities":{"a":[],"b":null,"c":{"d":null}},"_meta":[],"nextCursor":null}"#,
            ])),
            0..6,
        ),
        of_server in any::<bool>(),
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{name:?} : {value}")).collect();
        let text = Bytes::from(format!(r#"{{"jsonrpc":"2.0", {} }}"#, members.join(" , ")).replace(", }", "}"));
        let read = |text: Bytes| match of_server {
            true => Message::of_server(text, MOST_DEPTH).ok(),
            false => Message::of_client(&text, MOST_DEPTH).ok(),
        };
        if let Some(message) = read(text) {
            let again = read(message.bytes().clone()).unwrap();
            assert_eq!(again.bytes(), message.bytes());
            let is_null = |kind: &MessageKind| matches!(kind, MessageKind::Error(parts) if parts.id.is_none());
            assert_eq!(is_null(again.kind()), is_null(message.kind()));
        }
    }
}

/// Whoever sends very much that says nothing must not keep us busy with it.
#[test]
fn very_many_members_are_read_once() {
    let many = |value: &str| (0..100_000).map(|n| format!(",\"m{n}\":{value}")).collect::<String>();
    let opening = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"capabilities":{{"roots":{{}}{}}}}}}}"#,
        many("null")
    );
    assert!(client(&opening).unwrap().contains(r#""capabilities":{"roots":{}}"#));
    let twice = ",\"title\":null".repeat(100_000);
    let text = result(&format!(r#"{{"isError":null{}{twice}}}"#, many("0")));
    let read = server(&text);
    assert!(read.contains("\"title\":null") && !read.contains("isError"));
}
