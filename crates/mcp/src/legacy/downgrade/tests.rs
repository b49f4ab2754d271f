use super::*;
use crate::answer;
use crate::method;
use crate::version;

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

fn gap(from: &str, to: &str) -> Gap {
    Gap { from: version::find(from).unwrap(), to: version::find(to).unwrap() }
}

fn down(method: &str, result: &str, gap: Gap) -> String {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    let message = Message::parse(Bytes::from(text)).unwrap();
    let message = response(message, method::find(method), gap).unwrap();
    message.at(answer::result_of(&message).unwrap().result).to_owned()
}

/// A tool's result of the newest revision, as a client of `to` gets it.
fn call(result: &str, to: &str) -> String {
    down("tools/call", result, gap("2026-07-28", to))
}

fn tool(tool: &str, to: &str) -> String {
    let text = Bytes::copy_from_slice(tool.as_bytes());
    let list = method::find("tools/list").unwrap();
    String::from_utf8(entry(&text, list, gap("2026-07-28", to)).to_vec()).unwrap()
}

fn output_schema(schema: &str) -> String {
    let tool = tool(
        &format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{schema}}}"#),
        "2025-11-25",
    );
    Object::parse(&tool).unwrap().get("outputSchema").unwrap().unwrap().to_owned()
}

#[test]
fn a_structured_result_that_is_no_object_is_put_into_one() {
    for value in ["[1.0, 2e3]", "\"a\\u0062\"", "42.0", "true", "null"] {
        let result = format!(r#"{{"content":[], "structuredContent" : {value},"x":1.0}}"#);
        let wrapped = format!(r#"{{"content":[], "structuredContent" : {{"result":{value}}},"x":1.0}}"#);
        for to in ["2025-06-18", "2025-11-25"] {
            assert_eq!(call(&result, to), wrapped);
        }
        assert_eq!(call(&result, "2026-07-28"), result);
    }
    let object = r#"{"content":[],"structuredContent":{ "a":1.0 }}"#;
    assert_eq!(call(object, "2025-06-18"), object);
    assert_eq!(call(r#"{"content":[]}"#, "2025-06-18"), r#"{"content":[]}"#);
}

#[test]
fn before_there_were_structured_results_they_are_told_as_text() {
    for to in ["2024-11-05", "2025-03-26"] {
        for (result, told) in [
            (
                r#"{"content":[],"structuredContent":{"a":[1.0]}}"#,
                r#"{"content":[{"type":"text","text":"{\"a\":[1.0]}"}]}"#,
            ),
            (
                r#"{"structuredContent":[ 1 ],"isError":false,"content":[{"type":"image","data":"","mimeType":"a/b"} ]}"#,
                r#"{"isError":false,"content":[{"type":"image","data":"","mimeType":"a/b"},{"type":"text","text":"[ 1 ]"} ]}"#,
            ),
            (r#"{"structuredContent":7}"#, r#"{"content":[{"type":"text","text":"7"}]}"#),
            // The server has told it already.
            (
                r#"{"content":[{"type":"text","text":"7"}],"structuredContent":7}"#,
                r#"{"content":[{"type":"text","text":"7"}]}"#,
            ),
        ] {
            assert_eq!(call(result, to), told, "{to}");
        }
        let nowhere = r#"{"content":{},"structuredContent":7}"#;
        assert_eq!(call(nowhere, to), nowhere);
    }
}

#[test]
fn content_that_a_client_does_not_know_is_told_as_text() {
    let audio = r#"{"annotations":{"priority":1.0},"type":"audio","data":"AAAA AA==","mimeType":"audio/wav","_meta":{"a":1}}"#;
    let link = r#"{"type":"resource_link","uri":"x://a","name":"A","description":"all \"a\"","mimeType":"a/b","size":1.0}"#;
    let vendor = r#"{"type":"vendor/x", "y" : [1e2]}"#;
    let plain = r#"{"type":"text","text":"\u0061","_meta":{}}"#;
    let result = |blocks: [&str; 4]| format!(r#"{{"content":[{}],"isError":true}}"#, blocks.join(" , "));
    let heard = r#"{"annotations":{"priority":1.0},"text":"[audio of 4 bytes, audio/wav, which revision 2024-11-05 of MCP does not know]","type":"text","_meta":{"a":1}}"#;
    let shown = r#"{"text":"[link to a resource: A <x://a>, a/b: all \"a\"]","type":"text","uri":"x://a","name":"A","description":"all \"a\"","mimeType":"a/b","size":1.0}"#;
    let other = |revision: &str| {
        format!(
            r#"{{"text":"[content of type \"vendor/x\", 32 bytes as JSON, which revision {revision} of MCP does not know]","type":"text", "y" : [1e2]}}"#
        )
    };
    for to in LEGACY {
        let (audio_there, link_there) =
            (if to > "2025" { audio } else { heard }, if to > "2025-06" { link } else { shown });
        let wanted: Vec<_> = [audio_there, link_there, &other(to), plain].map(members_of).to_vec();
        let got = call(&result([audio, link, vendor, plain]), to);
        let blocks = Object::parse(&got).unwrap().get("content").unwrap().unwrap().to_owned();
        let got: Vec<_> = json::array(&blocks).unwrap().into_iter().map(members_of).collect();
        assert_eq!(got, wanted, "{to}");
        // And in a prompt, where each message has one block.
        for (block, wanted) in [audio, link, vendor, plain].into_iter().zip(wanted) {
            let prompt = format!(r#"{{"description":"d","messages":[{{"role":"user","content":{block}}}]}}"#);
            let got = down("prompts/get", &prompt, gap("2026-07-28", to));
            let kept = r#"{"description":"d","messages":[{"role":"user","content":"#;
            let got = got.strip_prefix(kept).unwrap().strip_suffix("}]}").unwrap();
            assert_eq!(members_of(got), wanted, "{to}");
        }
    }
}

/// Members in one order: where an added one stands does not matter.
fn members_of(object: &str) -> Vec<(String, String)> {
    let object = Object::parse(object).unwrap();
    let mut all: Vec<_> = object.iter().map(|m| (m.name.to_string(), m.value.to_owned())).collect();
    all.sort();
    all
}

#[test]
fn what_cannot_be_read_stays() {
    for result in [
        r#"{"content":[{"type":"audio","type":"audio"},{"type":7},7,{},[]]}"#,
        r#"{"content":[{"type":"audio","data":7}]}"#,
        r#"{"content":"audio"}"#,
        r#"{"content":null}"#,
    ] {
        assert_eq!(call(result, "2024-11-05"), result);
    }
    let twice = r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":1,"structuredContent":2}}"#;
    let message = Message::parse(Bytes::from_static(twice.as_bytes())).unwrap();
    assert!(response(message, method::find("tools/call"), gap("2026-07-28", "2025-11-25")).is_err());
}

/// Not even its mistakes: what it means by them is between it and its client.
#[test]
fn a_server_that_is_no_newer_than_its_client_is_left_alone() {
    let wrong = r#"{"content":[{"type":"vendor"},{"type":"audio","data":""},{"type":"resource_link","uri":"x://"}],"structuredContent":[1]}"#;
    let entry_text = Bytes::from_static(
        br#"{"name":"t","inputSchema":{"properties":{"a":true}},"outputSchema":{"type":"array"},"icons":[]}"#,
    );
    let list = method::find("tools/list").unwrap();
    for (at, to) in LEGACY.into_iter().enumerate() {
        for from in LEGACY.into_iter().take(at + 1) {
            assert_eq!(down("tools/call", wrong, gap(from, to)), wrong);
            assert_eq!(entry(&entry_text, list, gap(from, to)), entry_text);
        }
    }
    // A newer one only where the client cannot read it: both know objects and nothing else.
    let plain = r#"{"content":[{"type":"resource_link","name":"n","uri":"x://"}],"structuredContent":[1]}"#;
    assert_eq!(down("tools/call", plain, gap("2025-11-25", "2025-06-18")), plain);
    assert_eq!(entry(&entry_text, list, gap("2025-11-25", "2025-06-18")), entry_text);
}

#[test]
fn a_tool_keeps_what_old_clients_ignore_and_loses_what_they_would_trip_over() {
    let text = r#"{"name":"t","title":"T","icons":[{"src":"a"}],"execution":{"taskSupport":"required"},"annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","properties":{"a":true,"b":false,"c":{"enum":[1.0]}},"anyOf":[true]},"outputSchema":{"type":"object"},"_meta":{"x":1}}"#;
    let spelled = text.replace(r#""a":true,"b":false"#, r#""a":{},"b":{"not":{}}"#);
    for to in ["2025-06-18", "2025-11-25"] {
        assert_eq!(tool(text, to), spelled);
    }
    for to in ["2024-11-05", "2025-03-26"] {
        assert_eq!(tool(text, to), spelled.replace(r#","outputSchema":{"type":"object"}"#, ""));
    }
}

#[test]
fn a_schema_of_no_objects_is_put_into_one_of_objects() {
    assert_eq!(
        output_schema(r#"{"type":"array","items":{"type":"number","minimum":1.0}}"#),
        r#"{"type":"object","properties":{"result":{"type":"array","items":{"type":"number","minimum":1.0}}},"required":["result"]}"#
    );
    assert_eq!(output_schema(r#"{"type":"object"}"#), r#"{"type":"object"}"#);
    // The dialect is said once, by the whole.
    assert_eq!(
        output_schema(r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":["string","null"]}"#),
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"result":{"type":["string","null"]}},"required":["result"]}"#
    );
}

#[test]
fn a_schema_that_may_be_of_objects_or_not_allows_what_is_kept_and_what_is_put_into_one() {
    let wrapped =
        r##"{"type":"object","properties":{"result":{"$ref":"#/$defs/value"}},"required":["result"]}"##;
    for schema in
        [r#"{"anyOf":[{"type":"object"},{"type":"array"}]}"#, r#"{"type":["object","null"]}"#, "{}", "true"]
    {
        let whole = format!(
            r##"{{"type":"object","anyOf":[{{"$ref":"#/$defs/value"}},{wrapped}],"$defs":{{"value":{schema}}}}}"##
        );
        assert_eq!(output_schema(schema), whole);
    }
}

#[test]
fn references_lead_to_where_they_led_before() {
    let schema = r##"{"type":"array","items":{"$ref":"#/$defs/node"},"$defs":{"node":{"properties":{"$ref":{"$ref":"#"},"next":{"$ref":"#\/$defs\/node"},"far":{"$ref":"https://x/y#/a"},"named":{"$ref":"#anchor"}},"const":{"$ref":"#/x"}}}}"##;
    let led = r##"{"type":"array","items":{"$ref":"#/properties/result/$defs/node"},"$defs":{"node":{"properties":{"$ref":{"$ref":"#/properties/result"},"next":{"$ref":"#/properties/result/$defs/node"},"far":{"$ref":"https://x/y#/a"},"named":{"$ref":"#anchor"}},"const":{"$ref":"#/x"}}}}"##;
    let whole =
        |led: &str| format!(r#"{{"type":"object","properties":{{"result":{led}}},"required":["result"]}}"#);
    assert_eq!(output_schema(schema), whole(led));
    // What has a name of its own is a document of its own.
    let named = r##"{"$id":"https://x/y","type":"array","items":{"$ref":"#/$defs/a"}}"##;
    assert_eq!(output_schema(named), whole(named));
    let inner = r##"{"type":"array","prefixItems":[{"$id":"z","$ref":"#/a"},{"$recursiveRef":"#"}]}"##;
    let led = r##"{"type":"array","prefixItems":[{"$id":"z","$ref":"#/a"},{"$ref":"#/properties/result"}]}"##;
    assert_eq!(output_schema(inner), whole(led));
    let loose = output_schema(r##"{"oneOf":[{"$ref":"#/definitions/a"}],"definitions":{"a":true}}"##);
    assert!(loose.contains(r##"{"$ref":"#/$defs/value/definitions/a"}"##), "{loose}");
}

#[test]
fn a_schema_without_a_place_is_left_out() {
    let deep = format!(r#"{{"type":"array","items":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for schema in ["null", "7", "[]", deep.as_str()] {
        let text = format!(r#"{{"name":"t","outputSchema":{schema},"inputSchema":{{}}}}"#);
        assert_eq!(tool(&text, "2025-11-25"), r#"{"name":"t","inputSchema":{}}"#);
    }
}
