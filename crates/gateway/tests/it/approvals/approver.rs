//! Somebody in a browser.

use super::*;

/// What a browser sends of itself.
pub(super) const SAME: [(&str, &str); 2] =
    [("sec-fetch-site", "same-origin"), ("origin", "https://gw.example")];

pub(super) struct Page {
    pub(super) status: u16,
    pub(super) text: String,
    policy: String,
}

/// A browser's request for a page, or with a form of it.
pub(super) fn read(at: &Running, (id, body): (&str, Option<&str>), more: &[(&str, &str)]) -> Vec<u8> {
    let mut headers = vec![("accept", "text/html")];
    let is_said = more.iter().any(|(name, _)| *name == "content-type");
    headers.extend(body.filter(|_| !is_said).map(|_| ("content-type", "application/x-www-form-urlencoded")));
    headers.extend_from_slice(more);
    let line = format!("{} /.portolan/approvals/{id}", if body.is_some() { "POST" } else { "GET" });
    at.client.request(&line, &headers, body.unwrap_or_default().as_bytes())
}

pub(super) async fn page(at: &Running, asked: (&str, Option<&str>), more: &[(&str, &str)]) -> Page {
    let mut reply = at.client.send(&read(at, asked, more)).await;
    let policy = reply.header("content-security-policy").unwrap_or_default().to_owned();
    Page { status: reply.status, text: reply.body().await, policy }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The form that a page has, with an answer.
pub(super) fn form(text: &str, answer: &str) -> String {
    let field = |name: &str| {
        let rest =
            text.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{text}")).1;
        let value = rest.split_once('"').unwrap().0;
        encoded(&value.replace("&quot;", "\"").replace("&amp;", "&"))
    };
    format!("by={}&proof={}&answer={answer}", field("by"), field("proof"))
}

pub(super) async fn asked(scene: &Scene) -> String {
    let told = scene
        .call(&scene.one, "ann", PAGE, r#""name":"pay","arguments":{"to":"<b>eve\u202e</b>","n":1}"#)
        .await;
    assert!(is_asked(&told), "{told}");
    scene.open().await
}

pub(super) fn key(scene: &Scene, who: &str) -> String {
    format!("key={}", encoded(scene.bearer(who).strip_prefix("Bearer ").unwrap()))
}

#[tokio::test]
async fn an_approver_sees_what_is_asked_and_answers_once() {
    for answer in ["approve", "deny"] {
        let scene = Scene::new(&bob()).await;
        let id = asked(&scene).await;
        let stranger = page(&scene.two, (&id, None), &[]).await;
        assert_eq!(stranger.status, 200);
        assert!(
            !stranger.text.contains("pay") && stranger.text.contains("type=\"password\""),
            "{}",
            stranger.text
        );
        let shown = page(&scene.two, (&id, Some(&key(&scene, "bob"))), &SAME).await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        assert!(
            shown.policy.contains("default-src 'none'") && shown.policy.contains("frame-ancestors 'none'")
        );
        for part in ["it is money", "pay", "&lt;b&gt;eve\\u202e&lt;/b&gt;", "bank", "ann"] {
            assert!(shown.text.contains(part), "{part}: {}", shown.text);
        }
        let token = scene.bearer("bob");
        assert!(!shown.text.contains(token.strip_prefix("Bearer ").unwrap()), "it is kept nowhere");
        // At another replica than the one that has shown it.
        let body = form(&shown.text, answer);
        let said = page(&scene.one, (&id, Some(&body)), &SAME).await;
        assert_eq!(said.status, 200, "{}", said.text);
        let found = scene.store.approval(&id).await.unwrap().unwrap();
        let standing = if answer == "approve" { Standing::Approved } else { Standing::Denied };
        assert_eq!((found.standing, found.decided_by.as_str()), (standing, "https://id.example#\"bob\""));
        // The other answer comes too late.
        let other = form(&shown.text, if answer == "approve" { "deny" } else { "approve" });
        let late = page(&scene.one, (&id, Some(&other)), &SAME).await;
        assert!(
            late.text.contains(if answer == "approve" { "It is approved" } else { "It is denied" }),
            "{}",
            late.text
        );
        assert_eq!(scene.standing(&id).await, standing);
    }
}

#[tokio::test]
async fn nobody_else_answers() {
    let scene = Scene::new(&bob()).await;
    let id = asked(&scene).await;
    for (who, why) in [("ann", "may not answer"), ("carol", "may not answer")] {
        let shown = page(&scene.one, (&id, Some(&key(&scene, who))), &SAME).await;
        assert_eq!(shown.status, 403, "{who}");
        assert!(shown.text.contains(why) && !shown.text.contains("name=\"proof\""), "{who}: {}", shown.text);
        // Nor does a page that is shown by headers.
        let bearer = scene.bearer(who);
        let shown = page(&scene.one, (&id, None), &[("authorization", &bearer)]).await;
        assert_eq!(shown.status, 403, "{who}");
    }
    for bad in ["key=nonsense", "key=a.b.c", "key=x%0d%0ay"] {
        assert_eq!(page(&scene.one, (&id, Some(bad)), &SAME).await.status, 403, "{bad}");
    }
    let shown = page(&scene.one, (&id, Some(&key(&scene, "bob"))), &SAME).await;
    let good = form(&shown.text, "approve");
    // By another site, under another name, for another question, with another's proof.
    for cross in [
        &[("sec-fetch-site", "cross-site"), ("origin", "https://gw.example")][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        assert_eq!(page(&scene.one, (&id, Some(&good)), cross).await.status, 403, "{cross:?}");
    }
    let ann = encoded("https://id.example#\"ann\"");
    let by = good.split('&').next().unwrap();
    for bad in [
        good.replace(by, &format!("by={ann}")),
        good.replace("proof=%", "proof=x%"),
        "by=x&proof=y&answer=approve".to_owned(),
    ] {
        assert_eq!(page(&scene.one, (&id, Some(&bad)), &SAME).await.status, 403, "{bad}");
    }
    let bearer = scene.bearer("carol");
    let hers = [SAME.as_slice(), &[("authorization", &bearer)]].concat();
    assert_eq!(page(&scene.one, (&id, Some(&good)), &hers).await.status, 403, "she shows who she is");
    assert_eq!(page(&scene.one, ("abcdef", Some(&good)), &SAME).await.status, 404);
    let json = [("content-type", "application/json"), ("origin", "https://gw.example")];
    assert_eq!(page(&scene.one, (&id, Some(&good)), &json).await.status, 415);
    assert_eq!(scene.standing(&id).await, Standing::Pending, "nothing has come of it");
    assert_eq!(page(&scene.one, (&id, Some(&good)), &SAME).await.status, 200);
    assert_eq!(scene.standing(&id).await, Standing::Approved);
}

#[tokio::test]
async fn there_are_pages_only_where_somebody_may_be_asked() {
    let scene = Scene::new(&[]).await;
    let style = page(&scene.one, ("style.css", None), &[]).await;
    assert!(style.status == 200 && style.text.contains("main {"), "{}", style.text);
    for odd in ["", "x/y", "..", "zz", "abc"] {
        assert_eq!(page(&scene.one, (odd, None), &[]).await.status, 404, "{odd}");
    }
    let foreign = page(&scene.one, ("abc", None), &[("host", "evil.example")]).await;
    assert_eq!(foreign.status, 403);
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.store = Some(Arc::clone(&scene.store));
    let (_server, _desk) = stand.add("a", crate::stand::Over::Http, Persona::modern()).await;
    let plain = stand.start().await;
    let none = page(&plain, ("style.css", None), &[]).await;
    assert!(none.status == 404 && none.text.contains("MCP is at /mcp"), "{}", none.text);
}
