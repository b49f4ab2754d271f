//! `cargo run -p xtask -- circles`: which files of each crate need each other in a loop, and how long files and functions
//! are. `arrows`: which needs which. What must not be is tested under `tests/`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use xtask::tree::Tree;
use xtask::{reading, report, sources};

const USAGE: &str = "usage: cargo run -p xtask -- circles [--brief] [--crate NAME] [--at DIR]
       cargo run -p xtask -- arrows [--crate NAME] [--at DIR]

circles shows which files need each other in a loop, and how long files and functions are; arrows every line by which a
file needs another.

  --brief       one line per crate
  --crate NAME  that crate only
  --at DIR      another checkout";

struct Arguments {
    show: fn(&[Tree]) -> String,
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
    let show = match given.next().as_deref() {
        Some("circles") => report::whole,
        Some("arrows") => report::every_arrow,
        _ => return Err(USAGE.to_owned()),
    };
    let mut arguments = Arguments { show, only: None, at: here };
    while let Some(option) = given.next() {
        match option.as_str() {
            "--brief" => arguments.show = report::summary,
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
    Ok((arguments.show)(&trees))
}
