//! Tools that say something before their answer.

use std::time::Duration;

use mcp::meta::LogLevel;
use tokio::time::sleep;

use crate::live::LiveCall;
use crate::tool::{Content, Stop, Tool};

/// The suite wants to see the messages arrive one by one.
const STEP: Duration = Duration::from_millis(50);

pub(super) const TOOLS: &[Tool] = &[
    Tool::new("test_tool_with_progress", "Reports progress 0, 50 and 100 of 100", |live| {
        Box::pin(report(live))
    }),
    Tool::new("test_tool_with_logging", "Logs three messages while it runs", |live| Box::pin(log(live))),
    Tool::new("test_logging_tool", "Logs once, to clients that want it", |live| {
        Box::pin(async move {
            live.log(LogLevel::Info, "Only a client that asked for logs reads this").await;
            Ok(Content::text("Logged, if you asked for it."))
        })
    }),
    Tool::new(
        "test_reconnection",
        "Closes its event stream in mid-call; the answer waits for a client that resumes it (legacy era)",
        |live| {
            Box::pin(async move {
                live.hang_up().await;
                sleep(2 * STEP).await;
                Ok(Content::text("Reconnection test completed"))
            })
        },
    ),
    Tool::new("slow_counter", "Counts, and reports each number as progress and in the log", |live| {
        Box::pin(count(live))
    })
    .takes(
        r#"{"type":"object","properties":{"to":{"type":"integer","minimum":0,"maximum":10000,"default":5},"intervalMs":{"type":"integer","minimum":0,"default":200}}}"#,
    ),
    Tool::new("sleep", "Sleeps, and reports progress when it begins and when it wakes up", |live| {
        Box::pin(doze(live))
    })
    .takes(r#"{"type":"object","properties":{"ms":{"type":"integer","minimum":0}},"required":["ms"]}"#),
];

async fn report(live: &LiveCall) -> Result<Content, Stop> {
    live.progress(0, 100).await;
    sleep(STEP).await;
    live.progress(50, 100).await;
    sleep(STEP).await;
    live.progress(100, 100).await;
    Ok(Content::text("Progress was reported."))
}

async fn log(live: &LiveCall) -> Result<Content, Stop> {
    live.log(LogLevel::Info, "Tool execution started").await;
    sleep(STEP).await;
    live.log(LogLevel::Info, "Tool processing data").await;
    sleep(STEP).await;
    live.log(LogLevel::Info, "Tool execution completed").await;
    Ok(Content::text("Three messages were logged."))
}

async fn count(live: &LiveCall) -> Result<Content, Stop> {
    let to = live.count_argument("to", 5)?.min(10_000);
    let interval = Duration::from_millis(live.count_argument("intervalMs", 200)?);
    for number in 1..=to {
        sleep(interval).await;
        live.progress(number, to).await;
        live.log(LogLevel::Info, &number.to_string()).await;
    }
    Ok(Content::text(&format!("Counted to {to}.")))
}

async fn doze(live: &LiveCall) -> Result<Content, Stop> {
    let ms = live.count_argument("ms", 0)?;
    // A test that sees this knows that the call runs.
    live.progress(0, 1).await;
    sleep(Duration::from_millis(ms)).await;
    live.progress(1, 1).await;
    Ok(Content::text(&format!("Slept {ms} ms.")))
}
