//! Public names: what is hidden is not there, what is cut is found again, and the way back is never a guess.

use std::sync::Arc;

use base::globs::Globs;
use globset::Glob;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};

use crate::ask;
use crate::stand::{Over, Running, Stand};

fn globs(patterns: &[&str]) -> Globs {
    Globs::new(patterns.iter().map(|pattern| Glob::new(pattern).unwrap()).collect()).unwrap()
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
    assert!(shown.iter().all(|name| name.chars().count() == 45), "{shown:?}");
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

/// What clients replace is not in a public name, no two look the same to them, and each leads back, whoever asks first.
#[tokio::test(start_paused = true)]
async fn names_have_what_clients_take_and_lead_back() {
    let own = [
        "admin.tools.list",
        "admin_tools_list",
        "admin-tools-list",
        "admin/tools/list",
        "UPPER",
        "upper",
        "Upper",
        "with space",
        "tool,comma",
        "天気",
        "天空",
        "emoji🌍",
        "../etc",
        "-dash",
        "_under",
        "plain",
        "a_b",
        "a-b",
    ];
    for order in [own.to_vec(), own.iter().rev().copied().collect::<Vec<_>>()] {
        let (running, servers) = two(&order, |_| {}).await;
        let list = ask::modern(&running.client, "tools/list", "").await.response().await;
        let tools = json::elements(json::at(&list, &["result", "tools"]).unwrap());
        let shown: Vec<_> =
            tools.iter().map(|tool| json::plain(json::at(tool, &["name"]).unwrap())).collect();
        assert_eq!(shown.len(), 2 * own.len());
        let looks = |name: &&str| name.to_ascii_lowercase().replace('-', "_");
        assert_eq!(shown.iter().map(looks).collect::<std::collections::BTreeSet<_>>().len(), shown.len());
        let takes = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(shown.iter().all(|name| name.len() <= 45 && name.chars().all(takes)), "{shown:?}");
        for plain in ["a__admin_tools_list", "a__upper", "a__plain", "a__a_b", "b__-dash", "b___under"] {
            assert!(shown.contains(&plain), "{plain}: {shown:?}");
        }
        // Another gateway that has told nobody of its tools.
        let (other, others) = two(&order, |_| {}).await;
        for (at, name) in shown.iter().enumerate() {
            for (running, servers) in [(&running, &servers), (&other, &others)] {
                assert!(call(running, name).await.contains(["\"a\"", "\"b\""][at / own.len()]), "{name}");
                let got = servers[at / own.len()].seen_of("tools/call").pop().unwrap();
                assert_eq!(got.param("name").map(json::plain), Some(order[at % own.len()]), "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_alphabet_and_longer_names_can_be_had() {
    let long = "x".repeat(60);
    let (running, _servers) = two(&["a.b", "a_b", "A-b", &long], |stand| {
        stand.plan.routes[0].naming.alphabet = base::plan::Alphabet::Any;
        stand.plan.routes[0].naming.max_length = 64;
    })
    .await;
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    for name in ["a__a.b", "a__a_b", "b__A-b", &format!("b__{long}")] {
        assert!(list.contains(&format!("\"{name}\"")), "{list}");
    }
}

/// One server alone has its own names, whatever they are.
#[tokio::test(start_paused = true)]
async fn one_server_alone_keeps_its_names() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let long = "x".repeat(100);
    let (_server, _desk) = stand.add("a", Over::Http, Persona::modern().tools(&["a.b", "A/B", &long])).await;
    let list = ask::modern(&stand.start().await.client, "tools/list", "").await.response().await;
    assert!(["a.b", "A/B", &long].iter().all(|name| list.contains(&format!("\"{name}\""))), "{list}");
}

/// Also where a result names it, and where another member does.
#[tokio::test(start_paused = true)]
async fn the_resource_of_an_app_has_a_public_uri_in_results_too() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let meta = r#""_meta":{"openai/outputTemplate":"ui://x/a","ui":{"resourceUri":"ui://x/b"},"ui/resourceUri":"ui://x/c","n":1.0}"#;
    let public = meta.replace("ui://", "ui://a__");
    let tool = format!(r#"[{{"name":"t","inputSchema":{{"type":"object"}},{meta}}}]"#);
    let (a, desk) = stand.add("a", Over::Http, Persona::modern().listing("tools/list", &tool)).await;
    let result = format!(r#"{{"content":[{{"type":"text","text":"x",{meta}}}],{meta}}}"#);
    a.answer_all(desk, move |asked| {
        let result = result.clone();
        async move { asked.result(&result).await }
    });
    let (_b, _desk) = stand.add("b", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(list.contains(&public), "{list}");
    let text = call(&running, "a__t").await;
    assert_eq!(text.matches(&public).count(), 2, "{text}");
}

/// A web URI is made of a template, a path has no scheme: whose they are, lists and templates tell.
#[tokio::test(start_paused = true)]
async fn what_has_no_place_for_a_prefix_can_be_read() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let of = |resources: &str, templates: &str| {
        let able = Persona::modern().able(r#"{"tools":{},"resources":{}}"#);
        able.listing("resources/list", resources).listing("resources/templates/list", templates)
    };
    let templates = r#"[{"uriTemplate":"https://a.example/{x}","name":"w"},{"uriTemplate":"/article/{title}","name":"p"},{"uriTemplate":"{+any}","name":"o"}]"#;
    let resources =
        r#"[{"uri":"/search/x","name":"s"},{"uri":"relative","name":"r"},{"uri":"case_law://x","name":"c"}]"#;
    let (a, desk_a) = stand.add("a", Over::Http, of(resources, templates)).await;
    let (b, desk_b) =
        stand.add("b", Over::Http, of("[]", r#"[{"uriTemplate":"https://b.example/{x}","name":"w"}]"#)).await;
    a.answer_all(desk_a, |asked| async move { asked.result(r#"{"contents":[],"by":"a"}"#).await });
    b.answer_all(desk_b, |asked| async move { asked.result(r#"{"contents":[],"by":"b"}"#).await });
    let running = stand.start().await;
    let list = ask::modern(&running.client, "resources/templates/list", "").await.response().await;
    assert!(list.contains("dev.portolan/left-out") && list.contains("{+any}"), "{list}");
    for (uri, by) in [
        ("https://a.example/1", "\"a\""),
        ("https://b.example/1", "\"b\""),
        ("/article/Rust", "\"a\""),
        ("/search/x", "\"a\""),
        ("relative", "\"a\""),
        ("case_law://a__x", "\"a\""),
        ("https://c.example/1", "-32602"),
        ("/nowhere", "-32602"),
    ] {
        let text = ask::modern(&running.client, "resources/read", &format!("\"uri\":\"{uri}\""))
            .await
            .response()
            .await;
        assert!(text.contains(by), "{uri}: {text}");
    }
}
