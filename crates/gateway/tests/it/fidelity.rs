//! What Portolan does not own passes byte for byte: number spelling, escapes, member order, white space, members that
//! nobody knows; through every kind of server, to every kind of client.
//!
//! Owned are a request's id, name and the protocol's members of `_meta`, a progress token, and of a result its type and
//! how it may be cached. Everything else is compared as bytes.

use std::sync::{Arc, Mutex};

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer, Seen};

use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

mod texts;

use texts::{array, members};

/// A kind of server, and how it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    ModernHttp,
    ModernHttpEvents,
    LegacyHttp,
    LegacyHttpEvents,
    ModernStdio,
    LegacyStdio,
}

impl Server {
    const ALL: [Self; 6] = [
        Self::ModernHttp,
        Self::ModernHttpEvents,
        Self::LegacyHttp,
        Self::LegacyHttpEvents,
        Self::ModernStdio,
        Self::LegacyStdio,
    ];

    fn is_modern(self) -> bool {
        matches!(self, Self::ModernHttp | Self::ModernHttpEvents | Self::ModernStdio)
    }

    fn streams(self) -> bool {
        matches!(self, Self::ModernHttpEvents | Self::LegacyHttpEvents)
    }

    fn over(self) -> Over {
        if matches!(self, Self::ModernStdio | Self::LegacyStdio) { Over::Stdio } else { Over::Http }
    }
}

/// A gateway with one server, whose next answers a test sets.
struct Passage {
    running: Running,
    server: ScriptedServer,
    /// The response's members, as `"result":{…}`.
    answer: Arc<Mutex<String>>,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Passage {
    async fn through(kind: Server) -> Self {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let mut persona = if kind.is_modern() { Persona::modern() } else { Persona::legacy() };
        for (method, member) in LISTS {
            persona = persona.listing(method, &entries(member));
        }
        persona.list_members = format!("{},{}", persona.list_members, members()).trim_matches(',').to_owned();
        if kind.streams() {
            persona = persona.streaming();
        }
        let (server, desk) = stand.add("up", kind.over(), persona).await;
        let (answer, notices) = (Arc::<Mutex<String>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (next, told) = (Arc::clone(&answer), Arc::clone(&notices));
        server.answer_all(desk, move |asked| {
            let (members, notices) = (next.lock().unwrap().clone(), told.lock().unwrap().clone());
            async move {
                let id = asked.seen.id().unwrap().to_owned();
                let text = format!(r#"{{"vendor":[1.0],"id":{id},"jsonrpc":"2.0",{members}}}"#);
                if notices.is_empty() {
                    return asked.response(&[], &text).await;
                }
                let mut events = asked.stream().await;
                for notice in notices {
                    events.message(&notice.replace("TOKEN", &id)).await;
                }
                events.message(&text).await;
                events.end().await;
            }
        });
        stand.plan.limits.request_bytes = 32 * 1024 * 1024;
        let running = stand.start().await;
        server.saw("tools/list", 1).await;
        Self { running, server, answer, notices }
    }

    fn answers(&self, members: &str) {
        members.clone_into(&mut self.answer.lock().unwrap());
    }

    fn last(&self, method: &str) -> Seen {
        self.server.seen_of(method).pop().unwrap()
    }
}

const LISTS: [(&str, &str); 4] = [
    ("prompts/list", "name"),
    ("resources/list", "uri"),
    ("resources/templates/list", "uriTemplate"),
    ("tools/list", "name"),
];

/// The entries of a list, each with something awkward about it.
fn entries(member: &str) -> String {
    let name = |n: usize| format!(r#""{member}":"x://e{n}""#);
    format!(
        r#"[{{{},{}}},{{ "description" : "é\u00e9" , {} }},{{"a":{},{}}}]"#,
        name(1),
        members(),
        name(2),
        array(),
        name(3)
    )
}

/// The requests that go to the owner of what they name: method, and the members of their params.
fn requests() -> Vec<(&'static str, String)> {
    let vendor = format!(r#""vendor":{},"Name":"x""#, array());
    vec![
        ("tools/call", format!(r#""arguments":{{{}}},"name":"x://e1",{vendor}"#, members())),
        ("tools/call", format!(r#"{vendor},"name":"\u0078:\/\/e1","arguments":{}"#, array())),
        ("resources/read", format!(r#""uri":"x://e1",{vendor}"#)),
        ("prompts/get", format!(r#""name":"x://e1","arguments":{{{}}},{vendor}"#, members())),
        (
            "completion/complete",
            format!(
                r#""ref":{{"type":"ref/prompt","name":"x://e1",{}}},"argument":{{"name":"a","value":"é"}}"#,
                members()
            ),
        ),
    ]
}

const IDS: [&str; 7] =
    ["1", "\"a\"", "-7", "\"\\u00e9é\"", "9007199254740993", "\"\"", "123456789012345678901234567890"];

#[tokio::test(start_paused = true)]
async fn requests_pass_byte_for_byte() {
    for up in Server::ALL {
        let passage = Passage::through(up).await;
        passage.answers(r#""result":{}"#);
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &passage.running).await;
            for (at, (method, params)) in requests().into_iter().enumerate() {
                let meta = format!(r#""com.example/x":{},"progressToken":"t","traceparent":7"#, array());
                let sent = door.body(IDS[at % IDS.len()], method, &params, &meta);
                door.response(&sent).await;
                let got = passage.last(method);
                assert_eq!(bare(got.text()), bare(&sent), "{kind:?} to {up:?}");
                assert_eq!(own_meta(got.text()), own_meta(&sent), "{kind:?} to {up:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn results_pass_byte_for_byte() {
    for up in Server::ALL {
        let passage = Passage::through(up).await;
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &passage.running).await;
            for (at, (method, result)) in results(up.is_modern()).into_iter().enumerate() {
                passage.answers(&format!(r#""result":{result},"after":{{ }}"#));
                let params = &requests().into_iter().find(|(m, _)| *m == method).unwrap().1;
                let id = IDS[at % IDS.len()];
                let came = door.response(&door.body(id, method, params, "")).await;
                let crosses = up.is_modern() && !kind.is_modern();
                let result = if crosses { readable(&result) } else { result };
                let expected = format!(
                    r#"{{"vendor":[1.0],"id":{id},"jsonrpc":"2.0","result":{result},"after":{{ }}}}"#
                );
                assert_eq!(unhinted(&came), unhinted(&expected), "{up:?} to {kind:?}");
            }
        }
    }
}

/// A modern result with the two things changed that a client of 2025-11-25 could not read.
fn readable(result: &str) -> String {
    let list = array();
    let (structured, hologram) = (format!(r#""structuredContent":{list}"#), r#"{"type":"hologram""#);
    let bytes = hologram.len() + r#","data":}"#.len() + list.len();
    let note = format!(
        r#"{{"text":"[content of type \"hologram\", {bytes} bytes as JSON, which revision 2025-11-25 of MCP does not know]","type":"text""#
    );
    let wrapped = format!(r#""structuredContent":{{"result":{list}}}"#);
    result.replace(&structured, &wrapped).replace(hologram, &note)
}

/// Results with everything in them that a server may say. A modern one names its type and how it may be cached.
fn results(modern: bool) -> Vec<(&'static str, String)> {
    let (all, list) = (members(), array());
    let hints = if modern { r#","resultType":"complete","ttlMs":0,"cacheScope":"private""# } else { "" };
    let meta = format!(r#""_meta":{{"com.example/x":{list}}}"#);
    vec![
        (
            "tools/call",
            format!(
                r#"{{"content":[{{"type":"text","text":"é\u00e9\/","annotations":{{{all}}},{all}}},{{"type":"hologram","data":{list}}},{{ "text" : 1.0 }},7,null,[ ]],"structuredContent":{list},"isError" : false{hints},{meta},"vendor":{{{all}}}}}"#
            ),
        ),
        (
            "resources/read",
            format!(
                r#"{{"contents":[{{"uri":"x://e1","text":"\u0000",{all}}},{{"blob":"AA=="}},{list}]{hints},{meta}}}"#
            ),
        ),
        (
            "prompts/get",
            format!(
                r#"{{"description":"\ud83d\ude00","messages":[{{"role":"user","content":{{"type":"text","text":"a",{all}}},"x":{list}}},{{"role":"x","content":[{{"type":"later"}}]}}]{hints},{meta}}}"#
            ),
        ),
        (
            "completion/complete",
            format!(
                r#"{{"completion":{{"values":["\u00e9","é"],"total":1.0,"hasMore" : true,{all}}}{}}}"#,
                hints.split(",\"ttlMs").next().unwrap()
            ),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn errors_pass_byte_for_byte() {
    for up in Server::ALL {
        let passage = Passage::through(up).await;
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &passage.running).await;
            for error in [
                format!(r#"{{"code":-32603,"message":"é\u00e9","data":{},{}}}"#, array(), members()),
                r#"{ "data" : {"uri":"x://e1"} , "code" : 4.2e1 , "message" : "" }"#.to_owned(),
                format!(r#"{{"code":-32602,"data":{}}}"#, array()),
            ] {
                passage.answers(&format!(r#""error":{error}"#));
                let came = door.response(&door.body("\"e\"", "tools/call", r#""name":"a""#, "")).await;
                assert_eq!(json::at(&came, &["error"]), Some(error.as_str()), "{up:?} to {kind:?}");
                assert_eq!(json::at(&came, &["id"]), Some("\"e\""), "{up:?} to {kind:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn entries_of_lists_pass_byte_for_byte() {
    for up in Server::ALL {
        let passage = Passage::through(up).await;
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &passage.running).await;
            for (method, member) in LISTS {
                let came = door.response(&door.body("1", method, r#""x":1"#, "")).await;
                let result = json::at(&came, &["result"]).unwrap();
                let list = method.split('/').nth_back(1).unwrap();
                let list = if list == "templates" { "resourceTemplates" } else { list };
                let got = json::elements(json::at(result, &[list]).unwrap());
                assert_eq!(got, json::elements(&entries(member)), "{up:?} to {kind:?}");
                // And what the server says beside them.
                let rest = json::without(&unhinted(result), &[list]);
                let awkward = format!("{{{}}}", members());
                assert_eq!(rest, json::without(&unhinted(&awkward), &[list]), "{up:?} to {kind:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn notifications_of_a_call_pass_byte_for_byte() {
    let progress = format!(
        r#"{{"vendor":1.0,"jsonrpc":"2.0","method":"notifications/progress","params":{{{},"progressToken":TOKEN,"progress":0.10,"total":1e2}}}}"#,
        members()
    );
    let log = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"error","logger":"\u00e9","data":{}}}}}"#,
        array()
    );
    let later = format!(r#"{{"jsonrpc":"2.0","method":"notifications/later","params":{{{}}}}}"#, members());
    for up in [Server::ModernHttpEvents, Server::LegacyHttpEvents, Server::ModernStdio, Server::LegacyStdio] {
        let passage = Passage::through(up).await;
        passage.answers(r#""result":{}"#);
        // A process says what belongs to no call between the others, so only what names its call is a call's.
        let mut notices = vec![progress.clone(), log.clone()];
        notices.extend((up.over() == Over::Http).then(|| later.clone()));
        passage.notices.lock().unwrap().clone_from(&notices);
        for kind in Kind::ALL {
            let mut door = Door::open(kind, &passage.running).await;
            let mut meta = r#""progressToken":"\u0074ok""#.to_owned();
            if kind.is_modern() {
                meta.push_str(r#","io.modelcontextprotocol/logLevel":"debug""#);
            }
            let body = door.body("1", "tools/call", r#""name":"a""#, &meta);
            let mut came = door.ask(&body).await;
            came.pop();
            let expected: Vec<_> = notices.iter().map(|n| n.replace("TOKEN", r#""\u0074ok""#)).collect();
            assert_eq!(came, expected, "{up:?} to {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_on_several_lines_is_the_same_message_on_one() {
    for up in Server::ALL {
        let passage = Passage::through(up).await;
        passage.answers(
            "\"result\":{ \"content\" :\n [ ] }"
                .replace('\n', if up.streams() || up.over() == Over::Stdio { " " } else { "\n" })
                .as_str(),
        );
        let mut door = Door::open(Kind::ModernHttp, &passage.running).await;
        let sent = door
            .body("1", "tools/call", r#""name":"a","arguments":{"a":[1.0],"b":2}"#, "")
            .replace(',', "\r\n,\n\t");
        let came = door.response(&sent).await;
        let got = passage.last("tools/call");
        let one_line = bare(&sent).replace(['\r', '\n'], " ");
        let expected = if up.over() == Over::Stdio { one_line } else { bare(&sent) };
        assert_eq!(bare(got.text()), expected, "{up:?}");
        assert!(json::at(&came, &["result", "content"]).is_some(), "{came}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_megabytes_pass() {
    let long = "é\\u00e9x".repeat(1_250_000);
    for up in Server::ALL {
        let passage = Passage::through(up).await;
        passage.answers(&format!(r#""result":{{"content":[{{"type":"text","text":"{long}"}}]}}"#));
        let kinds = if up.is_modern() { [Kind::LegacyStdio] } else { [Kind::ModernHttp] };
        for kind in kinds {
            let mut door = Door::open(kind, &passage.running).await;
            let sent =
                door.body("1", "tools/call", &format!(r#""name":"a","arguments":{{"text":"{long}"}}"#), "");
            let came = door.response(&sent).await;
            assert!(passage.last("tools/call").text().contains(&long), "{kind:?} to {up:?}");
            assert!(came.contains(&long), "{up:?} to {kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_servers_change_names_and_nothing_else() {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, Persona::modern()).await;
    let (_other, _desk) = stand.add("other", Over::Http, Persona::modern()).await;
    let content = format!(
        r#"[{{"type":"resource_link","x":{},"uri":"x:\/\/a","name":"é"}},{{"type":"resource","resource":{{"uri":"x://b","text":"x://b"}},{}}}]"#,
        array(),
        members()
    );
    let result = format!(r#"{{"content":{content},"resultType":"complete","vendor":{}}}"#, array());
    let answer = result.clone();
    server.answer_all(desk, move |asked| {
        let answer = answer.clone();
        async move { asked.result(&answer).await }
    });
    let running = stand.start().await;
    let mut door = Door::open(Kind::ModernHttp, &running).await;
    let sent = door.body(
        "1",
        "tools/call",
        &format!(r#""vendor":{},"name":"up__e","arguments":{{{}}}"#, array(), members()),
        "",
    );
    let came = door.response(&sent).await;
    let got = server.seen_of("tools/call").pop().unwrap();
    assert_eq!(bare(got.text()), bare(&sent).replace("\"up__e\"", "\"e\""));
    let expected =
        result.replace(r#""x:\/\/a""#, r#""x://up__a""#).replace(r#""uri":"x://b""#, r#""uri":"x://up__b""#);
    assert_eq!(json::at(&came, &["result"]), Some(expected.as_str()));
}

/// A legacy client's request without `_meta` gains one for a modern server, and none for a legacy one.
#[tokio::test(start_paused = true)]
async fn what_is_added_stands_before_what_was_there() {
    for up in Server::ALL {
        let passage = Passage::through(up).await;
        passage.answers(r#""result":{}"#);
        let mut door = Door::open(Kind::LegacyHttp, &passage.running).await;
        let sent = format!(
            r#"{{"params": {{ "name":"a" , "arguments":{{{}}} }},"method":"tools/call","id":1,"jsonrpc":"2.0"}}"#,
            members()
        );
        door.response(&sent).await;
        let got = passage.last("tools/call");
        let added = json::at(got.text(), &["params", "_meta"]).map(|meta| format!(r#""_meta":{meta},"#));
        assert_eq!(added.is_some(), up.is_modern(), "{up:?}");
        let without = got.text().replace(&added.unwrap_or_default(), "");
        assert_eq!(json::masked(&without, &[&["id"]]), json::masked(&sent, &[&["id"]]), "{up:?}");
    }
}

/// A request without what a gateway may write into it.
fn bare(text: &str) -> String {
    json::masked(text, &[&["id"], &["params", "_meta"]])
}

/// The members of a request's `_meta` that are nobody's but the client's, as they stand.
fn own_meta(text: &str) -> Vec<String> {
    let meta = json::at(text, &["params", "_meta"]).unwrap_or("{}");
    let owned = |name: &str| {
        name == "progressToken"
            || name.starts_with("io.modelcontextprotocol/")
            || name.starts_with("dev.portolan/")
    };
    let own = json::members(meta).into_iter().filter(|(name, _)| !owned(json::plain(name)));
    own.map(|(name, value)| format!("{name}:{value}")).collect()
}

/// A response or a result without its type and without how it may be cached.
fn unhinted(text: &str) -> String {
    let mut out = text.to_owned();
    for name in ["resultType", "ttlMs", "cacheScope"] {
        out = json::without(&out, &["result", name]);
        if json::at(&out, &["result"]).is_none() {
            out = json::without(&out, &[name]);
        }
    }
    out
}
