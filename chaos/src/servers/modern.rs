//! A modern server. It keeps nothing between two requests; a question is asked by a result.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::http::{Answers, Asking, Reply, error, events, json, plain, result};
use super::{Asked, STEPS, TOOLS, World, content, done, done_with, log_of, notification, question, subject};

/// The revision that it speaks.
pub(crate) const REVISION: &str = "2026-07-28";
/// What it is called in configurations and subjects.
pub(crate) const NAME: &str = "modern";
const ID: &str = "io.modelcontextprotocol/subscriptionId";

/// The server.
#[derive(Debug)]
pub(crate) struct Modern {
    pub(crate) world: Arc<World>,
}

impl Answers for Modern {
    async fn answer(self: Arc<Self>, asking: Asking) -> Reply {
        if asking.method != http::Method::POST {
            return plain(405);
        }
        let Asking { message, .. } = asking;
        let (id, params) = (&message["id"], &message["params"]);
        match message["method"].as_str().unwrap_or_default() {
            "server/discover" => complete(id, Self::discover()),
            "tools/list" => {
                let version = self.world.version(&subject(NAME, TOOLS));
                // Long enough that whoever is not told of a change does not find out.
                complete(
                    id,
                    json!({"tools": super::tools(version), "ttlMs": 3_600_000, "cacheScope": "public"}),
                )
            }
            "resources/list" => complete(
                id,
                json!({"resources": super::resources(), "ttlMs": 3_600_000, "cacheScope": "public"}),
            ),
            "resources/read" => {
                match content(&self.world, NAME, params["uri"].as_str().unwrap_or_default()) {
                    Some(contents) => {
                        complete(id, json!({"contents": contents, "ttlMs": 0, "cacheScope": "private"}))
                    }
                    None => json(200, &error(id, -32602, "no such resource")),
                }
            }
            "tools/call" => self.call(id.clone(), params).await,
            "subscriptions/listen" => self.listen(id.clone(), &params["notifications"]),
            _ => json(404, &error(id, -32601, "no such method")),
        }
    }
}

impl Modern {
    fn discover() -> Value {
        let capabilities = json!({
            "tools": {"listChanged": true},
            "resources": {"subscribe": true},
            "logging": {}
        });
        json!({
            "supportedVersions": [REVISION], "capabilities": capabilities, "ttlMs": 3_600_000, "cacheScope": "public",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": NAME, "version": "1"}}
        })
    }

    async fn call(&self, id: Value, params: &Value) -> Reply {
        let asked = Asked::read(params);
        match asked.tool.as_str() {
            "ask" => match params["inputResponses"]["word"].as_object() {
                // The state says which call it is: nothing is remembered.
                Some(_) if params["requestState"] == json!(asked.id) => {
                    self.world.effect(&asked.id);
                    complete(&id, done_with(&asked.id, &params["inputResponses"]["word"]))
                }
                _ => json(200, &result(&id, &asks(&asked.id))),
            },
            "log" => {
                self.world.effect(&asked.id);
                let level = params["_meta"]["io.modelcontextprotocol/logLevel"].as_str();
                let (tell, told) = mpsc::channel(8);
                for (at, message) in log_of(&asked.id) {
                    if level.is_some_and(|level| super::gravity(at) >= super::gravity(level)) {
                        tell.send(message).await.ok();
                    }
                }
                tell.send(result(&id, &whole(done(&format!("done {}", asked.id))))).await.ok();
                events(told)
            }
            "effect" => {
                self.world.effect(&asked.id);
                if asked.wait == 0 || asked.token.is_none() {
                    tokio::time::sleep(Duration::from_millis(asked.wait)).await;
                    return complete(&id, done(&format!("done {}", asked.id)));
                }
                let (tell, told) = mpsc::channel(8);
                tokio::spawn(async move {
                    for step in 1..=STEPS {
                        tokio::time::sleep(Duration::from_millis(asked.wait / STEPS)).await;
                        tell.send(asked.progress(step).unwrap_or_default()).await.ok();
                    }
                    tell.send(result(&id, &whole(done(&format!("done {}", asked.id))))).await.ok();
                });
                events(told)
            }
            _ => json(200, &error(&id, -32602, "no such tool")),
        }
    }

    fn listen(&self, id: Value, wanted: &Value) -> Reply {
        let tools = wanted["toolsListChanged"] == json!(true);
        let uris: Vec<String> = wanted["resourceSubscriptions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|uri| Some(uri.as_str()?.to_owned()))
            .collect();
        let mut honoured = json!({"resourceSubscriptions": uris});
        if tools {
            honoured["toolsListChanged"] = json!(true);
        }
        let (tell, told) = mpsc::channel(256);
        let mut changes = self.world.changes();
        tokio::spawn(async move {
            let meta = json!({ID: id});
            let first = json!({"_meta": meta, "notifications": honoured});
            tell.send(notification("notifications/subscriptions/acknowledged", &first)).await.ok();
            loop {
                let subject = tokio::select! {
                    () = tell.closed() => return,
                    changed = changes.recv() => changed,
                };
                let Some(what) =
                    subject.ok().as_deref().and_then(|of| of.strip_prefix("modern/").map(str::to_owned))
                else {
                    continue;
                };
                let uri = super::uri(&what);
                let message = if what == TOOLS && tools {
                    notification("notifications/tools/list_changed", &json!({"_meta": meta}))
                } else if uris.contains(&uri) {
                    notification("notifications/resources/updated", &json!({"_meta": meta, "uri": uri}))
                } else {
                    continue;
                };
                tell.send(message).await.ok();
            }
        });
        events(told)
    }
}

fn whole(mut result: Value) -> Value {
    result["resultType"] = json!("complete");
    result
}

fn complete(id: &Value, of: Value) -> Reply {
    json(200, &result(id, &whole(of)))
}

fn asks(id: &str) -> Value {
    let request = json!({"method": "elicitation/create", "params": question(id)});
    json!({"resultType": "input_required", "inputRequests": {"word": request}, "requestState": id})
}
