//! `portolan`: see the library of this crate, which holds everything but this line.

use std::process::ExitCode;

/// Cheaper than the system's where bodies are large (bench/RESULTS.md, «Allocator»).
#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
