//! The methods that both eras have and answer alike.

use std::time::Duration;

use mcp::cache::{Hints, Scope};
use mcp::json::{self, Object};
use mcp::method::Kind;
use mcp::reject::Reject;

use crate::answer::{Answer, Refusal};
use crate::live::LiveCall;
use crate::page::page;
use crate::{prompts, resources, tool, tools};

/// For what changes, and is the same for everyone.
pub(crate) const CHANGING: Hints = Hints { ttl: Duration::ZERO, scope: Scope::Public };

/// For what never changes. The two differ so that a test can tell a hint that was kept from one that was invented.
pub(crate) const CONSTANT: Hints = Hints { ttl: Duration::from_secs(60), scope: Scope::Public };

/// Answers a request.
pub(crate) async fn answer(mut live: LiveCall) -> Result<Answer, Refusal> {
    if live.call.arguments().is_some_and(|raw| json::Kind::of(raw) != json::Kind::Object) {
        return Err(Reject::Params("\"arguments\" must be an object".to_owned()).into());
    }
    let world = &live.server.world;
    match live.call.method_name() {
        "tools/list" => list(&live, "tools", &tools::entries(world), CHANGING),
        "tools/call" => {
            let name = subject(&live);
            let Some(found) = tools::find(name, world) else {
                return Err(Refusal::Params(format!("unknown tool: {name}")));
            };
            tool::answer((found.run)(&mut live).await)
        }
        "prompts/list" => list(&live, "prompts", &prompts::entries(world), CHANGING),
        "prompts/get" => prompts::answer(&mut live).await,
        "resources/list" => list(&live, "resources", &resources::entries(), CONSTANT),
        "resources/templates/list" => {
            list(&live, "resourceTemplates", &resources::template_entries(), CONSTANT)
        }
        "resources/read" => {
            let uri = subject(&live);
            let found = resources::read(uri, world).ok_or_else(|| Refusal::NoResource(uri.to_owned()))?;
            Ok(Answer::complete(format!(r#""contents":[{}]"#, found.contents)).fresh(found.hints))
        }
        "completion/complete" => complete(&live),
        other => Err(Reject::UnknownMethod(other.to_owned()).into()),
    }
}

/// What a request is about.
pub(crate) fn subject(live: &LiveCall) -> &str {
    live.call.subject().map_or("", |subject| &subject.text)
}

fn list(live: &LiveCall, member: &str, entries: &[String], hints: Hints) -> Result<Answer, Refusal> {
    let cursor = live.call.cursor().map(|cursor| &*cursor.text);
    let page = page(member, entries, cursor, live.server.settings.page_size)?;
    Ok(Answer::complete(page).fresh(hints))
}

/// Source: MCP 2026-07-28 `server/utilities/completion`.
fn complete(live: &LiveCall) -> Result<Answer, Refusal> {
    let required = || Reject::Params("\"argument\" with \"name\" and \"value\" is required".to_owned());
    let bad = |fault| Reject::member("argument", &fault);
    let params = Object::parse(live.call.params().unwrap_or("{}")).map_err(bad)?;
    let argument = params.object("argument").map_err(bad)?.ok_or_else(required)?;
    let name = argument.string("name").map_err(bad)?.ok_or_else(required)?;
    let typed = argument.string("value").map_err(bad)?.ok_or_else(required)?;
    let subject = subject(live);
    let known = match live.call.kind() {
        Kind::Template => resources::suggestions(subject, &name),
        _ => prompts::suggestions(subject, &name, &live.server.world),
    };
    let known = known.ok_or_else(|| Refusal::Params(format!("nothing to complete: {subject}")))?;
    let fitting: Vec<_> =
        known.iter().filter(|word| word.starts_with(&*typed)).map(|word| json::quote(word)).collect();
    Ok(Answer::complete(format!(
        r#""completion":{{"values":[{}],"total":{},"hasMore":false}}"#,
        fitting.join(","),
        fitting.len()
    )))
}
