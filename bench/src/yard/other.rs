//! Others, of which nothing is known but a command and a URL.

use std::path::Path;
use std::process::Command;

use globset::Glob;
use serde::Deserialize;

use super::Ground;
use crate::fault::Fault;

/// One of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Other {
    /// What the table calls it.
    pub(crate) name: String,
    /// Where it serves MCP.
    pub(crate) url: String,
    /// The program and its arguments; without it, it runs already, and its CPU time is not known. `${ECHO}` stands for
    /// HOST:PORT of the echo server.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// The cases that it takes part in, as in --only.
    #[serde(default)]
    only: Option<String>,
}

/// The file of `--others`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Others {
    other: Vec<Other>,
}

/// Reads the file.
pub(crate) fn read(path: &Path) -> Result<Vec<Other>, Fault> {
    let text = std::fs::read_to_string(path).map_err(Fault::of(&path.display().to_string()))?;
    let others: Others = toml::from_str(&text).map_err(Fault::of(&path.display().to_string()))?;
    for only in others.other.iter().filter_map(|other| other.only.as_deref()) {
        Glob::new(only).map_err(Fault::of("only"))?;
    }
    Ok(others.other)
}

impl Other {
    pub(super) fn takes_part(&self, case: &str) -> bool {
        let matches = |only| Glob::new(only).is_ok_and(|glob| glob.compile_matcher().is_match(case));
        self.only.as_deref().is_none_or(matches)
    }

    /// How it is started.
    pub(super) fn command(&self, ground: &Ground) -> Option<Command> {
        let mut words = self.command.iter().map(|word| word.replace("${ECHO}", &ground.echo));
        let mut command = Command::new(words.next()?);
        command.args(words);
        Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_can_be_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("others.example.toml");
        let others = read(&path).unwrap();
        assert!(!others.is_empty());
    }
}
