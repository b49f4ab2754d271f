//! Where the records of the ledger go beside: what each sink delivers to, and how much may wait for it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use transport::http::client::{ClientSettings, Destination};

use super::audit::OnFull;

/// One sink.
#[derive(Debug, Clone)]
pub struct SinkPlan {
    /// Its name in the configuration: of `a-z 0-9 - . _`.
    pub name: String,
    /// What it delivers to.
    pub receiver: ReceiverPlan,
    /// How its records are written.
    pub format: Format,
    /// The types of records that it delivers.
    pub types: RecordTypes,
    /// The most bytes of the ledger that may wait for it.
    pub spool: u64,
    /// What becomes of calls, or of what waits longest, when more would wait.
    pub on_full: OnFull,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// Whether it delivers what was written before it was first configured, too.
    pub from_start: bool,
}

/// What a sink delivers to.
#[derive(Debug, Clone)]
pub enum ReceiverPlan {
    /// Files of its own.
    File(FilePlan),
    /// Anything that takes HTTP POST.
    Http(PostPlan, HttpBody),
    /// The HTTP Event Collector of Splunk.
    Splunk(PostPlan, SplunkPlan),
    /// The bulk API of Elasticsearch and OpenSearch; the name of the index or data stream.
    Elasticsearch(PostPlan, String),
    /// The logs intake of Datadog; what it is to call the service.
    Datadog(PostPlan, String),
    /// Object storage that speaks as S3 does.
    S3(S3Plan),
    /// A syslog server.
    Syslog(SyslogPlan),
    /// What takes logs over OTLP.
    Otlp(PostPlan),
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As they stand in the ledger.
    #[default]
    Json,
    /// OCSF.
    Ocsf,
    /// CEF.
    Cef,
}

/// The types of records that there are: docs/reference/audit-record.md. A test of the ledger holds them to its schema.
pub const RECORD_TYPES: [&str; 15] = [
    "call",
    "approval",
    "session",
    "task",
    "key",
    "pin",
    "login",
    "configuration",
    "erased",
    "start",
    "end",
    "sink",
    "gap",
    "checkpoint",
    "deleted",
];

/// The types of records that a sink delivers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecordTypes {
    /// All but checkpoints.
    #[default]
    Usual,
    /// All of them.
    All,
    /// These.
    These(Vec<String>),
}

/// Files.
#[derive(Debug, Clone)]
pub struct FilePlan {
    /// The one that is written.
    pub path: PathBuf,
    /// From so many bytes on, another one is begun.
    pub rotate_bytes: u64,
    /// And when it is so old.
    pub rotate_after: Option<Duration>,
    /// So many older ones are kept.
    pub keep_files: usize,
    /// Whether what was delivered outlives the machine's power.
    pub lasts: bool,
}

/// Where HTTP requests go.
#[derive(Debug, Clone)]
pub struct PostPlan {
    /// The URL, with the path that the receiver wants.
    pub destination: Destination,
    /// Headers that every request carries, credentials among them (marked sensitive).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The connection.
    pub client: ClientSettings,
}

/// What the body of a request to something generic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpBody {
    /// One record a line.
    #[default]
    Lines,
    /// One JSON array.
    Array,
}

/// What Splunk is told of each record.
#[derive(Debug, Clone, Default)]
pub struct SplunkPlan {
    /// The index; that of the token, if not said.
    pub index: Option<String>,
    /// The source type.
    pub source_type: String,
}

/// Object storage.
#[derive(Clone)]
pub struct S3Plan {
    /// The bucket.
    pub bucket: String,
    /// What the names of objects begin with; empty, or it ends in `/`.
    pub prefix: String,
    /// The region.
    pub region: String,
    /// The server, if it is not Amazon's.
    pub endpoint: Option<String>,
    /// Who we are.
    pub access_key_id: String,
    /// By what we prove it.
    pub secret_access_key: String,
    /// What goes with a key that is good for a while only.
    pub session_token: Option<String>,
    /// How objects are written.
    pub compression: Compression,
    /// The connection.
    pub client: ClientSettings,
}

impl fmt::Debug for S3Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the keys.
        let Self { bucket, prefix, region, endpoint, compression, client, .. } = self;
        f.debug_struct("S3Plan")
            .field("bucket", bucket)
            .field("prefix", prefix)
            .field("region", region)
            .field("endpoint", endpoint)
            .field("compression", compression)
            .field("client", client)
            .finish_non_exhaustive()
    }
}

/// How objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As they are.
    None,
    /// With gzip.
    #[default]
    Gzip,
}

/// A syslog server.
#[derive(Debug, Clone)]
pub struct SyslogPlan {
    /// Its host (IPv6 without brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS, if it speaks that.
    pub tls: Option<SyslogTls>,
    /// How messages are told apart.
    pub framing: Framing,
    /// The most bytes of a message.
    pub most_bytes: usize,
    /// Its facility, 0 to 23.
    pub facility: u8,
    /// What we are called.
    pub app_name: String,
}

/// TLS to a syslog server.
#[derive(Debug, Clone, Default)]
pub struct SyslogTls {
    /// Certificate authorities beside the system's.
    pub authorities: Option<PathBuf>,
    /// Our certificate and its key, if it asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How messages are told apart on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// By their length (RFC 6587 §3.4.1).
    #[default]
    Octet,
    /// By line breaks (RFC 6587 §3.4.2).
    Lf,
}
