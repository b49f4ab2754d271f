//! How much callers may take: rates, calls at once, bytes of results, and calls that go round in circles.

use std::fmt;
use std::time::Duration;

use crate::globs::Globs;

/// All limits of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitingPlan {
    /// In the order of the file. A call has to be within each that concerns it.
    pub limits: Vec<LimitPlan>,
    /// What becomes of the same call again and again; nothing, if not said.
    pub loops: Option<LoopPlan>,
}

impl LimitingPlan {
    /// Whether there is nothing to count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.loops.is_none()
    }
}

/// One limit. Two that are the same are one, whose counts a reload keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitPlan {
    /// Its name in the configuration, which callers that are refused are told.
    pub name: String,
    /// By what it is counted; all together without any.
    pub per: Vec<Per>,
    /// Only calls on these routes.
    pub routes: Option<Globs>,
    /// Only calls that go to these servers.
    pub servers: Option<Globs>,
    /// Only calls of these tools, by the server's own names.
    pub tools: Option<Globs>,
    /// How many calls in a time.
    pub rate: Option<Rate>,
    /// How many calls at once.
    pub concurrent: Option<usize>,
    /// How many bytes of results in an hour.
    pub result_bytes: Option<usize>,
}

impl LimitPlan {
    /// Whether only a call of which the server is known can be counted.
    #[must_use]
    pub fn needs_target(&self) -> bool {
        self.servers.is_some() || self.per.contains(&Per::Server) || self.is_of_tools()
    }

    /// Whether only tools are counted.
    #[must_use]
    pub fn is_of_tools(&self) -> bool {
        self.tools.is_some() || self.per.contains(&Per::Tool)
    }
}

/// By what calls are counted, each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Who calls. Where nobody is asked who it is, all are one.
    Principal,
    /// The client that acts for it, by its token. Those whose token names none are one.
    Client,
    /// The route.
    Route,
    /// The server.
    Server,
    /// The tool, of one server.
    Tool,
}

/// So many in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub times: u32,
    /// In what time.
    pub within: Duration,
    /// How many at once at most, after a pause that was long enough.
    pub burst: u32,
}

impl Rate {
    /// The most that may be said.
    pub const MOST: u32 = 1_000_000;

    /// What a text says: `10/s`, `60/min`, `500/h`, with as many at once; nothing if it is none, or says none or too many.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (times, unit) = text.split_once('/')?;
        let within = match unit.trim_start() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            _ => return None,
        };
        let times = times.trim_end();
        let is_number = times.bytes().all(|byte| byte.is_ascii_digit());
        let times: u32 = times.parse().ok().filter(|times| is_number && (1..=Self::MOST).contains(times))?;
        Some(Self { times, within: Duration::from_secs(within), burst: times })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.within.as_secs() {
            1 => "s",
            60 => "min",
            3600 => "h",
            _ => return write!(f, "{} in {:?}", self.times, self.within),
        };
        write!(f, "{}/{unit}", self.times)
    }
}

/// When the same call again and again is taken for a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopPlan {
    /// So many of the same are no loop.
    pub calls: u32,
    /// In this time.
    pub within: Duration,
    /// What becomes of more.
    pub action: LoopAction,
}

/// What becomes of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoopAction {
    /// Its calls are refused.
    #[default]
    Refuse,
    /// Its calls wait.
    Slow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_spelled() {
        for text in ["10/s", "60/min", "500/h"] {
            let rate = Rate::read(text).unwrap();
            assert_eq!((rate.to_string().as_str(), rate.burst), (text, rate.times));
        }
        assert_eq!(Rate::read("60 / min"), Rate::read("60/m"));
        for wrong in ["", "10", "/s", "10/", "1.5/s", "-1/s", "+1/s", "10/d", "10s", "0/s", "1000001/s"] {
            assert_eq!(Rate::read(wrong), None, "{wrong}");
        }
    }
}
