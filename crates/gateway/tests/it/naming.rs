//! Public names: what is hidden is not there, what is cut is found again, and the way back is never a guess.

use std::sync::Arc;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};

use crate::ask;
use crate::stand::{Over, Running, Stand};

fn globs(patterns: &[&str]) -> globset::GlobSet {
    let mut builder = globset::GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(globset::Glob::new(pattern).unwrap());
    }
    builder.build().unwrap()
}

/// Two servers that answer every call with their own name.
async fn two(tools: &[&str], change: impl FnOnce(&mut Stand)) -> (Running, [ScriptedServer; 2]) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (a, desk_a) = stand.add("a", Over::Http, Persona::modern().tools(tools)).await;
    let (b, desk_b) = stand.add("b", Over::Http, Persona::modern().tools(tools)).await;
    a.answer_all(desk_a, |asked| async move { asked.result(r#"{"by":"a"}"#).await });
    b.answer_all(desk_b, |asked| async move { asked.result(r#"{"by":"b"}"#).await });
    change(&mut stand);
    (stand.start().await, [a, b])
}

async fn call(running: &Running, name: &str) -> String {
    let name = name.replace('"', "\\\"");
    let body = ask::body("1", "tools/call", &format!(r#""name":"{name}""#));
    ask::send(&running.client, &body).await.response().await
}

/// Byte for byte, but for the name that the client itself gave.
#[tokio::test(start_paused = true)]
async fn a_hidden_tool_answers_exactly_like_one_that_is_not_there() {
    let (running, servers) = two(&["open", "hidden"], |stand| {
        stand.upstream("a").tools.exclude = Some(globs(&["hid*"]));
        stand.upstream("b").tools.include = Some(globs(&["open"]));
    })
    .await;
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(list.contains("a__open") && list.contains("b__open") && !list.contains("hidden"), "{list}");
    for prefix in ["a", "b"] {
        let hidden = call(&running, &format!("{prefix}__hidden")).await;
        let nowhere = call(&running, &format!("{prefix}__hidxen")).await;
        // `b` shows nothing but `open`; of `a`, what is not hidden is for the server to say.
        if prefix == "b" {
            assert_eq!(hidden.replace("hidden", "hidxen"), nowhere);
        }
        let nobody = call(&running, &format!("{}__hidden", "x")).await;
        assert_eq!(hidden.replace(&format!("{prefix}__"), "x__"), nobody);
        assert_eq!(json::at(&hidden, &["error", "code"]), Some("-32602"));
    }
    assert!(
        servers
            .iter()
            .all(|server| server.seen_of("tools/call").iter().all(|seen| !seen.text().contains("hidden")))
    );
}

#[tokio::test(start_paused = true)]
async fn names_that_were_cut_lead_back_to_their_tools() {
    let long = ["x".repeat(80), format!("{}y", "x".repeat(79)), format!("{}é", "x".repeat(90))];
    let names: Vec<_> = long.iter().map(String::as_str).collect();
    let (running, servers) = two(&names, |_| {}).await;
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    let tools = json::elements(json::at(&list, &["result", "tools"]).unwrap());
    let shown: Vec<_> = tools.iter().map(|tool| json::plain(json::at(tool, &["name"]).unwrap())).collect();
    assert_eq!(shown.len(), 6);
    assert!(shown.iter().all(|name| name.chars().count() == 64), "{shown:?}");
    for (at, name) in shown.iter().enumerate() {
        let owner = at / 3;
        assert!(call(&running, name).await.contains(["\"a\"", "\"b\""][owner]));
        let got = servers[owner].seen_of("tools/call").pop().unwrap();
        assert_eq!(got.param("name").map(json::plain), Some(long[at % 3].as_str()));
    }
}

/// Names that hold the separator, look like somebody else's, or need wrapping in a header.
#[tokio::test(start_paused = true)]
async fn names_of_all_kinds_reach_their_owner() {
    let (running, servers) = two(&["t"], |_| {}).await;
    for own in [
        "a__t",
        "b__b__t",
        "__",
        "_",
        "é",
        " ",
        "a b",
        "=?base64?eA==?=",
        "x\\ny",
        "\u{202e}x",
        "tools/call",
        "../t",
        "%61",
    ] {
        let params = format!(r#""name":"b__{own}""#);
        let body = ask::body("1", "tools/call", &params);
        let name = json::unescaped(&format!("\"b__{own}\""));
        let wrapped = !name.bytes().all(|b| (0x20..0x7f).contains(&b)) || name.ends_with(' ');
        let header = if wrapped { format!("=?base64?{}?=", base64(name.as_bytes())) } else { name };
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", header.as_str()),
        ];
        let text = running.client.post(&headers, body.as_bytes()).await.response().await;
        assert!(text.contains("\"b\""), "{own}: {text}");
        let got = servers[1].seen_of("tools/call").pop().unwrap();
        assert_eq!(
            got.param("name").map(json::unescaped),
            Some(json::unescaped(&format!("\"{own}\""))),
            "{own}"
        );
    }
    assert!(servers[0].seen_of("tools/call").is_empty());
}

/// Written out here, so that the tests do not share it with the library.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let n = chunk.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        (0..4).map(move |at| if at > chunk.len() { '=' } else { char::from(DIGITS[n >> (18 - 6 * at) & 63]) })
    });
    digits.collect()
}

/// What a tool's user interface is read from goes through the gateway, so it has the gateway's URI.
#[tokio::test(start_paused = true)]
async fn the_resource_of_an_app_has_a_public_uri() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let tool = r#"[{"name":"t","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://x/a","x":1.0},"ui/resourceUri":"ui://x/b","other":"ui://x/c"}}]"#;
    let (_a, _desk_a) = stand.add("a", Over::Http, Persona::modern().listing("tools/list", tool)).await;
    let (_b, _desk_b) = stand.add("b", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    let tools = json::elements(json::at(&list, &["result", "tools"]).unwrap());
    let expected = tool
        .trim_matches(['[', ']'])
        .replace("\"t\"", "\"a__t\"")
        .replace("ui://x/a", "ui://a__x/a")
        .replace("ui://x/b", "ui://a__x/b");
    assert_eq!(tools, [expected]);
}
