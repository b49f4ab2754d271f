//! Flat table: where the records of the ledger go beside.

use super::{Templates, Texts};
use crate::read::{choice, table};
use crate::template::Template;
use crate::value::{Count, Lasting, Size};

table! {
    /// Another system that the records of the ledger go to. Each process delivers its own records, in their order and at least once; what
    /// cannot be delivered waits in the ledger. Which keys there are depends on `type`.
    #[schemars(extend("required" = ["type"]))]
    Sink {
        /// What it is.
        r#type: SinkType,
        /// How records are written. Not for `otlp`, which has its own form; `elasticsearch` takes no CEF.
        format: SinkFormat = "json",
        /// Which types of records, such as `["call", "login"]`. Without it, all but `checkpoint`; `["all"]` is really all.
        types: Texts,
        /// How many bytes of the ledger may wait for it. What `keep` of the ledger would delete is kept within this bound.
        spool: Size = "1GiB",
        /// What happens when more would wait. `"refuse"` is for receivers that say what they have taken: not for `syslog`.
        on_full: SinkFull = "drop",
        /// Where it begins when it is new.
        from: FeedFrom = "now",
        /// How long one delivery may take.
        timeout: Lasting = "30s",
        /// The receiver, with references. `http`, `otlp`: the whole URL, of `otlp` with `/v1/logs`. `splunk`, `elasticsearch`, `datadog`: what
        /// is missing of the path is added, if none is given.
        url: Template,
        /// The token that it knows us by, with references: of Splunk's collector, an API key of Elasticsearch or Datadog; of `http` and `otlp` a
        /// bearer token.
        token: Template,
        /// Headers that every request carries, with references.
        headers: Templates,
        /// A PEM file of certificate authorities to trust beside the system's, with references.
        ca: Template,
        /// The proxy to reach it through, with references; as for upstreams.
        proxy: Template,
        /// `http`: what the body of a request is.
        body: HttpBody = "lines",
        /// `splunk`: the index, if not the token's own. `elasticsearch`: the index or data stream, which has to be said.
        index: String,
        /// `splunk`: the source type.
        source_type: String = "portolan:audit",
        /// `datadog`: the service.
        service: String = "portolan",
        /// `file`: the file that is written, with references. Older ones have a number behind it.
        path: Template,
        /// `file`: how large it gets, about.
        rotate_bytes: Size = "64MiB",
        /// `file`: how old it gets. Without it, any age.
        rotate_after: Lasting,
        /// `file`: how many older ones are kept.
        keep_files: Count = 10,
        /// `file`: whether a record counts as delivered only when it is on the disk.
        fsync: bool = false,
        /// `syslog`: the server, with references: `"tls://HOST:PORT"` or `"tcp://HOST:PORT"`.
        address: Template,
        /// `syslog`: our certificate, a PEM file, with references; it goes with `key`.
        certificate: Template,
        /// `syslog`: its private key, a PEM file, with references.
        key: Template,
        /// `syslog`: how messages are told apart.
        framing: SyslogFraming = "octet",
        /// `syslog`: the most bytes of a message. What is larger is made to fit.
        max_message: Size = 8000,
        /// `syslog`: the number of the facility, 0 to 23.
        facility: Count = 13,
        /// `syslog`: what we are called there.
        app_name: String = "portolan",
        /// `s3`: the bucket.
        bucket: String,
        /// `s3`: what the names of objects begin with.
        prefix: String = "portolan/",
        /// `s3`: the region.
        region: String = "us-east-1",
        /// `s3`: the URL of the server, with references, if it is not Amazon's.
        endpoint: Template,
        /// `s3`: the id of the access key, with references.
        access_key_id: Template,
        /// `s3`: its secret, with references.
        secret_access_key: Template,
        /// `s3`: what goes with a key that is good for a while only, with references.
        session_token: Template,
        /// `s3`: how objects are written.
        compression: Compression = "gzip",
    }
}

choice! {
    /// What records go to.
    SinkType {
        /// Files of its own, which are rotated.
        "file" => File,
        /// Anything that takes batches by HTTP POST.
        "http" => Http,
        /// The HTTP Event Collector of Splunk.
        "splunk" => Splunk,
        /// The bulk API of Elasticsearch or OpenSearch.
        "elasticsearch" => Elasticsearch,
        /// The logs intake of Datadog.
        "datadog" => Datadog,
        /// Object storage that speaks as S3 does.
        "s3" => S3,
        /// A syslog server (RFC 5424).
        "syslog" => Syslog,
        /// What takes logs over OTLP, by HTTP.
        "otlp" => Otlp,
    }
}

choice! {
    /// How records are written.
    SinkFormat {
        /// As they stand in the ledger.
        "json" => Json,
        /// Events of OCSF.
        "ocsf" => Ocsf,
        /// CEF.
        "cef" => Cef,
    }
}

choice! {
    /// What happens when more would wait than may.
    SinkFull {
        /// New calls are refused, with the reason `audit_unavailable`, and `/readyz` says so.
        "refuse" => Refuse,
        /// What waits longest is passed over, and a record says how many. They are still in the ledger.
        "drop" => Drop,
    }
}

choice! {
    /// Where a new sink begins.
    FeedFrom {
        /// With what is written from then on.
        "now" => Now,
        /// With the first record that the ledger has of this process's name.
        "start" => Start,
    }
}

choice! {
    /// What the body of a request is.
    HttpBody {
        /// One record a line.
        "lines" => Lines,
        /// One JSON array.
        "array" => Array,
    }
}

choice! {
    /// How messages are told apart on a connection.
    SyslogFraming {
        /// By their length, octet counting.
        "octet" => Octet,
        /// By line breaks.
        "lf" => Lf,
    }
}

choice! {
    /// How objects are written.
    Compression {
        /// With gzip.
        "gzip" => Gzip,
        /// As they are.
        "none" => None,
    }
}
