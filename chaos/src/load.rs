//! The clients. Each does its one thing again and again until it is told to stop, and writes down what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::Door;
use crate::client::heard::Not;
use crate::dice::Dice;
use crate::ground::Ground;
use crate::record::{Kind, Outcome, Record};
use crate::servers::{NOT_DONE, World};

mod modern;
mod sessions;
mod watchers;

/// After how long a client gives up what it hears nothing of. The judge gives up earlier.
pub(crate) const HANG: Duration = Duration::from_secs(60);
/// How long a client sends again what is refused.
const PERSISTENCE: Duration = Duration::from_secs(20);

/// What kinds of clients there are, and how many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Client {
    ModernCall,
    ModernAsk,
    ModernListen,
    LegacyCall,
    LegacyAsk,
    LegacyResume,
    LegacyListen,
}

impl Client {
    pub(crate) const ALL: [(Self, u64); 7] = [
        (Self::ModernCall, 8),
        (Self::ModernAsk, 4),
        (Self::ModernListen, 3),
        (Self::LegacyCall, 4),
        (Self::LegacyAsk, 3),
        (Self::LegacyResume, 3),
        (Self::LegacyListen, 2),
    ];

    /// The calls that it makes.
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::ModernCall => &[Kind::ModernCall],
            Self::ModernAsk => &[Kind::ModernAsk, Kind::ModernAskHeld],
            Self::LegacyCall => &[Kind::LegacyCall],
            Self::LegacyAsk => &[Kind::LegacyAsk],
            Self::LegacyResume => &[Kind::LegacyResume],
            Self::ModernListen | Self::LegacyListen => &[],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ModernCall => "modern-call",
            Self::ModernAsk => "modern-ask",
            Self::ModernListen => "modern-listen",
            Self::LegacyCall => "legacy-call",
            Self::LegacyAsk => "legacy-ask",
            Self::LegacyResume => "legacy-resume",
            Self::LegacyListen => "legacy-listen",
        }
    }
}

/// What every client has.
#[derive(Debug, Clone)]
pub(crate) struct Player {
    pub(crate) door: Door,
    pub(crate) record: Arc<Record>,
    pub(crate) world: Arc<World>,
    pub(crate) dice: Dice,
    /// Its name, with which its effects begin.
    pub(crate) name: String,
    /// Which of its kind it is.
    pub(crate) number: u64,
    stop: watch::Receiver<bool>,
    next: Arc<AtomicU64>,
}

/// All clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    players: JoinSet<()>,
    first: Player,
}

impl Load {
    /// Sends clients in.
    pub(crate) fn begin(ground: &Ground, seed: u64, only: &[Client]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let first = Player {
            door: ground.door.clone(),
            record: Arc::clone(&ground.record),
            world: Arc::clone(&ground.world),
            dice: Dice::new(seed),
            name: "first".to_owned(),
            number: 0,
            stop: stopped,
            next: Arc::default(),
        };
        let mut players = JoinSet::new();
        let mut who = 0;
        for (client, count) in Client::ALL {
            for number in 0..count {
                who += 1;
                if !only.is_empty() && !only.contains(&client) {
                    continue;
                }
                let name = format!("{}-{number}", client.name());
                let mut book = ground.record.book();
                match client.kinds() {
                    [] => book.names.push(name.clone()),
                    kinds => book.kinds.extend(kinds),
                }
                drop(book);
                let player = Player { dice: Dice::of(seed, who), name, number, ..first.clone() };
                players.spawn(player.play(client));
            }
        }
        Self { stop, players, first }
    }

    /// Many modern calls at once, each on a new connection, and comes back when all have ended.
    pub(crate) async fn burst(&self, count: u64, at: u64) {
        let mut all = JoinSet::new();
        for number in 0..count {
            let name = format!("burst-{at}-{number}");
            let mut player = Player { name, number, next: Arc::default(), ..self.first.clone() };
            all.spawn(async move { player.one_call(Kind::Burst).await });
        }
        while all.join_next().await.is_some() {}
    }

    /// Tells all to stop when they have done what they are at, and waits for that.
    pub(crate) async fn end(mut self) {
        self.stop.send(true).ok();
        let all = async { while self.players.join_next().await.is_some() {} };
        if timeout(HANG * 2, all).await.is_err() {
            self.first.record.wrong("clients have not ended");
        }
    }
}

impl Player {
    async fn play(self, client: Client) {
        match client {
            Client::ModernCall => self.modern_calls().await,
            Client::ModernAsk => self.modern_asks().await,
            Client::ModernListen => self.modern_listens().await,
            Client::LegacyCall => self.legacy_sessions(Kind::LegacyCall).await,
            Client::LegacyAsk => self.legacy_sessions(Kind::LegacyAsk).await,
            Client::LegacyResume => self.legacy_sessions(Kind::LegacyResume).await,
            Client::LegacyListen => self.legacy_listens().await,
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Comes back when it is to stop.
    async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // That nobody is there to tell is a reason to stop, too.
        stop.wait_for(|stop| *stop).await.ok();
    }

    /// An effect that nobody else asks for.
    fn effect(&self) -> String {
        format!("{}-{:05}", self.name, self.next.fetch_add(1, Ordering::Relaxed))
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(self.dice.between(20, 120))).await;
    }

    /// Whether it is worth while to send something again that was first sent then; if so, after a while.
    async fn again(&mut self, since: Duration) -> bool {
        sleep(Duration::from_millis(self.dice.between(50, 200))).await;
        self.record.now().saturating_sub(since) < PERSISTENCE
    }

    /// Does what has no effect, and may therefore be done again, until it is done.
    async fn insist<T, F>(&mut self, doing: &str, mut what: impl FnMut() -> F) -> Result<T, Not>
    where
        F: Future<Output = Result<T, Not>>,
    {
        let since = self.record.now();
        loop {
            let not = match timeout(HANG, what()).await {
                Ok(Err(not @ (Not::Refused(_) | Not::Lost(_)))) => not,
                Ok(done) => return done,
                Err(_) => {
                    return Err(Not::Wrong(format!("{doing}: nothing is heard for {} s", HANG.as_secs())));
                }
            };
            if !self.again(since).await {
                return Err(Not::Wrong(format!("{doing}: again and again {not:?}")));
            }
        }
    }
}

/// What becomes of a call by its answer.
fn outcome(result: &Value, expected: &str) -> Outcome {
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    if text == expected {
        Outcome::Acknowledged
    } else if text.starts_with(NOT_DONE) {
        // Our servers say so where their question was refused, which must have a cause as a loss must.
        Outcome::Lost("the server was told that nobody answers".to_owned())
    } else {
        Outcome::Wrong(format!("{result} is not {expected:?}"))
    }
}
