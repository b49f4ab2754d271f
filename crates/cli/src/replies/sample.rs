//! A command that plays the model.
//!
//! Source: MCP 2026-07-28 `client/sampling`.

use std::process::Stdio;

use mcp::json::{Object, quote};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::fault::Fault;
use crate::print;

/// The command. Never empty.
#[derive(Debug)]
pub(crate) struct Model {
    program: String,
    args: Vec<String>,
}

impl Model {
    /// Splits the command as a shell would.
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        let words =
            shlex::split(text).ok_or_else(|| Fault::usage(format!("a quote is not closed in {text:?}")))?;
        let mut words = words.into_iter();
        let program = words.next().ok_or_else(|| Fault::usage("the command for --sample-with is empty"))?;
        Ok(Self { program, args: words.collect() })
    }

    /// Runs it once: the request's params on its stdin, the result on its stdout.
    pub(crate) async fn answer(&self, params: &Object<'_>) -> Result<String, Fault> {
        print::err(&format!("the server asks for a message of the model; {} answers\n", self.program));
        let failed = |error: &std::io::Error| Fault::Outside(format!("{} failed: {error}", self.program));
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let stdin = child.stdin.take();
        // It may answer without having read everything, and then the pipe breaks.
        let write = async {
            if let Some(mut stdin) = stdin {
                drop(stdin.write_all(params.text().as_bytes()).await);
            }
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output.map_err(|error| failed(&error))?;
        if !output.status.success() {
            return Err(Fault::Outside(format!("{} failed: {}", self.program, output.status)));
        }
        let text = String::from_utf8(output.stdout)
            .map_err(|_no_text| Fault::Outside(format!("what {} prints is no text", self.program)))?;
        Ok(self.result(text.trim_end()))
    }

    /// A result as it is printed; any other text is what the model says.
    fn result(&self, text: &str) -> String {
        if Object::parse(text.trim_start())
            .is_ok_and(|object| object.get("content").is_ok_and(|it| it.is_some()))
        {
            return text.trim_start().to_owned();
        }
        format!(
            r#"{{"role":"assistant","content":{{"type":"text","text":{}}},"model":{},"stopReason":"endTurn"}}"#,
            quote(text),
            quote(&self.program)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_a_message_and_a_result_stays_one() {
        let model = Model::read("m 'a b'").unwrap();
        assert_eq!(model.args, ["a b"]);
        assert_eq!(
            model.result("Paris\nor so"),
            r#"{"role":"assistant","content":{"type":"text","text":"Paris\nor so"},"model":"m","stopReason":"endTurn"}"#
        );
        let whole = r#"{"role":"assistant","content":{"type":"text","text":"x"},"model":"y", "n":1.0}"#;
        assert_eq!(model.result(whole), whole);
        assert!(model.result(r#"{"answer":1}"#).contains(r#""text":"{\"answer\":1}""#));
        assert!(Model::read("'x").is_err() && Model::read(" ").is_err());
    }
}
