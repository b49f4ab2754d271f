//! The echo server over stdin and stdout: one message a line.

use std::io::{self, BufRead, Write};

use super::answers::{Answer, Answers, BEFORE_ID};
use super::persona::Persona;
use crate::look;

/// Serves until stdin ends.
pub(super) fn serve(persona: &str) -> io::Result<()> {
    let persona = Persona::of_path(persona.as_bytes())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a persona is /ERA/TOOLS/TTL-MS/NAME"))?;
    let mut input = io::BufReader::with_capacity(256 * 1024, io::stdin().lock());
    let mut output = io::BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    let mut answers = Answers::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let id = look::id(&line).unwrap_or(b"null");
        match answers.to(persona, &line, None) {
            Answer::Taken => {}
            Answer::Result(after) | Answer::Opened(after) | Answer::Refused(_, after) => {
                put(&mut output, id, &after)?;
            }
            Answer::Stream(before, after) => {
                for message in before {
                    writeln!(output, "{message}")?;
                }
                put(&mut output, id, &after)?;
            }
            Answer::Listen(first) => writeln!(output, "{first}")?,
        }
        // What came in one piece is answered in one piece.
        if memchr::memchr(b'\n', input.buffer()).is_none() {
            output.flush()?;
        }
    }
}

fn put(output: &mut impl Write, id: &[u8], after: &[u8]) -> io::Result<()> {
    output.write_all(BEFORE_ID)?;
    output.write_all(id)?;
    output.write_all(after)?;
    output.write_all(b"\n")
}
