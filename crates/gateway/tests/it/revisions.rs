//! What clients of each legacy revision get of servers of other revisions, through the whole gateway.

use std::sync::Arc;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Era, Persona};

use crate::doors::{Door, Kind};
use crate::stand::{Over, Stand};

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

const RESULT: &str = r#"{"resultType":"complete","content":[{"type":"audio","data":"AAAA","mimeType":"audio/wav"},{"type":"resource_link","name":"l","uri":"https://l/"},{"type":"image","data":"","mimeType":"image/png","v":1.0}],"structuredContent":[ 1.0 ],"v":2e1}"#;
const PROMPT: &str = r#"{"resultType":"complete","messages":[{"role":"user","content":{"type":"audio","data":"AAAA","mimeType":"audio/wav"}}]}"#;
const TOOLS: &str = r##"[{"name":"t","title":"T","icons":[],"inputSchema":{"type":"object","properties":{"a":true}},"outputSchema":{"type":"array","items":{"$ref":"#/$defs/a"},"$defs":{"a":{"type":"number"}}}}]"##;
const CAPABILITIES: &str = r#"{"completions":{},"prompts":{},"tools":{"listChanged":true},"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{}},"experimental":{"x":{"y":1.0}}}"#;

/// A gateway with servers that all say the same; `names` is how many there are and what they are called.
async fn gateway(persona: Persona, names: &[&str]) -> Stand {
    let persona = Persona { capabilities: CAPABILITIES.to_owned(), ..persona }.listing("tools/list", TOOLS);
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    for name in names {
        let (server, desk) = stand.add(name, Over::Http, persona.clone()).await;
        server.answer_all(desk, |asked| async move {
            let result = if asked.seen.method() == "prompts/get" { PROMPT } else { RESULT };
            asked.result(result).await;
        });
    }
    stand
}

async fn ask(door: &mut Door, method: &str, members: &str) -> String {
    let body = door.body("1", method, members, "");
    door.response(&body).await
}

fn types(text: &str, path: &[&str]) -> Vec<String> {
    let blocks = mcp::json::array(json::at(text, path).unwrap()).unwrap();
    blocks.into_iter().map(|block| json::plain(json::at(block, &["type"]).unwrap()).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_client_of_each_revision_can_read_what_a_modern_server_says() {
    for kind in [Kind::LegacyHttp, Kind::LegacyStdio] {
        for names in [&["up"][..], &["up", "other"][..]] {
            let running = gateway(Persona::modern(), names).await.start().await;
            let name = if names.len() == 1 { "t" } else { "up__t" };
            for revision in LEGACY {
                let door = &mut Door::open_at(kind, &running, "{}", revision).await;
                let result = ask(door, "tools/call", &format!(r#""name":"{name}""#)).await;
                let what = format!("{kind:?} {revision}: {result}");
                assert_eq!(json::at(&result, &["result", "v"]), Some("2e1"), "{what}");
                let (blocks, structured) = match revision {
                    "2024-11-05" => (vec!["text", "text", "image", "text"], None),
                    "2025-03-26" => (vec!["audio", "text", "image", "text"], None),
                    _ => (vec!["audio", "resource_link", "image"], Some(r#"{"result":[ 1.0 ]}"#)),
                };
                assert_eq!(types(&result, &["result", "content"]), blocks, "{what}");
                assert_eq!(json::at(&result, &["result", "structuredContent"]), structured, "{what}");
                assert!(
                    result.contains(r#"{"type":"image","data":"","mimeType":"image/png","v":1.0}"#),
                    "{what}"
                );
                let told = result.contains(r#"{"type":"text","text":"[ 1.0 ]"}"#);
                assert_eq!(told, structured.is_none(), "{what}");
                assert!(!result.contains("resultType"), "{what}");

                let prompt =
                    ask(door, "prompts/get", &format!(r#""name":"{}""#, name.replace('t', "p"))).await;
                assert_eq!(
                    prompt.contains("[audio of 3 bytes, audio/wav, "),
                    revision == "2024-11-05",
                    "{prompt}"
                );

                let list = ask(door, "tools/list", r#""x":1"#).await;
                let tool = mcp::json::array(json::at(&list, &["result", "tools"]).unwrap()).unwrap()[0];
                let output = r##"{"type":"object","properties":{"result":{"type":"array","items":{"$ref":"#/properties/result/$defs/a"},"$defs":{"a":{"type":"number"}}}},"required":["result"]}"##;
                assert_eq!(json::at(tool, &["outputSchema"]), structured.map(|_| output), "{revision}");
                assert_eq!(json::at(tool, &["inputSchema", "properties"]), Some(r#"{"a":{}}"#), "{revision}");
                assert_eq!(json::at(tool, &["title"]), Some("\"T\""));
            }
            // And a modern client what it has always got.
            let door = &mut Door::open(Kind::ModernHttp, &running).await;
            let result = ask(door, "tools/call", &format!(r#""name":"{name}""#)).await;
            assert_eq!(json::at(&result, &["result"]), Some(RESULT));
        }
    }
}

/// A server's own mistakes included: the client and the server agree about what they mean.
#[tokio::test(start_paused = true)]
async fn a_client_of_the_servers_revision_gets_every_byte() {
    for revision in LEGACY {
        let persona = Persona { revision: revision.to_owned(), ..Persona::legacy() };
        let running = gateway(persona, &["up"]).await.start().await;
        for (at, reads) in LEGACY.into_iter().enumerate() {
            let door = &mut Door::open_at(Kind::LegacyHttp, &running, "{}", reads).await;
            let result = ask(door, "tools/call", r#""name":"t""#).await;
            let list = ask(door, "tools/list", r#""x":1"#).await;
            let is_untouched = json::at(&result, &["result"]) == Some(RESULT);
            let known = LEGACY.iter().position(|known| *known == revision).unwrap();
            // 2025-06-18 knows all that 2025-11-25 knows; 2024-11-05 and 2025-03-26 differ by content alone.
            assert_eq!(is_untouched, at >= known || at >= 2, "{revision} to {reads}: {result}");
            assert_eq!(
                json::at(&list, &["result", "tools"]) == Some(TOOLS),
                at >= known || at >= 2 || known < 2,
                "{revision} to {reads}: {list}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_opens_with_the_capabilities_that_its_revision_can_use() {
    for (persona, names) in [
        (Persona::modern(), &["up"][..]),
        (Persona::legacy(), &["up"][..]),
        (Persona::modern(), &["up", "other"][..]),
    ] {
        let tasks = CAPABILITIES.replace(r#""completions""#, r#""tasks":{"list":{}},"completions""#);
        let era = persona.era;
        let mut stand = gateway(persona.clone(), &[]).await;
        for name in names {
            let persona = Persona { capabilities: tasks.clone(), ..persona.clone() };
            let _server = stand.add(name, Over::Http, persona).await;
        }
        let running = stand.start().await;
        for revision in LEGACY {
            let opened = Door::open_at(Kind::LegacyHttp, &running, "{}", revision).await.opened;
            let at = |path: &[&str]| {
                let path: Vec<_> = ["result", "capabilities"].iter().chain(path).copied().collect();
                json::at(&opened, &path).map(str::to_owned)
            };
            assert_eq!(json::at(&opened, &["result", "protocolVersion"]).map(json::plain), Some(revision));
            // Those of the extension, as the core has them; a list alone is no offer.
            let has_tasks = era == Era::Modern && revision == "2025-11-25";
            assert_eq!(at(&["tasks"]).is_some(), has_tasks, "{opened}");
            assert_eq!(at(&["completions"]).is_some(), revision != "2024-11-05", "{opened}");
            assert_eq!(at(&["extensions"]).as_deref(), Some(r#"{"io.modelcontextprotocol/ui":{}}"#));
            assert_eq!(at(&["tools", "listChanged"]).as_deref(), Some("true"));
            assert_eq!(at(&["experimental"]).is_some(), names.len() == 1, "{opened}");
        }
        if era == Era::Legacy {
            let door = &mut Door::open(Kind::ModernHttp, &running).await;
            let discovered = ask(door, "server/discover", r#""x":1"#).await;
            assert_eq!(json::at(&discovered, &["result", "capabilities", "tasks"]), None, "{discovered}");
        }
    }
}

/// A client that names an extension of the other era could be given a result of it, and could not go on from there.
#[tokio::test(start_paused = true)]
async fn a_modern_server_is_not_told_of_extensions_that_a_legacy_client_cannot_use() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, Persona::modern()).await;
    server.answer_all(desk, |asked| async move { asked.result(RESULT).await });
    let running = stand.start().await;
    let open = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"a":1.0}},"x":[1.0]},"clientInfo":{"name":"c","version":"1"}}}"#;
    let opened = running.client.post(&[], open.as_bytes()).await;
    let session = [("mcp-session-id", opened.header("mcp-session-id").unwrap())];
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t"}}"#;
    running.client.post(&session, call.as_bytes()).await.response().await;
    let seen = server.seen_of("tools/call").pop().unwrap();
    let told = json::at(seen.text(), &["params", "_meta", "io.modelcontextprotocol/clientCapabilities"]);
    assert_eq!(told, Some(r#"{"extensions":{"io.modelcontextprotocol/ui":{"a":1.0}},"x":[1.0]}"#));
}
