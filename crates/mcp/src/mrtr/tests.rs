use super::*;
use crate::meta::ClientFacts;

fn read(text: &str) -> Result<InputRequired, AnswerFault> {
    InputRequired::read(&Object::parse(text).unwrap())
}

#[test]
fn what_is_asked_reads_and_writes() {
    let text = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"m","x":1.0}},"b":{"method":"roots/list"}},"requestState":"s\u0020"}"#;
    let asked = read(text).unwrap();
    assert_eq!(asked.state.as_deref(), Some(r#""s\u0020""#), "the state keeps its spelling");
    assert_eq!(ask(&asked.requests, "s "), text.replace("\\u0020", " "));
}

#[test]
fn what_nobody_can_be_asked_is_refused() {
    for text in [
        "{}",
        r#"{"inputRequests":{}}"#,
        r#"{"inputRequests":{"a":{"method":"tools/call"}}}"#,
        r#"{"inputRequests":{"a":{"method":"roots/list"},"a":{"method":"roots/list"}}}"#,
        r#"{"inputRequests":[]}"#,
        r#"{"requestState":7}"#,
        r#"{"inputRequests":{"a":{"method":"elicitation/create","params":{"mode":"form","mode":"url"}}}}"#,
        r#"{"inputRequests":{"a":{"method":"elicitation/create","params":{"mode":"form","\u006dode":"url"}}}}"#,
        r#"{"inputRequests":{"a":{"method":"sampling/createMessage","params":{"tools":[],"tools":[]}}}}"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(read(r#"{"requestState":""}"#).is_ok());
}

#[test]
fn retries_are_read() {
    let params = r#"{"name":"t","inputResponses":{"a":{"action":"accept"}},"requestState":"s"}"#;
    let retry = Retry::read(Some(params)).unwrap();
    assert_eq!(retry.response("a"), Some(r#"{"action":"accept"}"#));
    assert_eq!(retry.state.as_deref(), Some("s"));
    for bad in [r#"{"inputResponses":null}"#, r#"{"inputResponses":{"a":7}}"#, r#"{"requestState":{}}"#] {
        assert!(Retry::read(Some(bad)).is_err(), "{bad}");
    }
}

#[test]
fn what_a_client_lacks_is_named() {
    let request = |method: &str, params: &str| InputRequest {
        key: key(0),
        method: method.to_owned(),
        params: Some(Bytes::copy_from_slice(params.as_bytes())),
    };
    let form = request("elicitation/create", r#"{"message":"m"}"#);
    let url = request("elicitation/create", r#"{"mode":"url","elicitationId":"1","url":"https://a"}"#);
    let sampling = request("sampling/createMessage", r#"{"tools":[]}"#);
    for (request, capabilities, lacks) in [
        (&form, r#"{"elicitation":{}}"#, None),
        (&form, r#"{"elicitation":{"form":{}}}"#, None),
        (&form, r#"{"elicitation":{"url":{}}}"#, Some(r#"{"elicitation":{"form":{}}}"#)),
        (&form, "{}", Some(r#"{"elicitation":{"form":{}}}"#)),
        (&url, r#"{"elicitation":{}}"#, Some(r#"{"elicitation":{"url":{}}}"#)),
        (&url, r#"{"elicitation":{"url":{}}}"#, None),
        (&sampling, r#"{"sampling":{}}"#, Some(r#"{"sampling":{"tools":{}}}"#)),
        (&sampling, r#"{"sampling":{"tools":{}}}"#, None),
        (&request("roots/list", "{}"), r#"{"roots":{}}"#, None),
        (&request("roots/list", "{}"), "{}", Some(r#"{"roots":{}}"#)),
    ] {
        assert_eq!(request.lacks(capabilities).as_deref(), lacks, "{request:?} {capabilities}");
    }
}

#[test]
fn urls_have_an_id_in_the_legacy_era_only() {
    let data = r#"{"elicitations":[{"mode":"url","elicitationId":"1","url":"https://a","message":"m"}]}"#;
    let mut asked = of_url_error(Some(data)).unwrap();
    let [request] = &mut asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.params(), Some(r#"{"mode":"url","url":"https://a","message":"m"}"#));
    request.age("7").unwrap();
    assert!(request.params().unwrap().contains(r#""elicitationId":"7""#));
}

#[test]
fn a_session_is_told_what_it_may_ask_for() {
    let all = r#"{"sampling":{"tools":{}},"roots":{"listChanged":true},"tasks":{},"elicitation":{"url":{}}}"#;
    let told = r#"{"elicitation":{"url":{}},"roots":{"listChanged":true},"sampling":{"tools":{}}}"#;
    assert_eq!(askable(all), told);
    assert_eq!(askable(r#"{"roots":{"listChanged":false}}"#), r#"{"roots":{}}"#);
    assert_eq!(askable("{}"), "{}");
    assert_eq!(askable(r#"{"roots":true}"#), "{}");
    let apps = r#"{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#;
    assert_eq!(askable(apps), apps);
    // Clients can make no more kinds of sessions by what they write there.
    let more = apps
        .replace(r#"{"mimeTypes":["#, r#"{"x":1,"mimeTypes":["a/b","#)
        .replace("{\"io", r#"{"com.example/x":{},"io"#);
    assert_eq!(askable(&more), apps);
    let other = r#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#;
    assert_eq!(askable(&apps.replace("html", "plain")), other);
    assert_eq!(askable(&apps.replace(r#"["text/html;profile=mcp-app"]"#, "7")), other);
}

#[test]
fn a_session_of_ones_own_is_told_of_extensions_as_well() {
    let all = r#"{"extensions":{"a/b":{"c":1.0}},"tasks":{},"roots":{},"experimental":{ },"other":1}"#;
    let told = r#"{"roots":{},"experimental":{ },"extensions":{"a/b":{"c":1.0}}}"#;
    assert_eq!(introduction(all), told);
    assert_eq!(introduction(r#"{"extensions":{}}"#), r#"{"extensions":{}}"#);
    for none in ["{}", r#"{"extensions":true,"experimental":null}"#, "["] {
        assert_eq!(introduction(none), "{}", "{none}");
    }
}

#[test]
fn a_retry_differs_in_what_was_asked_for_only() {
    let text = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","requestState":"old","arguments":{"a":1.0}}}"#;
    let message = Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let client = ClientFacts {
        capabilities: Bytes::from_static(b"{}"),
        info: None,
        log: crate::meta::LogWish::Nothing,
    };
    let call = crate::inbound::legacy(message, client).unwrap();
    let responses = [("a".to_owned(), r#"{"action":"accept"}"#.to_owned())];
    let retry = again(&call, &responses, Some(r#""s""#)).unwrap();
    assert_eq!(
        retry.params(),
        Some(
            r#"{"inputResponses":{"a":{"action":"accept"}},"requestState":"s","name":"t","arguments":{"a":1.0}}"#
        )
    );
    assert_eq!(again(&call, &[], None).unwrap().params(), Some(r#"{"name":"t","arguments":{"a":1.0}}"#));
}

#[test]
fn who_was_told_more_was_told_all_of_less() {
    let (none, form, url) = ("{}", r#"{"elicitation":{}}"#, r#"{"elicitation":{"url":{}}}"#);
    for (told, declared, covered) in [
        (none, none, true),
        (form, none, true),
        (none, form, false),
        (form, r#"{"elicitation":{"form":{}}}"#, true),
        (form, url, false),
        (url, form, false),
        (form, r#"{"roots":{}}"#, false),
        (r#"{"sampling":{}}"#, r#"{"sampling":{"tools":{}}}"#, false),
        (form, r#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#, false),
        (r#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#, EVERYTHING, false),
        (r#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#, none, true),
    ] {
        assert_eq!(covers(told, declared), covered, "{told} {declared}");
        assert!(covers(EVERYTHING, declared), "{declared}");
    }
    assert_eq!(askable(EVERYTHING), EVERYTHING);
}
