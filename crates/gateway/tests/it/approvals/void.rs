//! What was approved is void when something has changed by which it was, and nothing is sent that nobody can write down.

use super::*;

impl Scene {
    /// The policies say something else from now on.
    fn reload(&self, asker: Asker) {
        let mut plan = self.plan.clone();
        plan.routes[0].decides = Some(Decider(Arc::new(asker)));
        self.one.gateway.reload(plan.clone());
        self.two.gateway.reload(plan);
    }
}

/// Between the question and the answer, in each way in which one is answered.
#[tokio::test]
async fn what_was_approved_by_other_policies_is_void() {
    for (approvers, able) in [(Vec::new(), FORM), (bob(), PAGE), (bob(), NOTHING)] {
        let scene = Scene::new(&approvers).await;
        let told = scene.call(&scene.one, "ann", able, PAY).await;
        let id = scene.open().await;
        if able != FORM {
            assert!(scene.store.decide_approval(&id, true, "bob").await.unwrap());
        }
        scene.reload(Asker { policies: "other payments", ..Asker::of(&approvers) });
        let params = match able {
            FORM => retry(PAY, &told, YES),
            PAGE => retry(PAY, &told, VISITED),
            _ => PAY.to_owned(),
        };
        for at in [&scene.one, &scene.two] {
            let again = scene.call(at, "ann", able, &params).await;
            let anew = if able == NOTHING { reason(&again) == "approval_needed" } else { is_asked(&again) };
            assert!(anew, "{able}: {again}");
        }
        assert_eq!(scene.calls(), 0, "{able}");
        let open = scene.store.approvals(false).await.unwrap();
        assert!(open.iter().any(|one| one.question.policies == "other payments"), "{able}: {open:?}");
        // By those that were there before it is as good as before, once.
        scene.reload(Asker::of(&approvers));
        let done = scene.call(&scene.two, "ann", able, &params).await;
        assert!(is_done(&done), "{able}: {done}");
        assert_eq!(scene.calls(), 1, "{able}");
    }
}

/// A legacy client answers a form of the policies that were; its call is asked about as it is sent.
#[tokio::test]
async fn a_form_of_other_policies_approves_nothing() {
    let scene = Scene::new(&[]).await;
    let session = legacy::Session::open(&scene, &scene.one, "ann", r#"{"elicitation":{}}"#).await;
    let mut reply = session.pay(&scene.one).await;
    let question = reply.event().await.unwrap();
    scene.reload(Asker { policies: "other payments", ..Asker::of(&[]) });
    session.answer(&scene.one, &question, r#"{"action":"accept","content":{"approve":true}}"#).await;
    let last = legacy::last(&mut reply).await;
    // The call goes by the plan with which it began; the next one does not.
    assert_eq!(is_done(&last), scene.calls() == 1, "{last}");
    let mut reply = session.pay(&scene.one).await;
    let question = reply.event().await.unwrap();
    assert!(question.contains("elicitation/create"), "{question}");
    let open = scene.store.approvals(false).await.unwrap();
    assert!(open.iter().all(|one| one.question.policies == "other payments"), "{open:?}");
}

#[tokio::test]
async fn what_was_approved_of_another_definition_is_void() {
    for (approvers, able) in [(bob(), PAGE), (bob(), NOTHING)] {
        let scene = Scene::new(&approvers).await;
        let told = scene.call(&scene.one, "ann", able, PAY).await;
        let id = scene.open().await;
        assert!(scene.store.decide_approval(&id, true, "bob").await.unwrap());
        let changed =
            r#"[{"name":"pay","description":"pays somebody else","inputSchema":{"type":"object"}}]"#;
        scene.server.persona().lists.insert("tools/list".to_owned(), changed.to_owned());
        let listed = scene.request(&scene.one, ("ann", able), ("tools/list", r#""x":1"#)).await;
        assert!(listed.contains("somebody else"), "{listed}");
        let params = if able == PAGE { retry(PAY, &told, VISITED) } else { PAY.to_owned() };
        let again = scene.call(&scene.one, "ann", able, &params).await;
        let anew = if able == PAGE { is_asked(&again) } else { reason(&again) == "approval_needed" };
        assert!(anew, "{able}: {again}");
        assert_eq!((scene.calls(), scene.standing(&id).await), (0, Standing::Approved), "{able}");
    }
}

/// Nobody can be asked, and nothing is sent: before anybody was asked, and when an answer is to be written down.
#[tokio::test]
async fn without_the_store_nothing_is_sent() {
    let scene = Scene::new(&[]).await;
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let session = legacy::Session::open(&scene, &scene.one, "ann", r#"{"elicitation":{}}"#).await;
    scene.store.close().await;
    let (first, good) = (PAY.replace('1', "2"), retry(PAY, &told, YES));
    for (able, params) in [(FORM, &first), (NOTHING, &first), (FORM, &good)] {
        let refused = scene.call(&scene.one, "ann", able, params).await;
        assert_eq!(reason(&refused), "store_away", "{refused}");
        assert_eq!(json::at(&refused, &["error", "data", "notProcessed"]), Some("true"), "{refused}");
    }
    let refused = session.pay(&scene.one).await.response().await;
    assert_eq!(reason(&refused), "store_away", "{refused}");
    let other = scene.call(&scene.one, "ann", NOTHING, r#""name":"look","arguments":{}"#).await;
    assert!(is_done(&other), "what nobody is asked about goes on: {other}");
    assert_eq!(scene.calls(), 1);
}

/// The store goes away between the yes and the call.
#[tokio::test]
async fn what_cannot_be_noted_as_used_is_not_sent() {
    let scene = Scene::new(&[]).await;
    let session = legacy::Session::open(&scene, &scene.one, "ann", r#"{"elicitation":{}}"#).await;
    let mut reply = session.pay(&scene.one).await;
    let question = reply.event().await.unwrap();
    scene.store.close().await;
    session.answer(&scene.one, &question, r#"{"action":"accept","content":{"approve":true}}"#).await;
    let last = legacy::last(&mut reply).await;
    assert_eq!(reason(&last), "store_away", "{last}");
    assert_eq!(scene.calls(), 0);
}
