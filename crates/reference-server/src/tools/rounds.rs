//! Tools for each way in which a modern call may go through rounds (MCP 2026-07-28 `basic/patterns/mrtr`).

use crate::live::LiveCall;
use crate::question::Question;
use crate::rounds::Memory;
use crate::tool::{Content, Stop, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::new("test_input_required_result_elicitation", "Asks for a name, then greets", |live| {
        Box::pin(greet(live))
    }),
    Tool::new("test_input_required_result_sampling", "Asks the client's model one question", |live| {
        Box::pin(async move {
            let answers = live.ask(&[("capital_question", capital())], Memory::None).await?;
            Ok(Content::text(&answers.sampled("capital_question")))
        })
    }),
    Tool::new("test_input_required_result_list_roots", "Asks for the client's roots", |live| {
        Box::pin(async move {
            let answers = live.ask(&[("client_roots", Question::Roots)], Memory::None).await?;
            Ok(Content::text(&format!("Roots: {}", answers.roots("client_roots").join(", "))))
        })
    }),
    Tool::new(
        "test_input_required_result_request_state",
        "Asks for a confirmation and wants its state back",
        |live| Box::pin(confirm(live)),
    ),
    Tool::new(
        "test_input_required_result_tampered_state",
        "Asks for a confirmation and refuses a state that was changed",
        |live| Box::pin(confirm(live)),
    ),
    Tool::new(
        "test_input_required_result_multiple_inputs",
        "Asks for a name, a greeting and the roots at once",
        |live| Box::pin(ask_three(live)),
    ),
    Tool::new(
        "test_input_required_result_multi_round",
        "Asks for a name, then for a colour, and remembers both",
        |live| Box::pin(ask_twice(live)),
    ),
    Tool::new(
        "test_input_required_result_capabilities",
        "Asks only for what the client says it can do",
        |live| Box::pin(ask_what_is_declared(live)),
    ),
];

fn name() -> Question {
    Question::field("What is your name?", "name", "string")
}

fn capital() -> Question {
    Question::sample("What is the capital of France?", 100)
}

async fn greet(live: &mut LiveCall) -> Result<Content, Stop> {
    let answers = live.ask(&[("user_name", name())], Memory::None).await?;
    Ok(Content::text(&format!("Hello, {}!", answers.field("user_name", "name")?)))
}

async fn confirm(live: &mut LiveCall) -> Result<Content, Stop> {
    let question = Question::field("Please confirm", "ok", "boolean");
    let answers = live.ask(&[("confirm", question)], Memory::Sealed).await?;
    Ok(Content::text(&format!("state-ok: {}", answers.form("confirm"))))
}

async fn ask_three(live: &mut LiveCall) -> Result<Content, Stop> {
    let questions = [
        ("user_name", name()),
        ("greeting", Question::sample("Generate a greeting", 50)),
        ("client_roots", Question::Roots),
    ];
    let answers = live.ask(&questions, Memory::Sealed).await?;
    let (greeting, name) = (answers.sampled("greeting"), answers.field("user_name", "name")?);
    let roots = answers.roots("client_roots").len();
    Ok(Content::text(&format!("{greeting} {name}, you have {roots} root(s).")))
}

async fn ask_twice(live: &mut LiveCall) -> Result<Content, Stop> {
    let question = Question::field("Step 1: What is your name?", "name", "string");
    let name = live.ask(&[("step1", question)], Memory::Sealed).await?.field("step1", "name")?;
    let question = Question::field("Step 2: What is your favorite color?", "color", "string");
    let color = live.ask(&[("step2", question)], Memory::Sealed).await?.field("step2", "color")?;
    Ok(Content::text(&format!("{name} likes {color}.")))
}

async fn ask_what_is_declared(live: &mut LiveCall) -> Result<Content, Stop> {
    let mut questions =
        vec![("capital_question", capital()), ("user_name", name()), ("client_roots", Question::Roots)];
    questions.retain(|(_, question)| live.declares(question.capability()));
    if questions.is_empty() {
        return Ok(Content::text("There is nothing that you may be asked."));
    }
    let answers = live.ask(&questions, Memory::None).await?;
    Ok(Content::text(&format!("Answered: {}", answers.keys().join(", "))))
}
