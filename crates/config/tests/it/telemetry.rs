//! The table of traces and metrics.

use std::collections::BTreeMap;

use base::plan::telemetry::TelemetryPlan;
use config::{Environment, Inherit, Loaded, Source};

use crate::{Files, said, usable};

const A: &str = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n";

struct Variables(BTreeMap<&'static str, &'static str>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().map(|name| (*name).to_owned()).collect()
    }
}

fn with(variables: &[(&'static str, &'static str)], table: &str) -> Loaded {
    let source = Source { path: "portolan.toml".into(), text: format!("{A}[telemetry]\n{table}\n") };
    let variables = Variables(variables.iter().copied().collect());
    config::load_text_with(source, &variables, &Inherit::default())
}

fn urls(plan: &TelemetryPlan) -> [Option<String>; 2] {
    [&plan.traces, &plan.metrics].map(|to| to.as_ref().map(|to| to.url().to_string()))
}

#[test]
fn without_the_table_there_is_none_and_a_url_is_enough() {
    assert!(usable(A).telemetry.is_none());
    let plan = usable(&format!("{A}[telemetry]\notlp = \"http://127.0.0.1:4318/\"\n")).telemetry.unwrap();
    let expected = ["http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/metrics"];
    assert_eq!(urls(&plan), expected.map(|url| Some(url.to_owned())));
    assert_eq!((plan.sample, plan.sample_callers, plan.every.as_secs()), (0.01, 100, 60));
    assert_eq!((plan.service_name.as_str(), plan.headers.len(), plan.resource.len()), ("portolan", 0, 0));
}

#[test]
fn everything_can_be_said() {
    let text = format!(
        "{A}[telemetry]\notlp = \"https://otel.example.com/in\"\nheaders = {{ DD-API-KEY = \"${{env:KEY:-k}}\" }}\ntraces = false\n\
         sample = 0.5\nsample_callers = 0\nmetrics_every = \"10s\"\nservice_name = \"gw\"\nresource = {{ \"a.b\" = \"c\" }}\n"
    );
    let plan = usable(&text).telemetry.unwrap();
    assert_eq!(urls(&plan), [None, Some("https://otel.example.com/in/v1/metrics".to_owned())]);
    assert!(plan.headers[0].0 == "dd-api-key" && plan.headers[0].1.is_sensitive());
    assert_eq!((plan.sample, plan.sample_callers, plan.every.as_secs()), (0.5, 0, 10));
    assert_eq!((plan.service_name.as_str(), plan.resource), ("gw", vec![("a.b".to_owned(), "c".to_owned())]));
}

#[test]
fn the_environment_is_asked_where_that_is_wanted() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:1/push"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret,x=a=b"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=tools,a.b=%2C"),
        ("OTEL_SERVICE_NAME", "named"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let plan = with(&variables, "environment = true\nresource = { \"a.b\" = \"own\" }")
        .plan
        .unwrap()
        .telemetry
        .unwrap();
    let expected = ["http://c:4318/v1/traces", "http://m:1/push"];
    assert_eq!(urls(&plan), expected.map(|url| Some(url.to_owned())));
    let header = |n: usize| plan.headers[n].1.to_str().unwrap();
    assert_eq!((header(0), header(1), plan.service_name.as_str()), ("Bearer s3cret", "a=b", "named"));
    assert_eq!(plan.resource.last().unwrap().1, "own");
    assert!(!format!("{plan:?}").contains("s3cret"));
    // What the file says comes first; without the key nobody looks.
    let plan = with(&variables, "otlp = \"http://f:1\"").plan.unwrap().telemetry.unwrap();
    assert_eq!((urls(&plan)[1].as_deref(), plan.headers.len()), (Some("http://f:1/v1/metrics"), 0));
}

#[test]
fn mistakes_say_what_to_do() {
    for (table, message, help) in [
        ("", "nothing says where", "otlp = "),
        ("otlp = \"127.0.0.1:4318\"", "expected a URL", "begins with http"),
        ("otlp = \"http://c/?api_key=1234567890\"", "has no query", "headers"),
        ("otlp = \"http://c\"\nsample = 2", "a number from 0 to 1", "0.01"),
        ("otlp = \"http://c\"\nresource = { \"service.name\" = \"x\" }", "service_name", ""),
        ("otlp = \"http://c\"\nmetrics_every = \"1ms\"", "must be from 1s", ""),
    ] {
        let files = Files::new(&[("portolan.toml", &format!("{A}[telemetry]\n{table}\n"))]);
        let told = said(&files.load("portolan.toml"));
        assert!(told.contains(message) && told.contains(help), "{table}: {told}");
    }
    for (variable, value, message) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL cannot be honoured"),
        ("OTEL_TRACES_SAMPLER", "always_on", "OTEL_TRACES_SAMPLER cannot be honoured"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secretwithoutname", "is no header"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "c:4317", "is no URL of a collector"),
    ] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"), (variable, value)];
        let loaded = with(&variables, "environment = true");
        assert!(loaded.plan.is_none(), "{variable}");
        let told = said(&loaded);
        assert!(told.contains(message) && !told.contains("secretwithout"), "{variable}: {told}");
    }
}

#[test]
fn a_credential_in_clear_text_is_told_of() {
    for (url, told) in [
        ("http://otel.example.com", true),
        ("https://otel.example.com", false),
        ("http://127.0.0.1:1", false),
    ] {
        let table = format!("otlp = \"{url}\"\nheaders = {{ Authorization = \"Bearer ${{env:KEY}}\" }}");
        let said: String =
            with(&[("KEY", "k")], &table).diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(said.contains("in clear text"), told, "{url}: {said}");
    }
}
