//! How servers come up: for a person a line for each as it comes, and in one sentence what came of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use base::error::CallError;
use base::fault::Why;
use base::lasting::Lasting;
use gateway::assembly::Gateway;
use tokio::time::{Instant, sleep, timeout};
use upstream::{Health, Upstream};

/// How often it is looked.
const LOOK_AT_START: Duration = Duration::from_millis(200);
/// For so long the tools of a server that is up are waited for, and how often it is looked.
const TOOLS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(25);
/// The most characters of a reason in a summary.
const MOST: usize = 120;

/// What became of servers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    up: usize,
    /// By name, whichever was first.
    down: BTreeMap<String, String>,
    left_out: Vec<String>,
}

impl Tally {
    /// One is up.
    pub(crate) fn up(&mut self) {
        self.up += 1;
    }

    /// One is down, and why, as briefly as can be.
    pub(crate) fn down(&mut self, name: &str, why: &str) {
        self.down.insert(name.to_owned(), why.to_owned());
    }

    /// One was not tried.
    pub(crate) fn left_out(&mut self, name: &str) {
        self.left_out.push(name.to_owned());
    }

    pub(crate) fn is_all_up(&self) -> bool {
        self.down.is_empty()
    }

    /// All of them.
    pub(crate) fn count(&self) -> usize {
        self.up + self.down.len() + self.left_out.len()
    }

    /// In one sentence.
    pub(crate) fn sentence(&self) -> String {
        let mut said = format!("{} of {} up", self.up, self.count());
        let down: Vec<_> = self.down.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        if !down.is_empty() {
            said.push_str(&format!("; down: {}", down.join("; ")));
        }
        if !self.left_out.is_empty() {
            said.push_str(&format!("; left out: {}", self.left_out.join(", ")));
        }
        said
    }
}

/// Why a server is down, in a few words: of what its program said last the line that says most, or else what happened.
pub(crate) fn brief(server: &str, Why { what, said, .. }: &Why) -> String {
    let said = said.as_deref().and_then(telling);
    let what = what.strip_prefix(&format!("upstream {server:?} ")).unwrap_or(what);
    let all = said.unwrap_or_else(|| what.strip_prefix("cannot be reached: ").unwrap_or(what));
    let all = all.replace('\n', " ");
    if all.chars().count() <= MOST {
        return all;
    }
    all.chars().take(MOST - 1).chain(['…']).collect()
}

/// What in a line is likely to be the reason why a program has ended.
const SIGNS: [&str; 18] = [
    "error",
    "required",
    "missing",
    "not set",
    "not found",
    "no such",
    "cannot",
    "can't",
    "could not",
    "unable",
    "fail",
    "fatal",
    "invalid",
    "denied",
    "refused",
    "exception",
    "panic",
    "must",
];

/// The line of a program's last words that says most: one that looks like a reason, or all that it said. What else it may chat of is none.
fn telling(said: &str) -> Option<&str> {
    let tells = |line: &str| {
        let line = line.to_ascii_lowercase();
        SIGNS.iter().any(|sign| line.contains(sign))
    };
    let lines: Vec<_> = said.split(" | ").map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [only] => Some(only),
        several => several.iter().rfind(|line| tells(line)).copied(),
    }
}

/// When somebody is told of a program that is still starting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling {
    /// After how long, if it says something.
    says: Duration,
    /// After how long, if it says nothing.
    silent: Duration,
    /// How long after that again.
    again: Duration,
}

impl Telling {
    /// For a person who looks at many servers as they come.
    pub(crate) const COMING: Self = Self { silent: Duration::from_secs(10), ..Self::AWAITED };
    /// For a person who waits for it.
    pub(crate) const AWAITED: Self =
        Self { says: Duration::from_secs(2), silent: Duration::from_secs(2), again: Duration::from_secs(5) };
    /// For whoever keeps what is said, and may be a program.
    pub(crate) const KEPT: Self = Self {
        says: Duration::from_secs(10),
        silent: Duration::from_secs(10),
        again: Duration::from_secs(30),
    };
}

/// Tells that a server is still starting, for how long, and what it says, as long as nobody stops it: again when it says something
/// else, and when it has taken twice as long.
pub(crate) async fn tell_of_start(server: &Upstream, when: Telling, tell: impl Fn(&str)) -> Infallible {
    let mut told = None::<(Option<String>, Duration)>;
    loop {
        sleep(LOOK_AT_START).await;
        let Some(CallError::Starting { so_far, .. }) = server.starting() else { continue };
        // It was started again.
        told = told.filter(|(_, at)| *at <= so_far);
        let words = server.said().and_then(|said| said.rsplit(" | ").next().map(str::to_owned));
        let due = match &told {
            None if words.is_some() => when.says,
            None => when.silent,
            Some((before, at)) if *before == words => (*at * 2).max(*at + when.again),
            Some((_, at)) => *at + when.again,
        };
        if so_far >= due {
            let says = words.as_deref().unwrap_or("it has said nothing yet");
            tell(&format!("starting for {}: {says}", Lasting(Duration::from_secs(so_far.as_secs()))));
            told = Some((words, so_far));
        }
    }
}

/// How a server is once it was tried; how long that took, and for a server that is up how many tools it has.
pub(crate) async fn arrival(gateway: &Gateway, server: &Upstream) -> Result<String, Why> {
    let began = Instant::now();
    let mut health = server.health_changes();
    let health = match health.wait_for(|health| *health != Health::Unknown).await {
        Ok(health) => health.clone(),
        Err(_gone) => return Err("it is no longer configured".into()),
    };
    if let Health::Down { why, said, .. } = health {
        return Err(Why { what: why, said, ..Why::default() });
    }
    let took = Lasting(began.elapsed());
    let tools = async {
        loop {
            if let Some(count) = gateway.tools(server.name()) {
                return count;
            }
            sleep(LOOK).await;
        }
    };
    Ok(match timeout(TOOLS, tools).await {
        Ok(1) => format!("in {took}, 1 tool"),
        Ok(count) => format!("in {took}, {count} tools"),
        Err(_late) => format!("in {took}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_is_down_and_why_in_a_few_words() {
        let mut tally = Tally::default();
        (0..17).for_each(|_| tally.up());
        let said = "npm warn | Error: BRAVE_API_KEY is required | Node.js v22".to_owned();
        let ended = Why {
            what: "upstream \"brave\" cannot be reached: the process ended".to_owned(),
            said: Some(said),
            ..Why::default()
        };
        tally.down("brave", &brief("brave", &ended));
        tally.down("web", &brief("web", &"upstream \"web\" cannot be reached: Connection refused".into()));
        tally.left_out("天気");
        assert_eq!(
            tally.sentence(),
            "17 of 20 up; down: brave: Error: BRAVE_API_KEY is required; web: Connection refused; left out: 天気"
        );
        assert_eq!(brief("a", &"x".repeat(500).into()).chars().count(), 120);
        let why = |said: &str| Why {
            what: "the process ended (exit status: 1)".to_owned(),
            said: Some(said.to_owned()),
            ..Why::default()
        };
        assert_eq!(
            brief("a", &why("Server v1.2 | listening for requests")),
            "the process ended (exit status: 1)"
        );
        assert_eq!(brief("a", &why("Could not read /x | at main (a.js:3) | Bye")), "Could not read /x");
        assert_eq!(brief("a", &why("KEY is wrong")), "KEY is wrong");
    }
}
