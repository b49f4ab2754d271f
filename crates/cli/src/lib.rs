//! Portolan on the command line. It reads arguments, builds a [`base::plan::Plan`] or has [`config`] build one, runs
//! it, and says what happened; what a user of the libraries could want is not here.
//!
//! Reading order: [`exit`] (what the program says when it ends), `args` (all commands), then one module a command.
//! `serve`, `stdio` and `demo` run a gateway for others; `discover`, `list`, `call`, `read` and `prompt` are a client,
//! and that client is a gateway too: `client` puts one in front of the server and speaks to it as a modern client over
//! stdio would, so that every era and transport is one way of code. `words`, `targets` and `peer` say which are meant,
//! `arrivals` how servers come up, `replies` what it is answered when it asks, `show` how a result looks to a person.
//! `keys` and `replicas` look after what `shared` opens for `serve`. The ground: `fault`, `print`, `columns`, `log`,
//! `outside`, `signals`.

#[cfg(feature = "count-allocations")]
mod allocations;
mod api_keys;
mod approvals;
mod args;
mod arguments;
mod arrivals;
mod ask;
mod audit_command;
mod call;
mod check;
mod client;
mod columns;
mod convert;
mod demo;
mod discover;
pub mod exit;
mod fault;
mod fetch;
mod follow;
mod gated;
mod given;
mod inherit;
mod issuers;
mod keys;
mod list;
mod locked;
mod log;
mod machine;
mod meant;
mod moments;
mod outside;
mod peer;
mod pins_command;
mod policies;
#[cfg(feature = "policy")]
mod policy_command;
mod print;
mod prompt;
mod read;
mod recording;
mod reference;
mod replicas;
mod replies;
mod revoke;
mod schema;
mod serve;
mod shared;
mod show;
mod signals;
mod stdio;
mod targets;
mod texts;
mod token;
mod top;
mod trace;
mod traced;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::args::{Args, Command};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;

pub use crate::args::command;

/// How long what still runs may take to notice that the program ends.
const PARTING: Duration = Duration::from_millis(500);

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = catch_unwind(AssertUnwindSafe(|| match Args::read() {
        Ok(args) => run(args),
        Err(error) => {
            // Whoever asked for help and does not read it is not told so.
            drop(error.print());
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()))
        }
    }));
    outcome.unwrap_or_else(|_panic| {
        print::err("portolan: this is a bug in Portolan; the lines above say where\n");
        Exit::Bug.into()
    })
}

fn run(args: Args) -> ExitCode {
    // The guard stands between two processes and must be as small as it can be: no log, no threads.
    if let Command::Guard(guard) = &args.command {
        return guard.run();
    }
    print::choose_colours(args.color);
    match log::begin(&args.log, args.command.default_log()) {
        Ok(voice) => run_logged(args.command, voice),
        Err(fault) => ended(&fault, Voice::Person),
    }
}

fn run_logged(command: Command, voice: Voice) -> ExitCode {
    // What answers one question says what is wrong as an answer, whoever reads the log: that has nothing of it.
    let teller = if command.runs_long() { voice } else { Voice::Person };
    // Whoever carries many connections starts threads for them.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(&Fault::outside("cannot start threads", &error), teller),
    };
    let outcome = runtime.block_on(command.run(teller));
    // Dropping it would wait for a read of stdin that may never end.
    runtime.shutdown_timeout(PARTING);
    match outcome {
        Ok(exit) => exit.into(),
        Err(fault) => ended(&fault, teller),
    }
}

fn ended(fault: &Fault, teller: Voice) -> ExitCode {
    match teller {
        Voice::Person => fault.say(),
        Voice::Machine => tracing::error!(help = fault.next_step(), "{fault}"),
    }
    fault.exit().into()
}
