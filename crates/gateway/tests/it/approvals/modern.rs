//! Modern clients: a result that asks, and a retry.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::*;

#[tokio::test]
async fn a_caller_approves_its_own_call_once() {
    let scene = Scene::new(&[]).await;
    let other = scene.call(&scene.one, "ann", NOTHING, r#""name":"look","arguments":{}"#).await;
    assert!(is_done(&other), "nobody asks about that: {other}");
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    assert!(is_asked(&told), "{told}");
    let path = ["result", "inputRequests", "approval"];
    assert_eq!(json::at(&told, &[&path[..], &["method"]].concat()), Some("\"elicitation/create\""));
    let message = json::unescaped(json::at(&told, &[&path[..], &["params", "message"]].concat()).unwrap());
    for part in ["it is money", "bank", "pay", "\"n\": 1"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(scene.calls(), 1, "it is not sent before");
    let id = scene.open().await;
    // At the other gateway.
    let done = scene.call(&scene.two, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert!(is_done(&done), "{done}");
    assert_eq!((scene.calls(), scene.standing(&id).await), (2, Standing::Used));
    let sent = scene.server.seen_of("tools/call").pop().unwrap();
    assert!(
        sent.param("requestState").is_none() && sent.param("inputResponses").is_none(),
        "{}",
        sent.text()
    );
    // The same answer again is good for nothing: it is asked anew.
    for at in [&scene.one, &scene.two] {
        let again = scene.call(at, "ann", FORM, &retry(PAY, &told, YES)).await;
        assert!(is_asked(&again), "{again}");
    }
    assert_eq!(scene.calls(), 2);
}

#[tokio::test]
async fn whatever_is_no_clear_yes_is_a_no() {
    for no in [
        r#""approval":{"action":"accept","content":{"approve":false}}"#,
        r#""approval":{"action":"accept"}"#,
        r#""approval":{"action":"decline"}"#,
        r#""approval":{"action":"cancel"}"#,
    ] {
        let scene = Scene::new(&[]).await;
        let told = scene.call(&scene.one, "ann", FORM, PAY).await;
        let id = scene.open().await;
        let denied = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, no)).await;
        assert_eq!(reason(&denied), "approval_denied", "{no}");
        assert_eq!((scene.calls(), scene.standing(&id).await), (0, Standing::Denied));
        // A yes comes too late, and is asked for anew.
        let late = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, YES)).await;
        assert!(is_asked(&late) && scene.open().await != id, "{late}");
        assert_eq!(scene.calls(), 0);
    }
    // Without an answer, the same is asked again.
    let scene = Scene::new(&[]).await;
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let id = scene.open().await;
    for missing in ["", r#""other":{"action":"accept","content":{"approve":true}}"#] {
        let again = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, missing)).await;
        assert!(is_asked(&again) && scene.open().await == id, "{again}");
    }
}

#[tokio::test]
async fn a_yes_is_for_the_very_call_of_its_caller() {
    let scene = Scene::new(&[]).await;
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let good = retry(PAY, &told, YES);
    for changed in [
        r#""arguments":{"n":2}"#,
        r#""arguments":{"n": 1}"#,
        r#""arguments":{"n":1,"n":2}"#,
        r#""arguments":{}"#,
    ] {
        let bad = good.replace(r#""arguments":{"n":1}"#, changed);
        let refused = scene.call(&scene.one, "ann", FORM, &bad).await;
        assert_eq!(reason(&refused), "request_state", "{changed}");
    }
    let other = scene.call(&scene.one, "eve", FORM, &good).await;
    assert!(is_asked(&other), "she is asked herself, of a call of her own: {other}");
    let theirs = scene.call(&scene.one, "ann", FORM, &retry(PAY, &other, YES)).await;
    assert!(is_asked(&theirs), "what she was given is worth nothing to others: {theirs}");
    assert_eq!(scene.calls(), 0);
    assert!(is_done(&scene.call(&scene.one, "ann", FORM, &good).await));
}

#[tokio::test]
async fn a_tool_that_has_changed_is_another() {
    let scene = Scene::new(&[]).await;
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let changed = r#"[{"name":"pay","description":"pays somebody else","inputSchema":{"type":"object"}}]"#;
    scene.server.persona().lists.insert("tools/list".to_owned(), changed.to_owned());
    let listed = ask_list(&scene).await;
    assert!(listed.contains("somebody else"), "{listed}");
    let again = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert!(is_asked(&again), "{again}");
    assert_eq!(scene.calls(), 0);
    assert!(is_done(&scene.call(&scene.one, "ann", FORM, &retry(PAY, &again, YES)).await));
}

async fn ask_list(scene: &Scene) -> String {
    let body = ask::body("1", "tools/list", "");
    let (bearer, mirrored) = (scene.bearer("ann"), ask::mirrored(&body));
    let mut headers: Vec<_> = mirrored.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("authorization", &bearer));
    scene.one.client.post(&headers, body.as_bytes()).await.response().await
}

#[tokio::test]
async fn of_many_retries_at_once_one_is_sent() {
    let scene = Scene::new(&[]).await;
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let good = retry(PAY, &told, YES);
    let calls = (0..6).map(|n| {
        let at = if n % 2 == 0 { &scene.one } else { &scene.two };
        scene.call(at, "ann", FORM, &good)
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|text| is_done(text)).count(), 1, "{answers:?}");
    assert_eq!(scene.calls(), 1);
}

#[tokio::test]
async fn who_cannot_be_asked_is_told_whom_to_ask() {
    for approvers in [Vec::new(), bob()] {
        let scene = Scene::new(&approvers).await;
        let able = if approvers.is_empty() { NOTHING } else { FORM };
        let refused = scene.call(&scene.one, "ann", able, PAY).await;
        assert_eq!(reason(&refused), "approval_needed", "{refused}");
        let id = scene.open().await;
        assert_eq!(json::at(&refused, &["error", "data", "approval"]), Some(&*format!("\"{id}\"")));
        let url = format!("\"https://gw.example/.portolan/approvals/{id}\"");
        assert_eq!(json::at(&refused, &["error", "data", "url"]), Some(&*url));
        // Calling again asks nobody again.
        let again = scene.call(&scene.two, "ann", able, PAY).await;
        assert_eq!(reason(&again), "approval_needed", "{again}");
        assert_eq!(scene.open().await, id);
        assert!(scene.store.decide_approval(&id, true, "operator").await.unwrap());
        let other = scene.call(&scene.two, "eve", able, PAY).await;
        assert_eq!(reason(&other), "approval_needed", "it was not asked for her");
        let changed = scene.call(&scene.two, "ann", able, &PAY.replace('1', "2")).await;
        assert_eq!(reason(&changed), "approval_needed");
        assert_eq!(scene.calls(), 0);
        let answers = futures_util::future::join_all((0..4).map(|n| {
            let at = if n % 2 == 0 { &scene.one } else { &scene.two };
            scene.call(at, "ann", able, PAY)
        }))
        .await;
        assert_eq!(answers.iter().filter(|text| is_done(text)).count(), 1, "{answers:?}");
        assert_eq!((scene.calls(), scene.standing(&id).await), (1, Standing::Used));
    }
}

#[tokio::test]
async fn what_somebody_else_denies_stays_denied() {
    let scene = Scene::new(&bob()).await;
    let told = scene.call(&scene.one, "ann", PAGE, PAY).await;
    let id = scene.open().await;
    assert!(scene.store.decide_approval(&id, false, "bob").await.unwrap());
    for (able, params) in
        [(PAGE, retry(PAY, &told, VISITED)), (PAGE, PAY.to_owned()), (NOTHING, PAY.to_owned())]
    {
        let denied = scene.call(&scene.two, "ann", able, &params).await;
        assert_eq!(reason(&denied), "approval_denied", "{denied}");
    }
    assert_eq!(scene.calls(), 0);
}

/// What a caller says of a page is no approval, and neither is a form that it makes up.
#[tokio::test]
async fn a_caller_cannot_answer_for_others() {
    let scene = Scene::new(&bob()).await;
    let told = scene.call(&scene.one, "ann", PAGE, PAY).await;
    assert!(is_asked(&told), "{told}");
    let id = scene.open().await;
    let url = json::at(&told, &["result", "inputRequests", "approval", "params", "url"]).map(json::unescaped);
    assert_eq!(url, Some(format!("https://gw.example/.portolan/approvals/{id}")));
    // It cannot be sent to a page any more, so it may not answer at all.
    let made_up = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert_eq!(reason(&made_up), "approval_needed", "{made_up}");
    assert_eq!((scene.calls(), scene.standing(&id).await), (0, Standing::Pending));
    // While it waits, somebody approves.
    let visited = retry(PAY, &told, VISITED);
    let waiting = scene.call(&scene.one, "ann", PAGE, &visited);
    let (done, approved) = tokio::join!(waiting, scene.store.decide_approval(&id, true, "bob"));
    assert!(approved.unwrap() && is_done(&done), "{done}");
    assert_eq!(scene.calls(), 1);
}

/// A modern server asks in the midst of a call that was approved: it goes on, turn by turn, and no turn twice.
#[tokio::test]
async fn an_approved_call_goes_on_with_what_its_server_asks() {
    let mut scene = Scene::before(persona(true), &[]).await;
    let mut desk = scene.desk.take().unwrap();
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let form = r#"{"method":"elicitation/create","params":{"message":"which?","requestedSchema":{"type":"object","properties":{}}}}"#;
    let asks = |state: &str| {
        format!(
            r#"{{"resultType":"input_required","inputRequests":{{"q":{form}}},"requestState":"{state}"}}"#
        )
    };
    let answer = r#""q":{"action":"accept","content":{}}"#;
    let good = retry(PAY, &told, YES);
    let (first, ()) = tokio::join!(scene.call(&scene.one, "ann", FORM, &good), async {
        desk.asked("tools/call").await.result(&asks("s1")).await;
    });
    assert!(is_asked(&first) && !first.contains("\"s1\""), "{first}");
    let good = retry(PAY, &first, answer);
    let other = scene.call(&scene.one, "eve", FORM, &good).await;
    assert!(!is_done(&other) && scene.calls() == 1, "{other}");
    let changed = scene.call(&scene.one, "ann", FORM, &good.replace(r#""n":1"#, r#""n":2"#)).await;
    assert_eq!((reason(&changed).as_str(), scene.calls()), ("request_state", 1));
    let (second, ()) = tokio::join!(scene.call(&scene.one, "ann", FORM, &good), async {
        let asked = desk.asked("tools/call").await;
        assert_eq!(asked.seen.param("requestState"), Some("\"s1\""));
        asked.result(&asks("s2")).await;
    });
    assert!(is_asked(&second), "{second}");
    let replayed = scene.call(&scene.one, "ann", FORM, &good).await;
    assert_eq!((reason(&replayed).as_str(), scene.calls()), ("request_state", 2));
    let good = retry(PAY, &second, answer);
    let (done, ()) = tokio::join!(scene.call(&scene.one, "ann", FORM, &good), async {
        desk.asked("tools/call").await.result(DONE).await;
    });
    assert!(is_done(&done), "{done}");
    assert_eq!(scene.calls(), 3);
}

/// A legacy server asks in the midst of a call that was approved: what is open goes on.
#[tokio::test]
async fn an_approved_call_that_is_open_goes_on() {
    let mut scene = Scene::before(persona(false), &[]).await;
    let mut desk = scene.desk.take().unwrap();
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    assert!(is_asked(&told), "{told}");
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}}"#;
    let good = retry(PAY, &told, YES);
    let (first, events) = tokio::join!(scene.call(&scene.one, "ann", FORM, &good), async {
        let mut events = desk.asked("tools/call").await.stream().await;
        events.message(question).await;
        events
    });
    assert!(is_asked(&first), "{first}");
    let good = retry(PAY, &first, r#""input-1":{"action":"accept","content":{}}"#);
    let (done, ()) = tokio::join!(scene.call(&scene.one, "ann", FORM, &good), async {
        events.result(r#"{"content":[{"type":"text","text":"paid"}]}"#).await;
    });
    assert!(is_done(&done), "{done}");
    let replayed = scene.call(&scene.one, "ann", FORM, &good).await;
    assert!(!is_done(&replayed), "{replayed}");
    assert_eq!(scene.calls(), 1);
}

#[tokio::test]
async fn only_so_many_of_one_caller_are_open() {
    let scene = Scene::new(&[]).await;
    let call = async |who: &str, n: usize| {
        scene.call(&scene.one, who, FORM, &PAY.replace('1', &n.to_string())).await
    };
    for n in 0..store::approvals::MOST_OF_ONE {
        assert!(is_asked(&call("ann", n).await));
    }
    assert_eq!(reason(&call("ann", 1000).await), "overloaded");
    assert!(is_asked(&call("eve", 1000).await), "others have room");
}

const NO: &str = r#""approval":{"action":"decline"}"#;

/// Whoever says no is heard, even if somebody has approved it while the question was open.
#[tokio::test]
async fn a_no_holds_against_what_was_approved_meanwhile() {
    for (approvers, able, by) in [(Vec::new(), FORM, "operator"), (bob(), PAGE, "bob")] {
        let scene = Scene::new(&approvers).await;
        let told = scene.call(&scene.one, "ann", able, PAY).await;
        let id = scene.open().await;
        assert!(scene.store.decide_approval(&id, true, by).await.unwrap());
        let denied = scene.call(&scene.two, "ann", able, &retry(PAY, &told, NO)).await;
        assert_eq!(reason(&denied), "approval_denied", "{denied}");
        assert_eq!((scene.calls(), scene.standing(&id).await), (0, Standing::Denied));
        let anew = scene.call(&scene.one, "ann", able, PAY).await;
        assert!(is_asked(&anew) && scene.open().await != id, "{anew}");
        assert_eq!(scene.calls(), 0);
    }
}

#[tokio::test]
async fn a_yes_to_what_an_operator_has_approved_is_one_call() {
    let scene = Scene::new(&[]).await;
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let id = scene.open().await;
    assert!(scene.store.decide_approval(&id, true, "operator").await.unwrap());
    let done = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert!(is_done(&done), "{done}");
    let found = scene.store.approval(&id).await.unwrap().unwrap();
    assert_eq!((found.standing, found.decided_by.as_str()), (Standing::Used, "operator"));
    let again = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert!(is_asked(&again) && scene.calls() == 1, "{again}");
}

/// Who answers nothing, or anything, again and again is over its rate some time.
#[tokio::test]
async fn a_retry_that_comes_to_nothing_counts() {
    let limits = [LimitPlan { per: vec![Per::Principal], rate: rate(3), ..limit("each caller") }];
    let mut scene = Scene::limited(persona(true), &[], &limits).await;
    let desk = scene.desk.take().unwrap();
    scene.server.answer_all(desk, |asked| async move { asked.result(DONE).await });
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let state = json::at(&told, &["result", "requestState"]).unwrap();
    for params in [retry(PAY, &told, ""), format!(r#"{PAY},"requestState":"made up""#)] {
        let again = scene.call(&scene.one, "ann", FORM, &params).await;
        assert!(is_asked(&again), "{again}");
    }
    let id = scene.open().await;
    for answers in ["", NO, YES] {
        let params = format!(r#"{PAY},"requestState":{state},"inputResponses":{{{answers}}}"#);
        let refused = scene.call(&scene.one, "ann", FORM, &params).await;
        assert_eq!(reason(&refused), "rate_limited", "{answers}: {refused}");
    }
    assert_eq!((scene.calls(), scene.standing(&id).await), (0, Standing::Pending));
    // Another gateway counts for itself here.
    let done = scene.call(&scene.two, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert!(is_done(&done), "{done}");
}

#[tokio::test]
async fn what_a_limit_refuses_is_not_used() {
    let limits = [LimitPlan { concurrent: Some(1), ..limit("one") }];
    let mut scene = Scene::limited(persona(true), &bob(), &limits).await;
    let mut desk = scene.desk.take().unwrap();
    let (first, second) = (PAY.to_owned(), PAY.replace('1', "2"));
    for params in [&first, &second] {
        assert!(is_asked(&scene.call(&scene.one, "ann", PAGE, params).await));
    }
    let open = scene.store.approvals(false).await.unwrap();
    for one in &open {
        assert!(scene.store.decide_approval(&one.question.id, true, "bob").await.unwrap());
    }
    let standings = async || {
        let all = scene.store.approvals(true).await.unwrap();
        all.iter().filter(|one| one.standing == Standing::Used).count()
    };
    let (done, ()) = tokio::join!(scene.call(&scene.one, "ann", PAGE, &first), async {
        let asked = desk.asked("tools/call").await;
        let refused = scene.call(&scene.one, "ann", PAGE, &second).await;
        assert_eq!(reason(&refused), "rate_limited", "{refused}");
        assert_eq!(standings().await, 1, "the other can still be used");
        asked.result(DONE).await;
    });
    assert!(is_done(&done), "{done}");
    let (done, ()) = tokio::join!(scene.call(&scene.one, "ann", PAGE, &second), async {
        desk.asked("tools/call").await.result(DONE).await;
    });
    assert!(is_done(&done), "{done}");
    assert_eq!((scene.calls(), standings().await), (2, 2));
}

/// One waits for a page to be answered; others who say that it is open hear at once that nobody has.
#[tokio::test]
async fn one_call_waits_for_a_page() {
    let scene = Scene::new(&bob()).await;
    let told = scene.call(&scene.one, "ann", PAGE, PAY).await;
    let id = scene.open().await;
    let visited = retry(PAY, &told, VISITED);
    let mut calls: FuturesUnordered<_> =
        (0..3).map(|_| scene.call(&scene.one, "ann", PAGE, &visited)).collect();
    for _ in 0..2 {
        let asked = calls.next().await.unwrap();
        assert!(is_asked(&asked), "{asked}");
    }
    assert!(scene.store.decide_approval(&id, true, "bob").await.unwrap());
    let done = calls.next().await.unwrap();
    assert!(is_done(&done) && scene.calls() == 1, "{done}");
}
