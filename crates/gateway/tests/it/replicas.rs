//! Several gateways that share a store and a network, each in a runtime of its own: one that is killed vanishes in the middle
//! of whatever it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::plan::{HttpReach, Reach, ReplicasPlan, StdioReach, UpstreamPlan};
use store::{Place, Settings, Store};
use tempfile::TempDir;
use testkit::http::{Client, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;
use transport::child::ChildSpec;
use transport::net::Address;

use crate::ask;
use crate::stand::{Running, Stand, http_reach};

mod calls;
mod principals;
mod rates;
mod sessions;
mod streams;
mod upstreams;

const ANY: fn() -> Address = || Address::Tcp("127.0.0.1".to_owned(), 0);

/// Gateways behind which stands one server.
struct Fleet {
    network: Arc<MemoryNetwork>,
    store: Arc<Store>,
    reach: HttpReach,
    server: ScriptedServer,
    desk: Option<Desk>,
    _dir: TempDir,
}

/// One of them.
struct One {
    running: Option<Running>,
    /// What runs beside its calls.
    tasks: TaskTracker,
    runtime: Option<Runtime>,
}

impl Fleet {
    async fn new(persona: Persona) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(dir.path().join("store.db"));
        let store = Arc::new(Store::open(&place, Settings::default()).await.unwrap());
        let network = Arc::new(MemoryNetwork::default());
        let (server, desk) = ScriptedServer::new(persona);
        let reach = http_reach(&server.serve_http(&*network, &ANY()).await);
        Self { network, store, reach, server, desk: Some(desk), _dir: dir }
    }

    fn desk(&mut self) -> Desk {
        self.desk.take().unwrap()
    }

    async fn start(&self) -> One {
        self.start_with(|_| {}).await
    }

    async fn start_with(&self, change: impl FnOnce(&mut Stand)) -> One {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut stand = Stand::new(Arc::clone(&self.network) as _);
        stand.put(UpstreamPlan::new("up", Reach::Http(self.reach.clone())));
        stand.store = Some(Arc::clone(&self.store));
        stand.plan.replicas = Some(ReplicasPlan { listen: ANY(), advertise: None });
        change(&mut stand);
        let tasks = stand.tasks.clone();
        let running = runtime.spawn(stand.start()).await.unwrap();
        One { running: Some(running), tasks, runtime: Some(runtime) }
    }
}

impl One {
    fn client(&self) -> Client {
        self.running.as_ref().unwrap().client.clone()
    }

    /// It vanishes.
    async fn kill(&mut self) {
        self.running = None;
        let runtime = self.runtime.take().unwrap();
        // When this is over, so is all that it had.
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(testkit::PATIENCE)).await.unwrap();
    }

    /// It ends in good order.
    async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        let stopped = self.runtime.as_ref().unwrap().spawn(async move { running.gateway.stop().await });
        stopped.await.unwrap();
    }
}

impl Drop for One {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A legacy session, used at any gateway.
#[derive(Debug, Clone)]
struct Session(String);

impl Session {
    async fn open(at: &One) -> Self {
        Self::open_able(at, "{}").await
    }

    async fn open_able(at: &One, capabilities: &str) -> Self {
        let params = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"clientInfo":{{"name":"c","version":"1"}}}}"#
        );
        let open = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{params}}}"#);
        let reply = at.client().post(&[], open.as_bytes()).await;
        Self(reply.header("mcp-session-id").unwrap().to_owned())
    }

    async fn post(&self, at: &One, body: &str) -> Reply {
        at.client().post(&[("mcp-session-id", &self.0)], body.as_bytes()).await
    }

    async fn request(&self, at: &One, id: u32, method: &str, params: &str) -> Reply {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.post(at, &body).await
    }

    async fn ping(&self, at: &One) -> u16 {
        self.request(at, 9, "ping", "{}").await.status
    }

    async fn get(&self, at: &One, last: Option<&str>) -> Reply {
        let mut headers = vec![("mcp-session-id", self.0.as_str())];
        headers.extend(last.map(|id| ("last-event-id", id)));
        let client = at.client();
        client.send(&client.request("GET /mcp", &headers, b"")).await
    }

    async fn delete(&self, at: &One) -> u16 {
        let client = at.client();
        client.send(&client.request("DELETE /mcp", &[("mcp-session-id", &self.0)], b"")).await.status
    }
}

/// A server that is a process.
fn process(program: &str) -> Reach {
    let program = program.to_owned();
    let child = ChildSpec { program, args: Vec::new(), env: BTreeMap::new(), directory: None };
    Reach::Stdio(StdioReach {
        child,
        idle_after: None,
        grace: Duration::from_secs(2),
        withheld: Default::default(),
    })
}

/// What a refusal says.
fn reason(body: &str) -> &str {
    json::at(body, &["error", "data", "reason"]).unwrap_or("none")
}
