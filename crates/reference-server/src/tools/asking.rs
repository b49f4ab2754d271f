//! Tools that ask the client, in the way of either era.

use crate::live::LiveCall;
use crate::question::Question;
use crate::rounds::Memory;
use crate::tool::{Content, Stop, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::new("test_sampling", "Passes a prompt to the client's model", |live| Box::pin(sampling(live)))
        .takes(r#"{"type":"object","properties":{"prompt":{"type":"string"}},"required":["prompt"]}"#),
    Tool::new("test_elicitation", "Asks the user for a name and an address", |live| {
        Box::pin(async move {
            let message = live.required_text("message")?.into_owned();
            form(live, "User response", Question::form(&message, USER)).await
        })
    })
    .takes(r#"{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}"#),
    Tool::new(
        "test_elicitation_sep1034_defaults",
        "Asks for a form with a default for each primitive type",
        |live| {
            let question = Question::form("Please review the defaults", DEFAULTS);
            Box::pin(form(live, "Elicitation completed", question))
        },
    ),
    Tool::new(
        "test_elicitation_sep1330_enums",
        "Asks for a form with each of the five kinds of choice",
        |live| Box::pin(form(live, "Elicitation completed", Question::form("Please choose", CHOICES))),
    ),
    Tool::new("test_streaming_elicitation", "Asks the user after it has begun to answer", |live| {
        Box::pin(async move {
            live.progress(0, 1).await;
            form(live, "User response", Question::field("What is your name?", "name", "string")).await
        })
    }),
    Tool::new("test_missing_capability", "Cannot run unless the client declares sampling", |live| {
        Box::pin(async move {
            live.require("sampling")?;
            Ok(Content::text("The client declared sampling."))
        })
    }),
];

const USER: &str = r#"{"type":"object","properties":{"username":{"type":"string","description":"User's response"},"email":{"type":"string","description":"User's email address"}},"required":["username","email"]}"#;

const DEFAULTS: &str = r#"{"type":"object","properties":{"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},"score":{"type":"number","default":95.5},"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},"verified":{"type":"boolean","default":true}},"required":[]}"#;

const CHOICES: &str = concat!(
    r#"{"type":"object","properties":{"#,
    r#""untitledSingle":{"type":"string","enum":["option1","option2","option3"]},"#,
    r#""titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},"#,
    r#""legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},"#,
    r#""untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},"#,
    r#""titledMulti":{"type":"array","items":{"anyOf":[{"const":"value1","title":"First Choice"},{"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}"#,
    r#"},"required":[]}"#
);

async fn sampling(live: &mut LiveCall) -> Result<Content, Stop> {
    let question = Question::sample(&live.required_text("prompt")?, 100);
    let answers = live.ask(&[("sample", question)], Memory::None).await?;
    Ok(Content::text(&format!("LLM response: {}", answers.sampled("sample"))))
}

/// Asks one form and reports what came back, whatever the user did.
async fn form(live: &mut LiveCall, reports: &str, question: Question) -> Result<Content, Stop> {
    let answers = live.ask(&[("form", question)], Memory::None).await?;
    Ok(Content::text(&format!("{reports}: {}", answers.form("form"))))
}
