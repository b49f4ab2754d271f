//! The tools.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, JsonObject, ResourceContents, Tool};
use serde_json::{Value, json};

use crate::ask::{
    Call, Memory, Stop, answered_field, field, form, list_roots, root_uris, sample, sampled_text, shown_form,
};
use crate::fixture::Change;
use crate::resources::{PNG, WATCHED};
use crate::tasks;

pub(crate) const DYNAMIC: &str = "test_dynamic_tool";
const CANCELLATION_OUTCOME: &str = "test_cancellation_outcome";

/// A WAV header with no samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// The tools without arguments.
const PLAIN: &[(&str, &str)] = &[
    ("test_simple_text", "Returns a line of text"),
    ("test_image_content", "Returns a picture"),
    ("test_audio_content", "Returns a sound"),
    ("test_embedded_resource", "Returns an embedded resource"),
    ("test_multiple_content_types", "Returns text, a picture and a resource"),
    ("test_error_handling", "Always fails"),
    ("test_tool_with_progress", "Reports 0, 50 and 100 of 100"),
    ("test_tool_with_logging", "Sends three log messages"),
    ("test_logging_tool", "Logs only for a request that asked for a log level"),
    ("test_trigger_tool_change", "Adds a tool to the list, or takes it away again"),
    ("test_trigger_prompt_change", "Adds a prompt to the list, or takes it away again"),
    ("test_trigger_resource_update", "Changes test://watched-resource"),
    ("test_seen_request", "Shows the HTTP headers and the _meta with which this very call arrived"),
    (
        "test_elicitation_sep1034_defaults",
        "Asks the user, with a default for every primitive type (SEP-1034)",
    ),
    ("test_elicitation_sep1330_enums", "Asks the user, with every kind of enumeration (SEP-1330)"),
    ("test_missing_capability", "Needs the sampling capability, and says so when the client lacks it"),
    ("test_streaming_elicitation", "Asks the user in the middle of a streamed answer"),
    ("test_input_required_result_elicitation", "Asks for a name"),
    ("test_input_required_result_sampling", "Has the client's model answer a question"),
    ("test_input_required_result_list_roots", "Asks for the client's roots"),
    ("test_input_required_result_request_state", "Asks for a confirmation, with sealed state"),
    ("test_input_required_result_tampered_state", "Refuses state that it did not seal"),
    ("test_input_required_result_multiple_inputs", "Asks three things at once"),
    ("test_input_required_result_multi_round", "Asks twice, one question after the other"),
    ("test_input_required_result_capabilities", "Asks only for what the client declared"),
];

pub(crate) fn definitions() -> Result<Vec<Tool>, String> {
    let plain = PLAIN.iter().map(|(name, description)| (*name, *description, json!({ "type": "object" })));
    plain
        .chain(with_arguments())
        .chain(tasks::definitions())
        .map(|(name, description, schema)| {
            let tool = Tool::new(name, description, object(schema)?);
            if name != CANCELLATION_OUTCOME {
                return Ok(tool);
            }
            let outcome =
                json!({ "type": "string", "enum": ["unknown", "running", "finished", "cancelled"] });
            let output =
                json!({ "type": "object", "properties": { "outcome": outcome }, "required": ["outcome"] });
            Ok(tool.with_raw_output_schema(Arc::new(object(output)?)))
        })
        .collect()
}

fn object(schema: Value) -> Result<JsonObject, String> {
    match schema {
        Value::Object(schema) => Ok(schema),
        other => Err(format!("a schema is not an object: {other}")),
    }
}

pub(crate) fn dynamic() -> Tool {
    let schema = JsonObject::from_iter([("type".to_owned(), json!("object"))]);
    Tool::new(DYNAMIC, "A tool that comes and goes", schema)
}

fn with_arguments() -> [(&'static str, &'static str, Value); 7] {
    [
        (
            "greet",
            "Greets; never a task",
            json!({ "type": "object", "properties": { "name": { "type": "string" } } }),
        ),
        (
            "test_sampling",
            "Has the client's model complete a prompt",
            json!({ "type": "object", "properties": { "prompt": { "type": "string" } }, "required": ["prompt"] }),
        ),
        (
            "test_elicitation",
            "Asks the user",
            json!({ "type": "object", "properties": { "message": { "type": "string" } }, "required": ["message"] }),
        ),
        (
            "test_cancellation",
            "Reports progress 0 of 1, then waits to be cancelled; with a token, test_cancellation_outcome tells if it was",
            json!({
                "type": "object",
                "properties": {
                    "seconds": { "type": "number", "minimum": 0, "maximum": 600 },
                    "token": { "type": "string" },
                },
            }),
        ),
        (
            CANCELLATION_OUTCOME,
            "Says how the test_cancellation with that token fares",
            json!({ "type": "object", "properties": { "token": { "type": "string" } }, "required": ["token"] }),
        ),
        (
            "test_header_parameter",
            "Has an argument that modern clients repeat in the header Mcp-Param-Region",
            json!({
                "type": "object",
                "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
            }),
        ),
        (
            "json_schema_2020_12_tool",
            "Has an input schema that uses the wider JSON Schema 2020-12 vocabulary",
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "$defs": {
                    "address": {
                        "$anchor": "addressDef",
                        "type": "object",
                        "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
                    },
                },
                "properties": {
                    "name": { "type": "string" },
                    "address": { "$ref": "#/$defs/address" },
                    "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                    "phone": { "type": "string" },
                    "email": { "type": "string" },
                },
                "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
                "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
                "then": { "required": ["phone"] },
                "else": { "required": ["email"] },
                "additionalProperties": false,
            }),
        ),
    ]
}

/// What is wrong with the arguments: a required one is absent, or one is not of its declared type. A schema validator
/// would double the build, and no test needs one here.
pub(crate) fn complaint(schema: &JsonObject, arguments: &JsonObject) -> Option<String> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let absent = required.filter_map(Value::as_str).find(|name| !arguments.contains_key(*name));
    if let Some(name) = absent {
        return Some(format!("{name:?} is required"));
    }
    let properties = schema.get("properties").and_then(Value::as_object)?;
    arguments.iter().find_map(|(name, value)| {
        let kind = properties.get(name)?["type"].as_str()?;
        let fits = match kind {
            "string" => value.is_string(),
            "number" => value.is_number(),
            _ => true,
        };
        (!fits).then(|| format!("{name:?} is not a {kind}"))
    })
}

pub(crate) async fn run(tool: &Tool, call: Call<'_>) -> Result<CallToolResponse, Stop> {
    if let Some(complaint) = complaint(&tool.input_schema, &call.arguments) {
        return Err(Stop::Failed(format!("Invalid arguments for {}: {complaint}", tool.name)));
    }
    if tool.name == CANCELLATION_OUTCOME {
        let outcome = call.fixture.outcome_of_wait(call.argument("token"));
        let mut result = CallToolResult::structured(json!({ "outcome": outcome }));
        result.content = vec![ContentBlock::text(outcome)];
        return Ok(result.into());
    }
    if tasks::is_task(tool) {
        return tasks::start(&call.fixture.tasks, tool, call).await;
    }
    content(tool, call).await.map(|content| CallToolResult::success(content).into())
}

async fn content(tool: &Tool, mut call: Call<'_>) -> Result<Vec<ContentBlock>, Stop> {
    let text = match tool.name.as_ref() {
        "test_image_content" => return Ok(vec![image()]),
        "test_audio_content" => return Ok(vec![ContentBlock::audio(WAV, "audio/wav")]),
        "test_embedded_resource" => {
            let text = "This is an embedded resource content.";
            return Ok(vec![embedded("test://embedded-resource", "text/plain", text)]);
        }
        "test_multiple_content_types" => {
            return Ok(vec![
                ContentBlock::text("Multiple content types test:"),
                image(),
                embedded(
                    "test://mixed-content-resource",
                    "application/json",
                    r#"{"test":"data","value":123}"#,
                ),
            ]);
        }
        "greet" => {
            let name = call.arguments.get("name").and_then(Value::as_str);
            format!("Hello, {}!", name.unwrap_or("stranger"))
        }
        "test_simple_text" => "This is a simple text response for testing.".to_owned(),
        "test_error_handling" => {
            return Err(Stop::Failed("This tool intentionally returns an error for testing".to_owned()));
        }
        "json_schema_2020_12_tool" => format!("Arguments: {}", Value::Object(call.arguments)),
        "test_header_parameter" => {
            let region = call.arguments.get("region").and_then(Value::as_str);
            format!("Region: {}", region.unwrap_or("(none)"))
        }
        "test_seen_request" => seen_request(&call).to_string(),
        "test_trigger_tool_change" => {
            call.fixture.announce(Change::Tools).await;
            "The tool list changed".to_owned()
        }
        "test_trigger_prompt_change" => {
            call.fixture.announce(Change::Prompts).await;
            "The prompt list changed".to_owned()
        }
        "test_trigger_resource_update" => {
            call.fixture.announce(Change::Watched).await;
            format!("{WATCHED} changed")
        }
        DYNAMIC => "A tool that comes and goes".to_owned(),
        "test_tool_with_progress" | "test_tool_with_logging" | "test_logging_tool" | "test_cancellation" => {
            notify(&tool.name, &call).await?
        }
        "test_missing_capability" => {
            call.require("sampling")?;
            "The client declared sampling".to_owned()
        }
        _ => ask(&tool.name, &mut call).await?,
    };
    Ok(vec![ContentBlock::text(text)])
}

fn image() -> ContentBlock {
    ContentBlock::image(PNG, "image/png")
}

fn embedded(uri: &str, mime_type: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(mime_type))
}

/// The tools that send notifications while they run.
async fn notify(tool: &str, call: &Call<'_>) -> Result<String, Stop> {
    const STEP: Duration = Duration::from_millis(50);
    match tool {
        "test_tool_with_progress" => {
            call.progress(0.0, 100.0).await?;
            tokio::time::sleep(STEP).await;
            call.progress(50.0, 100.0).await?;
            tokio::time::sleep(STEP).await;
            call.progress(100.0, 100.0).await?;
            Ok("Tool with progress executed successfully".to_owned())
        }
        "test_tool_with_logging" => {
            call.log("Tool execution started").await?;
            tokio::time::sleep(STEP).await;
            call.log("Tool processing data").await?;
            tokio::time::sleep(STEP).await;
            call.log("Tool execution completed").await?;
            Ok("Tool with logging executed successfully".to_owned())
        }
        "test_logging_tool" => {
            call.log("Only a client that opted in reads this").await?;
            Ok("Logging tool executed".to_owned())
        }
        _ => {
            let seconds =
                call.arguments.get("seconds").and_then(Value::as_f64).unwrap_or(30.0).clamp(0.0, 600.0);
            let wait = call.fixture.wait(call.argument("token"));
            call.progress(0.0, 1.0).await?;
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            wait.finish();
            Ok(format!("Not cancelled within {seconds} seconds"))
        }
    }
}

/// How this call arrived: the fields of the protocol in `_meta` apart from those of others.
fn seen_request(call: &Call<'_>) -> Value {
    const ENVELOPE: [&str; 4] = ["protocolVersion", "clientInfo", "clientCapabilities", "logLevel"];
    let of_protocol =
        |key: &str| key.strip_prefix("io.modelcontextprotocol/").is_some_and(|name| ENVELOPE.contains(&name));
    let meta = call.context.meta.iter().map(|(key, value)| (key.clone(), value.clone()));
    let (envelope, meta): (JsonObject, JsonObject) = meta.partition(|(key, _)| of_protocol(key));
    let or_null = |fields: JsonObject| if fields.is_empty() { Value::Null } else { Value::Object(fields) };

    let headers = call.context.extensions.get::<http::request::Parts>().map(|parts| {
        let texts = parts.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), json!(String::from_utf8_lossy(value.as_bytes())))
        });
        texts.collect::<JsonObject>()
    });
    json!({ "headers": headers, "meta": or_null(meta), "envelope": or_null(envelope) })
}

/// The tools that ask the client something.
async fn ask(tool: &str, call: &mut Call<'_>) -> Result<String, Stop> {
    let name = || field("What is your name?", "name", "string");
    let capital = || sample("What is the capital of France?", 100);
    match tool {
        "test_sampling" => {
            let question = sample(call.argument("prompt"), 100);
            let answers = call.ask(&[("sample", question)], Memory::None).await?;
            Ok(format!("LLM response: {}", sampled_text(&answers, "sample")))
        }
        "test_elicitation" => {
            let question = form(call.argument("message"), &user_schema());
            let answers = call.ask(&[("form", question)], Memory::None).await?;
            Ok(format!("User response: {}", shown_form(&answers, "form")))
        }
        "test_elicitation_sep1034_defaults" => {
            let question = form("Please review and update the form", &defaults_schema());
            let answers = call.ask(&[("form", question)], Memory::None).await?;
            Ok(format!("Elicitation completed: {}", shown_form(&answers, "form")))
        }
        "test_elicitation_sep1330_enums" => {
            let answers = call.ask(&[("form", form("Please choose", &enums_schema()))], Memory::None).await?;
            Ok(format!("Elicitation completed: {}", shown_form(&answers, "form")))
        }
        "test_streaming_elicitation" | "test_input_required_result_elicitation" => {
            if tool == "test_streaming_elicitation" {
                call.progress(0.0, 1.0).await?;
            }
            let answers = call.ask(&[("user_name", name())], Memory::None).await?;
            Ok(format!("Hello, {}!", answered_field(&answers, "user_name", "name")?))
        }
        "test_input_required_result_sampling" => {
            let answers = call.ask(&[("capital_question", capital())], Memory::None).await?;
            Ok(sampled_text(&answers, "capital_question"))
        }
        "test_input_required_result_list_roots" => {
            let answers = call.ask(&[("client_roots", list_roots())], Memory::None).await?;
            Ok(format!("Roots: {}", root_uris(&answers, "client_roots").join(", ")))
        }
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            call.ask(&[("confirm", field("Please confirm", "ok", "boolean"))], Memory::Sealed).await?;
            Ok("state-ok".to_owned())
        }
        "test_input_required_result_multiple_inputs" => {
            let questions = [
                ("user_name", name()),
                ("greeting", sample("Generate a greeting", 50)),
                ("client_roots", list_roots()),
            ];
            let answers = call.ask(&questions, Memory::Sealed).await?;
            let (greeting, name) =
                (sampled_text(&answers, "greeting"), answered_field(&answers, "user_name", "name")?);
            Ok(format!("{greeting} {name}, with {} roots", root_uris(&answers, "client_roots").len()))
        }
        "test_input_required_result_multi_round" => {
            let first = field("Step 1: What is your name?", "name", "string");
            let first = call.ask(&[("step1", first)], Memory::Sealed).await?;
            let second = field("Step 2: What is your favorite color?", "color", "string");
            let second = call.ask(&[("step2", second)], Memory::Sealed).await?;
            let (name, color) =
                (answered_field(&first, "step1", "name")?, answered_field(&second, "step2", "color")?);
            Ok(format!("{name} likes {color}"))
        }
        _ => {
            let mut questions = Vec::new();
            if call.declares("sampling") {
                questions.push(("capital_question", capital()));
            }
            if call.declares("elicitation") {
                questions.push(("user_name", name()));
            }
            if questions.is_empty() {
                call.require("sampling")?;
            }
            let answers = call.ask(&questions, Memory::None).await?;
            Ok(format!("Answered: {}", answers.into_keys().collect::<Vec<_>>().join(", ")))
        }
    }
}

fn user_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

fn defaults_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "User name", "default": "John Doe" },
            "age": { "type": "integer", "description": "User age", "default": 30 },
            "score": { "type": "number", "description": "User score", "default": 95.5 },
            "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "description": "Verification status", "default": true },
        },
        "required": [],
    })
}

fn enums_schema() -> Value {
    let plain = json!(["option1", "option2", "option3"]);
    let titled = |noun: &str| {
        json!([
            { "const": "value1", "title": format!("First {noun}") },
            { "const": "value2", "title": format!("Second {noun}") },
            { "const": "value3", "title": format!("Third {noun}") },
        ])
    };
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": plain },
            "titledSingle": { "type": "string", "oneOf": titled("Option") },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": plain } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
        },
        "required": [],
    })
}
