//! Servers over HTTP that say what is not so, in two ways at once, or to the wrong one; and what of a head passes at all.

use std::sync::Arc;

use base::plan::Reach;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::failures::{OK, call, reason, with};
use crate::stand::{Over, Stand};

/// That a server wants credentials says nothing of its era.
#[tokio::test(start_paused = true)]
async fn a_server_that_wants_credentials_is_not_taken_for_a_legacy_one() {
    for (status, label) in [
        (401, "upstream_unauthorized"),
        (403, "upstream_unauthorized"),
        (503, "upstream_unreachable"),
        (429, "upstream_unreachable"),
        (502, "upstream_unreachable"),
    ] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) =
            stand.add("up", Over::Http, Persona::modern().scripted(&["server/discover"])).await;
        server.answer_all(desk, move |asked| async move {
            asked.respond(status, "text/html", &[("www-authenticate", "Bearer")], b"no").await;
        });
        let running = stand.start().await;
        let reply = ask::modern(&running.client, "tools/call", r#""name":"t""#).await;
        assert_eq!(reply.header("www-authenticate"), None);
        assert_eq!(reason(&reply.response().await), Some(label), "{status}");
        // It may be one of the legacy era that is guarded against what it does not know; but it is not.
        assert_eq!(server.sessions_opened(), 0);
    }
}

/// Redirects are not followed: they would carry the call, and its credentials, to somebody else.
#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    for status in [301, 302, 303, 307, 308] {
        let refused = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        asked.respond(status, "application/json", &[("location", "http://elsewhere/mcp")], b"{}").await;
        assert_eq!(reason(&refused.await.unwrap()), Some("upstream_invalid_answer"), "{status}");
    }
}

/// What belongs to one call never reaches another, whatever a server writes on its stream.
#[tokio::test(start_paused = true)]
async fn an_answer_on_the_wrong_stream_is_nobodys() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let (running, _server, mut desk, ..) = with(persona).await;
        let (one, two) = (call(&running, "one"), call(&running, "two"));
        let mut a = desk.asked("tools/call").await;
        let mut b = desk.asked("tools/call").await;
        if a.seen.param("name") != Some("\"one\"") {
            std::mem::swap(&mut a, &mut b);
        }
        let (id_a, id_b) = (a.seen.id().unwrap().to_owned(), b.seen.id().unwrap().to_owned());
        let (mut a, mut b) = (a.stream().await, b.stream().await);
        a.message(&format!(
            r#"{{"jsonrpc":"2.0","id":{id_b},"result":{{"of":"two, on the stream of one"}}}}"#
        ))
        .await;
        b.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_a},"error":{{"code":1,"message":"of one"}}}}"#))
            .await;
        a.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_a},"result":{{"of":"one"}}}}"#)).await;
        b.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_b},"result":{{"of":"two"}}}}"#)).await;
        // There is one answer; what comes after it does not count.
        b.message(&format!(r#"{{"jsonrpc":"2.0","id":{id_b},"result":{{"of":"two again"}}}}"#)).await;
        a.end().await;
        b.end().await;
        assert_eq!(json::at(&one.await.unwrap(), &["result", "of"]), Some("\"one\""));
        assert_eq!(json::at(&two.await.unwrap(), &["result", "of"]), Some("\"two\""));
    }
}

/// What two readers could read in two ways is passed to none.
#[tokio::test(start_paused = true)]
async fn an_answer_that_means_two_things_is_refused() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    for members in [
        r#""id":ID,"result":{},"result":{"content":[]}"#,
        r#""id":ID,"result":{},"\u0072esult":{"content":[]}"#,
        r#""id":ID,"result":{},"error":{"code":1,"message":"m"}"#,
        r#""id":ID,"id":7,"result":{}"#,
        r#""id":ID,"result":{"resultType":"complete","resultType":"input_required"}"#,
        r#""id":ID,"result":[]"#,
        r#""id":ID,"result":null"#,
        r#""id":ID,"result":{"resultType":7}"#,
        r#""id":ID,"error":{"code":1,"code":2,"message":"m"}"#,
        r#""id":ID,"error":{"code":"1","message":"m"}"#,
        r#""id":"x-ID","result":{}"#,
        r#""id":null,"result":{}"#,
        r#""result":{}"#,
        r#""id":ID.5,"result":{}"#,
        r#""id":ID,"method":"tools/call","result":{}"#,
    ] {
        let refused = call(&running, "t");
        let asked = desk.asked("tools/call").await;
        let body = format!("{{\"jsonrpc\":\"2.0\",{}}}", members.replace("ID", asked.seen.id().unwrap()));
        asked.respond(200, "application/json", &[], body.as_bytes()).await;
        let text = refused.await.unwrap();
        assert_eq!(reason(&text), Some("upstream_invalid_answer"), "{members}: {text}");
        assert_eq!(json::at(&text, &["id"]), Some("1"));
    }
}

/// HTTP that is none, a body that is shorter than it says, one that never ends.
#[tokio::test(start_paused = true)]
async fn broken_http_is_told_as_what_it_is() {
    let (running, _server, mut desk, ..) = with(Persona::modern()).await;
    for (bytes, label) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"jsonrpc\"", "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}", "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "upstream_broke_off"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\xff\xfe", "upstream_invalid_answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n", "upstream_invalid_answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "upstream_invalid_answer"),
        (b"", "upstream_broke_off"),
    ] {
        let lost = call(&running, "t");
        desk.asked("tools/call").await.raw(bytes).await;
        let text = lost.await.unwrap();
        assert_eq!(reason(&text), Some(label), "{:?}: {text}", String::from_utf8_lossy(bytes));
    }
}

/// Only what is named in the configuration goes upstream, and nothing of a server's head comes down.
#[tokio::test(start_paused = true)]
async fn headers_pass_by_name_only() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (_server, mut desk) = stand.add("up", Over::Http, Persona::modern()).await;
    if let Reach::Http(reach) = &mut stand.upstream("up").reach {
        reach.forward_headers = vec!["x-tenant".parse().unwrap()];
        reach.headers = vec![("authorization".parse().unwrap(), "Bearer ours".parse().unwrap())];
    }
    let running = stand.start().await;
    running.gateway.settled().await;
    let body = ask::body("1", "tools/call", r#""name":"t""#);
    let client = running.client.clone();
    let call = tokio::spawn(async move {
        let mut headers = ask::mirrored(&body);
        for (name, value) in [
            ("authorization", "Bearer theirs"),
            ("cookie", "a=b"),
            ("x-tenant", "acme"),
            ("x-other", "x"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("user-agent", "c/1"),
        ] {
            headers.push((name, value.to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.post(&headers, body.as_bytes()).await
    });
    let asked = desk.asked("tools/call").await;
    let mut names: Vec<_> = asked.seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        // Our own.
        "user-agent",
        "x-tenant",
    ];
    assert_eq!(names, expected);
    assert_eq!(asked.seen.header("authorization"), Some("Bearer ours"));
    assert_ne!(asked.seen.header("user-agent"), Some("c/1"));
    let leaky = [
        ("set-cookie", "a=b"),
        ("server", "secret/1.0"),
        ("mcp-session-id", "theirs"),
        ("access-control-allow-origin", "*"),
    ];
    asked.result_with(&leaky, OK).await;
    let reply = call.await.unwrap();
    let names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "content-length", "date"]);
}

/// A server may send its legacy client requests and answers on the call's stream; none of that is the client's.
#[tokio::test(start_paused = true)]
async fn a_legacy_server_that_asks_is_refused_and_its_client_hears_nothing_of_it() {
    for kind in Kind::ALL {
        let (running, server, mut desk, ..) = with(Persona::legacy().scripted(&["response"])).await;
        let mut door = Door::open(kind, &running).await;
        let body = door.body("1", "tools/call", r#""name":"t""#, "");
        let asking = tokio::spawn(async move { door.ask(&body).await });
        let mut events = desk.asked("tools/call").await.stream().await;
        for method in ["sampling/createMessage", "elicitation/create", "roots/list", "nobody/knows"] {
            events
                .message(&format!(r#"{{"jsonrpc":"2.0","id":"{method}","method":"{method}","params":{{}}}}"#))
                .await;
            let refused = desk.asked("response").await;
            assert_eq!(json::at(refused.seen.text(), &["error", "code"]), Some("-32601"));
            assert_eq!(refused.seen.id(), Some(format!("\"{method}\"").as_str()));
            refused.accepted().await;
        }
        events.result(OK).await;
        let came = asking.await.unwrap();
        assert_eq!(came.len(), 1, "{kind:?}: {came:?}");
        assert_eq!(server.seen_of("tools/call").len(), 1);
    }
}
