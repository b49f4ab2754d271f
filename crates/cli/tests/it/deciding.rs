//! One decision at every replica: whoever asks, by whatever method, in either era, and however the policies change meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use mcp::version::Era;
use tempfile::TempDir;
use testkit::http::{Client, Reply};
use testkit::json;
use testkit::postgres::Postgres;

use crate::fleet::client;
use crate::program::PORTOLAN;
use crate::revoking::{key, serve};
use crate::scripted;
use crate::serving::Gateway;

/// What they say is said again by [`allows`], without Cedar.
const POLICIES: &str = r#"
@id("ann") permit (principal, action in Mcp::Action::"use", resource) when { principal.subject == "ann" };
@id("bob-adds") permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"local/add")
when { principal.subject == "bob" && context.arguments.hasTag("/a") && context.arguments.getTag("/a") has integer
       && context.arguments.getTag("/a").integer <= 10 };
@id("bob-reads") permit (principal, action in [Mcp::Action::"read", Mcp::Action::"get"], resource) when { principal.subject == "bob" };
@id("no-picture") forbid (principal, action == Mcp::Action::"get", resource == Mcp::Prompt::"local/test_prompt_with_image");
@id("no-binary") forbid (principal, action == Mcp::Action::"read", resource) when { resource.uri == "test://static-binary" };
@id("unwatched") forbid (principal, action == Mcp::Action::"subscribe", resource) when { principal.subject == "bob" };
@id("no-echo") forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"local/echo") when { context.era == "legacy" };
"#;

/// A method, its params, and the thing that they are about.
const ASKED: &[(&str, &str, &str)] = &[
    ("tools/call", r#""name":"add","arguments":{"a":1,"b":2}"#, "add 1"),
    ("tools/call", r#""name":"add","arguments":{"a":1e1,"b":2}"#, "add 10"),
    ("tools/call", r#""name":"add","arguments":{"b":2,"a":11}"#, "add 11"),
    ("tools/call", r#""name":"echo","arguments":{"x":[null,1.5]}"#, "echo"),
    ("tools/call", r#""name":"nowhere","arguments":{}"#, "nowhere"),
    ("prompts/get", r#""name":"test_simple_prompt""#, "prompt"),
    ("prompts/get", r#""name":"test_prompt_with_image""#, "image"),
    ("resources/read", r#""uri":"test://static-text""#, "text"),
    ("resources/read", r#""uri":"test://static-binary""#, "binary"),
    (
        "completion/complete",
        r#""ref":{"type":"ref/prompt","name":"test_prompt_with_arguments"},"argument":{"name":"arg1","value":"p"}"#,
        "prompt",
    ),
    ("resources/subscribe", r#""uri":"test://static-text""#, "watch"),
    ("resources/subscribe", r#""uri":"test://static-binary""#, "binary"),
];

const WHO: [&str; 3] = ["ann", "bob", "cid"];

/// What the policies say, without them.
fn allows(who: &str, thing: &str, era: Era) -> bool {
    match (who, thing) {
        (_, "nowhere" | "image" | "binary") => false,
        ("ann", "echo") => era == Era::Modern,
        ("ann", _) | ("bob", "add 1" | "add 10" | "prompt" | "text") => true,
        _ => false,
    }
}

/// What they show of a list: what may be used in some way. The era is known at a call only.
fn shows(who: &str, method: &str, entry: &str) -> bool {
    match (who, method) {
        (_, "prompts/list") if entry == "test_prompt_with_image" => false,
        (_, "resources/list") if entry == "test://static-binary" => false,
        ("ann", _) | ("bob", "prompts/list" | "resources/list") => true,
        ("bob", "tools/list") => entry == "add",
        _ => false,
    }
}

struct Fleet {
    _server: Postgres,
    _dir: TempDir,
    path: PathBuf,
    replicas: Vec<Gateway>,
    keys: Vec<String>,
}

fn fleet(size: usize) -> Fleet {
    fleet_of(size, POLICIES, |_| {
        vec![PORTOLAN.to_owned(), "reference-server".to_owned(), "--stdio".to_owned()]
    })
}

/// The same with other policies, and another server.
fn fleet_of(size: usize, policies: &str, local: impl Fn(&Path) -> Vec<String>) -> Fleet {
    let server = Postgres::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    fs::write(dir.path().join("rules.cedar"), policies).unwrap();
    let local = local(dir.path());
    let text = format!(
        "store = {:?}\npolicy = [\"rules.cedar\"]\n[keys]\nmaster = {:?}\n[replicas]\nlisten = \"127.0.0.1:0\"\n\
         [route.main]\npublic_url = \"http://127.0.0.1/mcp\"\napi_keys = true\n\
         [upstream.local]\ncommand = {local:?}\n",
        server.url(),
        "ab".repeat(32)
    );
    fs::write(&path, text).unwrap();
    let replicas = (0..size).map(|_| serve(&path)).collect();
    let keys = WHO.iter().map(|who| key(&path, who).0).collect();
    Fleet { _server: server, _dir: dir, path, replicas, keys }
}

/// Somebody who asks one replica.
struct Asking {
    client: Client,
    bearer: String,
    era: Era,
    session: Option<String>,
}

impl Asking {
    async fn of(key: &str, era: Era, opened_at: &Gateway) -> Self {
        let bearer = format!("Bearer {key}");
        let mut asking = Self { client: client(opened_at), bearer, era, session: None };
        if era == Era::Legacy {
            let open =
                r#""protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}"#;
            let reply = asking.send("initialize", open).await;
            asking.session = reply.header("mcp-session-id").map(str::to_owned);
        }
        asking
    }

    async fn send(&self, method: &str, params: &str) -> Reply {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        match self.era {
            Era::Modern if params.is_empty() => self.post(method, meta).await,
            Era::Modern => self.post(method, &format!("{params},{meta}")).await,
            Era::Legacy => self.post(method, params).await,
        }
    }

    async fn post(&self, method: &str, members: &str) -> Reply {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{members}}}}}"#);
        let name = ["name", "uri", "taskId"]
            .iter()
            .find_map(|name| json::at(&body, &["params", name]))
            .map(json::unescaped);
        let mut headers = vec![("authorization", self.bearer.as_str())];
        if self.era == Era::Modern {
            headers.extend([("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)]);
            headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
        }
        headers.extend(self.session.as_deref().map(|session| ("mcp-session-id", session)));
        self.client.post(&headers, body.as_bytes()).await
    }

    async fn answer(&self, method: &str, params: &str) -> String {
        self.send(method, params).await.response().await
    }

    async fn listed(&self, method: &str, (entries, member): (&str, &str)) -> Vec<String> {
        let text = self.answer(method, "").await;
        let list = json::at(&text, &["result", entries]).unwrap_or_else(|| panic!("{text}"));
        let names = json::elements(list);
        names.iter().map(|entry| json::unescaped(json::at(entry, &[member]).unwrap())).collect()
    }
}

async fn decided_alike(fleet: &Fleet) {
    for era in [Era::Modern, Era::Legacy] {
        for (who, key) in WHO.iter().zip(&fleet.keys) {
            for (number, replica) in fleet.replicas.iter().enumerate() {
                // A session that was opened elsewhere, where there is an elsewhere.
                let other = &fleet.replicas[(number + 1) % fleet.replicas.len()];
                let mut asking = Asking::of(key, era, other).await;
                asking.client = client(replica);
                for (method, params, thing) in ASKED {
                    if era == Era::Modern && *method == "resources/subscribe" {
                        continue;
                    }
                    let text = asking.answer(method, params).await;
                    let passed = json::at(&text, &["result"]).is_some();
                    assert_eq!(
                        passed,
                        allows(who, thing, era),
                        "{who} {era:?} {number} {method} {params}: {text}"
                    );
                }
                for (method, of) in [
                    ("tools/list", ("tools", "name")),
                    ("prompts/list", ("prompts", "name")),
                    ("resources/list", ("resources", "uri")),
                ] {
                    let listed = asking.listed(method, of).await;
                    let all = Asking::of(&fleet.keys[0], era, replica).await.listed(method, of).await;
                    let expected: Vec<_> =
                        all.into_iter().filter(|entry| shows(who, method, entry)).collect();
                    assert_eq!(listed, expected, "{who} {era:?} {number} {method}");
                }
            }
        }
    }
}

#[tokio::test]
async fn each_of_three_replicas_decides_as_one_alone_does() {
    for size in [1, 3] {
        decided_alike(&fleet(size)).await;
    }
}

/// What is under way when policies change ends as it was allowed; what comes after is decided by the new ones, at each replica.
#[tokio::test]
async fn policies_that_change_meanwhile_count_from_the_next_call_on() {
    let mut fleet = fleet(3);
    let before = Asking::of(&fleet.keys[0], Era::Modern, &fleet.replicas[0]).await;
    let params = r#""name":"test_cancellation","arguments":{"seconds":4},"_meta":{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let mut slow = before.post("tools/call", params).await;
    let begun = slow.event().await.unwrap();
    assert!(begun.contains("notifications/progress"), "{begun}");
    rewrite(&fleet.path, "permit (principal, action, resource) when { principal.subject == \"bob\" };");
    for replica in &mut fleet.replicas {
        replica.running.stderr.find("\"reloaded\"");
    }
    let slow = slow.response().await;
    assert!(json::at(&slow, &["result"]).is_some(), "{slow}");
    for replica in &fleet.replicas {
        for (who, key) in WHO.iter().zip(&fleet.keys) {
            let asking = Asking::of(key, Era::Modern, replica).await;
            let text = asking.answer("tools/call", r#""name":"add","arguments":{"a":99,"b":2}"#).await;
            assert_eq!(json::at(&text, &["result"]).is_some(), *who == "bob", "{who}: {text}");
            let listed = asking.listed("tools/list", ("tools", "name")).await;
            assert_eq!(!listed.is_empty(), *who == "bob", "{who}: {listed:?}");
        }
    }
}

const TASKS: &str = r#"
@id("call") permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"local/long")
when { principal.subject != "cid" && context.arguments.hasTag("/n") };
@id("untasked") forbid (principal, action == Mcp::Action::"task", resource) when { principal.subject == "bob" };
"#;

/// A server whose tool is a task.
fn long(dir: &Path) -> Vec<String> {
    let task = r#"{"taskId":"own","status":"working","createdAt":"2026-11-30T12:00:00Z","lastUpdatedAt":"2026-11-30T12:00:00Z","ttl":60000}"#;
    let results = [
        (
            "\"tools/list\"",
            r#"{"tools":[{"name":"long","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}]}"#,
        ),
        ("\"tools/call\"", &format!(r#"{{"task":{task}}}"#)),
        ("\"tasks/get\"", task),
        ("\"tasks/cancel\"", &task.replace("working", "cancelled")),
    ];
    let offers = r#"{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
    let command = scripted::server(dir, offers, &results);
    let script = dir.join("server.sh");
    fs::write(&script, fs::read_to_string(&script).unwrap().replace("2025-06-18", "2025-11-25")).unwrap();
    command.split(' ').map(str::to_owned).collect()
}

/// Begins a task, and asks about it.
struct Tasked<'a>(&'a Asking);

impl Tasked<'_> {
    const META: &'static str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#;

    async fn send(&self, method: &str, params: &str) -> String {
        let members = match self.0.era {
            Era::Modern => format!("{params},{}", Self::META),
            Era::Legacy => params.to_owned(),
        };
        self.0.post(method, &members).await.response().await
    }

    async fn begin(&self) -> Result<String, String> {
        let wants = if self.0.era == Era::Modern { "" } else { r#","task":{"ttl":60000}"# };
        let text = self.send("tools/call", &format!(r#""name":"long","arguments":{{"n":1}}{wants}"#)).await;
        let path: &[&str] =
            if self.0.era == Era::Modern { &["result", "taskId"] } else { &["result", "task", "taskId"] };
        json::at(&text, path).map(json::unescaped).ok_or(text)
    }

    /// Whether the task is there, as each method sees it; what is said of one that is not.
    async fn about(&self, method: &str, id: &str) -> Result<(), String> {
        let text = self.send(method, &format!(r#""taskId":"{id}""#)).await;
        if json::at(&text, &["result"]).is_some() { Ok(()) } else { Err(text.replace(id, "ID")) }
    }
}

/// Whoever may not ask about a task hears what they would hear of one that is not there, at each replica.
#[tokio::test]
async fn a_task_is_decided_as_its_tool_is_at_each_replica() {
    let mut fleet = fleet_of(3, TASKS, long);
    for era in [Era::Modern, Era::Legacy] {
        for (who, key) in WHO.iter().zip(&fleet.keys) {
            let mut asking = Asking::of(key, era, &fleet.replicas[0]).await;
            let begun = Tasked(&asking).begin().await;
            let Ok(id) = begun else {
                assert_eq!(*who, "cid", "{era:?} {begun:?}");
                continue;
            };
            for (number, replica) in fleet.replicas.iter().enumerate() {
                asking.client = client(replica);
                let unknown = Tasked(&asking).about("tasks/get", "made-up").await.unwrap_err();
                for method in ["tasks/get", "tasks/cancel"] {
                    let said = Tasked(&asking).about(method, &id).await;
                    let expected = (*who == "ann").then_some(()).ok_or_else(|| unknown.clone());
                    assert_eq!(said, expected, "{who} {era:?} {number} {method}");
                }
            }
        }
    }
    let asking = Asking::of(&fleet.keys[0], Era::Modern, &fleet.replicas[0]).await;
    let id = Tasked(&asking).begin().await.unwrap();
    rewrite(&fleet.path, "permit (principal, action, resource) when { principal.subject == \"bob\" };");
    for replica in &mut fleet.replicas {
        replica.running.stderr.find("\"reloaded\"");
    }
    for replica in &fleet.replicas {
        let asking = Asking::of(&fleet.keys[0], Era::Modern, replica).await;
        let unknown = Tasked(&asking).about("tasks/get", "made-up").await;
        assert_eq!(Tasked(&asking).about("tasks/get", &id).await, unknown);
    }
}

/// As editors do.
fn rewrite(config: &Path, policies: &str) {
    let rules = config.with_file_name("rules.cedar");
    let beside = rules.with_extension("new");
    fs::write(&beside, policies).unwrap();
    fs::rename(&beside, &rules).unwrap();
}
