//! What stands between Portolan and a server over HTTP: redirects within its origin, balancers that stick by cookies, firewalls, and
//! those who compress what nobody wants compressed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::plan::{Reach, SessionRule};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Desk, Persona, ScriptedServer, Seen};
use transport::http::client::{Destination, Proxy};

use crate::ask;
use crate::doors::{Door, Kind};
use crate::failures::{OK, call, reason, with};
use crate::stand::{Over, Running, Stand};

async fn redirect(asked: Asked, status: u16, location: &str) {
    asked.respond(status, "", &[("location", location)], b"").await;
}

/// A gateway before a server all of whose requests come to the test.
async fn scripted(persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = persona.scripted(&["server/discover", "initialize", "tools/call", "GET", "DELETE"]);
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    (stand.start().await, server, desk)
}

const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;

const INITIALIZED: &str =
    r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#;

#[tokio::test(start_paused = true)]
async fn a_redirect_within_the_origin_is_followed_and_remembered() {
    for status in [307, 308] {
        let (running, server, mut desk) = scripted(Persona::modern()).await;
        redirect(desk.asked("server/discover").await, status, "/mcp/").await;
        let asked = desk.asked("server/discover").await;
        assert_eq!(asked.seen.line, "POST /mcp/");
        asked.result(DISCOVERED).await;
        running.gateway.settled().await;
        for _ in 0..2 {
            let answered = call(&running, "t");
            let asked = desk.asked("tools/call").await;
            assert_eq!(asked.seen.line, "POST /mcp/");
            asked.result(OK).await;
            assert_eq!(reason(&answered.await.unwrap()), None);
        }
        // It goes on when that comes later, and when it moves again.
        let answered = call(&running, "t");
        redirect(desk.asked("tools/call").await, 307, "/elsewhere?x=1").await;
        while desk.asked("tools/call").await.seen.line != "POST /mcp" {}
        drop(answered);
        assert!(server.seen_of("tools/call").len() >= 4);
    }
}

/// Some redirect calls alone: what is answered meanwhile where the server is configured changes nothing about that.
#[tokio::test(start_paused = true)]
async fn a_redirect_of_some_requests_only_is_followed() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let methods = ["server/discover", "tools/call", "prompts/get"];
    let (_server, mut desk) = stand.add("up", Over::Http, Persona::modern().scripted(&methods)).await;
    let running = stand.start().await;
    desk.asked("server/discover").await.result(DISCOVERED).await;
    running.gateway.settled().await;
    let answered = call(&running, "t");
    redirect(desk.asked("tools/call").await, 307, "/mcp/").await;
    for _ in 0..2 {
        let client = running.client.clone();
        let other = tokio::spawn(async move { ask::modern(&client, "prompts/get", r#""name":"p""#).await });
        desk.asked("prompts/get").await.result(OK).await;
        other.await.unwrap();
        let asked = desk.asked("tools/call").await;
        if asked.seen.line == "POST /mcp/" {
            asked.result(OK).await;
            break;
        }
        redirect(asked, 307, "/mcp/").await;
    }
    assert_eq!(reason(&answered.await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_that_is_not_followed_is_named_with_what_to_write() {
    let (running, _server, mut desk) = scripted(Persona::modern()).await;
    desk.asked("server/discover").await.result(DISCOVERED).await;
    running.gateway.settled().await;
    for (status, location, named) in [
        (301, "/mcp/", "/mcp/"),
        (302, "https://login.example/?state=secret", "https://login.example/?…"),
        (303, "/done", "/done"),
        (307, "http://10.0.0.5:8080/mcp", "http://10.0.0.5:8080/mcp"),
        (308, "//evil.example/mcp", "//evil.example/mcp"),
    ] {
        let refused = call(&running, "t");
        redirect(desk.asked("tools/call").await, status, location).await;
        let text = refused.await.unwrap();
        assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
        assert!(
            text.contains(named) && text.contains(&format!("HTTP {status}")) && text.contains("url ="),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_that_go_round_end() {
    let (running, server, desk) = scripted(Persona::modern()).await;
    server.answer_all(desk, |asked| redirect(asked, 307, "/mcp"));
    let text = call(&running, "t").await.unwrap();
    assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
    assert!(text.contains("again and again"), "{text}");
    assert_eq!(server.seen_of("server/discover").len() % 6, 0);
}

#[tokio::test(start_paused = true)]
async fn a_servers_own_redirects_are_followed_over_http_sse_too() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, mut desk) =
        stand.add("up", Over::Http, Persona::legacy().scripted(&["initialize", "GET", "DELETE"])).await;
    let running = stand.start().await;
    let answered = call(&running, "t");
    let asked = desk.asked("initialize").await;
    asked.result_with(&[("mcp-session-id", "s-1")], INITIALIZED).await;
    redirect(desk.asked("GET").await, 307, "/mcp/").await;
    let listens = desk.asked("GET").await;
    assert_eq!(
        (listens.seen.line.as_str(), listens.seen.header("mcp-session-id")),
        ("GET /mcp/", Some("s-1"))
    );
    listens.respond(405, "", &[], b"").await;
    desk.asked("tools/call").await.result(OK).await;
    assert_eq!(reason(&answered.await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn every_request_says_who_we_are_and_wants_no_encoding() {
    let (running, server, mut desk, ..) = with(Persona::legacy().with_stream()).await;
    let answered = call(&running, "t");
    desk.asked("tools/call").await.result(OK).await;
    answered.await.unwrap();
    for seen in server.seen() {
        let agent = seen.header("user-agent").unwrap_or_default();
        assert!(agent.starts_with("portolan/"), "{seen:?}");
        assert_eq!(seen.header("accept-encoding"), Some("identity"), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_configured_user_agent_is_sent_instead() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let Reach::Http(reach) = &mut stand.upstream("up").reach else { panic!() };
    reach.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static("own/1")));
    let running = stand.start().await;
    let answered = call(&running, "t");
    desk.asked("tools/call").await.result(OK).await;
    answered.await.unwrap();
    assert!(server.seen().iter().all(|seen| seen.header("user-agent") == Some("own/1")));
}

#[tokio::test(start_paused = true)]
async fn a_body_in_an_encoding_is_named() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    for media in ["application/json", "text/event-stream"] {
        let refused = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        asked.respond(200, media, &[("content-encoding", "gzip")], b"\x1f\x8b\x08\0").await;
        let text = refused.await.unwrap();
        assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{text}");
        assert!(text.contains("Content-Encoding: gzip"), "{text}");
    }
}

/// Each session has the cookies that were set in it, and nobody else's; clients neither see nor send any.
#[tokio::test(start_paused = true)]
async fn cookies_come_back_in_their_own_session() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = Persona::legacy().scripted(&["server/discover", "initialize"]);
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    stand.upstream("up").sessions = SessionRule::PerClient;
    let opened = AtomicUsize::new(0);
    server.answer_all(desk, move |asked| {
        let session = match asked.seen.header("mcp-session-id") {
            Some(session) => session.to_owned(),
            None => format!("s-{}", opened.fetch_add(1, Ordering::Relaxed)),
        };
        async move {
            match asked.seen.method().as_str() {
                "server/discover" => {
                    asked.respond(404, "text/plain", &[("set-cookie", "probe=1; Path=/")], b"no").await;
                }
                "initialize" => {
                    let cookie = format!("AWSALB={session}; Path=/; HttpOnly");
                    asked
                        .result_with(&[("mcp-session-id", &session), ("set-cookie", &cookie)], INITIALIZED)
                        .await;
                }
                _ => {
                    let cookie = format!("AWSALB={session}-again; Path=/");
                    asked.result_with(&[("set-cookie", &cookie)], r#"{"content":[]}"#).await;
                }
            }
        }
    });
    let running = stand.start().await;
    for _ in 0..3 {
        let mut door = Door::open(Kind::LegacyHttp, &running).await;
        for _ in 0..2 {
            let body = door.body("1", "tools/call", r#""name":"t""#, "");
            assert!(door.response(&body).await.contains("content"));
        }
    }
    assert!(server.seen_of("initialize").len() >= 3 && server.seen_of("tools/call").len() == 6);
    for seen in server.seen() {
        let Some(session) = seen.header("mcp-session-id") else {
            assert_eq!(seen.header("cookie").filter(|_| seen.method() == "initialize"), None, "{seen:?}");
            continue;
        };
        let own = [format!("AWSALB={session}"), format!("AWSALB={session}-again")];
        assert!(own.iter().any(|own| seen.header("cookie") == Some(own)), "{seen:?}");
    }
    let again = |seen: &Seen| seen.header("cookie").is_some_and(|cookie| cookie.ends_with("-again"));
    assert!(server.seen_of("tools/call").iter().filter(|seen| again(seen)).count() >= 3);
}

/// Of calls that are under way at once, each may be the first that is answered with a cookie.
#[tokio::test(start_paused = true)]
async fn the_first_cookies_of_a_session_may_come_in_two_answers() {
    let (running, _server, mut desk, ..) = with(Persona::legacy()).await;
    let calls = [call(&running, "t"), call(&running, "t")];
    let asked = [desk.asked("tools/call").await, desk.asked("tools/call").await];
    for (asked, cookie) in asked.into_iter().zip(["a=1; Path=/", "b=2; Path=/"]) {
        asked.result_with(&[("set-cookie", cookie)], OK).await;
    }
    for answered in calls {
        answered.await.unwrap();
    }
    let _next = call(&running, "t");
    let seen = desk.asked("tools/call").await.seen;
    let mut cookies: Vec<_> = seen.header("cookie").unwrap_or_default().split("; ").collect();
    cookies.sort_unstable();
    assert_eq!(cookies, ["a=1", "b=2"]);
}

/// What has no session shares what the origin sets, the balancer's cookie for one.
#[tokio::test(start_paused = true)]
async fn cookies_without_a_session_are_the_servers() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    let answered = call(&running, "t");
    desk.asked("tools/call").await.result_with(&[("set-cookie", "lb=1; Path=/; Max-Age=60")], OK).await;
    let reply = answered.await.unwrap();
    assert!(!reply.contains("lb=1"));
    let client = running.client.clone();
    let with_cookie = tokio::spawn(async move {
        let body = ask::body("1", "tools/call", r#""name":"t""#);
        let mut headers = ask::mirrored(&body);
        headers.push(("cookie", "client=1".to_owned()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = client.post(&headers, body.as_bytes()).await;
        assert_eq!(reply.header("set-cookie"), None);
        reply.response().await
    });
    let asked = desk.asked("tools/call").await;
    assert_eq!(asked.seen.header("cookie"), Some("lb=1"));
    asked.result(OK).await;
    assert_eq!(json::at(&with_cookie.await.unwrap(), &["result", "content"]), Some("[]"));
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    let answered = call(&running, "t");
    let asked = desk.asked("tools/call").await;
    assert_eq!(asked.seen.header("cookie"), None);
    asked.result(OK).await;
    answered.await.unwrap();
}

/// What is set in answer to one client's own headers may stand for that client.
#[tokio::test(start_paused = true)]
async fn cookies_of_one_tenant_go_to_no_other() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (_server, mut desk) = stand.add("up", Over::Http, persona).await;
        let Reach::Http(reach) = &mut stand.upstream("up").reach else { panic!() };
        reach.forward_headers = vec!["x-tenant".parse().unwrap()];
        let running = stand.start().await;
        for tenant in ["one", "other"] {
            let client = running.client.clone();
            let answered = tokio::spawn(async move {
                let body = ask::body("1", "tools/call", r#""name":"t""#);
                let mut headers = ask::mirrored(&body);
                headers.push(("x-tenant", tenant.to_owned()));
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                client.post(&headers, body.as_bytes()).await.response().await
            });
            let asked = desk.asked("tools/call").await;
            assert_eq!(asked.seen.header("x-tenant"), Some(tenant));
            assert_eq!(asked.seen.header("cookie"), None);
            asked.result_with(&[("set-cookie", &format!("who={tenant}; Path=/"))], OK).await;
            answered.await.unwrap();
        }
    }
}

/// A proxy is given what is not for TLS as a whole, with who we are to it.
#[tokio::test(start_paused = true)]
async fn a_proxy_is_given_whole_requests() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let Reach::Http(reach) = &mut stand.upstream("up").reach else { panic!() };
    let address = reach.destination.url().authority().unwrap().to_string();
    reach.client.proxy = Some(Proxy::read(&format!("http://user:pass@{address}")).unwrap());
    reach.destination = Destination::new("http://mcp.example/mcp".parse().unwrap()).unwrap();
    let running = stand.start().await;
    for _ in 0..2 {
        let answered = call(&running, "t");
        desk.asked("tools/call").await.result(OK).await;
        assert_eq!(reason(&answered.await.unwrap()), None);
    }
    for seen in server.seen() {
        assert_eq!(seen.line, "POST http://mcp.example/mcp");
        assert_eq!(seen.header("host"), Some("mcp.example"));
        assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
    }
}
