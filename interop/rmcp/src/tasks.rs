//! The tools of the tasks extension (`io.modelcontextprotocol/tasks`). Of the SDKs that have a fixture under interop/,
//! rmcp alone speaks it.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateTaskResult, JsonObject, Tool,
};
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use serde_json::{Value, json};

use crate::ask::{Answers, Call, Memory, Stop, answered_field, field, typed};

/// What a client that did not declare the extension gets from a tool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    /// The same work, while it waits.
    Waits,
    /// -32021.
    Refused,
}

const TOOLS: &[(&str, Otherwise)] = &[
    ("slow_compute", Otherwise::Waits),
    ("protocol_error_job", Otherwise::Waits),
    ("confirm_delete", Otherwise::Waits),
    ("multi_input", Otherwise::Waits),
    ("failing_job", Otherwise::Refused),
    ("test_tool_with_task", Otherwise::Refused),
];

pub(crate) fn definitions() -> [(&'static str, &'static str, Value); 6] {
    let any = || json!({ "type": "object" });
    [
        (
            "slow_compute",
            "Sleeps",
            json!({
                "type": "object",
                "properties": {
                    "seconds": { "type": "number", "minimum": 0, "maximum": 600 },
                    "label": { "type": "string" },
                },
            }),
        ),
        ("protocol_error_job", "Ends in a protocol error", any()),
        ("confirm_delete", "Asks for a confirmation while it runs", any()),
        ("multi_input", "Asks two things at once while it runs", any()),
        ("failing_job", "Fails; only as a task", any()),
        ("test_tool_with_task", "Asks for a name, then becomes a task", any()),
    ]
}

pub(crate) fn is_task(tool: &Tool) -> bool {
    TOOLS.iter().any(|(name, _)| *name == tool.name)
}

pub(crate) async fn start(
    tasks: &TaskManager,
    tool: &Tool,
    mut call: Call<'_>,
) -> Result<CallToolResponse, Stop> {
    let otherwise = TOOLS.iter().find(|(name, _)| *name == tool.name).map(|(_, otherwise)| *otherwise);
    let declared =
        call.context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks());
    if !declared {
        if otherwise == Some(Otherwise::Refused) && !call.modern() {
            // -32021 does not exist there.
            return Err(Stop::Failed(format!("{} runs only as a task", tool.name)));
        }
        if otherwise == Some(Otherwise::Refused) {
            let required = ClientCapabilities::builder().enable_tasks().build();
            return Err(Stop::Refused(ErrorData::missing_required_client_capability(required)));
        }
        let questions = questions(&tool.name);
        let answers = call.ask(&questions, Memory::Sealed).await?;
        return match work(&tool.name, &call.arguments, &answers).await {
            Ok(result) => Ok(result.into()),
            Err(TaskExit::Error(error)) => Err(Stop::Refused(error)),
            Err(TaskExit::Cancelled) => Err(Stop::Failed("Cancelled".to_owned())),
        };
    }

    // This one gathers its input before it becomes a task; the others do as tasks.
    let gathered = if tool.name == "test_tool_with_task" {
        let name = field("What is your name?", "name", "string");
        call.ask(&[("user_name", name)], Memory::Sealed).await?
    } else {
        Answers::new()
    };
    let (name, arguments) = (tool.name.to_string(), call.arguments);
    let options = TaskOptions::new().with_poll_interval_ms(100);
    let task = tasks.spawn(options, |task| {
        Box::pin(async move {
            tokio::select! {
                outcome = ask_and_work(&name, &arguments, gathered, &task) => outcome,
                () = task.cancelled() => Err(TaskExit::Cancelled),
            }
        })
    });
    Ok(CreateTaskResult::new(task).into())
}

fn questions(tool: &str) -> Vec<(&'static str, Value)> {
    match tool {
        "confirm_delete" => vec![("confirm", field("Delete it?", "confirm", "boolean"))],
        "multi_input" => vec![
            ("first", field("What comes first?", "value", "string")),
            ("second", field("What comes second?", "value", "string")),
        ],
        _ => Vec::new(),
    }
}

async fn ask_and_work(
    tool: &str,
    arguments: &JsonObject,
    mut answers: Answers,
    task: &TaskContext,
) -> Result<CallToolResult, TaskExit> {
    // All questions at once: both are open before either is answered.
    let mut asked = Vec::new();
    for (key, question) in questions(tool) {
        let question = typed(&question).map_err(exit)?;
        let task = task.clone();
        asked.push((key, tokio::spawn(async move { task.request_input(key, question).await })));
    }
    for (key, answer) in asked {
        let answer = answer.await.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        answers.insert(key.to_owned(), answer?);
    }
    work(tool, arguments, &answers).await
}

async fn work(tool: &str, arguments: &JsonObject, answers: &Answers) -> Result<CallToolResult, TaskExit> {
    let text = match tool {
        "slow_compute" => {
            let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or(1.0).clamp(0.0, 600.0);
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            let label = arguments.get("label").and_then(Value::as_str).unwrap_or("unnamed");
            format!("{label}: computed for {seconds} seconds")
        }
        "failing_job" => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Ok(CallToolResult::error(vec![ContentBlock::text("This job always fails")]));
        }
        "protocol_error_job" => {
            return Err(ErrorData::internal_error("This job always ends in a protocol error", None).into());
        }
        "confirm_delete" => {
            format!("Confirmed: {}", answered_field(answers, "confirm", "confirm").map_err(exit)?)
        }
        "multi_input" => {
            let first = answered_field(answers, "first", "value").map_err(exit)?;
            let second = answered_field(answers, "second", "value").map_err(exit)?;
            format!("{first}, then {second}")
        }
        _ => format!("Hello, {}!", answered_field(answers, "user_name", "name").map_err(exit)?),
    };
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
}

fn exit(stop: Stop) -> TaskExit {
    TaskExit::Error(match stop {
        Stop::Refused(error) => error,
        Stop::Failed(text) => ErrorData::internal_error(text, None),
        Stop::Ask(_) => ErrorData::internal_error("a task asks through itself", None),
    })
}
