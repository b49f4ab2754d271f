//! The server behind everything that is measured. It costs as little as possible, so that what stands in front of it is
//! what is measured: answers are made once and kept, only the id is put in, and requests are looked at, not parsed.

use clap::Args;

use crate::fault::Fault;
use crate::process;

mod answers;
mod http;
mod persona;
mod stdio;

/// The server behind: an MCP server that answers from memory
#[derive(Debug, Args)]
pub(crate) struct Echo {
    /// Where to listen; the path of a request says what it is to be: /ERA/TOOLS/TTL-MS/NAME
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Speak over stdin and stdout instead
    #[arg(long)]
    stdio: bool,
    /// What to be over stdio: /ERA/TOOLS/TTL-MS/NAME
    #[arg(long, default_value = "/modern/10/0/stdio")]
    persona: String,
}

impl Echo {
    pub(crate) fn run(self) -> Result<(), Fault> {
        if self.stdio {
            return stdio::serve(&self.persona).map_err(Fault::of("echo over stdio"));
        }
        process::end_with_parent()?;
        crate::runtime()?.block_on(http::serve(&self.listen)).map_err(Fault::of("echo"))
    }
}
