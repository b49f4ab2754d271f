//! Where the records of the ledger go beside.

use base::plan::audit::OnFull;
use base::plan::feed::{Format, Framing, HttpBody, ReceiverPlan, RecordTypes};

use crate::{Files, said, usable};

const A: &str = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n[audit]\n";

#[test]
fn each_type_has_its_keys() {
    let text = format!(
        "{A}[audit.sink.copy]\ntype = \"file\"\npath = \"copy.jsonl\"\nformat = \"cef\"\ntypes = [\"call\"]\n\
         [audit.sink.web]\ntype = \"http\"\nurl = \"http://127.0.0.1:2/x\"\nbody = \"array\"\ntoken = \"${{env:T:-abc}}\"\non_full = \"refuse\"\n\
         [audit.sink.splunk]\ntype = \"splunk\"\nurl = \"https://splunk.example.com:8088\"\ntoken = \"${{env:T:-abc}}\"\n\
         [audit.sink.es]\ntype = \"elasticsearch\"\nurl = \"https://es.example.com:9200/\"\nindex = \"audit\"\n\
         [audit.sink.dd]\ntype = \"datadog\"\nurl = \"https://http-intake.logs.datadoghq.eu\"\ntoken = \"${{env:T:-abc}}\"\n\
         [audit.sink.s3]\ntype = \"s3\"\nbucket = \"audit\"\naccess_key_id = \"i\"\nsecret_access_key = \"${{env:T:-abc}}\"\n\
         [audit.sink.log]\ntype = \"syslog\"\naddress = \"tls://[::1]:6514\"\nframing = \"lf\"\nmax_message = 480\ntypes = [\"all\"]\n\
         [audit.sink.otlp]\ntype = \"otlp\"\nurl = \"http://127.0.0.1:4318\"\n"
    );
    let sinks = usable(&text).sinks;
    assert_eq!(sinks.len(), 8);
    assert!(!format!("{sinks:?}").contains("abc"), "{sinks:?}");
    let of = |name: &str| sinks.iter().find(|sink| sink.name == name).unwrap();
    assert_eq!(
        (of("copy").format, &of("copy").types),
        (Format::Cef, &RecordTypes::These(vec!["call".to_owned()]))
    );
    assert_eq!((of("copy").spool, of("copy").on_full), (1 << 30, OnFull::Drop));
    let ReceiverPlan::Http(web, HttpBody::Array) = &of("web").receiver else { panic!() };
    assert_eq!((web.destination.url().path(), of("web").on_full), ("/x", OnFull::Refuse));
    assert_eq!(web.headers[0].1, "Bearer abc");
    for (name, path) in [
        ("splunk", "/services/collector/event"),
        ("es", "/_bulk"),
        ("dd", "/api/v2/logs"),
        ("otlp", "/v1/logs"),
    ] {
        let (ReceiverPlan::Splunk(post, _)
        | ReceiverPlan::Elasticsearch(post, _)
        | ReceiverPlan::Datadog(post, _)
        | ReceiverPlan::Otlp(post)) = &of(name).receiver
        else {
            panic!()
        };
        assert_eq!(post.destination.url().path(), path);
    }
    let ReceiverPlan::Syslog(log) = &of("log").receiver else { panic!() };
    assert_eq!(
        (&*log.host, log.port, log.framing, log.most_bytes, log.facility),
        ("::1", 6514, Framing::Lf, 480, 13)
    );
    assert!(
        log.tls.is_some() && of("log").types == RecordTypes::All && of("otlp").types == RecordTypes::Usual
    );
}

#[test]
fn mistakes_say_what_to_do() {
    for (table, message, help) in [
        ("path = \"x\"", "has no type", "type = \"file\""),
        ("type = \"splunk\"\nurl = \"https://x.example\"", "has no token", "token = "),
        (
            "type = \"file\"\npath = \"x\"\nurl = \"https://x.example\"",
            "\"url\" is no key of a sink of type \"file\"",
            "rotate_bytes",
        ),
        ("type = \"file\"\npath = \"none/x\"", "does not exist", "its directory is not"),
        (
            "type = \"syslog\"\naddress = \"tcp://h:1\"\non_full = \"refuse\"",
            "never says what it has taken",
            "drop",
        ),
        (
            "type = \"syslog\"\naddress = \"tcp://h:1\"\nformat = \"ocsf\"\nmax_message = 6143",
            "it takes 6144 bytes",
            "json",
        ),
        ("type = \"syslog\"\naddress = \"udp://h:1\"", "no address of a syslog server", "tls://"),
        ("type = \"syslog\"\naddress = \"tcp://h:1\"\nca = \"ca.pem\"", "cannot be read", ""),
        (
            "type = \"elasticsearch\"\nurl = \"https://x.example\"\nindex = \"a\"\nformat = \"cef\"",
            "CEF is no JSON",
            "ocsf",
        ),
        ("type = \"http\"\nurl = \"https://x.example\"\ntypes = [\"A b\"]", "no type of records", "call"),
        (
            "type = \"http\"\nurl = \"https://x.example\"\ntypes = [\"login\", \"calls\"]",
            "no type of records",
            "did you mean \"call\"?",
        ),
        (
            "type = \"http\"\nurl = \"https://x.example\"\ntoken = \"hunter2hunter2\"",
            "the token stands in the file",
            "NAME",
        ),
        ("type = \"http\"\nurl = \"https://x.example\"\nspool = 10", "must be from 1MiB", ""),
        ("type = \"htp\"", "expected", "http"),
        (
            "type = \"s3\"\nbucket = \"A\"\naccess_key_id = \"i\"\nsecret_access_key = \"${env:T:-x}\"",
            "no name of a bucket",
            "",
        ),
    ] {
        let files = Files::new(&[("portolan.toml", &format!("{A}[audit.sink.x]\n{table}\n"))]);
        let told = said(&files.load("portolan.toml"));
        assert!(told.contains(message) && told.contains(help), "{table}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let files = Files::new(&[(
        "portolan.toml",
        &format!("{A}[audit.sink.\"../x\"]\ntype = \"file\"\npath = \"x\"\n"),
    )]);
    assert!(said(&files.load("portolan.toml")).contains("cannot be the name of a sink"));
}
