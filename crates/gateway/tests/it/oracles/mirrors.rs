//! Headers that mirror the body.

use testkit::json;
use testkit::server::{Desk, Persona, ScriptedServer};

use super::{before, code};
use crate::ask;
use crate::stand::{Over, Running};

const TOOL: &str = r#"[{"name":"t","inputSchema":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"},"s":{"type":"string"}}}}]"#;

async fn gateway() -> (Running, ScriptedServer, Desk) {
    before(Over::Http, Persona::modern().listing("tools/list", TOOL)).await
}

/// Calls a tool with these headers beside those that mirror the version and the method; what the server saw, if it got that
/// far, and what came back.
async fn call(
    (running, desk): (&Running, &mut Desk),
    params: &str,
    headers: &[(&'static str, &str)],
) -> (Option<testkit::server::Seen>, u16, String) {
    let body = ask::body("1", "tools/call", params);
    let mut all: Vec<_> = ask::mirrored(&body).into_iter().filter(|(name, _)| *name != "mcp-name").collect();
    all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let client = running.client.clone();
    let calling = tokio::spawn(async move {
        let all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = client.post(&all, body.as_bytes()).await;
        (reply.status, reply.response().await)
    });
    tokio::select! {
        asked = desk.asked("tools/call") => {
            let seen = asked.seen.clone();
            asked.result(r#"{"resultType":"complete"}"#).await;
            let (status, text) = calling.await.unwrap();
            (Some(seen), status, text)
        }
        () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {
            let (status, text) = calling.await.unwrap();
            (None, status, text)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn e07_an_encoded_name_is_the_name() {
    let (running, _server, mut desk) = gateway().await;
    let (seen, status, _) =
        call((&running, &mut desk), r#""name":"t""#, &[("mcp-name", "=?base64?dA==?=")]).await;
    assert_eq!((seen.unwrap().header("mcp-name"), status), (Some("t"), 200));
}

#[tokio::test(start_paused = true)]
async fn e08_a_name_that_looks_encoded_must_be_encoded() {
    let (running, _server, mut desk) = gateway().await;
    let name = r#""name":"=?base64?dA==?=""#;
    let (seen, status, text) = call((&running, &mut desk), name, &[("mcp-name", "=?base64?dA==?=")]).await;
    assert!(seen.is_none());
    assert_eq!((status, code(&text)), (400, Some("-32020")), "{text}");
    let encoded = "=?base64?PT9iYXNlNjQ/ZEE9PT89?=";
    let (seen, status, _) = call((&running, &mut desk), name, &[("mcp-name", encoded)]).await;
    assert_eq!((seen.unwrap().header("mcp-name"), status), (Some(encoded), 200));
}

#[tokio::test(start_paused = true)]
async fn e09_a_tool_whose_annotation_breaks_the_rules_is_left_out_and_others_stay() {
    let bad = [
        r#"{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}"#,
        r#"{"a":{"oneOf":[{"type":"string","x-mcp-header":"A"}]}}"#,
        r##"{"a":{"$ref":"#/$defs/s","x-mcp-header":"A"}}"##,
        r#"{"a":{"type":"number","x-mcp-header":"A"}}"#,
        r#"{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}"#,
    ];
    for properties in bad {
        let tools = format!(
            r#"[{{"name":"bad","inputSchema":{{"type":"object","properties":{properties}}}}},{{"name":"good","inputSchema":{{"type":"object"}}}}]"#
        );
        let (running, ..) = before(Over::Http, Persona::modern().listing("tools/list", &tools)).await;
        let text = ask::modern(&running.client, "tools/list", "").await.response().await;
        let listed = json::elements(json::at(&text, &["result", "tools"]).unwrap());
        let names: Vec<_> = listed.iter().map(|tool| json::at(tool, &["name"]).unwrap()).collect();
        assert_eq!(names, ["\"good\""], "{properties}");
    }
}

/// Nor is a call of it judged by what it was when it was listed before.
#[tokio::test(start_paused = true)]
async fn e09_a_tool_that_is_left_out_now_is_not_judged_by_what_it_was() {
    let (running, server, mut desk) = before(Over::Http, Persona::modern().scripted(&["tools/list"])).await;
    let listed = |annotation: &str| {
        format!(
            r#"{{"tools":[{{"name":"t","inputSchema":{{"type":"object","properties":{{"n":{{"type":"string","x-mcp-header":"{annotation}"}}}}}}}}],"ttlMs":0,"cacheScope":"public"}}"#
        )
    };
    drop(server);
    for (annotation, refused) in [("N", true), ("bad name", false)] {
        let client = running.client.clone();
        let list = tokio::spawn(async move { ask::modern(&client, "tools/list", "").await.response().await });
        loop {
            desk.asked("tools/list").await.result(&listed(annotation)).await;
            testkit::idle().await;
            if list.is_finished() {
                break;
            }
        }
        let params = r#""name":"t","arguments":{"n":"x"}"#;
        let (seen, status, text) = call((&running, &mut desk), params, &[("mcp-name", "t")]).await;
        assert_eq!((seen.is_none(), status == 400), (refused, refused), "{annotation} {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn e10_a_null_argument_has_no_header() {
    let (running, _server, mut desk) = gateway().await;
    let params = r#""name":"t","arguments":{"n":null}"#;
    let (seen, status, _) = call((&running, &mut desk), params, &[("mcp-name", "t")]).await;
    assert_eq!((seen.unwrap().header("mcp-param-n"), status), (None, 200));
}

#[tokio::test(start_paused = true)]
async fn e11_a_header_without_its_argument_is_refused() {
    let (running, _server, mut desk) = gateway().await;
    let headers = [("mcp-name", "t"), ("mcp-param-n", "42")];
    for params in [r#""name":"t","arguments":{}"#, r#""name":"t""#, r#""name":"t","arguments":{"n":null}"#] {
        let (seen, status, text) = call((&running, &mut desk), params, &headers).await;
        assert!(seen.is_none(), "{params}");
        assert_eq!((status, code(&text)), (400, Some("-32020")), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn e12_a_number_is_the_same_however_it_is_written() {
    let (running, _server, mut desk) = gateway().await;
    let params = r#""name":"t","arguments":{"n":42.0}"#;
    let headers = [("mcp-name", "t"), ("mcp-param-n", "42")];
    let (seen, status, _) = call((&running, &mut desk), params, &headers).await;
    let seen = seen.unwrap();
    assert_eq!((seen.header("mcp-param-n"), status), (Some("42"), 200));
    assert_eq!(seen.param("arguments"), Some(r#"{"n":42.0}"#), "the body is as it was");
}
