//! Every configuration in the README and the docs is loaded and run: with a network and processes in memory, where each
//! command is a real MCP server and no URL can be reached.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use base::clock::{Clock, SystemClock};
use base::plan::{Plan, Reach};
use base::sink::Sinks;
use base::world::World;
use gateway::assembly::{Gateway, child_places};
use reference_server::{Settings, serve_stdio};
use store::seal::Seal;
use tempfile::TempDir;
use testkit::authority::{Authority, Certificate};
use testkit::net::MemoryNetwork;
use testkit::soon;
use testkit::spawn::MemorySpawn;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, duplex, split};

/// A fenced block: its page, the line that it begins in, its language and its text.
struct Block {
    at: String,
    language: String,
    text: String,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (open.as_mut(), line.strip_prefix("```")) {
            (None, Some(language)) => {
                let at = format!("{}:{}", page.file_name().unwrap().to_string_lossy(), number + 1);
                open = Some(Block { at, language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

/// The environment of all pages.
fn variable(name: &str) -> Option<String> {
    match name {
        "GITHUB_TOKEN" | "TICKETS_TOKEN" | "OTLP_KEY" => Some("token".to_owned()),
        "POD_IP" | "REPLICA_HOST" => Some("192.0.2.1".to_owned()),
        "PORTOLAN_MASTER_KEY" | "NEW_KEY" | "OLD_KEY" => Some("ab".repeat(32)),
        "DATABASE_PASSWORD" => Some("password".to_owned()),
        "SPLUNK_TOKEN"
        | "ELASTIC_API_KEY"
        | "DATADOG_API_KEY"
        | "COLLECTOR_TOKEN"
        | "AWS_ACCESS_KEY_ID"
        | "AWS_SECRET_ACCESS_KEY" => Some("token".to_owned()),
        _ => None,
    }
}

/// Where the files are that configurations name.
fn beside() -> &'static Path {
    static FILES: LazyLock<TempDir> = LazyLock::new(|| {
        let files = tempfile::tempdir().unwrap();
        let authority = Authority::new("docs");
        let own = authority.sign(&Certificate::default().dns("mcp.example.com").of_a_server().for_long());
        let bundle = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"jwt-svid","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}],"spiffe_refresh_hint":300}"#
            .to_owned();
        let texts = [
            ("bundle.json", bundle),
            ("cert.pem", own.pem()),
            ("key.pem", own.key_pem()),
            ("clients.pem", authority.pem()),
            ("rules.cedar", include_str!("../src/policy_command/starter.cedar").to_owned()),
            ("approvals.cedar", approvals()),
        ];
        for (name, text) in texts {
            std::fs::write(files.path().join(name), text).unwrap();
        }
        files
    });
    FILES.path()
}

/// The policies of the page about approvals.
fn approvals() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/approvals.md");
    let texts = blocks(&page).into_iter().filter(|block| block.language == "cedar");
    texts.map(|block| block.text).collect()
}

fn load(block: &Block, name: &str) -> Plan {
    let source = config::Source { path: beside().join(name), text: block.text.clone() };
    let loaded = config::load_text(source, &variable);
    let said: String = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let mut plan = loaded.plan.unwrap_or_else(|| panic!("{}:\n{said}", block.at));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let attached = policy::attach(&mut plan, "api-key", &clock);
    assert!(attached.is_ok(), "{}: {attached:?}", block.at);
    plan
}

fn world(plan: &Plan) -> World {
    let spawn = MemorySpawn::default();
    spawn.program("npx", |stdio| async move {
        i32::from(serve_stdio(stdio.stdin, stdio.stdout, Settings::default()).await.is_err())
    });
    let metrics = Arc::default();
    World {
        network: Arc::new(MemoryNetwork::default()),
        spawn: Arc::new(spawn),
        clock: Arc::new(SystemClock),
        seal: Arc::new(Seal::random().unwrap()),
        tap: None,
        identity: r#"{"name":"docs","version":"0"}"#.to_owned(),
        sinks: Sinks::counting(&metrics),
        metrics,
        memory: transport::memory::Memory::default(),
        workers: transport::workers::Workers::default(),
        children: child_places(plan),
        starts: base::start_places::StartPlaces::of_this_machine(),
        store: None,
        tasks: tokio_util::task::TaskTracker::new(),
    }
}

/// Starts a gateway with the plan, and asks it what it is and which tools it has.
async fn run(at: &str, mut plan: Plan) {
    // Nobody has to notice anything.
    plan.limits.drain_delay = std::time::Duration::ZERO;
    let serves = plan.upstreams.iter().any(|upstream| matches!(upstream.reach, Reach::Stdio(_)));
    // What the server in memory has may be hidden by policies.
    let denies = plan.routes.iter().filter_map(|route| route.policy.as_ref()).any(|policy| policy.enforce);
    let gateway = Gateway::new(plan.clone(), world(&plan));
    let bound = gateway.listen().await.unwrap_or_else(|fault| panic!("{at}: {fault}"));
    assert!(!bound.is_empty(), "{at} listens nowhere");
    let (ours, theirs) = duplex(1 << 20);
    let (input, output) = split(theirs);
    let serving = tokio::spawn({
        let gateway = Arc::clone(&gateway);
        async move { gateway.serve_stdio(input, output).await }
    });
    let (reader, mut writer) = split(ours);
    let mut lines = BufReader::new(reader).lines();
    for method in ["server/discover", "tools/list"] {
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{meta}}}}}"#);
        writer.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        let answer = soon(method, lines.next_line()).await.unwrap().unwrap();
        if serves {
            assert!(answer.contains(r#""result""#), "{at}: {method}: {answer}");
        }
        if serves && method == "tools/list" && !denies {
            assert!(answer.contains(r#""inputSchema""#), "{at}: {answer}");
        }
    }
    writer.shutdown().await.unwrap();
    soon("the end of the conversation", serving).await.unwrap().unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn every_configuration_in_the_docs_loads_and_runs() {
    let mut count = 0;
    for page in pages() {
        for block in blocks(&page) {
            match block.language.as_str() {
                "toml" => run(&block.at, load(&block, "portolan.toml")).await,
                // What a client is to be given: its server is Portolan itself, so it is not run behind Portolan.
                "json" if block.text.contains("ervers\"") => drop(load(&block, "mcp.json")),
                _ => continue,
            }
            count += 1;
        }
    }
    assert!(count > 12, "only {count} configurations were found");
}

#[test]
fn pages_show_their_configuration() {
    // Pages about running Portolan have at least one; what they say about it is then checked above. The client commands
    // have none.
    let has_none = |page: &&PathBuf| page.ends_with("README.md") || page.ends_with("command-line.md");
    for page in pages().iter().filter(|page| !has_none(page)) {
        let found = blocks(page).iter().any(|block| block.language == "toml");
        assert!(found, "{} has no configuration", page.display());
    }
}
