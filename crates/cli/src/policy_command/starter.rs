//! `portolan policy new`: a file to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::print;

const TEXT: &str = include_str!("starter.cedar");

/// Write a file of policies to begin with
///
/// It is commented, and is good as it is. A file that is there stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan policy new
  portolan policy new rules/limits.cedar")]
pub(crate) struct New {
    /// Write here
    #[arg(value_name = "FILE", default_value = "rules.cedar")]
    to: PathBuf,
}

impl New {
    /// Writes it.
    pub(crate) fn run(self) -> Result<Exit, Fault> {
        let shown = self.to.display();
        if self.to.extension().is_none_or(|ending| ending != "cedar") {
            return Err(Fault::usage(format!("{shown} does not end in .cedar"))
                .hint("policies are told from other files by that"));
        }
        let opened = OpenOptions::new().write(true).create_new(true).open(&self.to);
        let written = opened.and_then(|mut file| file.write_all(TEXT.as_bytes()));
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Fault::usage(format!("{shown} is there already")).hint("name another file")
            }
            _ => Fault::outside(&format!("cannot write {shown}"), &error),
        })?;
        print::out(format!("{shown} is written; policy = {:?} in the configuration takes it\n", self.to))?;
        Ok(Exit::Ok)
    }
}
