use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

use super::*;
use crate::jsonrpc::MessageKind;
use crate::meta::LogWish;

const CORE: &str = r#"{"taskId":"t","status":"working","statusMessage":"a","createdAt":"2025-11-25T10:30:00.0Z","lastUpdatedAt":"x","ttl":60000.0,"pollInterval":5e3,"vendor":[ 1.0 ]}"#;

fn client(capabilities: &'static str) -> ClientFacts {
    ClientFacts {
        capabilities: Bytes::from_static(capabilities.as_bytes()),
        info: None,
        log: LogWish::Nothing,
    }
}

#[test]
fn a_task_of_the_core_becomes_one_of_the_extension() {
    let task = Task::read(CORE).unwrap();
    assert_eq!(
        task.detailed("public", &Outcome::Nothing),
        r#"{"taskId":"public","status":"working","resultType":"complete","statusMessage":"a","createdAt":"2025-11-25T10:30:00.0Z","lastUpdatedAt":"x","ttlMs":60000.0,"pollIntervalMs":5e3,"vendor":[ 1.0 ]}"#
    );
    let created = format!(r#"{{"task":{CORE},"_meta":{{"a":1}}}}"#);
    let flat = Task::read_created(&created).unwrap().unwrap().extension_created("p", &created);
    let task = Task::read(&flat).unwrap();
    assert_eq!((&*task.id, task.status), ("p", Status::Working));
    assert!(flat.contains(r#""resultType":"task""#) && flat.ends_with(r#""_meta":{"a":1}}"#), "{flat}");
    assert!(Task::read_created(r#"{"content":[]}"#).unwrap().is_none());
}

#[test]
fn what_belongs_to_a_status_comes_with_it() {
    let task = |status: &str| CORE.replace("working", status);
    let detailed = |status: &str, outcome| Task::read(&task(status)).unwrap().detailed("p", &outcome);
    // A tool that failed is a failed task in the core and a completed one in the extension.
    let failed = detailed("failed", Outcome::Result(r#"{"isError":true}"#));
    assert!(failed.contains(r#""status":"completed""#) && failed.ends_with(r#","result":{"isError":true}}"#));
    assert_eq!(Task::read(&failed).unwrap().core("p", None).matches("failed").count(), 1);
    let error = detailed("failed", Outcome::Error(r#"{"code":-1,"message":"m"}"#));
    assert!(
        error.contains(r#""status":"failed""#) && error.ends_with(r#""error":{"code":-1,"message":"m"}}"#)
    );
    assert!(detailed("input_required", Outcome::Nothing).contains(r#""status":"working""#));
    let request = InputRequest { key: "k".to_owned(), method: "roots/list".to_owned(), params: None };
    let asked = request.clone();
    let asks = detailed("input_required", Outcome::Input(std::slice::from_ref(&asked)));
    assert_eq!(Task::read(&asks).unwrap().input().unwrap(), [request]);
    let cancelled = detailed("working", Outcome::Nothing);
    assert!(Task::read(&cancelled).unwrap().core("p", Some(Status::Cancelled)).contains("cancelled"));
}

#[test]
fn a_task_of_the_extension_becomes_one_of_the_core() {
    let flat = r#"{"resultType":"task","taskId":"t","status":"working","createdAt":"c","lastUpdatedAt":"l","ttlMs":null,"pollIntervalMs":1,"_meta":{"m":1}}"#;
    let task = Task::read(flat).unwrap();
    assert_eq!(
        task.core_created("p"),
        r#"{"task":{"taskId":"p","status":"working","createdAt":"c","lastUpdatedAt":"l","ttl":null,"pollInterval":1},"_meta":{"m":1}}"#
    );
    assert_eq!((task.poll_interval(), task.ttl()), (Some(1), None));
    let bare = Task::read(r#"{"taskId":"t","status":"working"}"#).unwrap();
    assert_eq!(bare.core("t", None), r#"{"taskId":"t","status":"working","ttl":null}"#);
}

#[test]
fn what_is_no_task_is_refused() {
    for bad in [
        "{}",
        r#"{"taskId":"t"}"#,
        r#"{"taskId":1,"status":"working"}"#,
        r#"{"taskId":"t","status":"later"}"#,
        r#"{"taskId":"t","taskId":"u","status":"working"}"#,
    ] {
        assert!(Task::read(bad).is_err(), "{bad}");
    }
}

#[test]
fn messages_say_to_which_task_they_belong() {
    for (text, tagged) in [
        ("{}", r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#),
        (r#"{"a":1.0}"#, r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}},"a":1.0}"#),
        (
            r#"{"_meta":{"b":1}}"#,
            r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"},"b":1}}"#,
        ),
    ] {
        assert_eq!(tag(text, "t").unwrap(), tagged);
        assert_eq!(untag(tagged).unwrap(), text);
        let found = ids(tagged).unwrap();
        assert_eq!(
            found.iter().map(|(id, at)| (id.as_str(), at.of(tagged))).collect::<Vec<_>>(),
            [("t", "\"t\"")]
        );
    }
    let created = format!(r#"{{"task":{CORE}}}"#);
    assert_eq!(
        ids(&created).unwrap().first().map(|(id, at)| (id.as_str(), at.of(&created))),
        Some(("t", "\"t\""))
    );
    assert_eq!(untag(r#"{"_meta":{}}"#).unwrap(), r#"{"_meta":{}}"#);
}

#[test]
fn what_is_offered_and_required_is_read() {
    let offers = |text: &str| offers_calls(&Object::parse(text).unwrap());
    assert!(offers(r#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#));
    for nothing in
        ["{}", r#"{"tasks":{}}"#, r#"{"tasks":1}"#, r#"{"tasks":{"requests":{"tools":{"call":1}}}}"#]
    {
        assert!(!offers(nothing), "{nothing}");
    }
    assert!(is_required(Some(r#"{"taskSupport":"required"}"#)));
    assert!(
        !is_required(Some(r#"{"taskSupport":"optional"}"#)) && !is_required(Some("1")) && !is_required(None)
    );
    let marked = |tool: &'static str| with_support(&Bytes::from_static(tool.as_bytes()));
    assert_eq!(marked(r#"{"name":"a"}"#), r#"{"execution":{"taskSupport":"optional"},"name":"a"}"#);
    assert_eq!(
        marked(r#"{"execution":{"x":1.0,"taskSupport":"forbidden"}}"#),
        r#"{"execution":{"x":1.0,"taskSupport":"optional"}}"#
    );
}

#[test]
fn calls_ask_for_tasks_or_do_not() {
    let call = |params: &str| Call::own("tools/call", params, client("{}")).unwrap();
    let params = |call: &Call| call.params().unwrap().to_owned();
    let plain = call(r#"{"name":"a","arguments":{"n":1.0}}"#);
    let asks = asking(&plain).unwrap();
    assert!(is_wanted(&asks) && !is_wanted(&plain));
    assert_eq!(params(&asks), r#"{"task":{},"name":"a","arguments":{"n":1.0}}"#);
    assert_eq!(params(&not_asking(&asks).unwrap()), params(&plain));
    let MessageKind::Request(_) = asks.message().kind() else { panic!("a request") };
    for (has, declares) in [
        ("{}", r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#),
        (r#"{"extensions":{"a/b":{}}}"#, r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}}}"#),
    ] {
        let declaring = declaring(&client(has));
        assert_eq!(declaring.capabilities(), declares);
        assert!(declaring.declares(TASKS_EXTENSION));
    }
}

/// Members of a task in the extension's spelling, in any order and with any spelling of their values.
fn tasks() -> impl Strategy<Value = String> {
    let value = prop_oneof!["[1-9][0-9]{0,20}", Just("1.0".to_owned()), Just("null".to_owned())];
    let member = |name: &'static str| value.clone().prop_map(move |value| format!("\"{name}\":{value}"));
    let other =
        ("[a-z]{1,8}x", "[ -!#-\\[\\]-~]{0,9}").prop_map(|(name, text)| format!("\"{name}\": \"{text}\""));
    let rest = prop::collection::vec(other, 0..4);
    let status = prop_oneof![Just("working"), Just("cancelled"), Just("completed")];
    (member("ttlMs"), member("pollIntervalMs"), rest, status).prop_map(|(ttl, poll, rest, status)| {
        let mut names = std::collections::BTreeSet::new();
        let rest =
            rest.into_iter().filter(|text| names.insert(text.split(':').next().unwrap_or("").to_owned()));
        let mut all: Vec<String> = rest.collect();
        all.insert(all.len() / 2, ttl);
        all.push(poll);
        format!(r#"{{"taskId":"own","status":"{status}",{}}}"#, all.join(","))
    })
}

proptest! {
    #[test]
    fn a_task_comes_back_as_it_was(text in tasks()) {
        let there = Task::read(&text).unwrap().core("public", None);
        let back = Task::read(&there).unwrap().detailed("own", &Outcome::Nothing);
        let (had, has) = (Object::parse(&text).unwrap(), Object::parse(&back).unwrap());
        // Only the type was added; every other member has the very bytes that it had.
        let members = |object: &Object<'_>| -> std::collections::BTreeMap<String, String> {
            let members = object.iter().filter(|member| member.name != "resultType");
            members.map(|member| (member.raw_name.to_owned(), member.value.to_owned())).collect()
        };
        assert_eq!(members(&had), members(&has));
        assert_eq!(has.string("resultType").unwrap().as_deref(), Some("complete"));
    }

    #[test]
    fn a_tag_that_is_taken_away_leaves_no_trace(text in tasks(), id in "[ -~]{0,20}") {
        let tagged = tag(&text, &id).unwrap();
        assert!(ids(&tagged).unwrap().iter().any(|(found, _)| *found == id));
        assert_eq!(untag(&tagged).unwrap(), text);
    }
}
