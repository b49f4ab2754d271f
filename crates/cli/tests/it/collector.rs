//! A collector of OpenTelemetry's, as far as tests need one: it takes what is posted to it, and decodes it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Good,
    /// It rejects all of it, and says so.
    Rejects,
    /// It answers 200 with a page to log in.
    Page,
    /// Nobody is there.
    Away,
}

/// What it got.
#[derive(Debug, Clone, Default)]
pub(crate) struct Got {
    pub(crate) spans: Vec<Span>,
    /// Of each span, of which resource it is.
    pub(crate) instances: Vec<String>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) heads: Vec<String>,
    pub(crate) raw: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) url: String,
    got: Arc<Mutex<Got>>,
}

impl Collector {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Got>>::default();
        if manner != Manner::Away {
            let got = Arc::clone(&got);
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let got = Arc::clone(&got);
                    thread::spawn(move || serve(stream, manner, &got));
                }
            });
        }
        Self { url, got }
    }

    pub(crate) fn got(&self) -> Got {
        self.got.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, manner: Manner, got: &Mutex<Got>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let mut body = vec![0; length?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let answer = take(&head, &body, manner, &mut got.lock().unwrap());
        let (media, answer): (&str, Vec<u8>) = match manner {
            Manner::Page => ("text/html", b"<html>log in</html>".to_vec()),
            _ => ("application/x-protobuf", answer),
        };
        let said =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n", answer.len());
        writer.write_all(said.as_bytes()).ok()?;
        writer.write_all(&answer).ok()?;
    }
}

fn take(head: &str, body: &[u8], manner: Manner, got: &mut Got) -> Vec<u8> {
    got.heads.push(head.to_owned());
    got.raw.extend_from_slice(body);
    if head.starts_with("POST /v1/metrics ") {
        let request = ExportMetricsServiceRequest::decode(body).unwrap();
        let all =
            request.resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics);
        // Each has all that was counted so far.
        got.metrics = all.collect();
        return Vec::new();
    }
    assert!(head.starts_with("POST /v1/traces "), "{head}");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut count = 0;
    for of in request.resource_spans {
        let resource = of.resource.unwrap();
        let instance = resource.attributes.iter().map(self::of).find(|(key, _)| key == "service.instance.id");
        for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            got.instances.push(instance.clone().unwrap().1);
            got.spans.push(span);
            count += 1;
        }
        got.resources.push(resource);
    }
    if manner != Manner::Rejects {
        return Vec::new();
    }
    let partial = ExportTracePartialSuccess { rejected_spans: count, error_message: "too many".to_owned() };
    ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
}

/// An attribute: its name, and its value as a text.
pub(crate) fn of(pair: &KeyValue) -> (String, String) {
    let value = match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (pair.key.clone(), value)
}

/// The value of an attribute.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().map(of).find(|(name, _)| name == key).map(|(_, value)| value)
}

impl Got {
    /// How many of a method a histogram has counted, with that label, if one is named.
    pub(crate) fn count(&self, name: &str, method: &str, label: Option<(&str, &str)>) -> u64 {
        let points = self.metrics.iter().filter(|metric| metric.name == name).filter_map(|metric| {
            match &metric.data {
                Some(Data::Histogram(histogram)) => Some(&histogram.data_points),
                _ => None,
            }
        });
        let has = |pairs: &[KeyValue], key: &str, value: &str| {
            pairs.iter().map(of).any(|(name, of)| name == key && of == value)
        };
        let fits = |pairs: &[KeyValue]| {
            has(pairs, "mcp.method.name", method) && label.is_none_or(|(key, value)| has(pairs, key, value))
        };
        points.flatten().filter(|point| fits(&point.attributes)).map(|point| point.count).sum()
    }
}
