//! Where the records of the ledger go beside.

use std::path::PathBuf;

use base::nearest::nearest;
use base::plan::audit::OnFull;
use base::plan::feed::{
    Compression, FilePlan, Format, Framing, HttpBody, PostPlan, RECORD_TYPES, ReceiverPlan, RecordTypes,
    S3Plan, SinkPlan, SplunkPlan, SyslogPlan, SyslogTls,
};
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};
use transport::http::client::{ClientSettings, Destination};

use super::address::is_host;
use super::{DAY, GIB, KIB, LITERAL, Lowering, MINUTE, SECOND};
use crate::file::{self, Config, SinkType};
use crate::findings::quoted;
use crate::node::At;
use crate::read::Entry;
use crate::template::Template;

/// The most characters of a name. It stands in names of files.
const NAME_LENGTH: usize = 64;
/// So many sinks each read the ledger.
const MOST_SINKS: usize = 32;

/// Keys that every type has.
const COMMON: &[&str] = &["type", "types", "spool", "on_full", "from", "timeout"];

impl SinkType {
    fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Http => "http",
            Self::Splunk => "splunk",
            Self::Elasticsearch => "elasticsearch",
            Self::Datadog => "datadog",
            Self::S3 => "s3",
            Self::Syslog => "syslog",
            Self::Otlp => "otlp",
        }
    }

    /// Keys that it has beside those that all have.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::File => &["format", "path", "rotate_bytes", "rotate_after", "keep_files", "fsync"],
            Self::Http => &["format", "url", "token", "headers", "ca", "proxy", "body"],
            Self::Splunk => &["format", "url", "token", "headers", "ca", "proxy", "index", "source_type"],
            Self::Elasticsearch => &["format", "url", "token", "headers", "ca", "proxy", "index"],
            Self::Datadog => &["format", "url", "token", "headers", "ca", "proxy", "service"],
            Self::S3 => &[
                "format",
                "bucket",
                "prefix",
                "region",
                "endpoint",
                "access_key_id",
                "secret_access_key",
                "session_token",
                "compression",
                "ca",
                "proxy",
            ],
            Self::Syslog => &[
                "format",
                "address",
                "ca",
                "certificate",
                "key",
                "framing",
                "max_message",
                "facility",
                "app_name",
            ],
            Self::Otlp => &["url", "token", "headers", "ca", "proxy"],
        }
    }

    /// The keys that it cannot do without, and what to write.
    fn needs(self) -> &'static [(&'static str, &'static str)] {
        const URL: (&str, &str) = ("url", "url = \"https://…\"");
        match self {
            Self::File => &[("path", "path = \"audit-copy.jsonl\"")],
            Self::Http | Self::Otlp => &[URL],
            Self::Splunk | Self::Datadog => &[URL, ("token", "token = \"${env:NAME}\"")],
            Self::Elasticsearch => &[URL, ("index", "index = \"portolan-audit\"")],
            Self::S3 => &[
                ("bucket", "bucket = \"audit\""),
                ("access_key_id", "access_key_id = \"${env:AWS_ACCESS_KEY_ID}\""),
                ("secret_access_key", "secret_access_key = \"${env:AWS_SECRET_ACCESS_KEY}\""),
            ],
            Self::Syslog => &[("address", "address = \"tls://logs.example.com:6514\"")],
        }
    }

    /// The path of a URL that names none.
    fn path(self) -> Option<&'static str> {
        match self {
            Self::Splunk => Some("/services/collector/event"),
            Self::Elasticsearch => Some("/_bulk"),
            Self::Datadog => Some("/api/v2/logs"),
            Self::Otlp => Some("/v1/logs"),
            Self::File | Self::Http | Self::S3 | Self::Syslog => None,
        }
    }
}

impl Lowering<'_, '_> {
    pub(super) fn sinks(&mut self, config: &Config) -> Vec<SinkPlan> {
        let audit = config.audit.as_ref().map(|audit| &audit.value);
        let Some(given) = audit.and_then(|audit| audit.sink.as_ref()) else { return Vec::new() };
        if given.value.0.len() > MOST_SINKS {
            self.findings.error(given.span, format!("there are at most {MOST_SINKS} sinks"));
        }
        let mut sinks = Vec::new();
        let mut files: Vec<PathBuf> = Vec::new();
        for Entry { name, value } in &given.value.0 {
            self.sink_name(name);
            let Some(At { value: given, span }) = value else { continue };
            let Some(kind) = &given.r#type else {
                if given.written.key("type").is_none() {
                    self.findings
                        .error(*span, format!("sink {:?} has no type", name.value))
                        .help("write type = \"file\", \"http\", \"splunk\", \"elasticsearch\", \"datadog\", \"s3\", \"syslog\" or \"otlp\"");
                }
                continue;
            };
            self.sink_keys(&name.value, kind, given);
            let sink = self.sink(&name.value, kind.value, given);
            if let Some(ReceiverPlan::File(file)) = sink.as_ref().map(|sink| &sink.receiver) {
                if files.contains(&file.path) {
                    self.findings
                        .error(name.span, format!("another sink writes {}, too", file.path.display()));
                }
                files.push(file.path.clone());
            }
            sinks.extend(sink);
        }
        sinks
    }

    fn sink_name(&mut self, name: &At<String>) {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        let text = &name.value;
        if text.is_empty() || text.len() > NAME_LENGTH || !text.bytes().all(fits) {
            self.findings
                .error(name.span, "this cannot be the name of a sink")
                .help("it stands in names of files: letters a to z, digits, '-', '.' and '_', at most 64");
        }
    }

    fn sink_keys(&mut self, name: &str, kind: &At<SinkType>, given: &file::Sink) {
        let (word, keys) = (kind.value.word(), kind.value.keys());
        for key in file::Sink::KEYS.iter().filter(|key| !COMMON.contains(key) && !keys.contains(key)) {
            let Some(at) = given.written.key(key) else { continue };
            self.findings
                .error(at, format!("{key:?} is no key of a sink of type {word:?}"))
                .label(kind.span, "this says what it is")
                .help(format!("it has {}", quoted(keys.iter().copied(), "and")));
        }
        for (key, help) in kind.value.needs() {
            if given.written.key(key).is_none() && !given.written.strange {
                self.findings
                    .error(kind.span, format!("sink {name:?} has no {key}"))
                    .help(format!("write {help}"));
            }
        }
    }

    fn sink(&mut self, name: &str, kind: SinkType, given: &file::Sink) -> Option<SinkPlan> {
        let receiver = self.receiver(kind, given);
        let format = match given.format.as_ref().map(|format| format.value) {
            None | Some(file::SinkFormat::Json) => Format::Json,
            Some(file::SinkFormat::Ocsf) => Format::Ocsf,
            Some(file::SinkFormat::Cef) => Format::Cef,
        };
        let is_array = matches!(&receiver, Some(ReceiverPlan::Http(_, HttpBody::Array)));
        if let Some(at) = given.format.as_ref().filter(|_| format == Format::Cef)
            && (kind == SinkType::Elasticsearch || is_array)
        {
            self.findings.error(at.span, "CEF is no JSON, which is what is taken there").help(
                "format = \"json\" or \"ocsf\"; a type such as \"syslog\", \"file\" or \"http\" with lines takes CEF",
            );
        }
        let least = match format {
            Format::Json => 0,
            Format::Cef => 2048,
            Format::Ocsf => 6144,
        };
        if let (Some(ReceiverPlan::Syslog(syslog)), Some(max)) = (&receiver, &given.max_message)
            && syslog.most_bytes < least
        {
            self.findings
                .error(
                    max.span,
                    format!("some records do not fit that in this format: it takes {least} bytes"),
                )
                .help("format = \"json\" fits any: what is too long goes on in another message");
        }
        let (mut spool, mut timeout) = (GIB, 30 * SECOND);
        self.set(&mut spool, given.spool.as_ref(), KIB * KIB..=1024 * GIB);
        self.set(&mut timeout, given.timeout.as_ref(), SECOND..=10 * MINUTE);
        let refuses = given.on_full.as_ref().filter(|full| full.value == file::SinkFull::Refuse);
        if let Some(full) = refuses.filter(|_| kind == SinkType::Syslog) {
            self.findings
                .error(
                    full.span,
                    "a syslog server never says what it has taken, so nothing can be refused over it",
                )
                .help("on_full = \"drop\", or a receiver that acknowledges");
        }
        Some(SinkPlan {
            name: name.to_owned(),
            receiver: receiver?,
            format,
            types: self.record_types(given.types.as_ref()),
            spool: spool.try_into().unwrap_or(u64::MAX),
            on_full: if refuses.is_some() { OnFull::Refuse } else { OnFull::Drop },
            timeout,
            from_start: given.from.as_ref().is_some_and(|from| from.value == file::FeedFrom::Start),
        })
    }

    fn record_types(&mut self, given: Option<&At<file::Texts>>) -> RecordTypes {
        let Some(given) = given else { return RecordTypes::Usual };
        if given.value.is_empty() {
            self.findings.error(given.span, "without a type of records, nothing is delivered");
        }
        if given.value.iter().any(|kind| kind.value == "all") {
            return RecordTypes::All;
        }
        // Of a type that there is not, nothing would ever be delivered, and nobody would know.
        for kind in given.value.iter().filter(|kind| !RECORD_TYPES.contains(&kind.value.as_str())) {
            let finding = self.findings.error(kind.span, "this is no type of records");
            match nearest(&kind.value, RECORD_TYPES) {
                Some(meant) => finding.help(format!("did you mean {meant:?}?")),
                None => finding.help(format!("there is {}", quoted(RECORD_TYPES, "and"))),
            };
        }
        RecordTypes::These(given.value.iter().map(|kind| kind.value.clone()).collect())
    }

    fn receiver(&mut self, kind: SinkType, given: &file::Sink) -> Option<ReceiverPlan> {
        match kind {
            SinkType::File => self.sink_file(given).map(ReceiverPlan::File),
            SinkType::S3 => self.sink_s3(given).map(ReceiverPlan::S3),
            SinkType::Syslog => self.sink_syslog(given).map(ReceiverPlan::Syslog),
            _ => self.sink_post(kind, given),
        }
    }

    fn sink_file(&mut self, given: &file::Sink) -> Option<FilePlan> {
        let (mut rotate_bytes, mut keep_files) = (64 * KIB * KIB, 10);
        self.set(&mut rotate_bytes, given.rotate_bytes.as_ref(), 64 * KIB..=64 * GIB);
        self.set(&mut keep_files, given.keep_files.as_ref(), 0..=10_000);
        let rotate_after =
            given.rotate_after.as_ref().and_then(|after| self.bounded(after, MINUTE..=366 * DAY));
        let text = given.path.as_ref()?;
        let path = self.path(text)?;
        if path.is_dir() || path.file_name().is_none() {
            self.findings
                .error(text.span, format!("{} is a directory", path.display()))
                .help("name a file in it");
        } else if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
            self.findings
                .error(text.span, format!("the directory {} does not exist", parent.display()))
                .help("the file is made; its directory is not");
        }
        let lasts = given.fsync.as_ref().is_some_and(|fsync| fsync.value);
        Some(FilePlan {
            path,
            rotate_bytes: rotate_bytes.try_into().unwrap_or(u64::MAX),
            rotate_after,
            keep_files,
            lasts,
        })
    }

    fn sink_post(&mut self, kind: SinkType, given: &file::Sink) -> Option<ReceiverPlan> {
        let mut headers = self.headers(given.headers.as_ref());
        if let Some(header) = given.token.as_ref().and_then(|token| self.sink_token(kind, token)) {
            if headers.iter().any(|(name, _)| *name == header.0)
                && let Some(token) = &given.token
            {
                self.findings.error(
                    token.span,
                    format!("the token goes in the header {}, which is set, too", header.0),
                );
            }
            headers.push(header);
        }
        let authorities = given.ca.as_ref().and_then(|ca| self.authorities(ca));
        let index = given.index.as_ref().map(|index| index.value.clone());
        if let Some(index) = given.index.as_ref().filter(|index| !is_index(&index.value)) {
            self.findings
                .error(index.span, "this is no name of an index")
                .help("letters, digits, '-', '.' and '_'");
        }
        let text = given.url.as_ref()?;
        let url = self.url("a sink", text)?;
        let has_credentials = given.token.is_some();
        let proxy = self.proxy(&url, given.proxy.as_ref(), Some(text.span));
        self.clear_text(&url, given.headers.as_ref());
        let is_local = url.host().is_some_and(|host| {
            transport::net::Address::Tcp(host.trim_matches(['[', ']']).to_owned(), 0).is_local()
        });
        if has_credentials && url.scheme_str() == Some("http") && !is_local {
            self.findings
                .warning(text.span, "the token and all records go over the network in clear text")
                .help("use an https:// URL");
        }
        let url = with_path(url, kind.path());
        let client = ClientSettings { authorities, proxy, idle_connections: 2, ..ClientSettings::default() };
        // A URL that was read above names a host.
        let post = PostPlan { destination: Destination::new(url).ok()?, headers, client };
        Some(match kind {
            SinkType::Splunk => {
                let source_type = given.source_type.as_ref().map(|given| given.value.clone());
                let source_type = source_type.unwrap_or_else(|| "portolan:audit".to_owned());
                ReceiverPlan::Splunk(post, SplunkPlan { index, source_type })
            }
            SinkType::Elasticsearch => ReceiverPlan::Elasticsearch(post, index?),
            SinkType::Datadog => {
                let service = given.service.as_ref().map(|given| given.value.clone());
                ReceiverPlan::Datadog(post, service.unwrap_or_else(|| "portolan".to_owned()))
            }
            SinkType::Otlp => ReceiverPlan::Otlp(post),
            _ => {
                let is_array = given.body.as_ref().is_some_and(|body| body.value == file::HttpBody::Array);
                ReceiverPlan::Http(post, if is_array { HttpBody::Array } else { HttpBody::Lines })
            }
        })
    }

    /// The header by which the receiver knows us.
    fn sink_token(&mut self, kind: SinkType, token: &At<Template>) -> Option<(HeaderName, HeaderValue)> {
        if let Some(text) = token.value.as_literal().filter(|text| !text.is_empty()) {
            self.outside.secrets.add(text, LITERAL);
            let help = self.place_of_secret("an environment variable", "", "NAME");
            self.findings.warning(token.span, "the token stands in the file").help(help);
        }
        let text = self.resolve(token)?;
        let (name, before) = match kind {
            SinkType::Splunk => (AUTHORIZATION, "Splunk "),
            SinkType::Elasticsearch => (AUTHORIZATION, "ApiKey "),
            SinkType::Datadog => (HeaderName::from_static("dd-api-key"), ""),
            _ => (AUTHORIZATION, "Bearer "),
        };
        let value =
            HeaderValue::from_str(&format!("{before}{text}")).ok().filter(|_| !text.trim().is_empty());
        let Some(mut value) = value else {
            self.findings
                .error(token.span, "this cannot be a token")
                .help("a token is not empty, and has no line breaks or other control characters");
            return None;
        };
        value.set_sensitive(true);
        Some((name, value))
    }

    fn sink_s3(&mut self, given: &file::Sink) -> Option<S3Plan> {
        let authorities = given.ca.as_ref().and_then(|ca| self.authorities(ca));
        let mut credential = |given: Option<&At<Template>>| {
            let given = given?;
            if let Some(text) = given.value.as_literal().filter(|text| !text.is_empty()) {
                self.outside.secrets.add(text, LITERAL);
                let help = self.place_of_secret("an environment variable", "", "AWS_SECRET_ACCESS_KEY");
                self.findings.warning(given.span, "a secret stands in the file").help(help);
            }
            self.resolve(given)
        };
        let secret = credential(given.secret_access_key.as_ref());
        let session_token = credential(given.session_token.as_ref());
        let id = given.access_key_id.as_ref().and_then(|id| self.resolve(id));
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if let Some(bucket) = &given.bucket
            && !((3..=63).contains(&bucket.value.len()) && bucket.value.chars().all(fits))
        {
            self.findings
                .error(bucket.span, "this is no name of a bucket")
                .help("3 to 63 of the letters a to z, digits, '-' and '.'");
        }
        let mut prefix = given.prefix.as_ref().map_or("portolan/", |prefix| &prefix.value).to_owned();
        if let Some(given) = &given.prefix
            && (given.value.starts_with('/') || given.value.contains("//") || !is_key(&given.value))
        {
            self.findings
                .error(given.span, "names of objects cannot begin so")
                .help("letters, digits, '-', '.', '_' and single slashes, not at the start");
        }
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        let mut client = ClientSettings { authorities, idle_connections: 2, ..ClientSettings::default() };
        let endpoint = match &given.endpoint {
            Some(text) => {
                let url = self.url("a sink", text)?;
                client.proxy = self.proxy(&url, given.proxy.as_ref(), Some(text.span));
                Some(url.to_string().trim_end_matches('/').to_owned())
            }
            None => {
                let url = Uri::from_static("https://s3.amazonaws.com");
                client.proxy =
                    self.proxy(&url, given.proxy.as_ref(), given.bucket.as_ref().map(|at| at.span));
                None
            }
        };
        Some(S3Plan {
            bucket: given.bucket.as_ref()?.value.clone(),
            prefix,
            region: given.region.as_ref().map_or("us-east-1", |region| &region.value).to_owned(),
            endpoint,
            access_key_id: id?,
            secret_access_key: secret?,
            session_token,
            compression: match given.compression.as_ref().map(|given| given.value) {
                None | Some(file::Compression::Gzip) => Compression::Gzip,
                Some(file::Compression::None) => Compression::None,
            },
            client,
        })
    }

    fn sink_syslog(&mut self, given: &file::Sink) -> Option<SyslogPlan> {
        let mut tls =
            SyslogTls { authorities: given.ca.as_ref().and_then(|ca| self.authorities(ca)), identity: None };
        match (&given.certificate, &given.key) {
            (Some(certificate), Some(key)) => {
                let (certificate, at) = (self.path(certificate)?, key.span);
                let key = self.path(key)?;
                for path in [&certificate, &key].into_iter().filter(|path| !path.is_file()) {
                    self.findings.error(at, format!("{} is no file", path.display()));
                }
                tls.identity = Some((certificate, key));
            }
            (Some(one), None) | (None, Some(one)) => {
                self.findings.error(one.span, "a certificate and its key go together");
            }
            (None, None) => {}
        }
        let (mut most_bytes, mut facility) = (8000, 13);
        self.set(&mut most_bytes, given.max_message.as_ref(), 480..=65_536);
        self.set(&mut facility, given.facility.as_ref(), 0..=23);
        let app_name = given.app_name.as_ref().map_or("portolan", |name| &name.value).to_owned();
        // RFC 5424 §6.2.5.
        if let Some(name) = &given.app_name
            && !(1..=48).contains(&name.value.len()) | !name.value.bytes().all(|byte| byte.is_ascii_graphic())
        {
            self.findings
                .error(name.span, "this is no name of an application in syslog")
                .help("1 to 48 printable ASCII characters without spaces");
        }
        let text = given.address.as_ref()?;
        let resolved = self.resolve_open(text)?;
        let help =
            "write \"tls://HOST:PORT\", such as \"tls://logs.example.com:6514\", or \"tcp://HOST:PORT\"";
        let is_tls = resolved.starts_with("tls://");
        let rest = resolved.strip_prefix("tls://").or_else(|| resolved.strip_prefix("tcp://"));
        let parts = rest.and_then(|rest| rest.rsplit_once(':'));
        let parts =
            parts.and_then(|(host, port)| Some((host, port.parse::<u16>().ok().filter(|port| *port > 0)?)));
        let Some((host, port)) = parts else {
            self.findings.error(text.span, "this is no address of a syslog server").help(help);
            return None;
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if !bare.map_or_else(|| is_host(host), |bare| bare.parse::<std::net::Ipv6Addr>().is_ok()) {
            self.findings.error(text.span, "this is no host name or IP address").help(help);
            return None;
        }
        for key in ["ca", "certificate", "key"].into_iter().filter(|_| !is_tls) {
            if let Some(at) = given.written.key(key) {
                self.findings
                    .error(at, format!("{key:?} is for TLS, and the address begins with tcp://"))
                    .help("address = \"tls://…\"");
            }
        }
        let framing = match given.framing.as_ref().map(|framing| framing.value) {
            None | Some(file::SyslogFraming::Octet) => Framing::Octet,
            Some(file::SyslogFraming::Lf) => Framing::Lf,
        };
        Some(SyslogPlan {
            host: bare.unwrap_or(host).to_owned(),
            port,
            tls: is_tls.then_some(tls),
            framing,
            most_bytes,
            facility: facility.try_into().unwrap_or_default(),
            app_name,
        })
    }
}

/// Puts a path where a URL has none.
fn with_path(url: Uri, path: Option<&'static str>) -> Uri {
    let Some(path) = path.filter(|_| matches!(url.path(), "" | "/") && url.query().is_none()) else {
        return url;
    };
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(path));
    Uri::from_parts(parts).unwrap_or(url)
}

fn is_index(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.starts_with(['-', '_', '.'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_key(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
}
