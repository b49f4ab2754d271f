//! `portolan convert`: a client's file becomes one of Portolan's own.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use config::{Inherit, Severity, Source};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::outside::ProcessEnvironment;
use crate::print::{self, Paint};

/// Make a client's file into one of Portolan's own
///
/// What refers to a secret goes on to refer to it. What cannot be carried over is said. The other file stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan convert ~/.cursor/mcp.json
  portolan convert .mcp.json --output - | less")]
pub(crate) struct Convert {
    /// The file: mcp.json, config.toml of Codex, config.yaml of Goose …; - is stdin
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Write here; - is stdout
    #[arg(long, short, value_name = "FILE", default_value = "portolan.toml")]
    output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

impl Convert {
    /// Makes it.
    pub(crate) fn run(&self) -> Result<Exit, Fault> {
        let to_stdout = self.output == Path::new("-");
        let to = if to_stdout { Path::new("portolan.toml") } else { &self.output };
        let made = config::convert(&self.from, to, &ProcessEnvironment);
        let colour = Paint::stderr().is_on();
        let say = |found: &config::Diagnostic| print::err(&format!("{}\n", found.render(colour)));
        made.diagnostics.iter().for_each(say);
        for remark in &made.remarks {
            print::err(&format!("{}\n", print::safe_err(remark)));
        }
        let Some(text) = made.text else { return Err(Fault::Config(self.from.display().to_string())) };
        let source = Source { path: to.to_owned(), text: text.clone() };
        let checked = config::load_text_with(source, &ProcessEnvironment, &Inherit::default());
        if to_stdout {
            print::out(text)?;
        } else {
            write(to, &text, self.force)?;
        }
        checked.diagnostics.iter().for_each(say);
        if to_stdout {
            return Ok(Exit::Ok);
        }
        let to = to.display();
        let next = match checked.plan {
            Some(_) => format!("portolan check {to} --connect says whether its servers are there"),
            None => {
                let errors = checked.diagnostics.iter().filter(|found| found.severity == Severity::Error);
                format!(
                    "{to} cannot be used before what is wrong with it is put right: {} above",
                    errors.count()
                )
            }
        };
        print::out(format!("{to} is written; {next}\n"))?;
        Ok(Exit::Ok)
    }
}

/// Writes it for its owner alone: it may hold what was a secret in the other file.
fn write(to: &Path, text: &str, force: bool) -> Result<(), Fault> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let opened = if force { options.create(true).truncate(true) } else { options.create_new(true) }.open(to);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Fault::usage(format!("{} is there already", to.display()))
            .hint("--force writes over it, --output FILE writes elsewhere"),
        _ => Fault::outside(&format!("cannot write {}", to.display()), &error),
    })
}
