//! `portolan`: see the library of this crate, which holds everything but this line.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
