//! One call through three replicas, with a question in the middle of it: one trace, of which this makes a picture (docs/trace.svg).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use testkit::postgres::Postgres;

use crate::collector::{Collector, Manner, attribute};
use crate::program::PORTOLAN;
use crate::traced::{ask, configured, end, hops, parent, serve};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The spans that the client would have for its two requests.
const ASKED: &str = "00f067aa0ba902b7";
const ANSWERED: &str = "00f067aa0ba902b8";

#[test]
fn a_call_with_a_question_in_the_middle_is_one_trace_over_three_replicas() {
    let database = Postgres::start();
    let collector = Collector::start(Manner::Good);
    let above = format!(
        "store = {:?}\n[keys]\nmaster = {:?}\n[replicas]\nlisten = \"127.0.0.1:0\"\n[upstream.desk]\n\
         command = [{PORTOLAN:?}, \"reference-server\", \"--stdio\", \"--era\", \"legacy\"]\n",
        database.url(),
        "ab".repeat(32)
    );
    let (_dir, path) = configured(&collector, "sample = 0\nmetrics = false", &above);
    let replicas = [serve(&path), serve(&path), serve(&path)];
    let call = r#""name":"test_elicitation","arguments":{"message":"planted-question"},"#;
    let asked = ask(&replicas[1].url, "tools/call", call, (&parent(TRACE, ASKED, "01"), ""));
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required", "{asked}");
    let key = result["inputRequests"].as_object().unwrap().keys().next().unwrap();
    let answer = r#"{"action":"accept","content":{"username":"planted-name","email":"a@b.c"}}"#;
    let retry =
        format!(r#"{call}"inputResponses":{{{key:?}:{answer}}},"requestState":{},"#, result["requestState"]);
    // It comes to another one, which forwards it to where the call is open.
    let done: Value = ask(&replicas[2].url, "tools/call", &retry, (&parent(TRACE, ANSWERED, "01"), ""));
    assert!(done["result"]["content"][0]["text"].as_str().unwrap().contains("planted-name"), "{done}");
    replicas.into_iter().for_each(end);

    let got = collector.got();
    let (servers, clients) = hops(&got.spans, TRACE);
    let ([first, second], [hop]) = (servers.as_slice(), clients.as_slice()) else {
        panic!("{servers:#?} {clients:#?}");
    };
    let parents = [first, second]
        .map(|span| span.parent_span_id.iter().map(|b| format!("{b:02x}")).collect::<String>());
    assert_eq!(parents, [ASKED, ANSWERED]);
    // The one request to the server lasts over both, and stays where it began.
    assert_eq!(hop.parent_span_id, first.span_id);
    assert!(hop.start_time_unix_nano >= first.start_time_unix_nano);
    assert!(hop.end_time_unix_nano > second.start_time_unix_nano, "{hop:#?} {second:#?}");
    assert_eq!(second.links.len(), 1);
    assert_eq!((&second.links[0].span_id, &second.links[0].trace_id), (&first.span_id, &first.trace_id));
    assert_eq!(attribute(first, "portolan.outcome").as_deref(), Some("input_required"));
    assert_eq!(attribute(hop, "network.transport").as_deref(), Some("pipe"));
    let instance = |of: &Span| {
        got.spans.iter().position(|span| span.span_id == of.span_id).map(|at| got.instances[at].clone())
    };
    assert!(instance(first) == instance(second) && instance(first) == instance(hop));
    assert!(!String::from_utf8_lossy(&got.raw).contains("planted"));
    is_current(&picture(first, second, hop));
}

fn is_current(made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/trace.svg");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, made).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == made, "docs/trace.svg is not current; run this test with UPDATE=1");
}

/// A bar of the picture: its lane, what it is, and between which moments.
struct Bar<'s> {
    lane: usize,
    name: &'s str,
    from: usize,
    to: usize,
}

/// The trace, with its moments in their order instead of times.
fn picture(first: &Span, second: &Span, hop: &Span) -> String {
    let mut moments: Vec<u64> = [first, second, hop]
        .iter()
        .flat_map(|span| [span.start_time_unix_nano, span.end_time_unix_nano])
        .collect();
    moments.sort_unstable();
    let at = |time: u64| 3 * moments.iter().position(|moment| *moment == time).unwrap() + 1;
    let bar = |lane, span: &'static str, of: &Span| Bar {
        lane,
        name: span,
        from: at(of.start_time_unix_nano),
        to: at(of.end_time_unix_nano),
    };
    let bars = [
        Bar {
            lane: 0,
            name: "tools/call test_elicitation",
            from: at(first.start_time_unix_nano) - 1,
            to: at(first.end_time_unix_nano) + 1,
        },
        bar(1, "tools/call test_elicitation · SERVER · input_required", first),
        bar(2, "tools/call test_elicitation · CLIENT · pipe · waits for the answer", hop),
        Bar {
            lane: 3,
            name: "tools/call with its answer",
            from: at(second.start_time_unix_nano) - 1,
            to: at(second.end_time_unix_nano) + 1,
        },
        bar(4, "tools/call test_elicitation · SERVER", second),
    ];
    drawn(&bars)
}

/// As SVG, readable on light and dark pages.
fn drawn(bars: &[Bar<'_>]) -> String {
    const LANES: [&str; 5] =
        ["client", "Portolan, replica 2", "replica 2 → desk", "client", "replica 3, then 2"];
    const COLOURS: [&str; 5] = ["#8aa0b8", "#3f7fbf", "#c98a2b", "#8aa0b8", "#3f7fbf"];
    let (x, y) = (|moment: usize| 160 + moment * 42, |lane: usize| 44 + lane * 46);
    let mut out = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 890 300\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
         <title>One trace of a call in whose middle a legacy server asks: two requests of the client, one to the server</title>\n\
         <rect width=\"890\" height=\"300\" fill=\"#ffffff\"/>\n",
    );
    for bar in bars {
        let (left, right, top) = (x(bar.from), x(bar.to), y(bar.lane));
        let _infallible = writeln!(
            out,
            "<text x=\"10\" y=\"{}\" fill=\"#333333\">{}</text>\n\
             <rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"24\" rx=\"3\" fill=\"{}\"/>\n\
             <text x=\"{}\" y=\"{}\" fill=\"#333333\">{}</text>",
            top + 16,
            LANES[bar.lane],
            right - left,
            COLOURS[bar.lane],
            left + 2,
            top - 5,
            bar.name,
        );
    }
    let (from, to) = (&bars[4], &bars[1]);
    let _infallible = writeln!(
        out,
        "<path d=\"M {} {} C {} {}, {} {}, {} {}\" fill=\"none\" stroke=\"#b03030\" stroke-dasharray=\"4 3\"/>\n\
         <text x=\"{}\" y=\"284\" fill=\"#b03030\">link: it goes on with what the first request has begun</text>\n</svg>",
        x(from.from),
        y(4) + 12,
        x(from.from) - 60,
        y(4) + 12,
        x(to.to) + 30,
        y(1) + 40,
        x(to.to),
        y(1) + 20,
        x(from.from) - 60,
    );
    out
}
