//! Calls in rounds: what a server asks for in the middle of a call is answered, and the call made again with the answers.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`. What a legacy server asks comes here in the same way: the gateway in
//! between makes it so.

use mcp::json::{self, Object};

use crate::client::{Answer, Client};
use crate::fault::Fault;
use crate::follow::Follower;
use crate::replies::Replier;
use crate::show::text;

/// More rounds than this are no conversation.
const MOST_ROUNDS: usize = 20;

/// Asks until there is an answer that asks for nothing more.
pub(crate) async fn in_rounds(
    client: &mut Client,
    method: &str,
    params: &[String],
    follower: &mut Follower,
    replier: &mut Replier,
) -> Result<Answer, Fault> {
    let mut round = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let answer = client.get(method, &[params, &round].concat(), follower).await?;
        follower.pause();
        if !answer.asks()? {
            return Ok(answer);
        }
        round = next_round(&answer.object()?, replier).await?;
    }
    Err(Fault::Refused { what: format!("after {MOST_ROUNDS} rounds the server still asks"), hint: None })
}

/// The members that the next round adds. The state goes back as it came, to the byte.
async fn next_round(result: &Object<'_>, replier: &mut Replier) -> Result<Vec<String>, Fault> {
    let mut members = Vec::new();
    let requests = result.object("inputRequests").ok().flatten();
    if let Some(requests) = requests.filter(|requests| !requests.is_empty()) {
        let mut answers = Vec::new();
        for request in requests.iter() {
            let answer = answer(request.value, replier).await?;
            answers.push(format!("{}:{answer}", request.raw_name));
        }
        members.push(format!("\"inputResponses\":{{{}}}", answers.join(",")));
    } else {
        // It wants to be asked again, and says nothing of when.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    if let Some(state) = result.get("requestState").ok().flatten() {
        members.push(format!("\"requestState\":{state}"));
    }
    Ok(members)
}

async fn answer(request: &str, replier: &mut Replier) -> Result<String, Fault> {
    let unreadable = |fault: json::JsonFault| {
        Fault::Unreachable(format!("the server asks for something unreadable: {fault}"))
    };
    let request = Object::parse(request).map_err(unreadable)?;
    let params = match request.object("params").map_err(unreadable)? {
        Some(params) => params,
        None => Object::parse("{}").map_err(unreadable)?,
    };
    replier.reply(&text(&request, "method").unwrap_or_default(), &params).await
}
