//! Lists show what a token is good for, and what it is not good for is refused all the same, with the scopes that it needs.

use mcp::method::Kind;
use testkit::http::Client;
use testkit::json;
use testkit::server::{Persona, ScriptedServer};

use crate::doors::{Door, Kind as Way};
use crate::protected::{Protected, member, rule, send};

const ABLE: &str = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true}}"#;

fn persona() -> Persona {
    Persona::modern()
        .able(ABLE)
        .tools(&["look", "delete.repo"])
        .listing("prompts/list", r#"[{"name":"open"},{"name":"admin"}]"#)
        .listing("resources/list", r#"[{"uri":"file:///open/x","name":"x"},{"uri":"file:///secret/x","name":"x"}]"#)
        .listing(
            "resources/templates/list",
            r#"[{"uriTemplate":"file:///open/{x}","name":"x"},{"uriTemplate":"file:///secret/{x}","name":"x"}]"#,
        )
        .fresh(60_000, "public")
}

async fn stand(servers: &[&str], page_size: Option<usize>) -> (Protected, Vec<ScriptedServer>) {
    let mut stand = Protected::with(servers, persona(), |stand| {
        stand.plan.routes[0].page_size = page_size;
        let resource = stand.resource();
        resource.hides = true;
        resource.scopes = vec![
            rule(Kind::Tool, "*delete*", "write"),
            rule(Kind::Tool, "*delete*", "admin"),
            rule(Kind::Prompt, "*admin", "admin"),
            rule(Kind::Resource, "file:///secret/*", "secrets"),
            rule(Kind::Resource, "file://a__/secret/*", "secrets"),
        ];
    })
    .await;
    let mut servers = Vec::new();
    for (server, desk) in stand.servers.split_off(0) {
        server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
        server.saw("tools/list", 1).await;
        server.listened_to(1).await;
        servers.push(server);
    }
    testkit::idle().await;
    (stand, servers)
}

fn asked(servers: &[ScriptedServer], method: &str) -> usize {
    servers.iter().map(|server| server.seen_of(method).len()).sum()
}

const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
];

/// The names in a list, of all its pages, which nobody else may be given.
async fn names(client: &Client, token: &str, (method, entries, name): (&str, &str, &str)) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), r#""x":1"#.to_owned());
    loop {
        let text = send(client, token, method, &cursor).await.response().await;
        assert!(text.contains(r#""cacheScope":"private""#), "{text}");
        let list = json::at(&text, &["result", entries]).unwrap_or_else(|| panic!("{text}"));
        names.extend(json::elements(list).iter().map(|entry| member(entry, &[name])));
        match json::at(&text, &["result", "nextCursor"]) {
            Some(next) => cursor = format!(r#""cursor":{next}"#),
            None => return names,
        }
    }
}

/// Whoever asks first, and however fresh the list is.
#[tokio::test(start_paused = true)]
async fn a_list_holds_what_its_token_is_good_for() {
    for (servers, page_size) in [(&["a"][..], None), (&["a", "b"], None), (&["a", "b"], Some(1))] {
        let (stand, theirs) = stand(servers, page_size).await;
        let client = &stand.running.client;
        let all = ["write admin secrets", "admin", "secrets", "", "write", "other", "write admin secrets"];
        for (number, scopes) in all.into_iter().enumerate() {
            // The same subject with another token is another reader.
            let token = stand.token(if number % 2 == 0 { "alice" } else { "bob" }, scopes);
            let has = |scope: &str| scopes.split(' ').any(|one| one == scope);
            for list in LISTS {
                let found = names(client, &token, list).await;
                let of_a = |name: &&String| servers.len() == 1 || name.contains("a__");
                let mine: Vec<&String> = found.iter().filter(of_a).collect();
                let shows = |part: &str| mine.iter().any(|name| name.contains(part));
                let (open, guarded, may) = match list.0 {
                    "tools/list" => ("look", "delete", has("write") && has("admin")),
                    "prompts/list" => ("open", "admin", has("admin")),
                    _ => ("open", "secret", has("secrets")),
                };
                assert!(shows(open), "{scopes} {list:?}: {found:?}");
                assert_eq!(shows(guarded), may, "{scopes} {list:?}: {found:?}");
            }
        }
        for (method, ..) in LISTS {
            // Portolan itself has declared something else, and reads the tools at the start.
            let for_all = servers.len() * if method == "tools/list" { 2 } else { 1 };
            assert_eq!(asked(&theirs, method), for_all, "a server's own pages are for all: {method}");
        }
    }
}

/// What is not shown is there: a client that knows its name hears what it needs, and may ask its user for it.
#[tokio::test(start_paused = true)]
async fn what_is_hidden_says_which_scopes_it_needs() {
    let (stand, servers) = stand(&["a", "b"], None).await;
    let client = &stand.running.client;
    let token = stand.token("alice", "write");
    for (method, params, scopes) in [
        ("tools/call", r#""name":"a__delete.repo""#, "write admin"),
        ("prompts/get", r#""name":"b__admin""#, "admin"),
        ("resources/read", r#""uri":"file://a__/secret/x""#, "secrets"),
        (
            "subscriptions/listen",
            r#""notifications":{"resourceSubscriptions":["file://a__/secret/x"]}"#,
            "secrets",
        ),
    ] {
        let reply = send(client, &token, method, params).await;
        assert_eq!(reply.status, 403, "{method}");
        let challenge = reply.header("www-authenticate").unwrap().to_owned();
        assert!(
            challenge.contains(&format!(r#"error="insufficient_scope", scope="{scopes}""#)),
            "{challenge}"
        );
    }
    for method in ["tools/call", "prompts/get", "resources/read"] {
        assert_eq!(asked(&servers, method), 0);
    }
    let able = stand.token("alice", "write admin secrets");
    let reply = send(client, &able, "tools/call", r#""name":"a__delete.repo""#).await;
    assert_eq!(reply.status, 200);
}

/// Whoever listens to all that lies below a URI hears nothing of what it may not see.
#[tokio::test(start_paused = true)]
async fn a_subscription_tells_of_what_is_shown() {
    let (stand, servers) = stand(&["a"], None).await;
    let client = &stand.running.client;
    let wants = r#""notifications":{"resourceSubscriptions":["file:///"]}"#;
    let mut streams = Vec::new();
    for scopes in ["", "secrets"] {
        let mut reply = send(client, &stand.token("alice", scopes), "subscriptions/listen", wants).await;
        let first = reply.event().await.unwrap();
        assert!(first.contains("acknowledged"), "{first}");
        streams.push(reply);
    }
    servers[0].listened_to(1).await;
    for uri in ["file:///secret/x", "file:///open/x"] {
        servers[0].tell("notifications/resources/updated", &format!(r#""uri":"{uri}""#)).await;
    }
    let next = streams[0].event().await.unwrap();
    assert!(next.contains("file:///open/x"), "{next}");
    let next = streams[1].event().await.unwrap();
    assert!(next.contains("file:///secret/x"), "{next}");
}

/// A legacy client's stream goes by the token with which the client came last: one session may see several, and a stream goes on.
#[tokio::test(start_paused = true)]
async fn a_sessions_stream_goes_by_the_last_token() {
    let (stand, servers) = stand(&["a"], None).await;
    let client = &stand.running.client;
    let (less, more) = (stand.token("alice", ""), stand.token("alice", "secrets"));
    let post = async |token: &str, session: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend((!session.is_empty()).then_some(("mcp-session-id", session)));
        client.post(&headers, body.as_bytes()).await
    };
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let session = post(&less, "", hello).await.header("mcp-session-id").unwrap().to_owned();
    let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(post(&less, &session, ready).await.status, 202);
    let get = async |token: &str, last: Option<&str>| {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str()), ("mcp-session-id", &session)];
        headers.push(("accept", "text/event-stream"));
        headers.extend(last.map(|last| ("last-event-id", last)));
        client.send(&client.request("GET /mcp", &headers, b"")).await
    };
    let mut stream = get(&less, None).await;
    let subscribe = |uri: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{"uri":"{uri}"}}}}"#)
    };
    assert_eq!(post(&less, &session, &subscribe("file:///secret/x")).await.status, 403);
    for uri in ["file:///secret/x", "file:///open/x"] {
        let answer = post(&more, &session, &subscribe(uri)).await.response().await;
        assert!(answer.contains(r#""result""#), "{answer}");
    }
    let told = async |stream: &mut testkit::http::Reply| loop {
        let piece = stream.piece().await.unwrap().unwrap();
        if let testkit::http::Piece::Event { id, data, .. } = piece
            && data.contains("updated")
        {
            break (id.unwrap(), data);
        }
    };
    let tell = async || {
        for uri in ["file:///secret/x", "file:///open/x"] {
            servers[0].tell("notifications/resources/updated", &format!(r#""uri":"{uri}""#)).await;
        }
    };
    testkit::idle().await;
    tell().await;
    assert!(told(&mut stream).await.1.contains("file:///secret/x"));
    let (mut last, open) = told(&mut stream).await;
    assert!(open.contains("file:///open/x"));
    drop(stream);
    // However it comes back to it.
    for (token, resumes, first) in [(&less, true, "open"), (&more, true, "secret"), (&less, false, "open")] {
        let mut stream = get(token, resumes.then_some(last.as_str())).await;
        assert_eq!(stream.status, 200);
        testkit::idle().await;
        tell().await;
        let mut event = told(&mut stream).await;
        assert!(event.1.contains(&format!("file:///{first}/x")), "{first}: {event:?}");
        while !event.1.contains("file:///open/x") {
            event = told(&mut stream).await;
        }
        last = event.0;
    }
}

/// Who starts Portolan may read its configuration: over stdio nobody is asked, and nothing is left out or refused.
#[tokio::test(start_paused = true)]
async fn over_stdio_no_scopes_are_asked_for() {
    let (stand, servers) = stand(&["a"], None).await;
    for kind in [Way::ModernStdio, Way::LegacyStdio] {
        let mut door = Door::open(kind, &stand.running).await;
        for (number, (method, entries, name)) in LISTS.into_iter().enumerate() {
            let text = door.response(&door.body(&number.to_string(), method, r#""x":1"#, "")).await;
            let list = json::at(&text, &["result", entries]).unwrap_or_else(|| panic!("{text}"));
            let names: Vec<_> = json::elements(list).iter().map(|entry| member(entry, &[name])).collect();
            assert_eq!(names.len(), 2, "{kind:?} {method}: {names:?}");
        }
        for (id, method, params) in [
            ("7", "tools/call", r#""name":"delete.repo""#),
            ("8", "prompts/get", r#""name":"admin""#),
            ("9", "resources/read", r#""uri":"file:///secret/x""#),
        ] {
            let text = door.response(&door.body(id, method, params, "")).await;
            assert!(text.contains(r#""result""#), "{kind:?} {method}: {text}");
        }
    }
    for method in ["tools/call", "prompts/get", "resources/read"] {
        assert_eq!(asked(&servers, method), 2, "{method}");
    }
}
