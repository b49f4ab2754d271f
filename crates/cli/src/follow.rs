//! What a server says in the middle of a call, on stderr: its progress as a bar (as lines, where no terminal is), and
//! its log.

use std::borrow::Cow;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcp::json::{self, Object};
use mcp::meta::LogLevel;

use crate::client::Ear;
use crate::print;

/// The steps of a bar: what servers count in may be anything.
const STEPS: u64 = 1000;

/// What to hear of a call beside its result.
#[derive(Debug, clap::Args)]
pub(crate) struct Follow {
    /// Show the server's log messages from this level on
    #[arg(long, value_name = "LEVEL", help_heading = "Output")]
    log_level: Option<Level>,
    /// Do not ask for progress
    #[arg(long, help_heading = "Output")]
    no_progress: bool,
}

/// RFC 5424.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    fn on_the_wire(self) -> LogLevel {
        match self {
            Self::Debug => LogLevel::Debug,
            Self::Info => LogLevel::Info,
            Self::Notice => LogLevel::Notice,
            Self::Warning => LogLevel::Warning,
            Self::Error => LogLevel::Error,
            Self::Critical => LogLevel::Critical,
            Self::Alert => LogLevel::Alert,
            Self::Emergency => LogLevel::Emergency,
        }
    }
}

/// Shows what is heard.
pub(crate) struct Follower {
    level: Option<LogLevel>,
    progress: Progress,
}

enum Progress {
    Unwanted,
    Lines,
    Bar(Option<ProgressBar>),
}

impl Follow {
    /// Begins to follow. The wire and a bar do not go together.
    pub(crate) fn begin(&self, verbose: bool) -> Follower {
        let progress = match (self.no_progress, print::err_is_seen() && !verbose) {
            (true, _) => Progress::Unwanted,
            (false, true) => Progress::Bar(None),
            (false, false) => Progress::Lines,
        };
        Follower { level: self.log_level.map(Level::on_the_wire), progress }
    }
}

impl Ear for Follower {
    fn level(&self) -> Option<LogLevel> {
        self.level
    }

    fn wants_progress(&self) -> bool {
        !matches!(self.progress, Progress::Unwanted)
    }

    fn hear(&mut self, method: &str, params: &Object<'_>) {
        match method {
            "notifications/progress" => self.progress(params),
            "notifications/message" => self.log(params),
            _ => {}
        }
    }
}

impl Follower {
    /// Takes the bar away, before the result is shown or the user is asked.
    pub(crate) fn pause(&mut self) {
        if let Progress::Bar(bar) = &mut self.progress
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }

    fn progress(&mut self, params: &Object<'_>) {
        let member = |name: &str| params.get(name).ok().flatten();
        let Some(done) = member("progress") else { return };
        let total = member("total");
        let message = params.string("message").ok().flatten().unwrap_or_default();
        let text = match total {
            Some(total) => format!("{done}/{total} {message}"),
            None => format!("{done} {message}"),
        };
        let text = print::safe_err(text.trim_end()).replace('\n', " ");
        match &mut self.progress {
            Progress::Unwanted => {}
            Progress::Lines => print::err(&format!("progress {text}\n")),
            Progress::Bar(bar) => {
                let bar = bar.get_or_insert_with(|| new_bar(total.is_some()));
                bar.set_message(text);
                match total.and_then(|total| step(done, total)) {
                    Some(step) => bar.set_position(step),
                    None => bar.tick(),
                }
            }
        }
    }

    fn log(&self, params: &Object<'_>) {
        let text = |name: &str| params.string(name).ok().flatten().unwrap_or_default();
        let data = params.get("data").ok().flatten().unwrap_or("null");
        let data = json::string(data).unwrap_or(Cow::Borrowed(data));
        let logger = text("logger");
        let colon = if logger.is_empty() { "" } else { ": " };
        let line = format!("[{}] {logger}{colon}{data}", text("level"));
        let line = format!("{}\n", print::safe_err(&line));
        match &self.progress {
            Progress::Bar(Some(bar)) => bar.suspend(|| print::err(&line)),
            Progress::Bar(None) | Progress::Lines | Progress::Unwanted => print::err(&line),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.pause();
    }
}

fn new_bar(has_total: bool) -> ProgressBar {
    let template = if has_total { "{bar:32} {msg}" } else { "{spinner} {msg}" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let length = has_total.then_some(STEPS);
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()).with_style(style)
}

fn step(done: &str, total: &str) -> Option<u64> {
    let share = done.parse::<f64>().ok()? / total.parse::<f64>().ok()?;
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { return None };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to 1000"
    )]
    Some((share * STEPS as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_shares_of_any_total() {
        assert_eq!(step("1", "4"), Some(250));
        assert_eq!(step("7", "4"), Some(1000));
        assert_eq!((step("1", "0"), step("0", "0"), step("x", "1")), (None, None, None));
    }
}
