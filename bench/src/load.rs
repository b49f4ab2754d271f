//! The client in front of all that is measured. Every answer is looked at: to measure errors is worth nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::load::who::{Credentials, Signer, Who};
use crate::{process, say};

mod caller;
mod check;
mod closed;
mod hold;
mod open;
mod request;
pub(crate) mod who;

/// The line that says that the time of measurement begins.
pub(crate) const BEGIN: &str = "begin";

/// The client in front: asks one thing again and again, and looks at every answer
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Where to ask: http://HOST:PORT/PATH
    #[arg(long)]
    pub(crate) url: String,
    /// What to ask for
    #[arg(long = "do", value_enum, default_value = "call")]
    pub(crate) what: What,
    /// The tool that is called
    #[arg(long, default_value = "echo_1024")]
    pub(crate) tool: String,
    /// The bytes of a call's arguments and of its answer
    #[arg(long, default_value_t = 1024)]
    pub(crate) size: usize,
    /// How many tools a list must have, and how many progress notifications a stream
    #[arg(long, default_value_t = 10)]
    pub(crate) count: usize,
    /// Speak as a client of this era
    #[arg(long, value_enum, default_value = "modern")]
    pub(crate) era: Era,
    /// How the pace is set
    #[arg(long, value_enum, default_value = "closed")]
    pub(crate) pace: Pace,
    /// Connections at once (streams with --http2)
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Legacy sessions that are open at once and used in turn
    #[arg(long, default_value_t = 1)]
    pub(crate) sessions: usize,
    /// Calls a second with --pace open
    #[arg(long, default_value_t = 100)]
    pub(crate) rate: u32,
    /// Seconds before the measurement
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm_up: f64,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Speak HTTP/2, eight streams a connection
    #[arg(long)]
    pub(crate) http2: bool,
    /// Say who is calling
    #[arg(long, value_enum, default_value = "anonymous")]
    pub(crate) who: Who,
    /// How many tokens are used in turn; with 0 each call has a new one
    #[arg(long, default_value_t = 1)]
    pub(crate) tokens: u64,
    /// The file with the key that signs them (PKCS #8)
    #[arg(long, required_if_eq_any([("who", "token"), ("who", "proof")]))]
    pub(crate) key: Option<PathBuf>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// tools/call of an echo tool
    Call,
    /// tools/list
    List,
    /// tools/call of a tool that tells its progress
    Stream,
    /// GET of a file
    File,
    /// subscriptions/listen, and nothing more
    Listen,
    /// A legacy session, and nothing more
    Session,
    /// A legacy session with a log level
    SessionLevel,
    /// A legacy session that watches a resource
    SessionWatch,
}

/// The era of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Era {
    Modern,
    Legacy,
}

/// When the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pace {
    /// When the last one of the connection was answered
    Closed,
    /// At its time, whatever became of the others
    Open,
    /// Open once, and then keep still
    Hold,
}

/// What a load found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Calls that were answered in the time of measurement; for `hold`, what is open.
    pub(crate) calls: u64,
    pub(crate) seconds: f64,
    /// How long each call took, in microseconds, in no order; only for the open pace.
    pub(crate) latencies: Vec<f64>,
}

impl Default for Load {
    /// What the command line says where it says nothing.
    fn default() -> Self {
        Self {
            url: String::new(),
            what: What::Call,
            tool: "echo_1024".to_owned(),
            size: 1024,
            count: 10,
            era: Era::Modern,
            pace: Pace::Closed,
            connections: 64,
            sessions: 1,
            rate: 100,
            warm_up: 1.0,
            seconds: 5.0,
            http2: false,
            who: Who::Anonymous,
            tokens: 1,
            key: None,
        }
    }
}

impl Load {
    pub(crate) fn run(self) -> Result<(), Fault> {
        process::end_with_parent()?;
        process::raise_file_limit(65536)?;
        let outcome = match self.pace {
            Pace::Closed => crate::runtime()?.block_on(closed::run(&self))?,
            Pace::Open => open::run(&self)?,
            Pace::Hold => return crate::runtime()?.block_on(hold::run(&self)),
        };
        end(&outcome)
    }

    /// The command line that starts this load.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let word = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let mut all = vec!["load".to_owned(), "--url".to_owned(), self.url.clone()];
        for (name, value) in [
            ("--do", word(self.what.to_possible_value())),
            ("--tool", self.tool.clone()),
            ("--size", self.size.to_string()),
            ("--count", self.count.to_string()),
            ("--era", word(self.era.to_possible_value())),
            ("--pace", word(self.pace.to_possible_value())),
            ("--connections", self.connections.to_string()),
            ("--sessions", self.sessions.to_string()),
            ("--rate", self.rate.to_string()),
            ("--warm-up", self.warm_up.to_string()),
            ("--seconds", self.seconds.to_string()),
            ("--who", word(self.who.to_possible_value())),
            ("--tokens", self.tokens.to_string()),
        ] {
            all.extend([name.to_owned(), value]);
        }
        all.extend(self.http2.then(|| "--http2".to_owned()));
        if let Some(key) = &self.key {
            all.extend(["--key".to_owned(), key.display().to_string()]);
        }
        all
    }

    /// Asks once, on one connection, looks at the answer and gives its body.
    pub(crate) fn once(&self) -> Result<Vec<u8>, Fault> {
        let alone = Self { connections: 1, sessions: 1, ..self.clone() };
        crate::runtime()?.block_on(async {
            let mut callers = caller::callers(&alone).await?;
            let mut caller = callers.pop().ok_or_else(|| Fault::new("no caller"))?;
            caller.call().await?;
            Ok(caller.body().to_vec())
        })
    }

    /// What it says of itself, if it does.
    fn credentials(&self) -> Result<Option<Credentials>, Fault> {
        let key = self.key.as_deref().filter(|_| self.who != Who::Anonymous);
        key.map(|key| Credentials::make(Signer::read(key)?, self.who, self.tokens)).transpose()
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Says what was found, which is the end of the time of measurement.
fn end(outcome: &Outcome) -> Result<(), Fault> {
    let line = serde_json::to_string(outcome).map_err(Fault::of("the outcome"))?;
    say::out(&line).map_err(Fault::of("stdout"))
}

/// Says that the time of measurement begins.
fn begin() -> Result<(), Fault> {
    say::out(BEGIN).map_err(Fault::of("stdout"))
}
