use base::clock::SystemClock;
use http::header::LOCATION;
use http::{Response, header};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use transport::http::client::ClientSettings;
use transport::memory::Memory;
use transport::net::SystemNetwork;

use super::*;
use crate::format::testing::{line, samples};

/// What a backend that answers so makes of a delivery, and what it got.
async fn deliver(
    lines: &[String],
    answer: Response<Vec<u8>>,
) -> (Result<Taken, Undelivered>, ExportLogsServiceRequest) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/logs", listener.local_addr().unwrap()).parse().unwrap();
    let plan = PostPlan {
        destination: Destination::new(url).unwrap(),
        headers: vec![(header::AUTHORIZATION, HeaderValue::from_static("Api-Key x"))],
        client: ClientSettings::default(),
    };
    let outside = Surroundings {
        network: Arc::new(SystemNetwork),
        memory: Memory::new(1 << 20),
        clock: Arc::new(SystemClock),
    };
    let mut otlp = Otlp::new(&plan, Duration::from_secs(20), &outside);
    let (taken, request) = tokio::join!(otlp.deliver(lines), async {
        let (mut io, _) = listener.accept().await.unwrap();
        let (mut got, mut more) = (Vec::new(), vec![0; 65536]);
        let (head, length) = loop {
            let length = io.read(&mut more).await.unwrap();
            assert!(length > 0);
            got.extend_from_slice(&more[..length]);
            if let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(got[..end].to_vec()).unwrap().to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                break (end + 4, length.parse::<usize>().unwrap());
            }
        };
        while got.len() < head + length {
            let length = io.read(&mut more).await.unwrap();
            got.extend_from_slice(&more[..length]);
        }
        let text = String::from_utf8_lossy(&got[..head]).to_ascii_lowercase();
        assert!(text.starts_with("post /v1/logs http/1.1\r\n"), "{text}");
        assert!(
            text.contains("content-type: application/x-protobuf")
                && text.contains("authorization: api-key x")
        );
        let mut reply =
            format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", answer.status(), answer.body().len());
        for (name, value) in answer.headers() {
            reply.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        io.write_all(reply.as_bytes()).await.unwrap();
        io.write_all(b"\r\n").await.unwrap();
        io.write_all(answer.body()).await.unwrap();
        ExportLogsServiceRequest::decode(&got[head..]).unwrap()
    });
    (taken, request)
}

fn answer(status: u16, media: &str, body: Vec<u8>) -> Response<Vec<u8>> {
    Response::builder().status(status).header(CONTENT_TYPE, media).body(body).unwrap()
}

fn one() -> Vec<String> {
    vec![line("call", &json!({"method": "ping", "outcome": "ok"}))]
}

fn text(record: &LogRecord, key: &str) -> Option<String> {
    let found = record.attributes.iter().find(|each| each.key == key)?;
    match found.value.clone()?.value? {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

#[tokio::test]
async fn records_arrive_byte_for_byte_with_what_conventions_name() {
    let lines = samples();
    let (taken, request) = deliver(&lines, answer(200, PROTOBUF, Vec::new())).await;
    assert_eq!(taken, Ok(Taken::default()));
    let [resource] = &request.resource_logs[..] else { panic!() };
    let records = &resource.scope_logs[0].log_records;
    let bodies: Vec<_> = records.iter().map(|record| record.body.clone().unwrap().value.unwrap()).collect();
    assert_eq!(bodies, lines.into_iter().map(Any::StringValue).collect::<Vec<_>>());
    let call = &records[2];
    assert_eq!((call.trace_id.len(), call.trace_id[0]), (16, 0x0a));
    assert_eq!((call.time_unix_nano, call.severity_text.as_str()), (1_796_139_600_123_456_000, "INFO"));
    assert_eq!(call.event_name, "portolan.audit.call");
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "read_file"),
        ("gen_ai.operation.name", "execute_tool"),
        ("jsonrpc.request.id", "7"),
        ("client.address", "2001:db8::7"),
        ("portolan.duration_us", "1234"),
    ] {
        assert_eq!(text(call, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(text(call, "error.type"), None);
    assert_eq!(text(&records[4], "error.type").as_deref(), Some("tool_error"));
    assert_eq!(
        (text(&records[5], "error.type").as_deref(), records[5].severity_text.as_str()),
        (Some("policy"), "WARN")
    );
    for record in records {
        let mut keys: Vec<&str> = record.attributes.iter().map(|each| each.key.as_str()).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all, "{keys:?}");
    }
}

#[tokio::test]
async fn what_was_rejected_is_counted_and_only_protobuf_is_a_success() {
    let partly = |rejected_log_records, message: &str| {
        let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: message.to_owned() };
        ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    };
    let two = [one(), one()].concat();
    for (said, lost) in [(1, 1), (0, 0), (-5, 0)] {
        let (taken, _) = deliver(&two, answer(200, PROTOBUF, partly(said, "too old"))).await;
        assert_eq!(taken, Ok(Taken { lost, ..Taken::default() }));
    }
    // One that takes nothing has refused it: nothing counts as delivered, or as lost.
    for said in [2, i64::MAX] {
        let (taken, _) = deliver(&two, answer(200, PROTOBUF, partly(said, "too old"))).await;
        assert!(matches!(&taken, Err(Undelivered::Refused { why }) if why.contains("too old")), "{taken:?}");
    }
    let html = b"<html>Log in</html>".to_vec();
    for wrong in [
        answer(200, "text/html", html.clone()),
        answer(200, "application/json", b"{}".to_vec()),
        answer(200, PROTOBUF, html),
    ] {
        let (taken, _) = deliver(&one(), wrong).await;
        assert!(matches!(taken, Err(Undelivered::Later { .. })), "{taken:?}");
    }
}

#[tokio::test]
async fn each_refusal_is_what_it_means() {
    let refused =
        |status: u16| answer(status, PROTOBUF, RpcStatus { message: "no\nroom".to_owned() }.encode_to_vec());
    for (status, kind) in [
        (413, "large"),
        (400, "refused"),
        (401, "later"),
        (403, "later"),
        (404, "later"),
        (500, "later"),
        (503, "later"),
    ] {
        let (taken, _) = deliver(&one(), refused(status)).await;
        let found = match taken.as_ref().unwrap_err() {
            Undelivered::TooLarge { .. } => "large",
            Undelivered::Refused { .. } => "refused",
            Undelivered::Later { .. } => "later",
        };
        let why = taken.unwrap_err().to_string();
        assert!(found == kind && why.contains("no room"), "{status} {found} {why}");
    }
    let mut busy = answer(429, "text/html", b"<html>".to_vec());
    busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("17"));
    let (taken, _) = deliver(&one(), busy).await;
    let after = Some(Duration::from_secs(17));
    assert!(
        matches!(&taken, Err(Undelivered::Later { after: found, why }) if *found == after && !why.contains("html")),
        "{taken:?}"
    );
    let mut moved = answer(307, "text/plain", Vec::new());
    moved.headers_mut().insert(LOCATION, HeaderValue::from_static("http://127.0.0.1:9/"));
    let (taken, _) = deliver(&one(), moved).await;
    assert!(
        matches!(&taken, Err(Undelivered::Later { why, .. }) if why.contains("write the URL")),
        "{taken:?}"
    );
}

#[tokio::test]
async fn what_is_no_record_is_rejected_and_nothing_is_sent_of_it() {
    let mixed = [one(), vec!["{}".to_owned()]].concat();
    let (taken, request) = deliver(&mixed, answer(200, PROTOBUF, Vec::new())).await;
    assert_eq!(taken.unwrap().rejected, [(1, "it is no record of the ledger".to_owned())]);
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records.len(), 1);
}
