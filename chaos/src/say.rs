//! The two ways out: results on stdout, progress on stderr.

/// A line for the one who waits.
#[expect(clippy::print_stderr, reason = "this is where progress goes")]
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

/// A line for the one who reads the output: the process that started this one, mostly.
pub(crate) fn out(line: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
