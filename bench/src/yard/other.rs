//! Others, of which nothing is known but a command and a URL.

use std::path::Path;
use std::process::Command;

use globset::Glob;
use serde::Deserialize;

use super::Ground;
use crate::cases::Behind;
use crate::fault::Fault;
use crate::load::Load;

/// One of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Other {
    /// What the table calls it.
    pub(crate) name: String,
    /// Where it serves MCP.
    url: String,
    /// The program and its arguments; without it, it runs already, and its CPU time is not known. `${UPSTREAM}` stands
    /// for the URL of the server behind, `${ECHO}` for HOST:PORT of it.
    #[serde(default)]
    command: Vec<String>,
    /// What it puts in front of the names of tools.
    #[serde(default)]
    prefix: String,
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

    /// What it is asked: the same as everyone, by the names that its tools have.
    pub(super) fn load(&self, load: &Load) -> Load {
        let (_, own) = load.tool.split_once("__").unwrap_or(("", &load.tool));
        Load { url: self.url.clone(), tool: format!("{}{own}", self.prefix), ..load.clone() }
    }

    /// How it is started in front of the first server of a case.
    pub(super) fn command(&self, ground: &Ground, behind: Behind) -> Option<Command> {
        let upstream = format!("http://{}{}", ground.echo, behind.path(behind.era, 0));
        let filled = |word: &String| word.replace("${ECHO}", &ground.echo).replace("${UPSTREAM}", &upstream);
        let mut words = self.command.iter().map(filled);
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
        let load = others[0].load(&Load { tool: "s1__echo_1024".to_owned(), ..Load::default() });
        assert_eq!((load.tool.as_str(), load.url.as_str()), ("echo_1024", others[0].url.as_str()));
    }
}
