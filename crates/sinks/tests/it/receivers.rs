//! What each receiver is sent, and what is made of what it answers.

use std::time::Duration;

use base::plan::feed::{FilePlan, Format, HttpBody, ReceiverPlan, SplunkPlan};
use ledger::hash::Hash;
use serde_json::Value;
use sinks::make;
use sinks::receiver::{Receiver, Taken, Undelivered};

use crate::server::Server;
use crate::stand::{post, sink, surroundings};

const RECORD: &str = "{\"v\":1,\"type\":\"call\",\"time\":\"2026-12-01T15:40:00.000042Z\",\"replica\":\"web-1\",\"seq\":17,\"prev\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\",\"x\":\"a\\\"b\"}";

fn record(seq: u64) -> String {
    RECORD.replace("17", &seq.to_string())
}

fn made(receiver: ReceiverPlan) -> Box<dyn Receiver> {
    make::receiver(&sink(receiver), &surroundings()).unwrap()
}

fn url(server: &Server, path: &str) -> base::plan::feed::PostPlan {
    post(&format!("http://{}{path}", server.address))
}

fn is_later(outcome: &Result<Taken, Undelivered>) -> bool {
    matches!(outcome, Err(Undelivered::Later { .. }))
}

#[tokio::test]
async fn statuses_say_what_is_to_be_done() {
    let server = Server::new(|_| (200, String::new()));
    let mut receiver = made(ReceiverPlan::Http(url(&server, "/x"), HttpBody::Array));
    for (status, text, expected) in [
        (200, "", "taken"),
        (204, "", "taken"),
        (301, "location: http://127.0.0.1:1/\r\n\r\n", "later"),
        (401, "", "later"),
        (404, "", "later"),
        (413, "", "large"),
        (400, "", "refused"),
        (429, "retry-after: 7\r\n\r\n", "later 7s"),
        (503, "retry-after: nonsense\r\n\r\n", "later"),
        (0, "", "later"),
    ] {
        server.answer(move |_| (status, text.to_owned()));
        let said = match receiver.deliver(&[record(1), record(2)]).await {
            Ok(_) => "taken".to_owned(),
            Err(Undelivered::Later { after: Some(after), .. }) => format!("later {after:?}"),
            Err(Undelivered::Later { .. }) => "later".to_owned(),
            Err(Undelivered::TooLarge { .. }) => "large".to_owned(),
            Err(Undelivered::Refused { .. }) => "refused".to_owned(),
        };
        assert_eq!(said, expected, "{status}");
    }
    let came = server.next();
    assert_eq!(serde_json::from_str::<Value>(&came.body).unwrap().as_array().unwrap().len(), 2);
    let mut nobody = made(ReceiverPlan::Http(post("http://127.0.0.1:1/x"), HttpBody::Lines));
    assert!(is_later(&nobody.deliver(&[record(1)]).await));
}

#[tokio::test]
async fn splunk_says_it_in_a_code() {
    let server = Server::new(|_| (200, "{\"text\":\"Success\",\"code\":0}".to_owned()));
    let plan = SplunkPlan { index: Some("audit".to_owned()), source_type: "portolan:audit".to_owned() };
    let mut receiver = made(ReceiverPlan::Splunk(url(&server, "/services/collector/event"), plan));
    assert_eq!(receiver.deliver(&[record(1), record(2)]).await, Ok(Taken::default()));
    let came = server.next();
    let events: Vec<Value> =
        serde_json::Deserializer::from_str(&came.body).into_iter().map(Result::unwrap).collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["time"].to_string(), "1796139600.000042");
    assert_eq!((&events[0]["host"], &events[0]["index"]), (&"web-1".into(), &"audit".into()));
    assert_eq!((&events[0]["event"]["x"], &events[1]["event"]["seq"]), (&"a\"b".into(), &2.into()));
    assert!(came.headers.contains("x-splunk-request-channel: "));
    for (status, body, refused) in [
        (200, "<html>log in</html>", false),
        (200, "{\"code\":9}", false),
        (503, "{\"text\":\"Server is busy\",\"code\":9}", false),
        (403, "{\"text\":\"Invalid token\",\"code\":4}", false),
        (400, "{\"text\":\"Incorrect index\",\"code\":7}", false),
        (400, "{\"text\":\"Invalid data format\",\"code\":6,\"invalid-event-number\":0}", true),
    ] {
        server.answer(move |_| (status, body.to_owned()));
        let outcome = receiver.deliver(&[record(1)]).await;
        assert_eq!(matches!(outcome, Err(Undelivered::Refused { .. })), refused, "{body}");
        assert_eq!(is_later(&outcome), !refused, "{body}");
    }
}

#[tokio::test]
async fn elasticsearch_says_it_of_each_record() {
    let items = |statuses: &[u16]| {
        let items: Vec<_> =
            statuses.iter().map(|status| format!("{{\"create\":{{\"status\":{status}}}}}")).collect();
        format!("{{\"errors\":true,\"items\":[{}]}}", items.join(","))
    };
    let server = Server::new(|_| (200, String::new()));
    let mut receiver = made(ReceiverPlan::Elasticsearch(url(&server, "/_bulk"), "audit".to_owned()));
    let records = [record(1), record(2), record(3)];
    let answer = items(&[201, 409, 201]);
    server.answer(move |_| (200, answer.clone()));
    assert_eq!(receiver.deliver(&records).await, Ok(Taken::default()));
    let came = server.next();
    let lines: Vec<Value> = came.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    let id = |line: &str| format!("web-1-1-{}", Hash::of(&[line.as_bytes()]).to_string().get(..16).unwrap());
    assert_eq!(lines[0]["create"], serde_json::json!({"_index": "audit", "_id": id(&records[0])}));
    assert_eq!(lines[1]["@timestamp"], "2026-12-01T15:40:00.000042Z");
    let answer = items(&[201, 400, 201]);
    server.answer(move |_| (200, answer.clone()));
    let rejected = receiver.deliver(&records).await.unwrap().rejected;
    assert!(rejected.len() == 1 && rejected[0].0 == 1, "{rejected:?}");
    for answer in [
        items(&[201, 429, 400]),
        items(&[201, 403, 201]),
        items(&[201, 201]),
        "{}".to_owned(),
        "<html>".to_owned(),
    ] {
        server.answer(move |_| (200, answer.clone()));
        assert!(is_later(&receiver.deliver(&records).await));
    }
}

#[tokio::test]
async fn elasticsearch_gets_each_member_in_one_type_and_two_records_of_one_place_as_two() {
    let created = "{\"create\":{\"status\":201}}";
    let server = Server::new(move |came| {
        let items = vec![created; came.body.lines().count() / 2].join(",");
        (200, format!("{{\"items\":[{items}]}}"))
    });
    let with = |more: &str| RECORD.replace("\"x\":\"a\\\"b\"", more);
    let records = [
        with("\"principal\":{\"id\":\"a\",\"claims\":{\"n\":7,\"f\":true,\"t\":[\"x\"]}},\"id\":1e3"),
        with("\"principal\":\"a\",\"id\":\"x\""),
    ];
    for format in [Format::Json, Format::Ocsf] {
        let plan = ReceiverPlan::Elasticsearch(url(&server, "/_bulk"), "audit".to_owned());
        let mut plan = sink(plan);
        plan.format = format;
        let mut receiver = make::receiver(&plan, &surroundings()).unwrap();
        assert_eq!(receiver.deliver(&records).await, Ok(Taken::default()));
        let came = server.next();
        let lines: Vec<Value> = came.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_ne!(lines[0]["create"]["_id"], lines[2]["create"]["_id"], "the same place, another record");
        let of = |at: usize| if format == Format::Json { &lines[at] } else { &lines[at]["unmapped"]["mcp"] };
        assert_eq!((&of(1)["id"], &of(3)["id"]), (&"1e3".into(), &"x".into()));
        assert_eq!(of(1)["principal"]["claims"], serde_json::json!({"n": "7", "f": "true", "t": ["x"]}));
        assert_eq!(of(3)["principal"], serde_json::json!({"id": "a"}));
    }
}

#[tokio::test]
async fn datadog_gets_texts_and_nothing_that_it_would_cut() {
    let server = Server::new(|_| (202, "{}".to_owned()));
    let mut receiver = made(ReceiverPlan::Datadog(url(&server, "/api/v2/logs"), "gw".to_owned()));
    let large = RECORD.replace("\"x\":\"a", &format!("\"x\":\"{}", "y".repeat(1_000_000)));
    let taken = receiver.deliver(&[record(1), large.clone()]).await.unwrap();
    assert!(taken.rejected.len() == 1 && taken.rejected[0].0 == 1);
    let body: Value = serde_json::from_str(&server.next().body).unwrap();
    let [entry] = body.as_array().unwrap().as_slice() else { panic!("{body}") };
    assert_eq!(
        (&entry["hostname"], &entry["service"], &entry["ddtags"]),
        (&"web-1".into(), &"gw".into(), &"type:call".into())
    );
    assert_eq!(serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap()["seq"], 1);
    // Of what it gets nothing, there is no request.
    assert_eq!(receiver.deliver(&[large]).await.unwrap().rejected.len(), 1);
}

#[tokio::test]
async fn files_are_written() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("x.jsonl");
    let plan = FilePlan {
        path: path.clone(),
        rotate_bytes: 1 << 20,
        rotate_after: Some(Duration::from_secs(60)),
        keep_files: 1,
        lasts: true,
    };
    let mut receiver = made(ReceiverPlan::File(plan.clone()));
    receiver.deliver(&[record(1), record(2)]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n{}\n", record(1), record(2)));
    // Who only tries it leaves it to who writes it, and moves nothing away.
    let small = sink(ReceiverPlan::File(FilePlan { rotate_bytes: 1, ..plan.clone() }));
    assert!(make::of_trial(&small).is_none());
    drop(receiver);
    let mut trial = make::receiver(&make::of_trial(&small).unwrap(), &surroundings()).unwrap();
    trial.deliver(&[record(3)]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    let mut away = made(ReceiverPlan::File(FilePlan { path: root.path().join("none/x"), ..plan }));
    assert!(is_later(&away.deliver(&[record(1)]).await));
}

#[cfg(feature = "object-store")]
fn s3(endpoint: &str, compression: base::plan::feed::Compression) -> ReceiverPlan {
    ReceiverPlan::S3(base::plan::feed::S3Plan {
        bucket: "audit".to_owned(),
        prefix: "p/".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        access_key_id: "id".to_owned(),
        secret_access_key: "letmein".to_owned(),
        session_token: None,
        compression,
        client: transport::http::client::ClientSettings::default(),
    })
}

#[cfg(feature = "object-store")]
#[tokio::test]
async fn a_batch_is_an_object_that_is_called_by_its_first_record() {
    let server = Server::new(|_| (200, "etag: \"x\"\r\n\r\n".to_owned()));
    let endpoint = format!("http://{}", server.address);
    let mut receiver = made(s3(&endpoint, base::plan::feed::Compression::None));
    assert!(receiver.patience() > Duration::ZERO);
    assert_eq!(receiver.deliver(&[record(1), record(2)]).await, Ok(Taken::default()));
    let came = server.next();
    assert_eq!(came.path, "/audit/p/web-1/2026/12/01/000000000001-154000000042Z.jsonl");
    assert_eq!(came.body, format!("{}\n{}\n", record(1), record(2)));
    assert!(
        came.headers.starts_with("PUT ") && came.headers.contains("AWS4-HMAC-SHA256 Credential=id/"),
        "{came:?}"
    );
    for status in [403, 404, 500] {
        server.answer(move |_| (status, "<Error><Code>No</Code></Error>".to_owned()));
        let outcome = receiver.deliver(&[record(1)]).await;
        assert!(is_later(&outcome) && !format!("{outcome:?}").contains("letmein"), "{outcome:?}");
    }
}

/// A real server, as `moto_server -p 5000`, with a bucket `audit`: `S3_ENDPOINT=http://127.0.0.1:5000`.
#[cfg(feature = "object-store")]
#[tokio::test]
async fn a_real_server_has_the_objects() {
    let Ok(endpoint) = std::env::var("S3_ENDPOINT") else { return };
    let mut receiver = made(s3(&endpoint, base::plan::feed::Compression::Gzip));
    for _ in 0..2 {
        assert_eq!(receiver.deliver(&[record(1), record(2)]).await, Ok(Taken::default()));
    }
}
