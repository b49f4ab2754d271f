//! What is to be approved first is not sent before it is; and once it is, once, by whoever asked, as it was asked.
//!
//! The time is not paused here: the store has a clock of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Action, Approver, Asked, Claims, Decide, Narrow, Principal, Refusal};
use base::digest::Digest;
use base::plan::limit::{LimitPlan, Per};
use base::plan::policy::Decider;
use base::plan::{Plan, Reach, UpstreamPlan};
use base::sink::Sink;
use store::approvals::Standing;
use store::{Place, Settings, Store};
use tempfile::TempDir;
use testkit::http::Reply;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use transport::net::Address;

use crate::ask;
use crate::protected::{ISSUER, Issuer, resource};
use crate::rates::{limit, rate};
use crate::stand::{Running, Stand, http_reach};

mod approver;
mod known;
mod legacy;
mod modern;
mod over;
mod things;
mod void;
mod written;

const FORM: &str = r#"{"elicitation":{"form":{}}}"#;
const PAGE: &str = r#"{"elicitation":{"form":{},"url":{}}}"#;
const NOTHING: &str = "{}";
const PAY: &str = r#""name":"pay","arguments":{"n":1}"#;
const DONE: &str = r#"{"resultType":"complete","content":[{"type":"text","text":"paid"}]}"#;
const YES: &str = r#""approval":{"action":"accept","content":{"approve":true}}"#;
const VISITED: &str = r#""approval":{"action":"accept"}"#;

/// What is asked about, by the servers' own names.
const ASKED: [&str; 4] = ["pay", "letter", "file:///a/b", "file:///a/./b"];

/// Asks about these.
#[derive(Debug)]
struct Asker {
    approvers: Vec<Vec<Approver>>,
    /// Stands for what the policies are now.
    policies: &'static str,
    lasts: Duration,
}

impl Asker {
    fn of(approvers: &[Vec<Approver>]) -> Self {
        Self { approvers: approvers.to_vec(), policies: "payments", lasts: Duration::from_secs(900) }
    }
}

impl Decide for Asker {
    fn id(&self) -> &str {
        self.policies
    }

    fn decide(&self, principal: &Principal, action: &Action<'_>) -> Result<(), Refusal> {
        // Nobody is asked about a task of what was approved.
        if action.method.starts_with("tasks/") || !action.name.is_some_and(|name| ASKED.contains(&name)) {
            return Ok(());
        }
        let digest = action.known.definition.map_or("-", |definition| &*definition.digest);
        let arguments = action.known.arguments.unwrap_or("-");
        let binding = Digest::of([
            principal.id(),
            action.upstream,
            action.method,
            action.name.unwrap_or_default(),
            arguments,
            digest,
            self.policies,
        ])
        .to_string();
        if action.known.approved.is_some_and(|approved| approved.covers(&binding)) {
            return Ok(());
        }
        Err(Refusal::Approval(Box::new(Asked {
            binding: binding.into(),
            reason: "it is money".to_owned(),
            policies: vec![self.policies.to_owned()],
            approvers: self.approvers.clone(),
            lasts: self.lasts,
        })))
    }

    fn view(&self, _: &Principal, _: Option<&Arc<Claims>>) -> Option<Arc<dyn Narrow>> {
        None
    }

    fn hides(&self) -> bool {
        false
    }

    fn asks(&self) -> bool {
        true
    }
}

/// Two gateways that share a store, and nothing else but the server behind them.
struct Scene {
    one: Running,
    two: Running,
    store: Arc<Store>,
    server: ScriptedServer,
    desk: Option<Desk>,
    issuer: Issuer,
    now: SystemTime,
    plan: Plan,
    _dir: TempDir,
}

/// Bob, or whoever is in no group: the approver is one subject.
fn bob() -> Vec<Vec<Approver>> {
    let (issuer, subject) = (ISSUER.to_owned(), "bob".to_owned());
    vec![vec![Approver::Subject { issuer, subject, shown: "user id/bob".to_owned() }]]
}

fn persona(modern: bool) -> Persona {
    let of = if modern { Persona::modern() } else { Persona::legacy() };
    of.listing(
        "tools/list",
        r#"[{"name":"pay","inputSchema":{"type":"object"}},{"name":"look","inputSchema":{"type":"object"}}]"#,
    )
}

impl Scene {
    /// Where the caller itself, or those, are asked, before a server that does what it is asked.
    async fn new(approvers: &[Vec<Approver>]) -> Self {
        let mut scene = Self::before(persona(true), approvers).await;
        let desk = scene.desk.take().unwrap();
        scene.server.answer_all(desk, |asked| async move { asked.result(DONE).await });
        scene
    }

    /// Before a server that a test plays.
    async fn before(persona: Persona, approvers: &[Vec<Approver>]) -> Self {
        Self::limited(persona, approvers, &[]).await
    }

    /// The same with these limits.
    async fn limited(persona: Persona, approvers: &[Vec<Approver>], limits: &[LimitPlan]) -> Self {
        Self::asking(persona, Arc::new(Asker::of(approvers)), limits).await
    }

    /// The same where this asks.
    async fn asking(persona: Persona, asker: Arc<Asker>, limits: &[LimitPlan]) -> Self {
        Self::written(persona, asker, limits, None).await
    }

    /// The same where it is written down there.
    async fn written(
        persona: Persona,
        asker: Arc<Asker>,
        limits: &[LimitPlan],
        sink: Option<Arc<dyn Sink>>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(dir.path().join("store.db"));
        let settings = Settings { limit: testkit::PATIENCE, ..Settings::default() };
        let store = Arc::new(Store::open(&place, settings).await.unwrap());
        let network = Arc::new(MemoryNetwork::default());
        let (server, desk) = ScriptedServer::new(persona);
        let any = Address::Tcp("127.0.0.1".to_owned(), 0);
        let reach = http_reach(&server.serve_http(&*network, &any).await);
        let issuer = Issuer::new(ISSUER);
        let (mut running, mut now, mut plan) = (Vec::new(), None, None);
        for _ in 0..2 {
            let mut stand = Stand::new(Arc::clone(&network) as _);
            now = Some(stand.clock.now());
            stand.put(UpstreamPlan::new("bank", Reach::Http(reach.clone())));
            stand.store = Some(Arc::clone(&store));
            stand.sink = sink.clone();
            stand.plan.limiting.limits = limits.to_vec();
            stand.plan.issuers = vec![issuer.plan("id")];
            let route = &mut stand.plan.routes[0];
            route.resource = Some(resource(&["id"]));
            route.decides = Some(Decider(Arc::clone(&asker) as _));
            plan = Some(stand.plan.clone());
            let started = stand.start().await;
            started.gateway.settled().await;
            running.push(started);
        }
        let two = running.pop().unwrap();
        let (one, desk) = (running.pop().unwrap(), Some(desk));
        Self { one, two, store, server, desk, issuer, now: now.unwrap(), plan: plan.unwrap(), _dir: dir }
    }

    fn bearer(&self, who: &str) -> String {
        format!("Bearer {}", self.issuer.token(who, "", self.now))
    }

    /// A modern call of somebody who can be asked so.
    async fn call(&self, at: &Running, who: &str, able: &str, params: &str) -> String {
        self.request(at, (who, able), ("tools/call", params)).await
    }

    /// A modern request.
    async fn request(
        &self,
        at: &Running,
        (who, able): (&str, &str),
        (method, params): (&str, &str),
    ) -> String {
        let meta = format!(
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{able}}}"#
        );
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},{meta}}}}}"#);
        let (bearer, mirrored) = (self.bearer(who), ask::mirrored(&body));
        let mut headers: Vec<_> = mirrored.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("authorization", &bearer));
        at.client.post(&headers, body.as_bytes()).await.response().await
    }

    /// How many calls the server has got.
    fn calls(&self) -> usize {
        self.server.seen_of("tools/call").len()
    }

    /// The one question that can be answered, or was and is not used.
    async fn open(&self) -> String {
        let all = self.store.approvals(false).await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].question.id.clone()
    }

    async fn standing(&self, id: &str) -> Standing {
        self.store.approval(id).await.unwrap().unwrap().standing
    }
}

/// The same call with an answer to what it was told.
fn retry(params: &str, told: &str, answers: &str) -> String {
    let state = json::at(told, &["result", "requestState"]).unwrap_or_else(|| panic!("{told}"));
    format!(r#"{params},"requestState":{state},"inputResponses":{{{answers}}}"#)
}

fn is_asked(text: &str) -> bool {
    json::at(text, &["result", "resultType"]) == Some("\"input_required\"")
}

fn is_done(text: &str) -> bool {
    text.contains("\"paid\"")
}

/// Why a call was refused.
fn reason(text: &str) -> String {
    json::at(text, &["error", "data", "reason"]).map_or_else(|| text.to_owned(), json::unescaped)
}
