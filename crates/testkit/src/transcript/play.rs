//! Acting a conversation out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::render::Came;
use super::template::{Template, Vars};
use super::{Block, Direction, Transcript};
use crate::http::{Client, Connection, Reply};
use crate::lines::LineClient;
use crate::server::{Asked, Desk, Events, ScriptedServer, Seen};

/// How long one step may take.
const STEP: Duration = Duration::from_secs(20);
/// What HTTP itself needs is not part of a conversation.
const HOP: [&str; 5] = ["connection", "content-length", "date", "host", "transfer-encoding"];

/// A gateway that is running, and what stands around it.
#[derive(Debug)]
pub struct Stage {
    /// How its client reaches it.
    pub down: Down,
    /// The servers behind it, by name.
    pub ups: BTreeMap<String, (ScriptedServer, Desk)>,
    /// Whether expectations are to be rewritten rather than to fail.
    pub update: bool,
}

/// How a client reaches the gateway.
#[derive(Debug)]
pub enum Down {
    /// Over HTTP.
    Http(Client),
    /// Over lines, where the heads of the file are left out.
    Lines(LineClient),
}

/// Acts a conversation out; gives the file with other expectations if they were to be rewritten and are not the same.
///
/// # Errors
/// Says where the conversation went otherwise, and how.
pub async fn play(transcript: &Transcript, stage: Stage) -> Result<Option<String>, String> {
    let update = stage.update;
    let mut player = Player { stage, vars: Vars::new(), replies: BTreeMap::new(), requests: BTreeMap::new() };
    let mut changes = Vec::new();
    for block in &transcript.blocks {
        let line = block.at.0 + 1;
        let step = tokio::time::timeout(STEP, player.step(block)).await;
        let came = step.map_err(|_elapsed| format!("line {line}: {:?} did not happen", block.words))?;
        let Some(came) = came.map_err(|why| format!("line {line}: {why}"))? else { continue };
        if came.fits(block, &mut player.vars) {
            continue;
        }
        let lines = came.lines(block, &player.vars);
        if !update {
            let expected = transcript.lines[block.at.0..block.at.0 + block.at.1].join("\n");
            return Err(format!("line {line}: expected\n{expected}\nand there came\n{}\n", lines.join("\n")));
        }
        if let Some(again) =
            Transcript::parse(&lines.join("\n")).ok().and_then(|t| t.blocks.into_iter().next())
        {
            came.fits(&again, &mut player.vars);
        }
        changes.push((block.clone(), lines));
    }
    player.finish().await?;
    Ok((!changes.is_empty()).then(|| transcript.rewritten(&changes)))
}

/// What the client is waiting for.
enum Waiting {
    Head(Connection),
    Body(Box<Reply>),
}

/// What a server is answering.
enum Answering {
    Asked(Asked),
    Events(Events),
}

struct Player {
    stage: Stage,
    vars: Vars,
    replies: BTreeMap<String, Waiting>,
    requests: BTreeMap<(String, String), Answering>,
}

type Step = Result<Option<Came>, String>;

impl Player {
    /// Does what a block says, or gives what came in its place.
    async fn step(&mut self, block: &Block) -> Step {
        match block.direction {
            Direction::ClientSends => self.client_sends(block).await.map(|()| None),
            Direction::ClientGets => self.client_gets(block).await,
            Direction::ServerGets => self.server_gets(block).await,
            Direction::ServerSends => self.server_sends(block).await.map(|()| None),
        }
    }

    fn fill(&self, text: &str) -> String {
        Template::new(text).fill(&self.vars)
    }

    async fn client_sends(&mut self, block: &Block) -> Result<(), String> {
        let body = self.fill(block.body.as_deref().unwrap_or_default());
        let headers: Vec<_> =
            block.headers.iter().map(|(name, value)| (name.as_str(), self.fill(value))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let key = exchange(block);
        match (&mut self.stage.down, block.words.join(" ").as_str()) {
            (Down::Http(_), "close") => {
                self.replies.remove(&key).ok_or("nothing is open")?;
            }
            (Down::Lines(client), "close") => client.close().await,
            (Down::Http(client), line) => {
                let mut connection = client.open().await;
                connection.write(&client.request(line, &headers, body.as_bytes())).await;
                self.replies.insert(key, Waiting::Head(connection));
            }
            (Down::Lines(client), _) => client.send(body.as_bytes()).await,
        }
        Ok(())
    }

    async fn client_gets(&mut self, block: &Block) -> Step {
        let verb = block.words.first().map(String::as_str).unwrap_or_default();
        let words = block.words.clone();
        if let Down::Lines(client) = &mut self.stage.down {
            if block.body.is_none() {
                return Ok(None);
            }
            let line = client.next().await.ok_or("the client's input has ended")?;
            return Ok(Some(Came { words, headers: block.headers.clone(), body: Some(line) }));
        }
        let key = exchange(block);
        match (self.replies.remove(&key).ok_or("the client is waiting for nothing")?, verb) {
            (Waiting::Body(mut reply), "event") => {
                let body = reply.event().await;
                let words = vec![if body.is_some() { "event" } else { "end" }.to_owned()];
                self.replies.insert(key, Waiting::Body(reply));
                Ok(Some(Came { words, headers: Vec::new(), body }))
            }
            (Waiting::Body(mut reply), "end") => {
                let body = reply.event().await;
                let words = vec![if body.is_some() { "event" } else { "end" }.to_owned()];
                Ok(Some(Came { words, headers: Vec::new(), body }))
            }
            (Waiting::Body(_), _) => Err("the response has begun already".to_owned()),
            (Waiting::Head(connection), _) => {
                let reply = connection.reply().await.ok_or("the connection ended before a response")?;
                self.head_came(key, reply).await
            }
        }
    }

    async fn head_came(&mut self, key: String, mut reply: Reply) -> Step {
        let mut words = vec![reply.status.to_string()];
        let mut headers = reply.headers.clone();
        headers.retain(|(name, _)| !HOP.contains(&name.as_str()));
        shorten(&mut headers, &mut words);
        if words.last().is_some_and(|word| word == "events") {
            self.replies.insert(key, Waiting::Body(Box::new(reply)));
            return Ok(Some(Came { words, headers, body: None }));
        }
        let mut body = reply.body().await;
        // A line end behind what is no message cannot be written in a file.
        body.truncate(body.trim_end_matches('\n').len());
        Ok(Some(Came { words, headers, body: Some(body).filter(|body| !body.is_empty()) }))
    }

    async fn server_gets(&mut self, block: &Block) -> Step {
        let (name, key) = (upstream(block)?, exchange(block));
        if block.words.get(1).is_some_and(|verb| verb == "closed") {
            match self.requests.get(&(key, name)).ok_or("the server is answering nothing")? {
                Answering::Asked(asked) => asked.gone().await,
                Answering::Events(events) => events.gone().await,
            }
            return Ok(None);
        }
        let method = block.method().ok_or("neither a message nor a request")?;
        let (_, desk) = self.stage.ups.get_mut(&name).ok_or("no such server")?;
        let asked = desk.asked(&method).await;
        let came = asked_came(&name, &asked.seen);
        self.requests.insert((key, name), Answering::Asked(asked));
        Ok(Some(came))
    }

    async fn server_sends(&mut self, block: &Block) -> Result<(), String> {
        let (name, key) = (upstream(block)?, exchange(block));
        let verb = block.words.get(1).map(String::as_str).unwrap_or_default();
        match verb {
            "crash" => {
                self.stage.ups.get(&name).ok_or("no such server")?.0.crash();
                return Ok(());
            }
            "forget" => {
                self.stage.ups.get(&name).ok_or("no such server")?.0.forget_sessions();
                return Ok(());
            }
            _ => {}
        }
        let body = self.fill(block.body.as_deref().unwrap_or_default());
        let place = (key, name);
        let answering = self.requests.remove(&place).ok_or("the server is answering nothing")?;
        match (answering, verb) {
            (Answering::Events(mut events), "event" | "line") => {
                events.message(&body).await;
                self.requests.insert(place, Answering::Events(events));
            }
            (Answering::Events(events), "end") => events.end().await,
            (Answering::Asked(asked), "line") => {
                let mut events = asked.stream().await;
                events.message(&body).await;
                self.requests.insert(place, Answering::Events(events));
            }
            (answering, "abort") => drop(answering),
            (Answering::Asked(asked), status) => {
                let status = status.parse().map_err(|_no_number| "no status")?;
                let headers: Vec<_> =
                    block.headers.iter().map(|(name, value)| (name.as_str(), self.fill(value))).collect();
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let media = block.words.get(2).map(String::as_str);
                if media == Some("events") {
                    let events = asked.stream_with(&headers).await;
                    self.requests.insert(place, Answering::Events(events));
                } else {
                    let media = media.map_or("", |_json| "application/json");
                    asked.respond(status, media, &headers, body.as_bytes()).await;
                }
            }
            (Answering::Events(_), _) => return Err("the answer has begun already".to_owned()),
        }
        Ok(())
    }

    /// Nothing may have happened that the file does not say.
    async fn finish(mut self) -> Result<(), String> {
        if let Down::Lines(client) = &mut self.stage.down {
            // In memory the clock is paused: it moves on when nobody has anything to say any more.
            let silence = Duration::from_millis(1);
            if let Ok(Some(line)) = tokio::time::timeout(silence, client.next()).await {
                return Err(format!("at the end the client still gets {line}"));
            }
        }
        for (name, (_, desk)) in &mut self.stage.ups {
            if let Some(seen) = desk.left().first() {
                return Err(format!("at the end {name} still gets {} {}", seen.line, seen.text()));
            }
        }
        Ok(())
    }
}

/// What one exchange's lines begin with, without the arrow.
fn exchange(block: &Block) -> String {
    block.prefix.trim_end_matches(['<', '>']).to_owned()
}

fn upstream(block: &Block) -> Result<String, String> {
    block.words.first().cloned().ok_or_else(|| "no server is named".to_owned())
}

fn asked_came(name: &str, seen: &Seen) -> Came {
    let mut words = vec![name.to_owned()];
    words.extend(seen.line.split(' ').map(str::to_owned));
    let mut headers = seen.headers.clone();
    headers.retain(|(name, _)| !HOP.contains(&name.as_str()));
    let usual = ("accept".to_owned(), "application/json, text/event-stream".to_owned());
    if headers.contains(&usual) {
        headers.retain(|header| *header != usual);
        shorten(&mut headers, &mut words);
    }
    let body = Some(seen.text().to_owned()).filter(|body| !body.is_empty());
    Came { words, headers, body }
}

/// The two media types that the protocol has are words of the first line.
fn shorten(headers: &mut Vec<(String, String)>, words: &mut Vec<String>) {
    let Some(at) = headers.iter().position(|(name, _)| name == "content-type") else { return };
    let word = match headers[at].1.as_str() {
        "application/json" => "json",
        "text/event-stream" => "events",
        _ => return,
    };
    words.push(word.to_owned());
    headers.remove(at);
}
