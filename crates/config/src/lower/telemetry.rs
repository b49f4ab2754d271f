//! Where traces and metrics of calls go.

use std::time::Duration;

use base::plan::telemetry::TelemetryPlan;
use http::{HeaderName, HeaderValue, Uri};
use transport::http::client::{ClientSettings, Destination};
use transport::net::Address;

use super::{HOUR, Lowering, MANY, SECOND};
use crate::file;
use crate::node::{At, Span};
use crate::read::Entry;
use crate::secret;

/// What a collector listens to for traces, and for metrics (OTLP 1.10 §OTLP/HTTP Request).
const PATHS: [&str; 2] = ["v1/traces", "v1/metrics"];
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"];
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SERVICE: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// Variables of which one value, or either of two, says what is so anyway.
const ANYWAY: &[(&str, &[&str])] = &[
    ("OTEL_EXPORTER_OTLP_PROTOCOL", &["http/protobuf"]),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &["http/protobuf"]),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", &["http/protobuf"]),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", &["none"]),
    ("OTEL_TRACES_EXPORTER", &["otlp"]),
    ("OTEL_METRICS_EXPORTER", &["otlp"]),
    ("OTEL_LOGS_EXPORTER", &["none"]),
    ("OTEL_PROPAGATORS", &["tracecontext", "tracecontext,baggage"]),
    ("OTEL_SDK_DISABLED", &["false"]),
];

impl Lowering<'_, '_> {
    pub(super) fn telemetry(&mut self, table: &At<file::Telemetry>) -> Option<TelemetryPlan> {
        let At { value: given, span } = table;
        let environment = given.environment.as_ref().filter(|given| given.value).map(|given| given.span);
        if let Some(at) = environment {
            self.strange_variables(at);
        }
        let base = match &given.otlp {
            Some(text) => Some(self.collector(text)?),
            None => match self.variable_of(environment, ENDPOINT) {
                Some((text, at)) => Some(self.endpoint(&text, (ENDPOINT, at))?),
                None => None,
            },
        };
        let wanted =
            [&given.traces, &given.metrics].map(|given| given.as_ref().is_none_or(|given| given.value));
        let mut places = [None, None];
        for (n, place) in places.iter_mut().enumerate().filter(|(n, _)| wanted.get(*n) == Some(&true)) {
            let own =
                if given.otlp.is_none() { self.variable_of(environment, ENDPOINTS.get(n)?) } else { None };
            *place = match (own, &base) {
                // What is said of one kind alone is taken as it is; to what is said of both a path is added.
                (Some((text, at)), _) => Some(self.endpoint(&text, (ENDPOINTS.get(n)?, at))?),
                (None, Some(base)) => Some(below(base, PATHS.get(n)?)),
                (None, None) => {
                    self.findings
                        .error(*span, "nothing says where traces and metrics go")
                        .help("otlp = \"http://127.0.0.1:4318\", or environment = true where OTEL_EXPORTER_OTLP_ENDPOINT is set");
                    return None;
                }
            };
        }
        if wanted == [false, false] {
            self.findings
                .warning(*span, "neither traces nor metrics are wanted, so that the table does nothing");
        }
        let [traces, metrics] = places.map(|place| place.and_then(|uri| Destination::new(uri).ok()));
        let mut headers = self.headers(given.headers.as_ref());
        if let Some((text, at)) = self.variable_of(environment, HEADERS).filter(|_| given.headers.is_none()) {
            headers = self.headers_of(&text, at)?;
        }
        let is_open = |to: &Destination| {
            let host = to.url().host().unwrap_or_default().trim_matches(['[', ']']);
            to.url().scheme_str() == Some("http") && !Address::Tcp(host.to_owned(), 0).is_local()
        };
        if [&traces, &metrics].into_iter().flatten().any(is_open)
            && headers.iter().any(|(name, _)| secret::is_credential_name(name.as_str()))
        {
            let at = given.headers.as_ref().map(|headers| headers.span).or(environment).unwrap_or(*span);
            self.findings
                .warning(at, "a credential goes to the collector over the network in clear text")
                .help("use an https:// URL");
        }
        let authorities = given.ca.as_ref().and_then(|ca| self.authorities(ca));
        let (mut sample_callers, mut every) = (100, 60 * SECOND);
        self.set(&mut sample_callers, given.sample_callers.as_ref(), 0..=MANY);
        self.set(&mut every, given.metrics_every.as_ref(), SECOND..=HOUR);
        let service = given.service_name.as_ref().map(|name| name.value.clone());
        let service = service.or_else(|| Some(self.variable_of(environment, SERVICE)?.0));
        Some(TelemetryPlan {
            traces,
            metrics,
            headers,
            client: ClientSettings { authorities, idle_connections: 2, ..ClientSettings::default() },
            sample: given.sample.as_ref().map_or(0.01, |share| share.value.0),
            sample_callers: sample_callers.try_into().unwrap_or(u32::MAX),
            every: Duration::max(every, SECOND),
            resource: self.attributes(given, environment)?,
            service_name: service.unwrap_or_else(|| "portolan".to_owned()),
        })
    }

    /// A variable, if the environment is asked, and it is set.
    fn variable_of(&self, environment: Option<Span>, name: &str) -> Option<(String, Span)> {
        let at = environment?;
        Some((self.outside.env(name).filter(|text| !text.trim().is_empty())?, at))
    }

    fn collector(&mut self, text: &At<crate::template::Template>) -> Option<Uri> {
        let uri = self.url("a collector", text)?;
        if uri.query().is_some() {
            self.findings
                .error(text.span, "the URL of a collector has no query: a path is added to it")
                .help("a key goes into headers = { … }");
            return None;
        }
        Some(uri)
    }

    fn endpoint(&mut self, text: &str, (name, at): (&str, Span)) -> Option<Uri> {
        let is_good = |uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.query().is_none()
        };
        let uri = text.trim().parse::<Uri>().ok().filter(is_good);
        if uri.is_none() {
            self.findings
                .error(at, format!("the environment variable {name} is no URL of a collector"))
                .help("such as http://127.0.0.1:4318: http or https, without a user, a password or a query");
        }
        uri
    }

    /// `name=value,name=value`, percent-encoded (OTLP exporter specification §Specifying headers via environment variables).
    fn headers_of(&mut self, text: &str, at: Span) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let mut headers = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let read = || {
                let (name, value) = entry.split_once('=')?;
                let value = decoded(value.trim())?;
                let mut header = HeaderValue::from_str(&value).ok()?;
                header.set_sensitive(true);
                Some((name.trim().parse::<HeaderName>().ok()?, header, value))
            };
            let Some((name, header, value)) = read() else {
                self.findings
                    .error(at, format!("an entry of the environment variable {HEADERS} is no header"))
                    .help("such as authorization=Bearer%20abc,x-tenant=a");
                return None;
            };
            self.outside.secrets.add(&value, super::LITERAL);
            headers.push((name, header));
        }
        Some(headers)
    }

    fn attributes(
        &mut self,
        given: &file::Telemetry,
        environment: Option<Span>,
    ) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        if let Some((text, at)) = self.variable_of(environment, RESOURCE) {
            for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                let read = entry.split_once('=').and_then(|(name, value)| {
                    Some((name.trim().to_owned(), decoded(value.trim())?))
                        .filter(|(name, _)| !name.is_empty())
                });
                let Some(read) = read else {
                    self.findings
                        .error(at, format!("an entry of the environment variable {RESOURCE} is no attribute"))
                        .help("such as deployment.environment.name=production,service.namespace=tools");
                    return None;
                };
                all.push(read);
            }
        }
        for Entry { name, value } in given.resource.iter().flat_map(|given| &given.value.0) {
            let Some(value) = value else { continue };
            if name.value == "service.name" {
                self.findings.error(name.span, "service.name is the key service_name");
                continue;
            }
            all.retain(|(other, _)| *other != name.value);
            all.push((name.value.clone(), value.value.clone()));
        }
        Some(all)
    }

    /// A variable that is set and has no effect would deceive whoever has set it.
    fn strange_variables(&mut self, at: Span) {
        let known =
            |name: &str| [ENDPOINT, HEADERS, SERVICE, RESOURCE].contains(&name) || ENDPOINTS.contains(&name);
        for name in self.outside.names() {
            let Some(value) = self.outside.env(&name).filter(|_| name.starts_with("OTEL_")) else { continue };
            let means = |(of, values): &&(&str, &[&str])| *of == name && values.contains(&value.trim());
            if known(&name) || value.trim().is_empty() || ANYWAY.iter().any(|anyway| means(&anyway)) {
                continue;
            }
            let other = ANYWAY.iter().find(|(of, _)| *of == name).map(|(_, values)| {
                format!("it may be {}; or leave it out of the environment of Portolan", values.join(" or "))
            });
            let help = other.unwrap_or_else(|| {
                "leave it out of the environment of Portolan; what can be said stands in [telemetry]"
                    .to_owned()
            });
            self.findings.error(at, format!("the environment variable {name} cannot be honoured")).help(help);
        }
    }
}

/// A URL with that path after its own.
fn below(base: &Uri, path: &str) -> Uri {
    let (scheme, authority) = (base.scheme_str().unwrap_or("http"), base.authority());
    let authority = authority.map_or("", |authority| authority.as_str());
    let text = format!("{scheme}://{authority}{}/{path}", base.path().trim_end_matches('/'));
    text.parse().unwrap_or_else(|_never| base.clone())
}

/// A text without its percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
