//! Records as log records of OTLP.
//!
//! The body is the record as it stands in the ledger, byte for byte: whoever has it can check its hash. Attributes are those of the
//! semantic conventions for MCP and GenAI where they have one, else of our own, `portolan.…`.

use std::net::IpAddr;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::format::record::{Ending, Record, Weight};

/// The longest attribute: backends cut or refuse what is longer, and the body has all of it.
const MOST: usize = 1024;

/// One request for all that are records; of the others, why they are not in it.
pub(super) fn request(lines: &[String], rejected: &mut Vec<(usize, String)>) -> ExportLogsServiceRequest {
    let mut all: Vec<ResourceLogs> = Vec::new();
    let mut of: Option<&str> = None;
    for (at, line) in lines.iter().enumerate() {
        let Some(record) = Record::read(line) else {
            rejected.push((at, "it is no record of the ledger".to_owned()));
            continue;
        };
        if of != Some(record.head.replica) {
            of = Some(record.head.replica);
            all.push(resource(record.head.replica));
        }
        let scope = all.last_mut().and_then(|resource| resource.scope_logs.last_mut());
        if let Some(scope) = scope {
            scope.log_records.push(log_record(&record));
        }
    }
    ExportLogsServiceRequest { resource_logs: all }
}

fn resource(replica: &str) -> ResourceLogs {
    let mut attributes = Attributes::default();
    attributes
        .text("service.name", Some("portolan"))
        .text("service.version", Some(env!("CARGO_PKG_VERSION")));
    attributes.text("service.instance.id", Some(replica));
    let scope = InstrumentationScope { name: "portolan.audit".to_owned(), ..InstrumentationScope::default() };
    ResourceLogs {
        resource: Some(Resource { attributes: attributes.0, ..Resource::default() }),
        scope_logs: vec![ScopeLogs { scope: Some(scope), ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    }
}

fn log_record(record: &Record<'_>) -> LogRecord {
    let since = record.at().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or_default();
    let (number, text) = match record.weight() {
        Weight::Usual => (SeverityNumber::Info, "INFO"),
        Weight::Notable => (SeverityNumber::Info2, "INFO2"),
        Weight::Amiss => (SeverityNumber::Warn, "WARN"),
        Weight::Grave => (SeverityNumber::Error, "ERROR"),
    };
    LogRecord {
        time_unix_nano: nanos,
        // Whoever has written it down has seen it then.
        observed_time_unix_nano: nanos,
        severity_number: number.into(),
        severity_text: text.to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(record.line.to_owned())) }),
        attributes: attributes(record),
        trace_id: record.text("trace").and_then(|id| bytes_of(&id, 16)).unwrap_or_default(),
        span_id: record.text("span").and_then(|id| bytes_of(&id, 8)).unwrap_or_default(),
        event_name: format!("portolan.audit.{}", record.head.kind),
        ..LogRecord::default()
    }
}

/// An id of so many bytes, which are not all zero.
fn bytes_of(hex: &str, bytes: usize) -> Option<Vec<u8>> {
    if hex.len() != bytes * 2 || !hex.is_ascii() {
        return None;
    }
    let each = (0..bytes).map(|at| u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok());
    let all: Vec<u8> = each.collect::<Option<_>>()?;
    all.iter().any(|byte| *byte != 0).then_some(all)
}

fn attributes(record: &Record<'_>) -> Vec<KeyValue> {
    let mut all = Attributes::default();
    let text = |name: &str| record.text(name);
    all.text("portolan.audit.type", Some(record.head.kind));
    all.text("portolan.audit.replica", Some(record.head.replica));
    all.whole("portolan.audit.seq", record.head.seq);
    all.text("portolan.outcome", text("outcome").as_deref());
    let method = text("method");
    all.text("mcp.method.name", method.as_deref());
    all.text("mcp.protocol.version", text("revision").as_deref());
    all.text("jsonrpc.request.id", record.spelled("id").as_deref());
    let name = record.inner("thing", "name");
    let key = match record.inner("thing", "kind").as_deref() {
        Some("tool") => "gen_ai.tool.name",
        Some("prompt") => "gen_ai.prompt.name",
        Some("resource") => "mcp.resource.uri",
        _ => "portolan.thing.name",
    };
    all.text(key, name.as_deref());
    if method.as_deref() == Some("tools/call") {
        all.text("gen_ai.operation.name", Some("execute_tool"));
    }
    if record.head.kind == "call" && matches!(record.ending(), Ending::Failed | Ending::Forbidden) {
        let outcome = record.outcome();
        let is_tools_own = outcome == "error" && method.as_deref() == Some("tools/call");
        all.text("error.type", Some(if is_tools_own { "tool_error" } else { &outcome }));
    }
    let address = text("address").filter(|address| address.parse::<IpAddr>().is_ok());
    all.text("client.address", address.as_deref());
    let by = record.inner("principal", "id").or_else(|| text("by")).or_else(|| text("principal"));
    all.text("user.id", by.as_deref());
    all.text("portolan.client.id", record.inner("principal", "client").as_deref());
    all.text("portolan.issuer", record.inner("principal", "issuer").as_deref());
    all.text("portolan.server", text("server").as_deref());
    all.text("portolan.route", text("route").as_deref());
    all.text("portolan.approval", text("approval").as_deref());
    if let Some(allowed) = record.flag("decision", "allowed") {
        all.text("portolan.decision", Some(if allowed { "allow" } else { "deny" }));
        all.text("portolan.policies", Some(&record.texts("decision", "by", 32).join(" ")));
    }
    if let Some(micros) = record.number("durationUs") {
        all.whole("portolan.duration_us", micros);
    }
    all.0
}

/// Attributes, each name once.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn text(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return self };
        let short = match value.get(..value.floor_char_boundary(MOST)) {
            Some(short) if short.len() < value.len() => format!("{short}…"),
            _ => value.to_owned(),
        };
        self.push(key, Value::StringValue(short))
    }

    fn whole(&mut self, key: &str, value: u64) -> &mut Self {
        match i64::try_from(value) {
            Ok(value) => self.push(key, Value::IntValue(value)),
            Err(_larger) => self,
        }
    }

    fn push(&mut self, key: &str, value: Value) -> &mut Self {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
        self
    }
}
