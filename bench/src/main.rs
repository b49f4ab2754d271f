//! Measures Portolan, and beside it nginx, HAProxy and whatever else is given by URL, in one run on one machine.
//!
//! `bench run` starts everything on loopback and writes the results. It starts itself again as `bench echo`, the server
//! behind all that is measured, and as `bench load`, the client in front, so that each is a process of its own and the
//! kernel can say what the process between them costs. Nothing here knows Portolan but by its command line, its
//! configuration and its URL.

use std::process::ExitCode;

use clap::Parser;

mod cases;
mod echo;
mod fault;
mod load;
mod look;
mod process;
mod report;
mod run;
mod say;
mod wire;
mod yard;

use crate::fault::Fault;

/// Measures Portolan beside nginx, HAProxy and others
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 110)]
enum Args {
    Run(run::Run),
    Echo(echo::Echo),
    Load(load::Load),
}

fn main() -> ExitCode {
    let done = match Args::parse() {
        Args::Run(run) => run.run(),
        Args::Echo(echo) => echo.run(),
        Args::Load(load) => load.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say::progress(&format!("bench: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// A runtime of one thread: what stands beside the process under test is to cost little, not to be fast.
fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fault::of("a runtime"))
}
