//! Who holds what, at which replica: whatever one principal was given is worthless to every other, and to nobody, at each
//! replica; and good for its owner at each, so that it was not worthless to all.

use std::time::SystemTime;

use crate::protected::{Issuer, resource};

use super::*;

/// `_meta` of a client that can be asked and knows tasks.
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}},"elicitation":{"form":{}}}}"#;
const FORM: &str = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}}"#;

/// Two issuers that say the same of different people.
struct Issuers {
    company: Issuer,
    other: Issuer,
    /// What the replicas' clocks say.
    now: SystemTime,
}

/// Somebody, by the token that it shows.
#[derive(Clone)]
struct Person {
    who: &'static str,
    token: Option<String>,
}

impl Issuers {
    fn new() -> Self {
        let (company, other) = (Issuer::new("https://id.example"), Issuer::new("https://id.example/other"));
        Self { company, other, now: testkit::clock::WallClock::default().now() }
    }

    fn protect(&self, stand: &mut Stand) {
        stand.plan.issuers = vec![self.company.plan("company"), self.other.plan("other")];
        stand.plan.routes[0].resource = Some(resource(&["company", "other"]));
    }

    fn alice(&self) -> Person {
        Person { who: "alice", token: Some(self.company.token("alice", "", self.now)) }
    }

    /// All who are not her: somebody else, her namesake of another issuer, and nobody.
    fn others(&self) -> [Person; 3] {
        [
            Person { who: "bob", token: Some(self.company.token("bob", "", self.now)) },
            Person { who: "another alice", token: Some(self.other.token("alice", "", self.now)) },
            Person { who: "nobody", token: None },
        ]
    }
}

impl Person {
    async fn send(&self, at: &One, line: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = headers.to_vec();
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let client = at.client();
        client.send(&client.request(line, &headers, body.as_bytes())).await
    }

    async fn post(&self, at: &One, headers: &[(&str, &str)], body: &str) -> Reply {
        let json = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        self.send(at, "POST /mcp", &[headers, &json].concat(), body).await
    }

    /// A modern request.
    async fn ask(&self, at: &One, method: &str, params: &str) -> Reply {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{META}}}}}"#);
        let mirrored = ask::mirrored(&body);
        let headers: Vec<_> = mirrored.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post(at, &headers, &body).await
    }

    async fn open_session(&self, at: &One) -> String {
        let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
        self.post(at, &[], hello).await.header("mcp-session-id").unwrap().to_owned()
    }

    async fn ping(&self, at: &One, session: &str) -> u16 {
        let body = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
        self.post(at, &[("mcp-session-id", session)], body).await.status
    }

    async fn get(&self, at: &One, session: &str, last: Option<&str>) -> Reply {
        let mut headers = vec![("mcp-session-id", session), ("accept", "text/event-stream")];
        headers.extend(last.map(|id| ("last-event-id", id)));
        self.send(at, "GET /mcp", &headers, "").await
    }

    /// What a session that is not its own is: nothing, or nobody is told what it is.
    fn refused(&self) -> u16 {
        if self.token.is_some() { 404 } else { 401 }
    }
}

/// The next event that says something: its id and its data.
async fn event(reply: &mut Reply) -> (String, String) {
    loop {
        match reply.piece().await.unwrap().unwrap() {
            testkit::http::Piece::Event { id, data, .. } if !data.is_empty() => {
                return (id.unwrap_or_default(), data);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_session_and_its_events_are_its_owners_alone() {
    let (issuers, mut fleet) = (Issuers::new(), Fleet::new(Persona::modern()).await);
    let one = fleet.start_with(|stand| issuers.protect(stand)).await;
    let two = fleet.start_with(|stand| issuers.protect(stand)).await;
    let mut desk = fleet.desk();
    let alice = issuers.alice();
    let session = alice.open_session(&one).await;
    let call = r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","_meta":{"progressToken":"p"}}}"#;
    let with_session = [("mcp-session-id", session.as_str())];
    let (mut reply, events) = tokio::join!(alice.post(&one, &with_session, call), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.progress("1").await;
        events.progress("2").await;
        events
    });
    let (last, _) = event(&mut reply).await;

    for thief in issuers.others() {
        let own = if thief.token.is_some() { Some(thief.open_session(&two).await) } else { None };
        for at in [&one, &two] {
            let who = thief.who;
            assert_eq!(thief.ping(at, &session).await, thief.refused(), "{who}: ping");
            for id in [None, Some(&*last)] {
                assert_eq!(thief.get(at, &session, id).await.status, thief.refused(), "{who}: GET {id:?}");
            }
            let delete = thief.send(at, "DELETE /mcp", &with_session, "").await;
            assert_eq!(delete.status, thief.refused(), "{who}: DELETE");
            let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}"#;
            let cancelled = thief.post(at, &with_session, cancel).await;
            assert_eq!(cancelled.status, thief.refused(), "{who}: cancelled");
            // Nor in a session of its own.
            if let Some(own) = &own {
                assert_eq!(thief.get(at, own, Some(&last)).await.status, 400, "{who}: an event of hers");
                assert_eq!(thief.post(at, &[("mcp-session-id", own)], cancel).await.status, 202);
            }
        }
    }
    assert!(!events.is_gone(), "nobody has cancelled it");
    drop(reply);
    for at in [&one, &two] {
        assert_eq!(alice.ping(at, &session).await, 200);
        let mut rest = alice.get(at, &session, Some(&last)).await;
        assert_eq!(rest.status, 200);
        assert!(event(&mut rest).await.1.contains(r#""progress":2"#));
    }
    drop(events);
}

#[tokio::test]
async fn a_suspended_call_is_its_owners_alone() {
    let (issuers, mut fleet) = (Issuers::new(), Fleet::new(Persona::legacy().scripted(&["response"])).await);
    let one = fleet.start_with(|stand| issuers.protect(stand)).await;
    let two = fleet.start_with(|stand| issuers.protect(stand)).await;
    let mut desk = fleet.desk();
    let (alice, params) = (issuers.alice(), r#""name":"t","arguments":{},"#);
    let (reply, mut events) = tokio::join!(alice.ask(&one, "tools/call", params), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.message(FORM).await;
        events
    });
    let asked = reply.response().await;
    let state = json::at(&asked, &["result", "requestState"]).unwrap();
    let key = json::at(&asked, &["result", "inputRequests"]).unwrap().split('"').nth(1).unwrap();
    let answered = format!(
        r#"{params}"requestState":{state},"inputResponses":{{"{key}":{{"action":"accept","content":{{"x":1}}}}}},"#
    );
    for thief in issuers.others() {
        for at in [&one, &two] {
            let reply = thief.ask(at, "tools/call", &answered).await;
            if thief.token.is_none() {
                assert_eq!(reply.status, 401);
            } else {
                assert_eq!(reason(&reply.response().await), "\"request_state\"", "{}", thief.who);
            }
        }
    }
    assert!(fleet.server.seen_of("response").is_empty(), "the server has heard nobody");
    let (reply, ()) = tokio::join!(alice.ask(&two, "tools/call", &answered), async {
        desk.asked("response").await.accepted().await;
        events.progress("1").await;
        events.result(r#"{"content":[]}"#).await;
    });
    let done = reply.response().await;
    assert!(json::at(&done, &["result", "content"]).is_some(), "{done}");
    assert_eq!(fleet.server.seen_of("tools/call").len(), 1);
}

#[tokio::test]
async fn a_state_a_task_and_a_list_are_their_owners_alone() {
    const ABLE: &str = r#"{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    const TASK: &str = r#"{"resultType":"task","taskId":"its","status":"working","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z","ttlMs":null}"#;
    const WANTS: &str = r#"{"resultType":"input_required","requestState":"its","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{}}}}}}"#;
    let issuers = Issuers::new();
    let persona = Persona::modern().able(ABLE).tools(&["t", "u"]).fresh(600_000, "private");
    let mut fleet = Fleet::new(persona).await;
    let one = fleet.start_with(|stand| issuers.protect(stand)).await;
    let two = fleet.start_with(|stand| issuers.protect(stand)).await;
    let mut desk = fleet.desk();
    let (alice, params) = (issuers.alice(), r#""name":"t","arguments":{},"#);
    let mut given = Vec::new();
    for (result, member) in [(TASK, "taskId"), (WANTS, "requestState")] {
        let (reply, ()) = tokio::join!(alice.ask(&one, "tools/call", params), async {
            desk.asked("tools/call").await.result(result).await;
        });
        let text = reply.response().await;
        given.push(json::at(&text, &["result", member]).unwrap_or_else(|| panic!("{text}")).to_owned());
    }
    let (task, state) = (&given[0], &given[1]);
    let retry = |state: &str| {
        format!(
            r#"{params}"requestState":{state},"inputResponses":{{"k":{{"action":"accept","content":{{}}}}}},"#
        )
    };
    // A private list is read for each of them.
    alice.ask(&one, "tools/list", "").await.response().await;
    let lists = fleet.server.seen_of("tools/list").len();
    alice.ask(&one, "tools/list", "").await.response().await;
    assert_eq!(fleet.server.seen_of("tools/list").len(), lists, "her own is fresh");

    for thief in issuers.others() {
        let who = thief.who;
        for at in [&one, &two] {
            for (method, params) in [
                ("tasks/get", format!(r#""taskId":{task},"#)),
                ("tasks/get", r#""taskId":"its","#.to_owned()),
                ("tasks/cancel", format!(r#""taskId":{task},"#)),
                ("tools/call", retry(state)),
                ("tools/call", retry("\"its\"")),
            ] {
                let reply = thief.ask(at, method, &params).await;
                let status = reply.status;
                let text = reply.response().await;
                assert!(text.contains(r#""error""#) || status == 401, "{who}, {method} {params}: {text}");
            }
        }
        let before = fleet.server.seen_of("tools/list").len();
        let page = thief.ask(&one, "tools/list", "").await;
        if thief.token.is_none() {
            assert_eq!(page.status, 401);
            continue;
        }
        page.response().await;
        assert!(
            fleet.server.seen_of("tools/list").len() > before,
            "{who} gets nothing that was read for her"
        );
    }
    for method in ["tasks/get", "tasks/cancel"] {
        assert!(fleet.server.seen_of(method).is_empty(), "the server has heard nobody");
    }
    assert_eq!(fleet.server.seen_of("tools/call").len(), 2);
    for at in [&one, &two] {
        let about = format!(r#""taskId":{task},"#);
        let (reply, ()) = tokio::join!(alice.ask(at, "tasks/get", &about), async {
            let asked = desk.asked("tasks/get").await;
            assert_eq!(asked.seen.param("taskId"), Some("\"its\""));
            asked.result(TASK).await;
        });
        assert_eq!(json::at(&reply.response().await, &["result", "taskId"]), Some(task.as_str()));
        let again = retry(state);
        let (reply, ()) = tokio::join!(alice.ask(at, "tools/call", &again), async {
            let asked = desk.asked("tools/call").await;
            assert_eq!(asked.seen.param("requestState"), Some("\"its\""));
            asked.result(r#"{"resultType":"complete","content":[]}"#).await;
        });
        assert_eq!(reply.status, 200);
    }
}
