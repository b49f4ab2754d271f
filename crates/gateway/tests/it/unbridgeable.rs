//! What cannot be carried between the eras at all, row by row: what each side is told, or what happens
//! instead.

use std::sync::Arc;
use std::time::Duration;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::ask;
use crate::asking::{ALL, Asks, FORM, MODERN, Scene, TOOL, again, first, refusal};
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

async fn before(over: Over, persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    (running, server, desk)
}

fn error(text: &str) -> (&str, &str) {
    let at = |name| json::at(text, &["error", name]).unwrap();
    (at("code"), json::plain(at("message")))
}

/// 1. A server's request that belongs to no call has no modern client to go to: the server is told why.
#[tokio::test(start_paused = true)]
async fn row_1_unsolicited_requests_of_servers_are_refused() {
    for asks in [Asks::OnTheSessions, Asks::InLines] {
        let mut scene = Scene::legacy(asks).await;
        let call = first(scene.door(Kind::ModernHttp).await);
        let mut serving = scene.call(asks).await;
        serving.answer("{}").await;
        call.await.unwrap();
        serving.ask("\"late\"", FORM).await;
        let refused = scene.answer().await;
        assert_eq!(refused.id(), Some("\"late\""));
        let (code, text) = error(refused.text());
        assert_eq!(code, "-32602", "{asks:?}");
        assert!(
            text.ends_with("it belongs to no call of a client, and no client listens"),
            "{asks:?}: {text}"
        );
    }
    // Where no client could be asked anything, the method is unknown.
    let persona = Persona::legacy().scripted(&["response"]);
    for (over, persona) in [(Over::Http, persona.clone().with_stream()), (Over::Stdio, persona)] {
        let (_running, server, mut desk) = before(over, persona).await;
        server.listened_to(1).await;
        server.tell_raw(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}"#).await;
        let refused = desk.asked("response").await;
        assert_eq!(
            error(refused.seen.text()),
            ("-32601", "tasks/get: no client has such a method"),
            "{over:?}"
        );
        refused.accepted().await;
    }
}

/// 2. A modern server's stream that breaks is over: nobody asks for the rest, and the client hears that its call broke off.
#[tokio::test(start_paused = true)]
async fn row_2_a_modern_servers_stream_cannot_be_resumed() {
    for kind in Kind::ALL {
        let (running, server, mut desk) = before(Over::Http, Persona::modern()).await;
        let call = first(Door::open(kind, &running).await);
        let mut stream = desk.asked("tools/call").await.stream().await;
        stream.raw(b"id: e1\nretry: 1\ndata: \n\n").await;
        stream.abort();
        let (_, text) = call.await.unwrap();
        assert_eq!(refusal(&text), ("-31520", "upstream_broke_off"), "{text}");
        let told = r#"upstream \"up\" broke off before it answered; it may have done what was asked"#;
        assert_eq!(error(&text).1, told);
        assert_eq!((server.seen_of("GET").len(), server.seen_of("tools/call").len()), (0, 1));
    }
}

/// 3. A legacy server may list other things in each session. All clients of a principal that can be asked the same share one,
/// so that a list does not depend on the connection; and nobody else is given it.
#[tokio::test(start_paused = true)]
async fn row_3_lists_are_those_of_the_principals_one_session() {
    for kind in MODERN {
        let (running, server, _desk) = before(Over::Http, Persona::legacy().tools(&["t"])).await;
        for capabilities in ["{}", ALL, ALL, "{}"] {
            let mut door = Door::open_with(kind, &running, capabilities).await;
            let text = door.response(&door.body("1", "tools/list", "", "").replace("{,", "{")).await;
            assert_eq!(json::at(&text, &["result", "cacheScope"]), Some("\"private\""), "{text}");
        }
        let listed = server.seen_of("tools/list");
        let last: Vec<_> =
            listed.iter().rev().take(4).map(|seen| seen.header("mcp-session-id").unwrap()).collect();
        assert!(last[0] == last[3] && last[1] == last[2] && last[0] != last[1], "{last:?}");
    }
}

/// 4. No client runs tasks for a server: none is advertised, whatever the client says of itself.
#[tokio::test(start_paused = true)]
async fn row_4_clients_run_no_tasks_for_servers() {
    let tasks = r#"{"roots":{},"tasks":{"requests":{"sampling":{"createMessage":{}}}}}"#;
    for over in [Over::Http, Over::Stdio] {
        for persona in [Persona::legacy(), Persona::modern()] {
            for kind in [Kind::LegacyHttp, Kind::LegacyStdio] {
                let (running, server, mut desk) = before(over, persona.clone()).await;
                let call = first(Door::open_with(kind, &running, tasks).await);
                let asked = desk.asked("tools/call").await;
                let meta = ["params", "_meta", "io.modelcontextprotocol/clientCapabilities"];
                let told = json::at(asked.seen.text(), &meta).map(str::to_owned);
                asked.result("{}").await;
                call.await.unwrap();
                let opened = server.seen_of("initialize");
                let opened = opened.iter().map(|seen| seen.param("capabilities").unwrap().to_owned());
                let told: Vec<_> = told.into_iter().chain(opened).collect();
                assert!(told.iter().any(|set| set.contains("roots")), "{told:?}");
                assert!(!told.iter().any(|set| set.contains("tasks")), "{told:?}");
            }
        }
    }
}

/// 5. What a legacy server keeps by session it keeps by principal: conversations of one principal share it, and it is lost
/// with the session, silently, as the server lost it.
#[tokio::test(start_paused = true)]
async fn row_5_conversations_of_a_principal_share_a_legacy_session() {
    let mut scene = Scene::legacy(Asks::OnItsStream).await;
    let mut sessions = Vec::new();
    for n in 0..4 {
        if n == 3 {
            scene.server.forget_sessions();
        }
        let call = first(scene.door(MODERN[n % 2]).await);
        let asked = loop {
            let asked = scene.desk.asked("tools/call").await;
            if !scene.server.has_lost_session(&asked) {
                break asked;
            }
            asked.respond(404, "text/plain", &[], b"no such session").await;
        };
        sessions.push(asked.seen.header("mcp-session-id").unwrap().to_owned());
        asked.result("{}").await;
        assert!(call.await.unwrap().1.contains("complete"));
    }
    assert!(sessions[0] == sessions[1] && sessions[1] == sessions[2], "{sessions:?}");
    assert_ne!(sessions[2], sessions[3]);
}

/// 6. With the result that names a task, progress of its call has ended: there is no more of it.
#[tokio::test(start_paused = true)]
async fn row_6_a_task_has_no_progress() {
    let task = r#"{"resultType":"task","taskId":"x","status":"working"}"#;
    let extension = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    let (running, _server, mut desk) = before(Over::Stdio, Persona::modern()).await;
    let mut door = Door::open_with(Kind::ModernStdio, &running, extension).await;
    let mut call = door.begin(&door.body("1", "tools/call", TOOL, r#""progressToken":"p""#)).await;
    let asked = desk.asked("tools/call").await;
    let id = asked.seen.id().unwrap().to_owned();
    let mut stream = asked.stream().await;
    stream.progress("1").await;
    assert!(door.next(&mut call).await.unwrap().contains("\"p\""));
    stream.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{task}}}"#)).await;
    assert!(door.next(&mut call).await.unwrap().contains("taskId"));
    stream.progress("2").await;
    let call = again(door, TOOL.to_owned());
    desk.asked("tools/call").await.result(r#"{"resultType":"complete"}"#).await;
    let (_, text) = call.await.unwrap();
    assert!(text.contains("complete"), "{text}");
    // And to whoever has not declared tasks none is given.
    for capabilities in ["{}", ALL] {
        let call = first(Door::open_with(Kind::ModernHttp, &running, capabilities).await);
        desk.asked("tools/call").await.result(task).await;
        let (_, text) = call.await.unwrap();
        assert_eq!(refusal(&text), ("-31502", "upstream_invalid_answer"), "{text}");
    }
}

/// 7. What a legacy server logs outside a call is in no modern client's reach, and is left out.
#[tokio::test(start_paused = true)]
async fn row_7_log_messages_outside_a_call_are_left_out() {
    let able = r#"{"logging":{},"tools":{"listChanged":true}}"#;
    let persona = Persona::legacy().able(able);
    for (over, persona) in [(Over::Http, persona.clone().with_stream()), (Over::Stdio, persona)] {
        let (running, server, mut desk) = before(over, persona).await;
        server.listened_to(1).await;
        let mut stream = ask::modern(
            &running.client,
            "subscriptions/listen",
            r#""notifications":{"toolsListChanged":true}"#,
        )
        .await;
        assert!(stream.event().await.unwrap().contains("acknowledged"));
        server.tell("notifications/message", r#""level":"error","data":"x""#).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.tell("notifications/tools/list_changed", "").await;
        let told = stream.event().await.unwrap();
        assert!(told.contains("tools/list_changed"), "{over:?} {told}");
        // Within a call, it is the call's.
        let body = ask::body("1", "tools/call", r#""name":"t""#);
        let level = r#""_meta":{"io.modelcontextprotocol/logLevel":"debug","#;
        let (client, body) = (running.client.clone(), body.replace(r#""_meta":{"#, level));
        let calling = tokio::spawn(async move { ask::send(&client, &body).await });
        let mut events = desk.asked("tools/call").await.stream().await;
        events.log("info").await;
        let mut reply = calling.await.unwrap();
        assert!(reply.event().await.unwrap().contains("notifications/message"), "{over:?}");
        events.result("{}").await;
    }
}
