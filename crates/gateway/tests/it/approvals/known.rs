//! Approvers who are known by what their connection or a proxy says of them: on the page they show nothing else.

use base::plan::identity::{Peers, ProxyPlan, ResourcePlan};
use http::HeaderName;
use testkit::authority::{Certificate, Signed};

use super::approver::{form, read};
use super::*;
use crate::certificates::Guarded;
use crate::stand::Over;

fn uri(who: &str) -> String {
    format!("spiffe://example.com/{who}")
}

/// Whoever is meant by the word of those certificates.
fn by_certificate(who: &[&str]) -> Vec<Vec<Approver>> {
    let one = |who: &&str| Approver::Subject {
        issuer: "certificates:agents".to_owned(),
        subject: uri(who),
        shown: format!("user certificates:agents/{who}"),
    };
    vec![who.iter().map(one).collect()]
}

async fn store() -> (Arc<Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { limit: testkit::PATIENCE, ..Settings::default() };
    let store = Store::open(&Place::Sqlite(dir.path().join("store.db")), settings).await.unwrap();
    (Arc::new(store), dir)
}

fn pay() -> String {
    ask::body("1", "tools/call", PAY)
}

async fn standing(store: &Store, id: &str) -> (Standing, String) {
    let found = store.approval(id).await.unwrap().unwrap();
    (found.standing, found.decided_by)
}

async fn only(store: &Store) -> String {
    let all = store.approvals(false).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].question.id.clone()
}

#[tokio::test]
async fn a_certificate_says_who_approves() {
    let (store, _dir) = store().await;
    let stand = Guarded::with(|stand| {
        stand.store = Some(Arc::clone(&store));
        // She is named herself, and may not all the same.
        stand.plan.routes[0].decides = Some(Decider(Arc::new(Asker::of(&by_certificate(&["ann", "bob"])))));
    })
    .await;
    let version = &rustls::version::TLS13;
    let own = |who: &str| stand.clients.sign(&Certificate::of_uri(&uri(who)));
    let by = |own: &Signed| stand.client(Some(own), version);
    let [ann, bob, carol] = ["ann", "bob", "carol"].map(|who| by(&own(who)));
    let call = async || {
        let body = pay();
        let headers = ask::mirrored(&body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = stand.running.client.request("POST /mcp", &headers, body.as_bytes());
        stand.send(&ann, &request).await.unwrap().0.response().await
    };
    let refused = call().await;
    assert_eq!(reason(&refused), "approval_needed", "{refused}");
    let id = only(&store).await;
    let page = async |client, body: Option<&str>| {
        let request = read(&stand.running, (&id, body), &[]);
        let (mut reply, _) = stand.send(client, &request).await.unwrap();
        (reply.status, reply.body().await)
    };
    for (who, client) in [("ann", &ann), ("carol", &carol)] {
        let (status, text) = page(client, None).await;
        assert_eq!(status, 403, "{who}: {text}");
        assert!(text.contains("may not answer") && !text.contains("name=\"proof\""), "{who}: {text}");
    }
    // Another one of hers, for the same name, is the same caller.
    let (hers, nobody) = (by(&own("ann")), stand.client(None, version));
    let (status, _) = page(&hers, None).await;
    assert_eq!(status, 403);
    let (status, text) = page(&nobody, None).await;
    assert!(status == 200 && text.contains("type=\"password\"") && !text.contains("it is money"), "{text}");
    let (status, shown) = page(&bob, None).await;
    assert!(status == 200 && shown.contains("it is money") && shown.contains(&uri("ann")), "{shown}");
    let good = form(&shown, "approve");
    for (who, client) in [("ann", &ann), ("carol", &carol)] {
        assert_eq!(page(client, Some(&good)).await.0, 403, "{who} has got hold of his page");
    }
    assert_eq!(standing(&store, &id).await.0, Standing::Pending);
    assert_eq!(page(&bob, Some(&good)).await.0, 200);
    let by = format!("certificates:agents#\"{}\"", uri("bob"));
    assert_eq!(standing(&store, &id).await, (Standing::Approved, by));
    let done = call().await;
    assert!(is_done(&done), "{done}");
    assert_eq!(standing(&store, &id).await.0, Standing::Used);
}

#[tokio::test]
async fn a_proxy_says_who_approves() {
    let (store, _dir) = store().await;
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("bank", Over::Http, persona(true)).await;
    server.answer_all(desk, |asked| async move { asked.result(DONE).await });
    let front = ProxyPlan {
        name: "front".to_owned(),
        peers: vec![Peers::parse("127.0.0.1").unwrap()],
        user: Some(HeaderName::from_static("x-user")),
        groups: Some(HeaderName::from_static("x-groups")),
        certificate: None,
    };
    stand.plan.routes[0].resource =
        Some(ResourcePlan { issuers: Vec::new(), proxies: vec![front], ..resource(&[]) });
    stand.store = Some(Arc::clone(&store));
    let leads = Approver::Group {
        issuer: "proxy:front".to_owned(),
        group: "leads".to_owned(),
        shown: "proxy:front/leads".to_owned(),
    };
    stand.plan.routes[0].decides = Some(Decider(Arc::new(Asker::of(&[vec![leads]]))));
    let running = stand.start().await;
    running.gateway.settled().await;
    // She is one of the group, and may not all the same.
    let ann = [("x-user", "ann"), ("x-groups", "staff, leads")];
    let call = async || {
        let body = pay();
        let mirrored = ask::mirrored(&body);
        let mut headers: Vec<_> = mirrored.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend(ann);
        running.client.post(&headers, body.as_bytes()).await.response().await
    };
    let refused = call().await;
    assert_eq!(reason(&refused), "approval_needed", "{refused}");
    let id = only(&store).await;
    let page = async |headers: &[(&str, &str)], body: Option<&str>| {
        let mut reply = running.client.send(&read(&running, (&id, body), headers)).await;
        (reply.status, reply.body().await)
    };
    let (bob, carol) =
        ([("x-user", "bob"), ("x-groups", "leads")], [("x-user", "carol"), ("x-groups", "staff")]);
    for who in [&ann[..], &carol, &[("x-user", "ann"), ("x-groups", "leads")]] {
        let (status, text) = page(who, None).await;
        assert_eq!(status, 403, "{who:?}: {text}");
        assert!(text.contains("may not answer") && !text.contains("name=\"proof\""), "{who:?}: {text}");
    }
    let (status, text) = page(&[], None).await;
    assert!(status == 200 && !text.contains("it is money"), "nobody is logged in: {text}");
    let (status, shown) = page(&bob, None).await;
    assert!(status == 200 && shown.contains("it is money"), "{shown}");
    let good = form(&shown, "approve");
    for who in [&ann[..], &carol] {
        assert_eq!(page(who, Some(&good)).await.0, 403, "{who:?} has got hold of his page");
    }
    // A proxy passes on what a browser says of itself.
    let cross = [&bob[..], &[("sec-fetch-site", "cross-site")]].concat();
    assert_eq!(page(&cross, Some(&good)).await.0, 403);
    assert_eq!(standing(&store, &id).await.0, Standing::Pending);
    assert_eq!(page(&bob, Some(&good)).await.0, 200);
    assert_eq!(standing(&store, &id).await, (Standing::Approved, "proxy:front#\"bob\"".to_owned()));
    let done = call().await;
    assert!(is_done(&done), "{done}");
    assert_eq!(server.seen_of("tools/call").len(), 1);
}
