//! Modern clients that call.

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{HANG, Player, outcome};
use crate::client::heard::Not;
use crate::client::modern::{Ask, Whole};
use crate::record::{Kind, Outcome};
use crate::servers::STEPS;

/// What is checked of the notifications of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Progress,
    /// What the tool `log` says at `warning`.
    Logs,
}

impl Player {
    pub(super) async fn modern_calls(mut self) {
        while !self.is_stopped() {
            self.one_call(Kind::ModernCall).await;
            self.pause().await;
        }
    }

    pub(super) async fn one_call(&mut self, kind: Kind) {
        let id = self.effect();
        let server = ["modern", "legacy", "stdio"][self.dice.index(3)];
        let roll = if kind == Kind::Burst { 0 } else { self.dice.between(0, 10) };
        let (ask, told) = match (roll, server) {
            (8, "modern" | "legacy") => {
                (Ask::call(&format!("{server}__log"), &id, 0).with_level("warning"), Told::Logs)
            }
            (5..=9, _) => {
                let wait = self.dice.between(100, 1500);
                (Ask::call(&format!("{server}__effect"), &id, wait).with_progress(&id), Told::Progress)
            }
            _ => (Ask::call(&format!("{server}__effect"), &id, 0), Told::Nothing),
        };
        let call = self.record.begin(&id, kind);
        let Some(end) = self.sent(call, &ask).await else { return };
        let expected = format!("done {id}");
        let ended = match end {
            Ok((result, heard)) => match outcome(&result, &expected) {
                Outcome::Acknowledged if !told.is_all_of(&heard, &id) => {
                    Outcome::Wrong(format!("{server}: of its notifications came {}", json!(heard)))
                }
                ended => ended,
            },
            Err(ended) => ended,
        };
        self.record.end(call, ended);
    }

    /// Sends a request, again and again as long as it is refused. `None` if nothing is ever heard.
    async fn sent(&mut self, call: usize, ask: &Ask) -> Option<Result<(Value, Vec<Value>), Outcome>> {
        let since = self.record.now();
        loop {
            let door = self.door.clone();
            self.record.sends(call);
            let Ok(Whole { replica, told, end }) = timeout(HANG, ask.whole(&door)).await else { return None };
            self.record.given(call, replica);
            return Some(match end {
                Ok(result) => Ok((result, told)),
                Err(Not::Refused(why)) => {
                    self.record.again(call);
                    self.record.tally(&format!("modern, refused: {why}"));
                    if self.again(since).await {
                        continue;
                    }
                    Err(Outcome::Refused(why))
                }
                Err(Not::Lost(why)) => Err(Outcome::Lost(why)),
                Err(Not::NoSession | Not::NoEvent) => Err(Outcome::Wrong("as to a legacy client".to_owned())),
                Err(Not::Wrong(what)) => Err(Outcome::Wrong(what)),
            });
        }
    }

    pub(super) async fn modern_asks(mut self) {
        // One alone asks the server over stdio, which does not say whom it asks.
        let servers: &[&str] = if self.number == 0 { &["asker"] } else { &["modern", "legacy"] };
        while !self.is_stopped() {
            let server = servers[self.dice.index(servers.len())];
            self.one_question(server).await;
            self.pause().await;
        }
    }

    async fn one_question(&mut self, server: &str) {
        let (id, word) = (self.effect(), format!("word{}", self.dice.between(0, 1_000_000)));
        let kind = if server == "modern" { Kind::ModernAsk } else { Kind::ModernAskHeld };
        let ask = Ask::call(&format!("{server}__ask"), &id, 0);
        let call = self.record.begin(&id, kind);
        let Some(first) = self.sent(call, &ask).await else { return };
        let asked = match first {
            Ok((result, _)) if result["resultType"] == json!("input_required") => result,
            // No question, and so neither its answer.
            Ok((result, _)) => return self.record.end(call, outcome(&result, "a question")),
            Err(ended) => return self.record.end(call, ended),
        };
        // Somebody fills in a form.
        let thinks = self.dice.between(0, 1500);
        tokio::time::sleep(std::time::Duration::from_millis(thinks)).await;
        let Some(last) = self.sent(call, &ask.answering(&asked, &word)).await else { return };
        let ended = match last {
            Ok((result, _)) => outcome(&result, &format!("done {id} {word}")),
            Err(ended) => ended,
        };
        self.record.end(call, ended);
    }
}

impl Told {
    fn is_all_of(self, heard: &[Value], token: &str) -> bool {
        match self {
            Self::Nothing => heard.is_empty(),
            Self::Progress => steps(heard, token) == (1..=STEPS).collect::<Vec<_>>(),
            Self::Logs => levels(heard) == ["warning", "critical"],
        }
    }
}

/// The steps of the progress notifications with this token.
pub(super) fn steps(heard: &[Value], token: &str) -> Vec<u64> {
    let ours = heard
        .iter()
        .map(|message| &message["params"])
        .filter(|params| params["progressToken"] == json!(token));
    ours.filter_map(|params| params["progress"].as_u64()).collect()
}

/// The levels of the log messages.
pub(super) fn levels(heard: &[Value]) -> Vec<&str> {
    let logs = heard.iter().filter(|message| message["method"] == json!("notifications/message"));
    logs.filter_map(|message| message["params"]["level"].as_str()).collect()
}
