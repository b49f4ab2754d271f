//! What clients find at the origin that look for the authorization server there, and nowhere else: those of 2025-03-26.

use std::sync::Arc;

use base::plan::identity::{IssuerPlan, ResourcePlan};
use testkit::http::Reply;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::net::{Address, Network as _};

use crate::protected::resource;
use crate::stand::{Over, Running, Stand};

const PATH: &str = "/.well-known/oauth-authorization-server";
const ISSUER: &str = "http://127.0.0.1:9000";
const SAYS: &str = r#"{"issuer":"http://127.0.0.1:9000","jwks_uri":"http://127.0.0.1:9000/keys","x":1.0}"#;

/// An issuer that says this of itself, whatever it is asked.
async fn issuer(network: &MemoryNetwork) {
    let mut listener = network.bind(&Address::Tcp("127.0.0.1".to_owned(), 9000)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((accepted, _)) = listener.accept().await {
            let mut io = accepted.open().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if io.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let head = format!("content-length: {}\r\nconnection: close", SAYS.len());
            let reply = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{SAYS}");
            drop(io.write_all(reply.as_bytes()).await);
        }
    });
}

/// A gateway whose route shows its issuer at the origin, or does not.
async fn gateway(network: &MemoryNetwork, shows_issuer: bool) -> Running {
    let mut stand = Stand::new(Arc::new(network.clone()));
    stand.add("a", Over::Http, Persona::modern().tools(&["t"])).await;
    stand.plan.listeners[0].allowed_origins = vec!["https://inspector.example".to_owned()];
    stand.plan.issuers = vec![IssuerPlan { allow_http: true, ..IssuerPlan::new("id", ISSUER) }];
    stand.plan.routes[0].resource = Some(ResourcePlan { shows_issuer, ..resource(&["id"]) });
    let running = stand.start().await;
    running.gateway.settled().await;
    running
}

async fn ask(running: &Running, head: &str) -> Reply {
    running.client.send(&running.client.request(head, &[], b"")).await
}

#[tokio::test(start_paused = true)]
async fn an_issuer_is_at_the_origin_for_everybody() {
    let network = MemoryNetwork::default();
    issuer(&network).await;
    let running = gateway(&network, true).await;
    let mut reply = ask(&running, &format!("GET {PATH}")).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("cache-control"), Some("max-age=300"));
    assert_eq!(reply.body().await, SAYS, "as it says it");
    let mut head = ask(&running, &format!("HEAD {PATH}")).await;
    assert_eq!((head.status, head.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(head.header("content-length"), Some(SAYS.len().to_string().as_str()));
    assert!(head.chunk().await.is_err(), "it tells of a body, and none comes");
    // A page that may use the listener is named; another one gets nothing, as everywhere.
    for (origin, status, shared) in [
        ("https://inspector.example", 200, Some("https://inspector.example")),
        ("https://evil.example", 403, None),
    ] {
        let asked = running.client.request(&format!("GET {PATH}"), &[("origin", origin)], b"");
        let reply = running.client.send(&asked).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (status, shared));
    }
    // Nothing else is done there, and nothing lies beside it.
    for head in
        [format!("POST {PATH}"), format!("DELETE {PATH}"), format!("GET {PATH}/mcp"), format!("GET {PATH}/")]
    {
        assert_eq!(ask(&running, &head).await.status, 404, "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_is_not_at_the_origin_where_that_is_not_wanted() {
    let network = MemoryNetwork::default();
    issuer(&network).await;
    let running = gateway(&network, false).await;
    for method in ["GET", "HEAD"] {
        assert_eq!(ask(&running, &format!("{method} {PATH}")).await.status, 404, "{method}");
    }
}

/// Nobody is where the issuer would be.
#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_is_to_be_asked_for_again() {
    let running = gateway(&MemoryNetwork::default(), true).await;
    let reply = ask(&running, &format!("GET {PATH}")).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
}
