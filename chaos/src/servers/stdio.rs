//! A legacy server over stdin and stdout: this program again. It appends effects to a file, so that they outlive it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::http::{error, result};
use super::{Asked, NOT_DONE, STEPS, done, done_with, legacy, question};
use crate::fault::Fault;

/// What it is called in configurations.
pub(crate) const NAME: &str = "stdio";

/// The server over stdio, which replicas start
#[derive(Debug, Args)]
pub(crate) struct Stdio {
    /// The file that effects are appended to
    #[arg(long)]
    effects: PathBuf,
}

#[derive(Debug)]
struct Server {
    effects: Mutex<File>,
    /// Calls that wait for their client's word: the question's id → the call's id and its effect.
    asked: Mutex<BTreeMap<String, (Value, String)>>,
}

impl Stdio {
    pub(crate) fn run(self) -> Result<(), Fault> {
        let file = OpenOptions::new().create(true).append(true).open(&self.effects);
        let file = file.map_err(Fault::of("the file of effects"))?;
        let server = Arc::new(Server { effects: Mutex::new(file), asked: Mutex::default() });
        for line in io::stdin().lock().lines() {
            let line = line.map_err(Fault::of("stdin"))?;
            if let Ok(message) = serde_json::from_str::<Value>(&line) {
                server.hear(&message).map_err(Fault::of("answering"))?;
            }
        }
        Ok(())
    }
}

/// What such servers have carried out.
pub(crate) fn effects(path: &Path) -> Result<Vec<String>, Fault> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Fault::of("the file of effects")(error)),
    }
}

fn say(message: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{message}")?;
    out.flush()
}

impl Server {
    /// One write to the end of the file, so that lines of several processes stay whole.
    fn effect(&self, id: &str) -> io::Result<()> {
        let mut file = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{id}\n").as_bytes())
    }

    fn hear(self: &Arc<Self>, message: &Value) -> io::Result<()> {
        let (id, params) = (&message["id"], &message["params"]);
        let said = match message["method"].as_str() {
            None => return self.answered(message),
            Some(_) if id.is_null() => return Ok(()),
            Some("initialize") => json!({
                "protocolVersion": legacy::REVISION, "capabilities": {"tools": {}},
                "serverInfo": {"name": NAME, "version": "1"}
            }),
            Some("tools/list") => json!({"tools": super::tools(0)}),
            Some("ping") => json!({}),
            Some("tools/call") => return self.call(id.clone(), Asked::read(params)),
            Some(_) => return say(&error(id, -32601, "no such method")),
        };
        say(&result(id, &said))
    }

    fn call(self: &Arc<Self>, id: Value, asked: Asked) -> io::Result<()> {
        if asked.tool == "ask" {
            let number = format!("q-{}", asked.id);
            let request = json!({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": question(&asked.id)});
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(number, (id, asked.id));
            return say(&request);
        }
        self.effect(&asked.id)?;
        std::thread::spawn(move || {
            for step in (1..=STEPS).filter(|_| asked.wait > 0) {
                std::thread::sleep(Duration::from_millis(asked.wait / STEPS));
                if let Some(progress) = asked.progress(step) {
                    say(&progress).ok();
                }
            }
            // Nobody is there to hear that nobody is there.
            say(&result(&id, &done(&format!("done {}", asked.id)))).ok();
        });
        Ok(())
    }

    fn answered(&self, message: &Value) -> io::Result<()> {
        let number = message["id"].as_str().unwrap_or_default();
        let call = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(number);
        let Some((id, effect)) = call else { return Ok(()) };
        let answer = &message["result"];
        if answer["action"] != json!("accept") {
            return say(&result(&id, &done(&format!("{NOT_DONE} {effect}"))));
        }
        self.effect(&effect)?;
        say(&result(&id, &done_with(&effect, answer)))
    }
}
