//! Visits to many servers at once with rmcp's client, for `interop/works-through`: `rmcp-client rmcp|rmcp-auto JOBS.json
//! [AT-ONCE]`. What the jobs and the output are is said in `../clients/visits.mjs`, which does the same.

// Sampling, roots and logging are deprecated in 2026-07-28, and still part of what a gateway carries.
#![expect(deprecated)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{
    ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ErrorData,
    ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion,
    ResourceUpdatedNotificationParam,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, NotificationContext, RequestContext, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::ClientHandler;
use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::{json, Value};
use tokio::time::{sleep, timeout, Instant};

const PATIENCE: Duration = Duration::from_secs(17);
/// A list that goes on longer goes round in circles.
const PAGES: usize = 20;

type Outcome<T> = Result<T, Value>;

#[derive(Default)]
struct Heard {
    asked: Vec<Value>,
    logs: Vec<Value>,
    changes: Vec<String>,
    progress: Vec<Value>,
}

/// What the client declares and answers.
#[derive(Clone)]
struct Client {
    plain: bool,
    heard: Arc<Mutex<Heard>>,
}

impl Client {
    fn hear<T>(&self, note: impl FnOnce(&mut Heard) -> T) -> T {
        note(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer<T: DeserializeOwned>(&self, method: &str, answer: Value) -> Result<T, ErrorData> {
        if self.plain {
            return Err(ErrorData::new(rmcp::model::ErrorCode::METHOD_NOT_FOUND, method.to_owned(), None));
        }
        self.hear(|heard| heard.asked.push(json!(method)));
        serde_json::from_value(answer).map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

impl ClientHandler for Client {
    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let text = json!({"type": "text", "text": "Paris"});
        let answer = json!({"role": "assistant", "content": text, "model": "none", "stopReason": "endTurn"});
        self.answer("sampling/createMessage", answer)
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        self.answer("roots/list", json!({"roots": [{"uri": "file:///srv/data", "name": "data"}]}))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.answer("elicitation/create", json!({"action": "accept", "content": {"name": "Ada"}}))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let step = json!([params.progress, params.total, params.message]);
        self.hear(|heard| heard.progress.push(step));
    }

    async fn on_logging_message(&self, params: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        self.hear(|heard| heard.logs.push(params.data));
    }

    async fn on_resource_updated(&self, _: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        self.hear(|heard| heard.changes.push("resources/updated".to_owned()));
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.hear(|heard| heard.changes.push("tools/list_changed".to_owned()));
    }

    async fn on_prompt_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.hear(|heard| heard.changes.push("prompts/list_changed".to_owned()));
    }

    fn get_info(&self) -> ClientConfig {
        let capabilities = match self.plain {
            true => json!({}),
            false => json!({"sampling": {}, "elicitation": {}, "roots": {"listChanged": true}}),
        };
        let introduction = json!({
            "protocolVersion": ProtocolVersion::default(),
            "capabilities": capabilities,
            "clientInfo": {"name": "portolan-visits", "version": "1.0.0"},
        });
        serde_json::from_value(introduction).unwrap_or_default()
    }
}

struct Visit {
    client: Client,
    service: RunningService<RoleClient, Client>,
    modern: bool,
}

impl Visit {
    async fn connect(kind: &str, job: &Value) -> Outcome<Self> {
        let client = Client { plain: job["plain"] == true, heard: Arc::default() };
        let mode = match kind {
            "rmcp-auto" => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: None,
            },
            _ => ClientLifecycleMode::Initialize,
        };
        let service = match job["transport"].as_str() {
            Some("stdio") => {
                let mut words = job["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let mut command = tokio::process::Command::new(words.next().unwrap_or_default());
                command.args(words);
                let (child, _) = TokioChildProcess::builder(command)
                    .stderr(std::process::Stdio::null())
                    .spawn()
                    .map_err(|error| json!({"message": error.to_string()}))?;
                client.clone().serve_with_lifecycle(child, mode).await
            }
            Some("http") => {
                let transport = StreamableHttpClientTransport::from_uri(job["url"].as_str().unwrap_or_default());
                client.clone().serve_with_lifecycle(transport, mode).await
            }
            _ => return Err(json!({"message": "this SDK has no such transport"})),
        };
        let service = service.map_err(|error| json!({"message": error.to_string()}))?;
        let modern = service
            .peer_info()
            .is_some_and(|info| !info.protocol_version.has_initialize());
        Ok(Self { client, service, modern })
    }

    async fn every(&self, what: &str) -> Outcome<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = Value::Null;
        for _ in 0..PAGES {
            let params = match &cursor {
                Value::Null => None,
                cursor => Some(given(json!({"cursor": cursor}))?),
            };
            let page = match what {
                "tools" => shown(self.service.list_tools(params).await)?,
                "resources" => shown(self.service.list_resources(params).await)?,
                "resourceTemplates" => shown(self.service.list_resource_templates(params).await)?,
                _ => shown(self.service.list_prompts(params).await)?,
            };
            items.extend(page[what].as_array().into_iter().flatten().cloned());
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                return Ok(items);
            }
        }
        Err(json!({"message": "the list does not end"}))
    }

    async fn call(&self, step: &Value) -> Outcome<Value> {
        let arguments = step.get("arguments").cloned().unwrap_or_else(|| json!({}));
        let params = given(json!({"name": step["name"], "arguments": arguments}))?;
        let mut result = shown(self.service.call_tool(params).await)?;
        if result.get("isError").is_none() {
            result["isError"] = json!(false);
        }
        Ok(result)
    }

    async fn take(&self, step: &Value) -> Outcome<Value> {
        let service = &self.service;
        Ok(match step["do"].as_str().unwrap_or_default() {
            "tools" if step["whole"] == true => json!(self.every("tools").await?),
            "tools" => members(self.every("tools").await?, "name"),
            "resources" => members(self.every("resources").await?, "uri"),
            "templates" => members(self.every("resourceTemplates").await?, "uriTemplate"),
            "prompts" => members(self.every("prompts").await?, "name"),
            "call" => self.call_until(step).await?,
            "progress" => {
                self.client.hear(|heard| heard.progress.clear());
                let result = self.call(step).await?;
                json!({"came": self.client.hear(|heard| heard.progress.clone()), "result": result})
            }
            "read" => shown(service.read_resource(given(json!({"uri": step["uri"]}))?).await)?,
            "prompt" => {
                let params = json!({"name": step["name"], "arguments": step["arguments"]});
                shown(service.get_prompt(given(params)?).await)?
            }
            "complete" => {
                let of = json!({"type": "ref/prompt", "name": "greet"});
                let params = given(json!({"ref": of, "argument": {"name": "who", "value": "a"}}))?;
                shown(service.complete(params).await)?["completion"]["values"].clone()
            }
            "ping" => {
                if !self.modern {
                    let ping = given(json!({"method": "ping"}))?;
                    shown(service.send_request(rmcp::model::ClientRequest::PingRequest(ping)).await)?;
                }
                json!({})
            }
            "instructions" => json!(service.peer_info().and_then(|info| info.instructions.clone())),
            "roots_changed" => {
                service.notify_roots_list_changed().await.map_err(described)?;
                json!({})
            }
            "level" if self.modern => json!({}),
            "level" => {
                service.set_level(given(json!({"level": "info"}))?).await.map_err(described)?;
                json!({})
            }
            "logs" => {
                self.until(|heard| !heard.logs.is_empty(), 5000).await;
                json!(self.client.hear(|heard| std::mem::take(&mut heard.logs)))
            }
            "asked" => json!(self.client.hear(|heard| std::mem::take(&mut heard.asked))),
            "hears" => self.hears(step).await?,
            other => return Err(json!({"message": format!("no such step: {other}")})),
        })
    }

    async fn call_until(&self, step: &Value) -> Outcome<Value> {
        for _ in 0..20 {
            let result = self.call(step).await?;
            if step.get("until").is_none_or(|until| result["content"][0]["text"] == *until) {
                return Ok(result);
            }
            sleep(Duration::from_millis(250)).await;
        }
        self.call(step).await
    }

    async fn hears(&self, step: &Value) -> Outcome<Value> {
        let kind = step["kind"].as_str().unwrap_or_default();
        let wanted = match kind {
            "resource" => "resources/updated".to_owned(),
            kind => format!("{kind}/list_changed"),
        };
        if let Some(uri) = step.get("uri") {
            self.service.subscribe(given(json!({"uri": uri}))?).await.map_err(described)?;
        }
        for _ in 0..12 {
            self.call(step).await?;
            if self.until(|heard| heard.changes.contains(&wanted), 500).await {
                return Ok(json!(format!("notifications/{wanted}")));
            }
        }
        Err(json!({"message": format!("notifications/{wanted} did not come")}))
    }

    async fn until(&self, true_: impl Fn(&Heard) -> bool, milliseconds: u64) -> bool {
        let end = Instant::now() + Duration::from_millis(milliseconds);
        while !self.client.hear(|heard| true_(heard)) {
            if Instant::now() > end {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

fn given<T: DeserializeOwned>(value: Value) -> Outcome<T> {
    serde_json::from_value(value).map_err(|error| json!({"message": format!("our own mistake: {error}")}))
}

fn shown<T: Serialize>(result: Result<T, ServiceError>) -> Outcome<Value> {
    let result = result.map_err(described)?;
    serde_json::to_value(result).map_err(|error| json!({"message": error.to_string()}))
}

fn described(error: ServiceError) -> Value {
    match error {
        ServiceError::McpError(error) => json!({"code": error.code, "message": error.message}),
        other => json!({"message": other.to_string().chars().take(600).collect::<String>()}),
    }
}

fn members(items: Vec<Value>, member: &str) -> Value {
    items.into_iter().map(|item| item[member].clone()).collect()
}

async fn within<T>(run: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let late = || json!({"message": format!("not done within {} s", PATIENCE.as_secs())});
    timeout(PATIENCE, run).await.unwrap_or_else(|_| Err(late()))
}

fn noted(seen: &mut Vec<Value>, outcome: Outcome<Value>) {
    seen.push(match outcome {
        Ok(value) => json!({"ok": true, "seen": value}),
        Err(error) => json!({"ok": false, "error": error}),
    });
}

async fn go(kind: &str, job: &Value) {
    let mut seen = Vec::new();
    let mut era = "legacy";
    let mut steps: VecDeque<&Value> = job["steps"].as_array().into_iter().flatten().collect();
    loop {
        match within(Visit::connect(kind, job)).await {
            Err(error) => {
                noted(&mut seen, Err(error));
                break;
            }
            Ok(visit) => {
                era = if visit.modern { "modern" } else { "legacy" };
                noted(&mut seen, Ok(Value::Null));
                while let Some(step) = steps.front().filter(|step| step["do"] != "reconnect") {
                    noted(&mut seen, within(visit.take(step)).await);
                    steps.pop_front();
                }
                let _ = timeout(Duration::from_secs(4), visit.service.cancel()).await;
            }
        }
        if steps.pop_front().is_none() {
            break;
        }
    }
    println!("{}", json!({"id": job["id"], "era": era, "seen": seen}));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let kind: Arc<str> = words.next().unwrap_or_default().into();
    let file = std::fs::read(words.next().ok_or("usage: rmcp-client rmcp|rmcp-auto JOBS.json [AT-ONCE]")?)?;
    let at_once: usize = words.next().map_or(Ok(10), |word| word.parse())?;
    let jobs: Arc<Mutex<VecDeque<Value>>> = Arc::new(Mutex::new(serde_json::from_slice(&file)?));
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (kind, jobs) = (Arc::clone(&kind), Arc::clone(&jobs));
            tokio::spawn(async move {
                let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some(job) = next() {
                    go(&kind, &job).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await?;
    }
    Ok(())
}
