//! `cargo run -p xtask -- circles`: which files of each crate need each other in a loop, and how long files and functions
//! are. What must not be is tested under `tests/`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use xtask::{reading, report, sources};

const USAGE: &str = "usage: cargo run -p xtask -- circles [--brief] [--crate NAME] [--at DIR]

  --brief       one line per crate
  --crate NAME  that crate only
  --at DIR      another checkout";

struct Arguments {
    brief: bool,
    only: Option<String>,
    at: PathBuf,
}

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)).and_then(|arguments| said(&arguments)) {
        Ok(text) if io::stdout().write_all(text.as_bytes()).is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Where even that cannot be written, the exit code says it.
            writeln!(io::stderr(), "{error}").ok();
            ExitCode::from(2)
        }
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut arguments = Arguments { brief: false, only: None, at: here };
    if given.next().as_deref() != Some("circles") {
        return Err(USAGE.to_owned());
    }
    while let Some(option) = given.next() {
        match option.as_str() {
            "--brief" => arguments.brief = true,
            "--crate" => arguments.only = Some(given.next().ok_or(USAGE)?),
            "--at" => arguments.at = given.next().ok_or(USAGE)?.into(),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(arguments)
}

fn said(arguments: &Arguments) -> Result<String, String> {
    let crates =
        sources::crates(&arguments.at).map_err(|error| format!("{}: {error}", arguments.at.display()))?;
    let chosen = crates.iter().filter(|one| arguments.only.as_ref().is_none_or(|name| *name == one.name));
    let trees = chosen.map(reading::read).collect::<Result<Vec<_>, _>>()?;
    if arguments.brief {
        return Ok(report::summary(&trees));
    }
    let texts: Vec<String> = trees.iter().map(report::whole).collect();
    Ok(texts.join("\n"))
}
