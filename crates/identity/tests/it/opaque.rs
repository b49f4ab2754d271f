//! Tokens that say nothing themselves.

use std::time::Duration;

use auth::{Principal, Refusal, Why};
use base::plan::identity::{IntrospectionPlan, IssuerPlan};
use futures_util::future::join_all;
use identity::TokenFault;
use transport::http::client::Destination;

use crate::stand::{ISSUER, Request, Stand};

const TOKEN: &str = "opaque+token/~1==";

fn issuer() -> IssuerPlan {
    let plan = IntrospectionPlan {
        endpoint: Destination::new("http://127.0.0.1:9000/introspect".parse().unwrap()).unwrap(),
        client_id: "gate way".to_owned(),
        secret: "s:ä/cret".to_owned(),
    };
    IssuerPlan { introspection: Some(plan), ..Stand::issuer() }
}

fn says(stand: &Stand, changes: &[(&str, &str)]) {
    let all: Vec<_> = [("active", "true")].into_iter().chain(changes.iter().copied()).collect();
    stand.idp.says("/introspect", 200, &stand.claims(&all));
}

fn refused<T>(fault: TokenFault) -> Result<T, Refusal> {
    Err(Refusal::Unauthenticated(Why::Token(fault.text())))
}

#[tokio::test(start_paused = true)]
async fn an_issuer_is_asked_once_and_believed_for_a_while() {
    let stand = Stand::new().await;
    let identifier = stand.identifier(issuer(), Stand::resource());
    says(&stand, &[]);
    let request = Request::bearer(TOKEN);
    let all = join_all((0..20).map(|_| request.at(&identifier))).await;
    let identity = all.into_iter().next().unwrap().unwrap();
    assert_eq!(identity.principal, Principal::of(ISSUER, "alice", None));
    assert_eq!(identity.until, Some(stand.clock.now() + Duration::from_secs(630)));
    let asked = stand.idp.asked();
    assert_eq!(asked.len(), 1, "once for all");
    assert!(asked[0].ends_with("\r\n\r\ntoken=opaque%2Btoken%2F%7E1%3D%3D&token_type_hint=access_token"));
    // RFC 6749 §2.3.1, and what that is in base64.
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode("gate+way:s%3A%C3%A4%2Fcret");
    assert!(asked[0].contains(&format!("authorization: Basic {basic}\r\n")), "{}", asked[0]);
    // Nothing of either is shown.
    let shown = format!("{identifier:?}");
    assert!(!shown.contains("cret") && !shown.contains("opaque+") && !shown.contains(&basic));
    stand.advance(59);
    assert!(request.at_once(&identifier).unwrap().is_ok());
    stand.idp.says("/introspect", 200, r#"{"active":false}"#);
    stand.advance(1);
    assert_eq!(request.at(&identifier).await, refused(TokenFault::Inactive));
    assert_eq!(stand.idp.times("/introspect"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_active_is_asked_about_again_after_ten_seconds() {
    let stand = Stand::new().await;
    let identifier = stand.identifier(issuer(), Stand::resource());
    stand.idp.says("/introspect", 200, r#"{"active":false}"#);
    let request = Request::bearer(TOKEN);
    for _ in 0..5 {
        assert_eq!(request.at(&identifier).await, refused(TokenFault::Inactive));
    }
    assert_eq!(stand.idp.times("/introspect"), 1);
    says(&stand, &[]);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(request.at(&identifier).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_issuers_word_is_held_against_the_endpoint() {
    let now = Stand::new().await.now();
    let past = (now - 31).to_string();
    for (what, name, value, fault) in [
        ("for nobody", "aud", "", TokenFault::Audience),
        ("for another", "aud", "\"https://other.example/mcp\"", TokenFault::Audience),
        ("by another", "iss", "\"https://id.example\"", TokenFault::UnknownIssuer),
        ("over", "exp", past.as_str(), TokenFault::Expired),
        ("nobody's", "sub", "\"\"", TokenFault::NoSubject),
        ("twice", "x", r#"{"a":1,"a":1}"#, TokenFault::DuplicateMember),
        ("bound oddly", "cnf", r#"{"x5t#S256":"x"}"#, TokenFault::UnknownBinding),
    ] {
        let stand = Stand::new().await;
        let identifier = stand.identifier(issuer(), Stand::resource());
        says(&stand, &[(name, value)]);
        let request = Request::bearer(TOKEN);
        assert_eq!(request.at(&identifier).await, refused(fault), "{what}");
        assert_eq!(request.at_once(&identifier), Some(refused(fault)), "{what}");
    }
    // What need not be said.
    let stand = Stand::new().await;
    says(&stand, &[("iss", ""), ("exp", ""), ("sub", "")]);
    let identity = Request::bearer(TOKEN).at(&stand.identifier(issuer(), Stand::resource())).await.unwrap();
    assert_eq!((identity.principal, identity.until), (Principal::of(ISSUER, "", Some("editor")), None));
}

#[tokio::test(start_paused = true)]
async fn no_answer_says_nothing_of_the_token() {
    for (status, body) in [
        (400, r#"{"error":"unsupported_token_type"}"#),
        (401, r#"{"error":"invalid_client"}"#),
        (500, ""),
        (302, ""),
        (200, "<html>"),
        (200, "{}"),
        (200, r#"{"active":"true"}"#),
        (200, r#"{"active":1}"#),
        (200, r#"{"active":true,"active":true}"#),
    ] {
        let stand = Stand::new().await;
        let identifier = stand.identifier(issuer(), Stand::resource());
        stand.idp.says("/introspect", status, body);
        let outcome = Request::bearer(TOKEN).at(&identifier).await;
        assert!(matches!(outcome, Err(Refusal::Unavailable { .. })), "{status} {body}: {outcome:?}");
        says(&stand, &[]);
        assert!(Request::bearer(TOKEN).at(&identifier).await.is_ok(), "and it is over at once");
    }
    // Who can be asked nothing is asked nothing.
    let stand = Stand::new().await;
    assert_eq!(Request::bearer(TOKEN).at_once(&stand.usual()), Some(refused(TokenFault::NotThreeParts)));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_texts_does_not_become_a_flood_of_questions() {
    let stand = Stand::new().await;
    let identifier = stand.identifier(issuer(), Stand::resource());
    says(&stand, &[]);
    let known = Request::bearer(TOKEN);
    known.at(&identifier).await.unwrap();
    stand.idp.hangs(true);
    let requests: Vec<Request> = (0..600).map(|number| Request::bearer(&format!("token{number}"))).collect();
    let flood = join_all(requests.iter().map(|request| request.at(&identifier)));
    let meanwhile = async {
        testkit::idle().await;
        assert!(known.at_once(&identifier).unwrap().is_ok(), "what is known waits for nobody");
    };
    let (all, ()) = tokio::join!(flood, meanwhile);
    assert!(all.iter().all(|outcome| matches!(outcome, Err(Refusal::Unavailable { .. }))));
    assert_eq!(stand.idp.times("/introspect"), 1 + 32);
}

/// Who comes while the issuer is asked about others waits for a turn.
#[tokio::test(start_paused = true)]
async fn who_comes_in_a_crowd_is_asked_about_in_turn() {
    let stand = Stand::new().await;
    let identifier = stand.identifier(issuer(), Stand::resource());
    says(&stand, &[]);
    let requests: Vec<Request> = (0..200).map(|number| Request::bearer(&format!("token{number}"))).collect();
    let all = join_all(requests.iter().map(|request| request.at(&identifier))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(stand.idp.times("/introspect"), 200);
}
