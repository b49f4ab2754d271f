//! Commands that print what is known without running anything, and the guard.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::Shell;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::print;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(portolan completions bash)
  portolan completions fish > ~/.config/fish/completions/portolan.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints them.
    pub(crate) fn run(&self) -> Result<Exit, Fault> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut crate::args::command(), "portolan", &mut text);
        print::out(&text)?;
        Ok(Exit::Ok)
    }
}

/// Write the man pages, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan man | man -l -
  portolan man ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Where; it is made if it is not there. Without it, the page of the whole goes to stdout
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    /// Writes them.
    pub(crate) fn run(&self) -> Result<Exit, Fault> {
        let command = crate::args::command().disable_help_subcommand(true);
        let Some(directory) = &self.directory else {
            let mut page = Vec::new();
            let written = clap_mangen::Man::new(command).render(&mut page);
            written.map_err(|error| Fault::outside("cannot make the page", &error))?;
            print::out(&page)?;
            return Ok(Exit::Ok);
        };
        let shown = directory.display();
        let written =
            std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
        written.map_err(|error| Fault::outside(&format!("cannot write to {shown}"), &error))?;
        print::out(format!("the man pages are in {shown}\n"))?;
        Ok(Exit::Ok)
    }
}

/// Prints the JSON Schema of the configuration.
pub(crate) fn schema() -> Result<Exit, Fault> {
    print::out(config::schema())?;
    Ok(Exit::Ok)
}

/// Prints the reference page of the configuration.
pub(crate) fn config_reference() -> Result<Exit, Fault> {
    print::out(config::reference())?;
    Ok(Exit::Ok)
}

/// Start a command and see to it that nothing of it outlives us
#[derive(Debug, clap::Args)]
pub(crate) struct Guard {
    /// The process id of who starts it
    #[arg(long)]
    parent: i32,
    /// The limit of file descriptors that the command is started with
    #[arg(long)]
    descriptors: Option<u64>,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Guard {
    /// Runs the command, and ends as it does.
    pub(crate) fn run(&self) -> ExitCode {
        transport::child::guard::run(self.parent, self.descriptors, &self.command).unwrap_or_else(|error| {
            let program =
                self.command.first().map(|program| program.display().to_string()).unwrap_or_default();
            print::err(&format!("{program} cannot be started: {error}\n"));
            Exit::Unreachable.into()
        })
    }
}
