//! The prompts.

use mcp::json;
use mcp::reject::Reject;
use transport::net::BoxFuture;

use crate::answer::{Answer, Refusal};
use crate::live::LiveCall;
use crate::methods::subject;
use crate::question::Question;
use crate::rounds::Memory;
use crate::tool::{Stop, image_block, resource_block, text_block};
use crate::world::World;

/// Gives the content block of each message.
type Messages = for<'c> fn(&'c mut LiveCall) -> BoxFuture<'c, Result<Vec<String>, Stop>>;

/// One prompt. All its arguments are required.
#[derive(Clone, Copy)]
struct Prompt {
    name: &'static str,
    description: &'static str,
    /// Each with its description.
    arguments: &'static [(&'static str, &'static str)],
    messages: Messages,
}

const PROMPTS: &[Prompt] = &[
    Prompt {
        name: "test_simple_prompt",
        description: "A prompt without arguments",
        arguments: &[],
        messages: |_| Box::pin(async { Ok(vec![text_block("This is a simple prompt for testing.")]) }),
    },
    Prompt {
        name: WITH_ARGUMENTS,
        description: "A prompt that repeats its two arguments",
        arguments: &[("arg1", "First test argument"), ("arg2", "Second test argument")],
        messages: |live| {
            Box::pin(async move {
                let (arg1, arg2) = (live.required_text("arg1")?, live.required_text("arg2")?);
                Ok(vec![text_block(&format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))])
            })
        },
    },
    Prompt {
        name: "test_prompt_with_embedded_resource",
        description: "A prompt that embeds a resource under the given URI",
        arguments: &[("resourceUri", "URI of the resource to embed")],
        messages: |live| {
            Box::pin(async move {
                let uri = live.required_text("resourceUri")?;
                let text = "Embedded resource content for testing.";
                let ask = text_block("Please process the embedded resource above.");
                Ok(vec![resource_block(&uri, "text/plain", text), ask])
            })
        },
    },
    Prompt {
        name: "test_prompt_with_image",
        description: "A prompt with a picture",
        arguments: &[],
        messages: |_| {
            Box::pin(async { Ok(vec![image_block(), text_block("Please analyze the image above.")]) })
        },
    },
    Prompt {
        name: "test_input_required_result_prompt",
        description: "A prompt that first asks the user for its context",
        arguments: &[],
        messages: |live| {
            Box::pin(async move {
                let question = Question::field("What context should the prompt use?", "context", "string");
                let answers = live.ask(&[("user_context", question)], Memory::None).await?;
                Ok(vec![text_block(&format!(
                    "Use this context: {}",
                    answers.field("user_context", "context")?
                ))])
            })
        },
    },
];

/// Listed only while the world says so; `test_trigger_prompt_change` flips it.
const DYNAMIC: Prompt = Prompt {
    name: "test_dynamic_prompt",
    description: "A prompt that comes and goes",
    arguments: &[],
    messages: |_| Box::pin(async { Ok(vec![text_block("A prompt that comes and goes")]) }),
};

const WITH_ARGUMENTS: &str = "test_prompt_with_arguments";

fn visible(world: &World) -> impl Iterator<Item = &'static Prompt> {
    PROMPTS.iter().chain(world.has_dynamic_prompt().then_some(&DYNAMIC))
}

/// The list's entries.
pub(crate) fn entries(world: &World) -> Vec<String> {
    let argument = |(name, description): &(&str, &str)| {
        format!(r#"{{"name":"{name}","description":"{description}","required":true}}"#)
    };
    let entry = |prompt: &Prompt| {
        let arguments: Vec<_> = prompt.arguments.iter().map(argument).collect();
        let (name, description) = (prompt.name, prompt.description);
        format!(r#"{{"name":"{name}","description":"{description}","arguments":[{}]}}"#, arguments.join(","))
    };
    visible(world).map(entry).collect()
}

/// Answers `prompts/get`.
pub(crate) async fn answer(live: &mut LiveCall) -> Result<Answer, Refusal> {
    let name = subject(live);
    let Some(prompt) = visible(&live.server.world).find(|prompt| prompt.name == name) else {
        return Err(Refusal::Params(format!("unknown prompt: {name}")));
    };
    match (prompt.messages)(live).await {
        Ok(blocks) => {
            let message = |block: &String| format!(r#"{{"role":"user","content":{block}}}"#);
            let messages: Vec<_> = blocks.iter().map(message).collect();
            let description = json::quote(prompt.description);
            Ok(Answer::complete(format!(
                r#""description":{description},"messages":[{}]"#,
                messages.join(",")
            )))
        }
        // A prompt has no way to fail but the protocol's.
        Err(Stop::Failed(why)) => Err(Reject::Params(why).into()),
        Err(Stop::Asks(asked)) => Ok(Answer::input_required(asked.members())),
        Err(Stop::Refused(refusal)) => Err(refusal),
    }
}

/// What an argument of a prompt may be; `None` if there is no such prompt.
pub(crate) fn suggestions(name: &str, argument: &str, world: &World) -> Option<&'static [&'static str]> {
    match (name, argument) {
        (WITH_ARGUMENTS, "arg1") => Some(&["paris", "park", "party", "test", "testing"]),
        _ => visible(world).any(|prompt| prompt.name == name).then_some(&[]),
    }
}
