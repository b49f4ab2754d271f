//! The log: to stderr, for a person on a terminal and as JSON lines otherwise.

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::fault::Fault;
use crate::print;

mod repeats;

use repeats::Repeats;

/// The environment variable with the filter, where no `--log` is given.
pub(crate) const FILTER_VARIABLE: &str = "PORTOLAN_LOG";

/// How much is logged, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// How much to log to stderr: error, warn, info, debug, trace or off, also by module (`warn,gateway=debug`; `gateway` is all that carries calls).
    /// Without it, what the environment variable PORTOLAN_LOG says
    #[arg(long = "log", value_name = "LEVEL", global = true, help_heading = "Log")]
    filter: Option<String>,
    /// The form of the log
    #[arg(long, value_name = "FORMAT", default_value = "auto", global = true, help_heading = "Log")]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Text on a terminal, JSON otherwise
    Auto,
    /// Lines for a person
    Text,
    /// One JSON object a line
    Json,
}

/// Who reads what a long-running command says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A person: text.
    Person,
    /// A program: JSON lines.
    Machine,
}

/// What carries calls beside the crate of that name.
const OF_THE_GATEWAY: [&str; 3] = ["upstream", "replica", "replay"];

/// A filter in which `gateway=LEVEL` holds for all that carries calls, but for what the filter names itself.
fn with_all_of_the_gateway(filter: &str) -> String {
    let target = |directive: &str| directive.split_once('=').map(|(target, _)| target.trim().to_owned());
    let named: Vec<_> = filter.split(',').filter_map(target).collect();
    let mut whole = filter.to_owned();
    for directive in filter.split(',') {
        let Some((_, level)) = directive.split_once('=').filter(|(target, _)| target.trim() == "gateway")
        else {
            continue;
        };
        for other in OF_THE_GATEWAY.into_iter().filter(|other| !named.iter().any(|named| named == other)) {
            whole.push_str(&format!(",{other}={level}"));
        }
    }
    whole
}

/// How much may be logged.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
/// What may stand alone in a filter, for all that it logs.
const MODULES: &[&str] = &[
    "auth",
    "base",
    "cli",
    "config",
    "gateway",
    "identity",
    "mcp",
    "portolan",
    "replay",
    "replica",
    "store",
    "telemetry",
    "transport",
    "upstream",
];

fn filter_of(filter: &str) -> Result<EnvFilter, Fault> {
    // A word that is no level is taken for a module, of which then everything is logged and of all others nothing.
    let bare = filter.split(',').map(str::trim).filter(|part| !part.contains(['=', ':', '[']));
    let is_known = |part: &&str| {
        part.is_empty() || LEVELS.iter().chain(MODULES).any(|known| known.eq_ignore_ascii_case(part))
    };
    if let Some(word) = bare.into_iter().find(|part| !is_known(part)) {
        let meant = base::nearest::nearest(word, LEVELS.iter().copied());
        let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        return Err(Fault::usage(format!("{word:?} is no level of the log{meant}"))
            .hint("off, error, warn, info, debug or trace; of one module, such as gateway=debug"));
    }
    EnvFilter::try_new(with_all_of_the_gateway(filter)).map_err(|error| {
        Fault::usage(format!("{filter:?} is no log filter: {error}"))
            .hint("such as info, or warn,gateway=debug")
    })
}

/// Begins to log.
pub(crate) fn begin(log: &Log, default: &str) -> Result<Voice, Fault> {
    let from_environment = || std::env::var(FILTER_VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let filter = log.filter.clone().or_else(from_environment).as_deref().map(filter_of).transpose()?;
    let voice = match log.log_format {
        Format::Text => Voice::Person,
        Format::Json => Voice::Machine,
        Format::Auto if print::err_is_seen() => Voice::Person,
        Format::Auto => Voice::Machine,
    };
    // A person is told how the servers come up.
    let quieter = || if voice == Voice::Person && default == "info" { "info,upstream=warn" } else { default };
    let filter = filter.map_or_else(|| filter_of(quieter()), Ok)?;
    let log = fmt::layer().with_writer(std::io::stderr);
    let all = registry().with(filter).with(Repeats::default());
    let begun = match voice {
        Voice::Person => {
            all.with(log.with_target(false).with_ansi(print::Paint::stderr().is_on())).try_init()
        }
        Voice::Machine => all.with(log.json().flatten_event(true).with_span_list(false)).try_init(),
    };
    begun.map_err(|error| Fault::Bug(error.to_string()))?;
    Ok(voice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_all_that_carries_calls() {
        let whole = with_all_of_the_gateway("warn,gateway=debug,replica=off");
        assert_eq!(whole, "warn,gateway=debug,replica=off,upstream=debug,replay=debug");
        assert_eq!(with_all_of_the_gateway("info"), "info");
        assert_eq!(with_all_of_the_gateway("gateway::call=trace"), "gateway::call=trace");
    }
}
