//! Clients that watch. They look at a thing when they have begun to watch it, and then only when they are told to.

use serde_json::{Value, json};

use super::Player;
use super::sessions::Kept;
use crate::client::heard::Not;
use crate::client::modern::Ask;
use crate::client::session::{Heard, Manner};
use crate::client::{Broken, Message, Response};
use crate::record::{Subject, Watcher};
use crate::servers::{TOOLS, subject};

/// The servers that tell of changes.
const SERVERS: [&str; 2] = ["modern", "legacy"];

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Resource(Subject),
    /// The one list of tools of all servers.
    Tools,
}

impl Look {
    /// What a notification tells to look at.
    fn of(message: &Value) -> Option<Self> {
        match message["method"].as_str()? {
            "notifications/tools/list_changed" => Some(Self::Tools),
            "notifications/resources/updated" => {
                let uri = message["params"]["uri"].as_str()?;
                let (server, what) = uri.strip_prefix("chaos://")?.split_once("__")?;
                Some(Self::Resource(subject(server, what)))
            }
            _ => None,
        }
    }
}

/// Where a resource is for clients.
fn public(subject: &str) -> String {
    let (server, what) = subject.split_once('/').unwrap_or_default();
    format!("chaos://{server}__{what}")
}

/// The versions of the lists of tools in a merged one.
fn versions(list: &Value) -> Vec<(Subject, u64)> {
    let version = |server: &str| {
        let name = format!("{server}__effect");
        let tool = list["tools"].as_array()?.iter().find(|tool| tool["name"] == json!(name))?;
        let version = tool["description"].as_str()?.strip_prefix("version ")?.parse().ok()?;
        Some((subject(server, TOOLS), version))
    };
    SERVERS.into_iter().filter_map(version).collect()
}

impl Player {
    /// The resources that this one watches; all watch the tools.
    fn watched(&self) -> Vec<Subject> {
        let number = self.number;
        let resources = SERVERS.iter().flat_map(|server| (0..2).map(move |n| (server, (number + n) % 3)));
        resources.map(|(server, n)| subject(server, &format!("r{n}"))).collect()
    }

    /// From when on it has watched.
    fn begin_to_watch(&self) -> usize {
        let now = self.record.now();
        let mut subjects = self.watched();
        subjects.extend(SERVERS.map(|server| subject(server, TOOLS)));
        let mut book = self.record.book();
        book.watchers.push(Watcher { name: self.name.clone(), subjects, from: now, to: now });
        book.watchers.len() - 1
    }

    fn end_to_watch(&self, at: usize) {
        let now = self.record.now();
        if let Some(watcher) = self.record.book().watchers.get_mut(at) {
            watcher.to = now;
        }
    }

    fn see(&self, subject: &str, version: u64, newest: u64) {
        if version < newest {
            self.record.tally("looks that found an older version than the newest");
        }
        self.record.found(&self.name, subject, version);
    }

    pub(super) async fn modern_listens(mut self) {
        let watched = self.watched();
        let uris: Vec<_> = watched.iter().map(|subject| public(subject)).collect();
        let wanted = json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": uris}});
        let ask = Ask::of("subscriptions/listen", wanted);
        let mut at = None;
        while !self.is_stopped() {
            let door = self.door.clone();
            let opened = self.insist("listening", || async { Ok(ask.send(&door).await?) }).await;
            match opened {
                Ok(mut response) if response.status == 200 => {
                    self.listened(&mut response, &mut at, &watched).await;
                    self.record.tally("modern streams that ended or broke");
                }
                Ok(response) if matches!(response.status, 502..=504) => {
                    self.record.tally("modern streams that could not be opened at once");
                    self.pause().await;
                }
                other => {
                    self.record.wrong(format!("{}: listening: {other:?}", self.name));
                    self.pause().await;
                }
            }
        }
        at.inspect(|at| self.end_to_watch(*at));
    }

    /// Hears one stream out.
    async fn listened(&mut self, response: &mut Response, at: &mut Option<usize>, watched: &[Subject]) {
        while let Some(Ok(Some(Message { json, .. }))) = self.or_stop(response).await {
            if json["method"] == json!("notifications/subscriptions/acknowledged") {
                let all = watched.iter().cloned().map(Look::Resource).chain([Look::Tools]);
                for look in all {
                    self.look(&look).await;
                }
                if at.is_none() {
                    *at = Some(self.begin_to_watch());
                }
            } else if let Some(look) = Look::of(&json) {
                self.look(&look).await;
            } else if json.get("error").is_some() {
                self.record.wrong(format!("{}: listening: {json}", self.name));
                self.pause().await;
            }
        }
    }

    async fn or_stop(&self, response: &mut Response) -> Option<Result<Option<Message>, Broken>> {
        tokio::select! {
            message = response.next() => Some(message),
            () = self.stopped() => None,
        }
    }

    /// A modern client looks.
    async fn look(&mut self, look: &Look) {
        let door = self.door.clone();
        let ask = match look {
            Look::Tools => Ask::of("tools/list", json!({})),
            Look::Resource(subject) => Ask::of("resources/read", json!({"uri": public(subject)})),
        };
        let newest = self.newest(look);
        let came = self.insist("looking", || async { ask.whole(&door).await.end }).await;
        self.seen(look, came, &newest);
    }

    fn newest(&self, look: &Look) -> Vec<u64> {
        match look {
            Look::Tools => SERVERS.map(|server| self.world.version(&subject(server, TOOLS))).to_vec(),
            Look::Resource(subject) => vec![self.world.version(subject)],
        }
    }

    fn seen(&self, look: &Look, came: Result<Value, Not>, newest: &[u64]) {
        match (look, came) {
            (Look::Tools, Ok(list)) => {
                let versions = versions(&list);
                if versions.len() < SERVERS.len() {
                    self.record.tally("lists without a server's entries");
                }
                for (subject, version) in versions {
                    let place = SERVERS.iter().position(|server| subject.starts_with(server)).unwrap_or(0);
                    self.see(&subject, version, newest[place]);
                }
            }
            (Look::Resource(subject), Ok(read)) => {
                let version = read["contents"][0]["text"].as_str().and_then(|text| text.parse().ok());
                match version {
                    Some(version) => self.see(subject, version, newest[0]),
                    None => self.record.wrong(format!("{}: {subject} is {read}", self.name)),
                }
            }
            (_, Err(Not::NoSession)) => {}
            (look, Err(not)) => self.record.wrong(format!("{}: looking at {look:?}: {not:?}", self.name)),
        }
    }

    pub(super) async fn legacy_listens(mut self) {
        let mut at = None;
        while !self.is_stopped() {
            let Some(kept) = self.open().await else { break };
            if self.subscribe(&kept).await {
                self.hear_session(&kept, &mut at).await;
            } else {
                self.lost(&kept);
            }
            if self.is_stopped() {
                self.end(&kept).await;
            }
        }
        at.inspect(|at| self.end_to_watch(*at));
    }

    async fn subscribe(&mut self, kept: &Kept) -> bool {
        for subject in self.watched() {
            let session = &kept.session;
            let uri = public(&subject);
            let subscribed = self
                .insist("subscribing", || async {
                    let params = json!({"uri": uri});
                    session
                        .request("resources/subscribe", params, Manner::default(), &mut Heard::default())
                        .await
                })
                .await;
            match subscribed {
                Ok(_) => {}
                Err(Not::NoSession) => return false,
                Err(not) => self.record.wrong(format!("{}: subscribing to {uri}: {not:?}", self.name)),
            }
        }
        true
    }

    /// Hears the session's stream, opens it again whenever it ends, and goes on where it was as far as it can.
    async fn hear_session(&mut self, kept: &Kept, at: &mut Option<usize>) {
        let mut last: Option<String> = None;
        while !self.is_stopped() {
            let (session, from) = (&kept.session, last.clone());
            let mut response =
                match self.insist("the session's stream", || session.stream(from.as_deref())).await {
                    Ok(response) if response.status == 200 => response,
                    Err(Not::NoSession) => return self.lost(kept),
                    // What was missed is not kept any more: the client begins anew, and looks at everything.
                    Err(Not::NoEvent) if last.is_some() => {
                        self.record.tally("streams of sessions that could not be resumed");
                        last = None;
                        continue;
                    }
                    other => {
                        self.record.wrong(format!("{}: the session's stream: {other:?}", self.name));
                        self.pause().await;
                        continue;
                    }
                };
            self.served(kept);
            if last.is_none() {
                let all: Vec<_> =
                    self.watched().into_iter().map(Look::Resource).chain([Look::Tools]).collect();
                for look in all {
                    self.look_in(kept, &look).await;
                }
                if at.is_none() {
                    *at = Some(self.begin_to_watch());
                }
            } else {
                self.record.tally("streams of sessions resumed");
            }
            // Now and then the connection breaks from this side.
            let cut = tokio::time::sleep(std::time::Duration::from_millis(self.dice.between(2000, 8000)));
            tokio::pin!(cut);
            loop {
                let message = tokio::select! {
                    message = self.or_stop(&mut response) => message,
                    () = &mut cut => break,
                };
                let Some(Ok(Some(Message { json, event }))) = message else { break };
                if event.is_some() {
                    last = event;
                }
                if let Some(look) = Look::of(&json) {
                    self.look_in(kept, &look).await;
                }
            }
        }
    }

    /// A legacy client looks.
    async fn look_in(&mut self, kept: &Kept, look: &Look) {
        let session = &kept.session;
        let (method, params) = match look {
            Look::Tools => ("tools/list", json!({})),
            Look::Resource(subject) => ("resources/read", json!({"uri": public(subject)})),
        };
        let newest = self.newest(look);
        let came = self.insist("looking", || session.looked(method, &params)).await;
        self.seen(look, came, &newest);
    }
}
