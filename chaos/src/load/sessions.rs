//! Legacy clients that call: they open a session, use it for a while, and end it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::modern::{levels, steps};
use super::{HANG, Player, outcome};
use crate::client::heard::Not;
use crate::client::session::{Heard, Manner, Session};
use crate::record::{self, Kind, Outcome};
use crate::servers::STEPS;

/// The level that every session sets.
const LEVEL: &str = "critical";

/// A session, and where it stands in the book.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) session: Session,
    at: usize,
}

/// What a session's client calls.
struct Plan {
    server: &'static str,
    tool: &'static str,
    wait: u64,
    word: Option<String>,
    cut_after: Option<usize>,
}

impl Player {
    fn revision(&self) -> &'static str {
        if self.number.is_multiple_of(2) { "2025-11-25" } else { "2025-06-18" }
    }

    /// Opens a session; `None` if it cannot, or is not to any more.
    pub(super) async fn open(&mut self) -> Option<Kept> {
        let (door, revision) = (self.door.clone(), self.revision());
        // Half an opened session is as good as none: the client begins again.
        match self.insist("opening a session", || Session::open(&door, revision)).await {
            Ok(session) => {
                let now = self.record.now();
                let mut book = self.record.book();
                let home = session.home;
                book.sessions.push(record::Session { opened: now, ended: now, home, ..Default::default() });
                Some(Kept { session, at: book.sessions.len() - 1 })
            }
            Err(not) => {
                self.record.wrong(format!("{}: opening a session: {not:?}", self.name));
                None
            }
        }
    }

    /// The session answered.
    pub(super) fn served(&self, kept: &Kept) {
        let now = self.record.now();
        if let Some(session) = self.record.book().sessions.get_mut(kept.at) {
            session.served.push(now);
            session.ended = now;
        }
    }

    /// The session is gone, and nobody had ended it.
    pub(super) fn lost(&self, kept: &Kept) {
        let now = self.record.now();
        if let Some(session) = self.record.book().sessions.get_mut(kept.at) {
            session.is_lost = true;
            session.ended = now;
        }
    }

    pub(super) async fn legacy_sessions(mut self, kind: Kind) {
        while !self.is_stopped() {
            let Some(mut kept) = self.open().await else {
                sleep(Duration::from_secs(1)).await;
                continue;
            };
            if kind == Kind::LegacyCall && !self.set_level(&mut kept).await {
                continue;
            }
            for _ in 0..self.dice.between(8, 30) {
                if self.is_stopped() {
                    break;
                }
                if !self.one_legacy_call(kind, &mut kept).await {
                    return;
                }
                self.pause().await;
            }
            self.end(&kept).await;
        }
    }

    async fn set_level(&mut self, kept: &mut Kept) -> bool {
        let session = &kept.session;
        let set = || async {
            let params = json!({"level": LEVEL});
            session.request("logging/setLevel", params, Manner::default(), &mut Heard::default()).await
        };
        match self.insist("setting a level", set).await {
            Ok(_) => true,
            Err(Not::NoSession) => {
                self.lost(kept);
                false
            }
            Err(not) => {
                self.record.wrong(format!("{}: setting a level: {not:?}", self.name));
                false
            }
        }
    }

    fn plan(&mut self, kind: Kind) -> Plan {
        let server = ["modern", "legacy", "stdio"][self.dice.index(3)];
        match kind {
            Kind::LegacyAsk => {
                let word = format!("word{}", self.dice.between(0, 1_000_000));
                let server = if server == "stdio" { "legacy" } else { server };
                Plan { server, tool: "ask", wait: 0, word: Some(word), cut_after: None }
            }
            Kind::LegacyResume => {
                let (wait, cut) = (self.dice.between(200, 1500), self.dice.index(3));
                Plan { server, tool: "effect", wait, word: None, cut_after: Some(cut) }
            }
            _ if self.dice.between(0, 5) == 0 && server != "stdio" => {
                Plan { server, tool: "log", wait: 0, word: None, cut_after: None }
            }
            _ => {
                let wait = [0, 0, 0, 400, 1200][self.dice.index(5)];
                Plan { server, tool: "effect", wait, word: None, cut_after: None }
            }
        }
    }

    /// One call, in another session if this one is gone. False if there is none any more.
    async fn one_legacy_call(&mut self, kind: Kind, kept: &mut Kept) -> bool {
        let (id, plan) = (self.effect(), self.plan(kind));
        let params = json!({
            "name": format!("{}__{}", plan.server, plan.tool),
            "arguments": {"id": id, "wait": plan.wait},
            "_meta": {"progressToken": id}
        });
        let manner = Manner { word: plan.word.as_deref(), cut_after: plan.cut_after };
        let call = self.record.begin(&id, kind);
        let since = self.record.now();
        loop {
            let mut heard = Heard::default();
            self.record.sends(call);
            let Ok(end) = timeout(HANG, kept.session.call(params.clone(), manner, &mut heard)).await else {
                return true;
            };
            heard.replicas.iter().for_each(|replica| self.record.given(call, Some(*replica)));
            if heard.resumed > 0 {
                self.record.tally(if end.is_ok() { "streams resumed" } else { "streams not resumed" });
            }
            let ended = match end {
                Ok(result) => {
                    self.served(kept);
                    plan.outcome(&id, &result, &heard)
                }
                Err(Not::Lost(why)) => Outcome::Lost(why),
                Err(Not::NoEvent) => Outcome::Wrong("not_resumable, to a POST".to_owned()),
                Err(Not::Wrong(what)) => Outcome::Wrong(what),
                Err(not @ (Not::Refused(_) | Not::NoSession)) => {
                    self.record.again(call);
                    if let Not::Refused(why) = &not {
                        self.record.tally(&format!("legacy, refused: {why}"));
                    } else if !self.another(kept, kind).await {
                        self.record.end(call, Outcome::Refused("no session".to_owned()));
                        return false;
                    }
                    if self.again(since).await {
                        continue;
                    }
                    Outcome::Refused(format!("{not:?}"))
                }
            };
            self.record.end(call, ended);
            return true;
        }
    }

    /// Another session for one that is gone.
    async fn another(&mut self, kept: &mut Kept, kind: Kind) -> bool {
        self.lost(kept);
        let Some(other) = self.open().await else { return false };
        *kept = other;
        // What was set in the old one is gone with it.
        if kind == Kind::LegacyCall {
            self.set_level(kept).await;
        }
        true
    }

    /// Ends the session; then it is gone everywhere.
    pub(super) async fn end(&mut self, kept: &Kept) {
        let session = &kept.session;
        let mut tries = 0u32;
        let ended = self.insist("ending a session", || {
            tries += 1;
            session.end()
        });
        match ended.await {
            Ok(()) => self.served(kept),
            // The first try may have been the one that ended it.
            Err(Not::NoSession) if tries > 1 => {}
            Err(Not::NoSession) => return self.lost(kept),
            Err(not) => return self.record.wrong(format!("{}: ending a session: {not:?}", self.name)),
        }
        for _ in 0..self.door.replicas.len() {
            match self.insist("asking an ended session", || session.ping()).await {
                Err(Not::NoSession) => self.record.tally("404 for ended sessions"),
                other => self.record.wrong(format!("{}: an ended session answers {other:?}", self.name)),
            }
        }
    }
}

impl Plan {
    fn outcome(&self, id: &str, result: &Value, heard: &Heard) -> Outcome {
        let expected = match &self.word {
            Some(word) => format!("done {id} {word}"),
            None => format!("done {id}"),
        };
        let is_told = match self.tool {
            "effect" if self.wait > 0 => steps(&heard.told, id) == (1..=STEPS).collect::<Vec<_>>(),
            "log" => levels(&heard.told) == [LEVEL],
            _ => true,
        };
        match outcome(result, &expected) {
            Outcome::Acknowledged if !is_told => {
                let told: Value = heard.told.iter().map(|message| message["params"].clone()).collect();
                Outcome::Wrong(format!("{} of {}: of its notifications came {told}", self.tool, self.server))
            }
            ended => ended,
        }
    }
}
