//! What a tool is.

use mcp::json;
use transport::net::BoxFuture;

use crate::answer::{Answer, Refusal};
use crate::live::LiveCall;
use crate::rounds::Asked;

/// What a tool does. A call that is cancelled is dropped where it awaits, so a tool need not look out for that.
pub(crate) type Run = for<'c> fn(&'c mut LiveCall) -> BoxFuture<'c, Result<Content, Stop>>;

/// One tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: &'static str,
    description: &'static str,
    /// The JSON Schema of its arguments.
    pub(crate) input: &'static str,
    output: Option<&'static str>,
    /// What it does.
    pub(crate) run: Run,
}

impl Tool {
    /// A tool without arguments.
    pub(crate) const fn new(name: &'static str, description: &'static str, run: Run) -> Self {
        Self { name, description, input: r#"{"type":"object"}"#, output: None, run }
    }

    /// With the JSON Schema of its arguments.
    pub(crate) const fn takes(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    /// With the JSON Schema of its structured content.
    pub(crate) const fn gives(self, output: &'static str) -> Self {
        Self { output: Some(output), ..self }
    }

    /// Its entry in the list.
    pub(crate) fn entry(&self) -> String {
        let output = self.output.map(|schema| format!(r#","outputSchema":{schema}"#)).unwrap_or_default();
        format!(
            r#"{{"name":"{}","description":{},"inputSchema":{}{output}}}"#,
            self.name,
            json::quote(self.description),
            self.input,
        )
    }
}

/// What a tool returns.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The JSON text of each content block.
    pub(crate) blocks: Vec<String>,
    /// The JSON text of the structured content.
    pub(crate) structured: Option<String>,
}

impl Content {
    /// A line of text.
    pub(crate) fn text(text: &str) -> Self {
        Self { blocks: vec![text_block(text)], structured: None }
    }

    /// A JSON object, and the same as text for clients that read nothing else (MCP `server/tools` §Structured Content).
    pub(crate) fn structured(object: String) -> Self {
        Self { blocks: vec![text_block(&object)], structured: Some(object) }
    }
}

/// Why a call ends without a result of its own.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It ran and failed: a result that says so, for the model to read.
    Failed(String),
    /// The client is asked in the result, and calls again with its answers.
    Asks(Asked),
    /// A protocol error.
    Refused(Refusal),
}

/// The answer to `tools/call`.
pub(crate) fn answer(outcome: Result<Content, Stop>) -> Result<Answer, Refusal> {
    match outcome {
        Ok(Content { blocks, structured }) => {
            let structured = structured.map(|it| format!(r#","structuredContent":{it}"#)).unwrap_or_default();
            Ok(Answer::complete(format!(r#""content":[{}]{structured}"#, blocks.join(","))))
        }
        Err(Stop::Failed(why)) => {
            Ok(Answer::complete(format!(r#""content":[{}],"isError":true"#, text_block(&why))))
        }
        Err(Stop::Asks(asked)) => Ok(Answer::input_required(asked.members())),
        Err(Stop::Refused(refusal)) => Err(refusal),
    }
}

/// A content block of text.
pub(crate) fn text_block(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, json::quote(text))
}

/// A content block with a picture: one red pixel, the smallest file that a decoder accepts.
pub(crate) fn image_block() -> String {
    format!(r#"{{"type":"image","data":"{PNG}","mimeType":"image/png"}}"#)
}

/// A content block with a sound: a WAV of one silent sample.
pub(crate) fn audio_block() -> String {
    format!(r#"{{"type":"audio","data":"{WAV}","mimeType":"audio/wav"}}"#)
}

/// A content block with a resource in it.
pub(crate) fn resource_block(uri: &str, mime_type: &str, text: &str) -> String {
    format!(
        r#"{{"type":"resource","resource":{{"uri":{},"mimeType":"{mime_type}","text":{}}}}}"#,
        json::quote(uri),
        json::quote(text)
    )
}

/// The picture, in base64.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
const WAV: &str = "UklGRiUAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQEAAACA";
