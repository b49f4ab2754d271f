//! Legacy clients: asked on the stream of the call.

use super::*;

/// A session of somebody who can be asked so.
pub(super) struct Session {
    id: String,
    bearer: String,
}

impl Session {
    pub(super) async fn open(scene: &Scene, at: &Running, who: &str, able: &str) -> Self {
        let bearer = scene.bearer(who);
        let hello = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{able},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
        );
        let reply = at.client.post(&[("authorization", &bearer)], hello.as_bytes()).await;
        let id = reply.header("mcp-session-id").unwrap().to_owned();
        let session = Self { id, bearer };
        let said = session.post(at, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        assert_eq!(said.status, 202);
        session
    }

    async fn post(&self, at: &Running, body: &str) -> Reply {
        let headers = [
            ("authorization", self.bearer.as_str()),
            ("mcp-session-id", &self.id),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        at.client.post(&headers, body.as_bytes()).await
    }

    pub(super) async fn pay(&self, at: &Running) -> Reply {
        self.pay_as(at, 7).await
    }

    /// The same call under another id.
    async fn pay_as(&self, at: &Running, id: u32) -> Reply {
        self.post(at, &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{PAY}}}}}"#))
            .await
    }

    /// What comes of it, as soon as there is a place for it.
    async fn pays(&self, at: &Running, id: u32) -> String {
        loop {
            let came = last(&mut self.pay_as(at, id).await).await;
            if reason(&came) != "rate_limited" {
                return came;
            }
        }
    }

    pub(super) async fn answer(&self, at: &Running, question: &str, result: &str) {
        let id = json::at(question, &["id"]).unwrap();
        let reply = self.post(at, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
        assert_eq!(reply.status, 202);
    }
}

#[tokio::test]
async fn a_caller_is_asked_on_its_stream() {
    for (answer, is_good) in [
        (r#"{"action":"accept","content":{"approve":true}}"#, true),
        (r#"{"action":"accept","content":{"approve":false}}"#, false),
        (r#"{"action":"decline"}"#, false),
        (r#"{"action":"cancel"}"#, false),
    ] {
        let scene = Scene::new(&[]).await;
        let session = Session::open(&scene, &scene.one, "ann", r#"{"elicitation":{}}"#).await;
        let mut reply = session.pay(&scene.one).await;
        let question = reply.event().await.unwrap();
        assert!(question.contains("elicitation/create") && question.contains("it is money"), "{question}");
        let (id, calls) = (scene.open().await, scene.calls());
        assert_eq!(calls, 0, "it is not sent before");
        session.answer(&scene.one, &question, answer).await;
        let last = reply.event().await.unwrap();
        assert_eq!(is_done(&last), is_good, "{answer}: {last}");
        assert_eq!(json::at(&last, &["id"]), Some("7"));
        assert_eq!(scene.calls(), usize::from(is_good));
        let standing = if is_good { Standing::Used } else { Standing::Denied };
        assert_eq!(scene.standing(&id).await, standing);
        if !is_good {
            assert_eq!(reason(&last), "approval_denied");
        }
    }
}

#[tokio::test]
async fn a_client_that_can_show_a_page_waits_for_the_answer() {
    for approves in [true, false] {
        let scene = Scene::new(&bob()).await;
        let session = Session::open(&scene, &scene.one, "ann", PAGE).await;
        let mut reply = session.pay(&scene.one).await;
        let question = reply.event().await.unwrap();
        let id = scene.open().await;
        assert!(question.contains(&format!("https://gw.example/.portolan/approvals/{id}")), "{question}");
        assert!(json::at(&question, &["params", "elicitationId"]).is_some(), "{question}");
        session.answer(&scene.one, &question, r#"{"action":"accept"}"#).await;
        assert_eq!((scene.calls(), scene.standing(&id).await), (0, Standing::Pending), "it waits");
        assert!(scene.store.decide_approval(&id, approves, "bob").await.unwrap());
        let mut last = reply.event().await.unwrap();
        if last.contains("notifications/elicitation/complete") {
            last = reply.event().await.unwrap();
        }
        assert_eq!(is_done(&last), approves, "{last}");
        assert_eq!(scene.calls(), usize::from(approves));
    }
}

#[tokio::test]
async fn who_cannot_be_asked_hears_so_at_once_and_calls_again() {
    let scene = Scene::new(&bob()).await;
    let session = Session::open(&scene, &scene.one, "ann", FORM).await;
    let refused = session.pay(&scene.one).await.response().await;
    assert_eq!(reason(&refused), "approval_needed", "{refused}");
    let id = scene.open().await;
    assert!(scene.store.decide_approval(&id, true, "operator").await.unwrap());
    // In another session, at the other gateway.
    let later = Session::open(&scene, &scene.two, "ann", NOTHING).await;
    let done = later.pay(&scene.two).await.response().await;
    assert!(is_done(&done), "{done}");
    let again = session.pay(&scene.one).await.response().await;
    assert_eq!(reason(&again), "approval_needed", "it was used");
    assert_eq!(scene.calls(), 1);
}

/// What a modern server asks a legacy client for is asked after the approval, which is not asked for again.
#[tokio::test]
async fn an_approved_call_is_sent_again_with_what_its_server_asks() {
    let mut scene = Scene::before(persona(true), &[]).await;
    let mut desk = scene.desk.take().unwrap();
    let session = Session::open(&scene, &scene.one, "ann", r#"{"elicitation":{}}"#).await;
    let mut reply = session.pay(&scene.one).await;
    let question = reply.event().await.unwrap();
    session.answer(&scene.one, &question, r#"{"action":"accept","content":{"approve":true}}"#).await;
    let form = r#"{"method":"elicitation/create","params":{"message":"which?","requestedSchema":{"type":"object","properties":{}}}}"#;
    let asks =
        format!(r#"{{"resultType":"input_required","inputRequests":{{"q":{form}}},"requestState":"s1"}}"#);
    desk.asked("tools/call").await.result(&asks).await;
    let theirs = reply.event().await.unwrap();
    assert!(theirs.contains("which?"), "{theirs}");
    session.answer(&scene.one, &theirs, r#"{"action":"accept","content":{}}"#).await;
    let asked = desk.asked("tools/call").await;
    assert_eq!(asked.seen.param("requestState"), Some("\"s1\""));
    asked.result(DONE).await;
    assert!(is_done(&reply.event().await.unwrap()));
    assert_eq!(scene.calls(), 2);
    assert!(scene.store.approvals(false).await.unwrap().is_empty());
}

/// An operator approves while the form is open: what its caller then says holds.
#[tokio::test]
async fn what_its_caller_says_holds_against_an_operator() {
    for (answer, is_good) in
        [(r#"{"action":"accept","content":{"approve":true}}"#, true), (r#"{"action":"decline"}"#, false)]
    {
        let scene = Scene::new(&[]).await;
        let session = Session::open(&scene, &scene.one, "ann", r#"{"elicitation":{}}"#).await;
        let mut reply = session.pay(&scene.one).await;
        let question = reply.event().await.unwrap();
        let id = scene.open().await;
        assert!(scene.store.decide_approval(&id, true, "operator").await.unwrap());
        session.answer(&scene.one, &question, answer).await;
        let last = reply.event().await.unwrap();
        assert_eq!((is_done(&last), scene.calls()), (is_good, usize::from(is_good)), "{answer}: {last}");
        let standing = if is_good { Standing::Used } else { Standing::Denied };
        assert_eq!(scene.standing(&id).await, standing);
        // The same call again asks again.
        let mut reply = session.pay(&scene.one).await;
        let question = reply.event().await.unwrap();
        assert!(question.contains("elicitation/create") && scene.open().await != id, "{question}");
        assert_eq!(scene.calls(), usize::from(is_good));
    }
}

/// It is one call, however long its caller was asked.
#[tokio::test]
async fn a_call_that_was_asked_about_counts_once() {
    let limits = [LimitPlan { per: vec![Per::Principal], rate: rate(1), ..limit("each caller") }];
    let mut scene = Scene::limited(persona(true), &[], &limits).await;
    let desk = scene.desk.take().unwrap();
    scene.server.answer_all(desk, |asked| async move { asked.result(DONE).await });
    let session = Session::open(&scene, &scene.one, "ann", r#"{"elicitation":{}}"#).await;
    let mut reply = session.pay(&scene.one).await;
    let question = reply.event().await.unwrap();
    session.answer(&scene.one, &question, r#"{"action":"accept","content":{"approve":true}}"#).await;
    let last = reply.event().await.unwrap();
    assert!(is_done(&last), "{last}");
    let refused = session.pay(&scene.one).await.response().await;
    assert_eq!(reason(&refused), "rate_limited", "{refused}");
}

/// The same call again, in the same session and in another one, while its page is open: nobody is asked a second time, and what
/// was approved is done once.
#[tokio::test]
async fn a_call_that_is_sent_again_waits_for_the_page_that_is_open() {
    for is_visited in [true, false] {
        let limits = [LimitPlan { concurrent: Some(3), ..limit("all") }];
        let mut scene = Scene::limited(persona(true), &bob(), &limits).await;
        let desk = scene.desk.take().unwrap();
        scene.server.answer_all(desk, |asked| async move { asked.result(DONE).await });
        let session = Session::open(&scene, &scene.one, "ann", PAGE).await;
        let other = Session::open(&scene, &scene.one, "ann", PAGE).await;
        let mut first = session.pay(&scene.one).await;
        let question = first.event().await.unwrap();
        let id = scene.open().await;
        if is_visited {
            session.answer(&scene.one, &question, r#"{"action":"accept"}"#).await;
        }
        let decided = async {
            all_places_are_taken(&scene).await;
            assert_eq!(scene.open().await, id, "there is one question");
            assert!(scene.store.decide_approval(&id, true, "bob").await.unwrap());
            if !is_visited {
                session.answer(&scene.one, &question, r#"{"action":"accept"}"#).await;
            }
            last(&mut first).await
        };
        let again = async |session: &Session| session.pays(&scene.one, 8).await;
        let (one, two, three) = tokio::join!(decided, again(&session), again(&other));
        let all = [one, two, three];
        assert!(all.iter().all(|text| !text.contains("elicitation/create")), "{all:?}");
        assert_eq!(all.iter().filter(|text| is_done(text)).count(), 1, "{all:?}");
        let sent = scene.server.seen_of("tools/call");
        assert_eq!(sent.iter().filter(|seen| seen.param("name") == Some("\"pay\"")).count(), 1);
        assert_eq!(scene.standing(&id).await, Standing::Used);
        assert_eq!(scene.store.approvals(true).await.unwrap().len(), 1);
    }
}

/// Waits until as many calls are under way as there may be at once.
async fn all_places_are_taken(scene: &Scene) {
    let look = async || scene.call(&scene.one, "eve", NOTHING, r#""name":"look","arguments":{}"#).await;
    testkit::soon("all places are taken", async {
        while is_done(&look().await) {
            // That one has taken a place, too: the others come in between.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

/// What comes beside the end of a page that was open.
pub(super) async fn last(reply: &mut Reply) -> String {
    if reply.media() != "text/event-stream" {
        return reply.body().await;
    }
    loop {
        let event = reply.event().await.unwrap();
        if !event.contains("notifications/elicitation/complete") {
            return event;
        }
    }
}

/// Whoever was sent to the page is gone: the next one is.
#[tokio::test]
async fn a_call_that_is_sent_again_is_asked_when_the_first_is_given_up() {
    let scene = Scene::new(&bob()).await;
    let session = Session::open(&scene, &scene.one, "ann", PAGE).await;
    let mut first = session.pay(&scene.one).await;
    let question = first.event().await.unwrap();
    assert!(question.contains("elicitation/create"), "{question}");
    let id = scene.open().await;
    let gone = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    assert_eq!(session.post(&scene.one, gone).await.status, 202);
    let mut again = session.pay_as(&scene.one, 8).await;
    let question = again.event().await.unwrap();
    assert!(question.contains("elicitation/create") && question.contains(&id), "{question}");
    session.answer(&scene.one, &question, r#"{"action":"accept"}"#).await;
    assert!(scene.store.decide_approval(&id, true, "bob").await.unwrap());
    let done = last(&mut again).await;
    assert!(is_done(&done) && scene.calls() == 1, "{done}");
}

/// A no to the page is one for all who wait for it.
#[tokio::test]
async fn a_call_that_is_sent_again_hears_the_no() {
    let limits = [LimitPlan { concurrent: Some(2), ..limit("all") }];
    let mut scene = Scene::limited(persona(true), &bob(), &limits).await;
    let desk = scene.desk.take().unwrap();
    scene.server.answer_all(desk, |asked| async move { asked.result(DONE).await });
    let session = Session::open(&scene, &scene.one, "ann", PAGE).await;
    let mut first = session.pay(&scene.one).await;
    let question = first.event().await.unwrap();
    let declined = async {
        all_places_are_taken(&scene).await;
        session.answer(&scene.one, &question, r#"{"action":"decline"}"#).await;
        last(&mut first).await
    };
    let again = async { session.pays(&scene.one, 8).await };
    let (one, two) = tokio::join!(declined, again);
    assert_eq!([reason(&one), reason(&two)], ["approval_denied", "approval_denied"], "{one} {two}");
}
