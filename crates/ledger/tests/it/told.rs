//! What a record says, and how records are found.

use std::sync::Arc;

use auth::{Claims, Decision, SaidClaim};
use base::detail::{Detail, Examined, Keeps};
use base::sink::{Event, Sink as _};
use ledger::payload::Keeper;
use ledger::query::{Filter, read};
use ledger::record;
use mcp::json::Object;

use crate::stand::{Stand, call, facts};

fn of_call(facts: &base::sink::CallFacts) -> String {
    let (text, payloads) = record::of_call(facts, &Keeper::default());
    assert_eq!(payloads, "");
    text
}

fn full() -> base::sink::CallFacts {
    let claims = Claims {
        issuer: "https://id.example".to_owned(),
        subject: "alice\u{2028}".to_owned(),
        groups: vec!["staff".to_owned()],
        amr: vec!["pwd".to_owned()],
        more: vec![
            ("a\"".into(), SaidClaim::Text("\u{85}".to_owned())),
            ("b".into(), SaidClaim::Texts(vec!["x".to_owned()])),
            ("c".into(), SaidClaim::Integer(-7)),
            ("d".into(), SaidClaim::Flag(true)),
        ],
        ..Claims::default()
    };
    let detail = Detail {
        claims: Some(Arc::new(claims)),
        route: Some("main".into()),
        era: Some(("modern", "2026-07-28")),
        address: Some([10, 0, 0, 1].into()),
        trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
        id: Some(r#""a\u0041""#.into()),
        thing: Some(("tool", "pay".into())),
        definition: None,
        arguments: Some(Examined { digest: Some([1; 32]), bytes: 9, text: Some("{\"a\":\"\n\"}".into()) }),
        result: Some(Examined { digest: Some([2; 32]), bytes: 2, text: None }),
        decision: Some(Decision {
            allowed: true,
            by: vec!["p1".into(), "p2".into()],
            why: "permitted by p1, p2".into(),
            version: "v".into(),
            observed: true,
        }),
        approval: Some("q1".into()),
        again: true,
        credential: Some([3; 32]),
        session: Some("5e55".into()),
        client: Some(("agent".into(), "1.0".into())),
        keeps: Keeps { plain: true, ..Keeps::default() },
        task: Some([4; 32]),
        ..Detail::default()
    };
    base::sink::CallFacts { detail: Some(Box::new(detail)), ..facts(0) }
}

#[test]
fn a_record_says_all_that_is_known() {
    let text = of_call(&full());
    let expected = concat!(
        r#","trace":"0af7651916cd43dd8448eb211c80319c","principal":{"id":"https://id.example#\"alice-0\"","anonymous":false,"#,
        r#""credential":"hmac-sha256:0303030303030303030303030303030303030303030303030303030303030303","#,
        r#""issuer":"https://id.example","subject":"alice\u2028","groups":["staff"],"scopes":[],"amr":["pwd"],"claims":{"a\"":"\u0085","b":["x"],"c":-7,"d":true}},"#,
        r#""route":"main","era":"modern","revision":"2026-07-28","address":"10.0.0.1","session":"5e55","client":{"name":"agent","version":"1.0"},"method":"tools/call","id":"aA","#,
        r#""server":"bank","thing":{"kind":"tool","name":"pay"},"#,
        r#""arguments":{"digest":"hmac-sha256:0101010101010101010101010101010101010101010101010101010101010101","bytes":9,"#,
        r#""json":"{\"a\":\"\u000a\"}"},"#,
        r#""result":{"digest":"hmac-sha256:0202020202020202020202020202020202020202020202020202020202020202","bytes":2},"#,
        r#""task":"hmac-sha256:0404040404040404040404040404040404040404040404040404040404040404","#,
        r#""decision":{"allowed":true,"by":["p1","p2"],"why":"permitted by p1, p2","version":"v","observed":true},"#,
        r#""approval":"q1","outcome":"ok","durationUs":1234,"again":1"#
    );
    assert_eq!(text, expected);
    assert!(Object::parse(&format!("{{{}}}", &text[1..])).is_ok());
}

/// A client chooses names and ids, and must not choose how long records are.
#[test]
fn what_a_client_chooses_is_cut() {
    let mut facts = full();
    let detail = facts.detail.as_mut().unwrap();
    detail.thing = Some(("tool", "\u{e4}".repeat(1_000_000).into()));
    detail.id = Some(format!("\"{}\"", "x".repeat(1_000_000)).into());
    let text = of_call(&facts);
    assert!(text.len() < 8192 && text.contains("\u{e4}…\"}") && text.contains("x…\""), "{}", text.len());
    facts.detail.as_mut().unwrap().id = Some("7".repeat(1_000_000).into());
    assert!(Object::parse(&format!("{{{}}}", &of_call(&facts)[1..])).is_ok());
    assert!(of_call(&facts).len() < 8192);
}

#[tokio::test]
async fn records_are_found_in_the_order_of_time() {
    let stand = Stand::new();
    let (one, two) = (stand.open("one"), stand.open("two"));
    for number in 0..30 {
        call(if number % 2 == 0 { &one } else { &two }, number).await;
    }
    one.note(Event { kind: "login", members: vec![("route", "main".to_owned())] });
    one.close().await;
    two.close().await;
    let find = |filter: Filter| {
        let mut found = Vec::new();
        read(stand.directory(), &filter, |line| {
            found.push(line.to_owned());
            Ok(true)
        })
        .unwrap();
        found
    };
    let calls = find(Filter { kind: Some("call".to_owned()), ..Filter::default() });
    assert_eq!(calls.len(), 30);
    for (number, line) in calls.iter().enumerate() {
        assert!(line.contains(&format!("alice-{number}\\\"")), "{line}");
    }
    let alice = Filter { principal: Some("https://id.example#\"alice-7\"".to_owned()), ..Filter::default() };
    assert_eq!(find(alice).len(), 1);
    let nobody =
        Filter { server: Some("bank".to_owned()), outcome: Some("error".to_owned()), ..Filter::default() };
    assert_eq!(find(nobody).len(), 0);
    assert_eq!(find(Filter { kind: Some("login".to_owned()), ..Filter::default() }).len(), 1);
    let time = |line: &str| line.split_once("\"time\":\"").unwrap().1[..27].to_owned();
    let since = Filter {
        since: Some(time(&calls[10])),
        until: Some(time(&calls[20])),
        kind: Some("call".to_owned()),
        ..Filter::default()
    };
    let found = find(since);
    assert!(!found.is_empty() && found.len() <= 11 && found[0].contains(&time(&calls[10])), "{found:?}");
}

#[tokio::test]
async fn who_is_not_let_in_does_not_fill_the_disk() {
    let stand = Stand::new();
    let ledger = stand.open("one");
    for _ in 0..5000 {
        ledger.note(Event { kind: "login", members: Vec::new() });
    }
    ledger.close().await;
    let mut logins = 0;
    let filter = Filter { kind: Some("login".to_owned()), ..Filter::default() };
    read(stand.directory(), &filter, |_| {
        logins += 1;
        Ok(true)
    })
    .unwrap();
    assert!(logins < 500, "{logins}");
}
