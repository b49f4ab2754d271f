//! Several replicas of Portolan behind nginx, with PostgreSQL below them and clients of both eras in front, while
//! everything happens to them that happens to processes. Servers count what they carry out; the judge compares that with
//! what clients were told.
//!
//! Portolan is a program, a configuration and a URL here. Read [`record`] first, then [`judge`].

use std::process::ExitCode;

use clap::Parser;

mod blows;
mod client;
mod dice;
mod fault;
mod ground;
mod judge;
mod load;
mod record;
mod report;
mod run;
mod say;
mod servers;

use crate::fault::Fault;

/// Shows that nothing is lost in silence and nothing happens twice, whatever happens to replicas
#[derive(Debug, Parser)]
#[command(name = "chaos", max_term_width = 110)]
enum Args {
    Run(run::Run),
    Stdio(servers::stdio::Stdio),
}

fn main() -> ExitCode {
    let done = match Args::parse() {
        Args::Run(run) => runtime().and_then(|runtime| runtime.block_on(run.run())),
        Args::Stdio(stdio) => stdio.run().map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            say::progress(&format!("chaos: {fault}"));
            ExitCode::from(2)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Fault::of("a runtime"))
}
