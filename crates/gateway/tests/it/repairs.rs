//! Entries that clients would refuse, and every other server's with them: mended, left out or passed on, and said so.

use std::sync::Arc;

use base::plan::SchemaRule;
use testkit::http::Client;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use transport::net::Address;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

const FINE: &str = r#"{"name":"fine","inputSchema":{"type":"object","x":1.0}}"#;

/// A gateway whose server `odd` has these entries beside a good one, with another server beside it if it is not alone.
async fn with(odd: &str, persona: Persona, alone: bool, schema: Option<SchemaRule>) -> Running {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let tools = if odd.is_empty() { format!("[{FINE}]") } else { format!("[{FINE},{odd}]") };
    let (server, desk) = stand.add("odd", Over::Http, persona.listing("tools/list", &tools)).await;
    server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
    if !alone {
        stand.add("good", Over::Http, Persona::modern().tools(&["echo"])).await;
    }
    stand.upstream("odd").schema = schema;
    stand.start().await
}

/// The tools of a list, and what it says of them.
fn listed(text: &str) -> (Vec<&str>, Vec<(&str, String)>) {
    let tools = json::elements(json::at(text, &["result", "tools"]).unwrap());
    let said = ["dev.portolan/repaired", "dev.portolan/left-out"].into_iter().flat_map(|member| {
        let each = json::at(text, &["result", "_meta", member]).map(json::elements).unwrap_or_default();
        each.into_iter().map(move |one| {
            let part = |name| json::plain(json::at(one, &[name]).unwrap());
            (
                member,
                format!(
                    "{} {:?}: {}",
                    part("server"),
                    part("name"),
                    json::unescaped(json::at(one, &["why"]).unwrap())
                ),
            )
        })
    });
    (tools, said.collect())
}

async fn tools(door: &mut Door) -> String {
    let body = door.body("1", "tools/list", r#""x":0"#, "");
    door.response(&body).await
}

#[tokio::test(start_paused = true)]
async fn an_odd_tool_among_several_servers_is_mended_for_every_client() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let running = with(r#"{"name":"t","description":null}"#, persona, false, None).await;
        for kind in Kind::ALL {
            let text = tools(&mut Door::open(kind, &running).await).await;
            let (tools, said) = listed(&text);
            assert_eq!(tools.len(), 3, "{kind:?} {text}");
            assert!(
                tools[1].contains(r#""inputSchema":{"type":"object"}"#) && !tools[1].contains("description"),
                "{text}"
            );
            assert!(tools[0].contains(r#""inputSchema":{"type":"object","x":1.0}"#), "{text}");
            let why = r#"odd "t": inputSchema: missing ({"type":"object"})"#;
            assert_eq!(said, [("dev.portolan/repaired", why.to_owned())]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_mended_is_left_out_and_the_rest_is_there() {
    let odd = r#"null,{"inputSchema":{"type":"object"}},{"name":7},{"name":"s","inputSchema":"object"}"#;
    let running = with(odd, Persona::legacy(), false, None).await;
    let text = ask::modern(&running.client, "tools/list", "").await.response().await;
    let (tools, said) = listed(&text);
    assert_eq!(tools.len(), 2, "{text}");
    let said: Vec<_> = said
        .into_iter()
        .map(|(member, text)| {
            assert_eq!(member, "dev.portolan/left-out");
            text
        })
        .collect();
    assert_eq!(
        said,
        [
            r#"odd "": it is null, not an object"#,
            r#"odd "": it has no name"#,
            r#"odd "": name: a number, not a string"#,
            r#"odd "s": inputSchema: a string, not a schema"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_schema_of_results_is_what_the_client_of_a_revision_knows() {
    let odd = r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}"#;
    let running = with(odd, Persona::legacy(), false, None).await;
    let text = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(text.contains(r#""outputSchema":{"type":"array"}"#), "{text}");
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let text = tools(&mut Door::open_at(Kind::LegacyHttp, &running, "{}", revision).await).await;
        assert!(!text.contains("outputSchema\":"), "{text}");
        assert!(text.contains("its type is not \\\"object\\\""), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rule_of_a_server_decides_and_alone_it_is_passed_on() {
    let odd = r#"{"name":"t","inputSchema":{ }}"#;
    let mended = r#""inputSchema":{"type":"object" }"#;
    for (alone, schema, shown, said) in [
        (true, None, Some(odd), None),
        (true, Some(SchemaRule::Pass), Some(odd), None),
        (false, Some(SchemaRule::Pass), Some("\"inputSchema\":{ }"), None),
        (true, Some(SchemaRule::Repair), Some(mended), Some("dev.portolan/repaired")),
        (false, Some(SchemaRule::Drop), None, Some("dev.portolan/left-out")),
        (true, Some(SchemaRule::Drop), None, Some("dev.portolan/left-out")),
    ] {
        let running = with(odd, Persona::legacy(), alone, schema).await;
        let text = ask::modern(&running.client, "tools/list", "").await.response().await;
        let (tools, why) = listed(&text);
        let what = format!("{alone} {schema:?} {text}");
        match shown {
            Some(shown) => assert!(tools[1].contains(shown), "{what}"),
            None => assert_eq!(tools.len(), 2 - usize::from(alone), "{what}"),
        }
        assert_eq!(why.first().map(|(member, _)| *member), said, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_revision_allows_is_not_touched() {
    let fine = r#"{"name":"t", "inputSchema":{"type":"object","properties":{"a":true}},"outputSchema":{"anyOf":[1e2]}, "x":12345678901234567890}"#;
    let running = with(fine, Persona::modern(), false, None).await;
    let text = ask::modern(&running.client, "tools/list", "").await.response().await;
    let (tools, said) = listed(&text);
    assert_eq!(tools[1], fine.replace("\"t\"", "\"odd__t\""));
    assert_eq!(said, []);
}

/// One server's list that is none takes nobody else's away; where it is only nothing, it is empty, and that is said.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_no_list_is_its_servers_trouble() {
    for (result, degraded) in [
        ("{}", false),
        (r#"{"tools":null}"#, false),
        (r#"{"tools":{}}"#, false),
        (r#"{"tools":{"echo":{}}}"#, true),
        (r#"{"tools":"none"}"#, true),
        ("null", true),
        ("[1]", true),
    ] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) = stand.add("odd", Over::Http, Persona::legacy().scripted(&["tools/list"])).await;
        server.answer_all(desk, move |asked| async move { asked.result(result).await });
        stand.add("good", Over::Http, Persona::modern().tools(&["echo"])).await;
        let running = stand.start().await;
        let text = ask::modern(&running.client, "tools/list", "").await.response().await;
        let (tools, said) = listed(&text);
        assert_eq!(tools.len(), 1, "{result}: {text}");
        let missing = json::at(&text, &["result", "_meta", "dev.portolan/degraded"]);
        assert_eq!(missing.is_some(), degraded, "{result}: {text}");
        assert_eq!(said.is_empty(), degraded, "{result}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_oddity_is_counted_once_however_often_the_list_is_read() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let odd = r#"[{"name":"t"},{"name":"t"},null]"#;
    stand.add("odd", Over::Http, Persona::legacy().listing("tools/list", odd)).await;
    stand.add("good", Over::Http, Persona::modern()).await;
    let address = Address::Tcp("127.0.0.1".to_owned(), 9_000);
    stand.plan.admin = Some(address.clone());
    let network = Arc::clone(&stand.network);
    let running = stand.start().await;
    for _ in 0..3 {
        ask::modern(&running.client, "tools/list", "").await.response().await;
    }
    let admin = Client::new(network, address);
    let text = admin.send(&admin.request("GET /metrics", &[], b"")).await.body().await;
    for line in [
        r#"portolan_odd_entries_total{upstream="odd",done="repaired"} 1"#,
        r#"portolan_odd_entries_total{upstream="odd",done="left_out"} 2"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn prompts_and_resources_are_mended_too() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::legacy()
        .able(r#"{"tools":{},"prompts":{},"resources":{}}"#)
        .listing("prompts/list", r#"[{"name":"p","arguments":null},null]"#)
        .listing("resources/list", r#"[{"uri":"a:b","size":null},{"name":"n"}]"#)
        .listing("resources/templates/list", r#"[{"uriTemplate":"a:{b}"}]"#);
    stand.add("odd", Over::Http, persona).await;
    stand.add("good", Over::Http, Persona::modern()).await;
    let running = stand.start().await;
    for (method, entries) in [
        ("prompts/list", r#""prompts":[{"name":"odd__p"}]"#),
        ("resources/list", r#""resources":[{"name":"a:b","uri":"a:odd__b"}]"#),
        ("resources/templates/list", r#""resourceTemplates":[{"name":"a:{b}","uriTemplate":"a:odd__{b}"}]"#),
    ] {
        let text = ask::modern(&running.client, method, "").await.response().await;
        assert!(text.contains(entries), "{text}");
    }
}
