//! What holds for all texts and all cuts of them.

use std::sync::{Arc, Mutex};

use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};
use tokio::runtime::Runtime;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

/// A gateway with a server that answers `answer`, on a runtime that outlives single cases.
struct Passage {
    runtime: Runtime,
    running: Running,
    server: ScriptedServer,
    answer: Arc<Mutex<String>>,
}

impl Passage {
    fn new(over: Over, persona: Persona) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let answer = Arc::<Mutex<String>>::default();
        let next = Arc::clone(&answer);
        let (running, server) = runtime.block_on(async {
            let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
            let (server, desk) = stand.add("up", over, persona).await;
            server.answer_all(desk, move |asked| {
                let result = next.lock().unwrap().clone();
                async move { asked.result(&result).await }
            });
            let running = stand.start().await;
            server.saw("tools/list", 1).await;
            (running, server)
        });
        Self { runtime, running, server, answer }
    }
}

/// White space as it may stand between tokens, on one line.
fn space() -> impl Strategy<Value = String> {
    "[ \t]{0,2}"
}

/// A JSON string in any spelling.
fn string() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        r#"[^"\\\x00-\x1f\u{7f}-\u{9f}]{0,4}"#,
        r#"\\["\\/bfnrt]"#,
        r"\\u[0-9a-fA-F]{4}",
        Just("é".to_owned()),
        Just("\u{2028}".to_owned()),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// Any JSON text on one line.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        string(),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let spaced = (space(), inner, space())
            .prop_map(|(before, value, after)| format!("{before}{value}{after}"))
            .boxed();
        let member = (space(), string(), space(), spaced.clone())
            .prop_map(|(before, name, between, value)| format!("{before}{name}{between}:{value}"));
        prop_oneof![
            prop::collection::vec(spaced, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    })
}

fn passes(passage: &Passage, kind: Kind, text: &str) {
    let result = format!(r#"{{"resultType":"complete","x":{text}}}"#);
    result.clone_into(&mut passage.answer.lock().unwrap());
    passage.runtime.block_on(async {
        let mut door = Door::open(kind, &passage.running).await;
        let body =
            door.body("1", "tools/call", &format!(r#""name":"t","arguments":{{"x":{text}}},"y":{text}"#), "");
        let came = door.response(&body).await;
        let got = passage.server.seen_of("tools/call").pop().unwrap();
        let bare = |text: &str| json::masked(text, &[&["id"], &["params", "_meta"]]);
        assert_eq!(bare(got.text()), bare(&body));
        assert_eq!(json::at(&came, &["result", "x"]), json::at(&result, &["x"]));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn any_json_passes_as_it_is(texts in prop::collection::vec(value(), 40)) {
        for (over, persona) in [(Over::Http, Persona::modern()), (Over::Http, Persona::legacy().streaming()), (Over::Stdio, Persona::modern())] {
            let passage = Passage::new(over, persona);
            for (text, kind) in texts.iter().zip(Kind::ALL.into_iter().cycle()) {
                passes(&passage, kind, text);
            }
        }
    }

    #[test]
    fn any_name_reaches_its_server(names in prop::collection::vec(string(), 40)) {
        let passage = Passage::new(Over::Http, Persona::modern());
        "{}".clone_into(&mut passage.answer.lock().unwrap());
        for name in names {
            passage.runtime.block_on(async {
                let mut door = Door::open(Kind::ModernStdio, &passage.running).await;
                let before = passage.server.seen_of("tools/call").len();
                let body = door.body("1", "tools/call", &format!(r#""name":{name}"#), "");
                let came = door.response(&body).await;
                let seen = passage.server.seen_of("tools/call");
                match json::at(&came, &["error", "code"]) {
                    // A name that is no Unicode text can be mirrored in no header.
                    Some(code) => assert_eq!((code, seen.len()), ("-32602", before), "{name}"),
                    None => assert_eq!(seen.last().unwrap().param("name"), Some(name.as_str())),
                }
            });
        }
    }
}

const RESULT: &str = r#"{"resultType":"complete","text":"é\u00e9, \"data: x\"","n":1.0}"#;

/// All the ways in which a server over HTTP may write one and the same answer.
fn spellings(id: &str) -> Vec<Vec<u8>> {
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{RESULT}}}"#);
    let (first, second) = message.split_at(message.find(",\"n\"").unwrap());
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n";
    let sse = "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = |body: &str| {
        let chunks: String = body.split_inclusive(' ').map(|c| format!("{:x}\r\n{c}\r\n", c.len())).collect();
        format!("{chunks}0\r\n\r\n")
    };
    let streams = [
        format!("event: message\ndata: {message}\n\n"),
        format!("data:{message}\n\n"),
        format!("\u{feff}:hello\r\n\r\nid: 7\r\nevent: message\r\ndata: {message}\r\n\r\n"),
        format!("data: {message}\r\r"),
        format!("data: {first}\ndata: {second}\nretry: 10\nunknown: x\n\n"),
        format!("id\ndata\n\n:\n\ndata: {message}\n\n:after\n\n"),
    ];
    let mut all = vec![
        format!("{json}content-length: {}\r\n\r\n{message}", message.len()),
        format!("{json}transfer-encoding: chunked\r\n\r\n{}", chunked(&message)),
    ];
    all.extend(streams.iter().map(|stream| format!("{sse}{}", chunked(stream))));
    all.into_iter().map(String::into_bytes).collect()
}

#[tokio::test(start_paused = true)]
async fn answers_are_the_same_however_they_are_written_and_cut() {
    for persona in [Persona::modern(), Persona::legacy()] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("up", Over::Http, persona).await;
        let running = stand.start().await;
        server.saw("tools/list", 1).await;
        for spelling in 0..spellings("1").len() {
            for size in [1, 2, 5, 16, 10_000] {
                let client = running.client.clone();
                let call = tokio::spawn(async move {
                    ask::modern(&client, "tools/call", r#""name":"t""#).await.response().await
                });
                let asked = desk.asked("tools/call").await;
                let bytes = spellings(asked.seen.id().unwrap()).swap_remove(spelling);
                asked.raw_in_pieces(&bytes, size).await;
                // A line end between two lines of data stands between tokens, where a space says the same.
                let text = call.await.unwrap().replace([' ', '\n'], "");
                let context = format!("spelling {spelling} in pieces of {size}: {text}");
                assert_eq!(json::at(&text, &["result"]), Some(RESULT.replace(' ', "").as_str()), "{context}");
            }
        }
    }
}
