//! The prompts.

use rmcp::ErrorData;
use rmcp::model::{ContentBlock, Prompt, PromptArgument, PromptMessage, ResourceContents, Role};

use crate::ask::{Call, Memory, Stop, answered_field, field};
use crate::resources::PNG;

pub(crate) const DYNAMIC: &str = "test_dynamic_prompt";

/// A prompt's name, its description and its arguments, each with a description. Every argument is required.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PROMPTS: &[Row] = &[
    ("test_simple_prompt", "A prompt without arguments", &[]),
    (
        "test_prompt_with_arguments",
        "A prompt with two arguments",
        &[("arg1", "First test argument"), ("arg2", "Second test argument")],
    ),
    (
        "test_prompt_with_embedded_resource",
        "A prompt that embeds a resource",
        &[("resourceUri", "URI of the resource to embed")],
    ),
    ("test_prompt_with_image", "A prompt with a picture", &[]),
    ("test_input_required_result_prompt", "A prompt that first asks the user", &[]),
];

pub(crate) fn prompts(with_dynamic: bool) -> Vec<Prompt> {
    let dynamic: Row = (DYNAMIC, "A prompt that comes and goes", &[]);
    let rows = PROMPTS.iter().copied().chain(with_dynamic.then_some(dynamic));
    rows.map(|(name, description, arguments)| {
        let arguments = arguments.iter().map(|(name, description)| {
            PromptArgument::new(*name).with_description(*description).with_required(true)
        });
        let arguments: Vec<_> = arguments.collect();
        Prompt::new(name, Some(description), Some(arguments).filter(|arguments| !arguments.is_empty()))
    })
    .collect()
}

pub(crate) async fn messages(prompt: &Prompt, mut call: Call<'_>) -> Result<Vec<PromptMessage>, Stop> {
    let missing =
        prompt.arguments.iter().flatten().find(|argument| !call.arguments.contains_key(&argument.name));
    if let Some(argument) = missing {
        let message = format!("Prompt {} needs {}", prompt.name, argument.name);
        return Err(Stop::Refused(ErrorData::invalid_params(message, None)));
    }
    let said = |text: String| PromptMessage::new_text(Role::User, text);
    let shown = |block: ContentBlock| PromptMessage::new(Role::User, block);
    Ok(match prompt.name.as_str() {
        "test_simple_prompt" => vec![said("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => {
            let (arg1, arg2) = (call.argument("arg1"), call.argument("arg2"));
            vec![said(format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let text = "Embedded resource content for testing.";
            let contents = ResourceContents::text(text, call.argument("resourceUri"));
            vec![
                shown(ContentBlock::resource(contents.with_mime_type("text/plain"))),
                said("Please process the embedded resource above.".to_owned()),
            ]
        }
        "test_prompt_with_image" => {
            vec![
                shown(ContentBlock::image(PNG, "image/png")),
                said("Please analyze the image above.".to_owned()),
            ]
        }
        "test_input_required_result_prompt" => {
            let question = field("What context should the prompt use?", "context", "string");
            let answers = call.ask(&[("user_context", question)], Memory::None).await?;
            vec![said(format!("Use this context: {}", answered_field(&answers, "user_context", "context")?))]
        }
        _ => vec![said("A prompt that comes and goes".to_owned())],
    })
}
