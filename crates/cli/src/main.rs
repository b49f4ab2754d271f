//! `portolan`: see the library of this crate, which holds everything but this line.

use std::process::ExitCode;

/// A fifth cheaper than the system's where messages are concerned (bench/RESULTS.md, «Allocator»).
#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
