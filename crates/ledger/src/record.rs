//! What is written of a call: docs/reference/audit-record.md has its members.

use std::borrow::Cow;

use auth::definition::Definition;
use auth::{Decision, Principal, SaidClaim};
use base::detail::{Detail, Examined, SendFacts, keyed};
use base::sink::CallFacts;

use crate::line::push_quoted;
use crate::payload::{Keeper, Kept};

/// The most bytes of arguments that are written down as they are. Of longer ones only the digest is.
pub(crate) const MOST_PLAIN: usize = 1024 * 1024;

/// The most bytes of what a client may choose: of more, the beginning.
const MOST_CHOSEN: usize = 1024;

/// So much of a text as is written down.
pub(crate) fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= MOST_CHOSEN {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MOST_CHOSEN);
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
}

/// Writes the members of a record, each with a comma before it.
#[derive(Debug, Default)]
pub(crate) struct Members(String);

impl Members {
    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        push_quoted(&mut self.0, value);
        self
    }

    pub(crate) fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// A number, `true`, or what is JSON already and holds nothing that a receiver would trip over.
    pub(crate) fn raw(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.0.push_str(value);
        self
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.raw(name, itoa::Buffer::new().format(value))
    }

    pub(crate) fn texts<'t>(&mut self, name: &str, values: impl IntoIterator<Item = &'t str>) -> &mut Self {
        self.name(name);
        self.0.push('[');
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            push_quoted(&mut self.0, value);
        }
        self.0.push(']');
        self
    }

    /// An object of some members.
    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.name(name);
        let at = self.0.len();
        fill(self);
        if self.0.len() == at {
            self.0.push('{');
        } else {
            // The comma before its first member.
            self.0.replace_range(at..=at, "{");
        }
        self.0.push('}');
        self
    }

    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    pub(crate) fn done(self) -> String {
        self.0
    }
}

/// The members of a call's record, and the lines of what is kept beside it.
#[must_use]
pub fn of_call(facts: &CallFacts, keeper: &Keeper) -> (String, String) {
    let mut payloads = String::new();
    let nothing = Detail::default();
    let detail = facts.detail.as_deref().unwrap_or(&nothing);
    let mut all = Members(String::with_capacity(768));
    all.optional("trace", detail.trace.as_deref());
    all.object("principal", |all| principal(all, &facts.principal, detail));
    all.optional("route", detail.route.as_deref());
    if let Some((era, revision)) = detail.era {
        all.text("era", era).text("revision", revision);
    }
    if let Some(address) = detail.address {
        all.text("address", &address.to_string());
    }
    all.optional("session", detail.session.as_deref());
    if let Some((name, version)) = &detail.client {
        all.object("client", |all| {
            all.text("name", &short(name)).text("version", &short(version));
        });
    }
    all.text("method", &facts.method);
    if let Some(id) = &detail.id {
        client_id(&mut all, id);
    }
    if !facts.upstream.is_empty() {
        all.text("server", &facts.upstream);
    }
    if let Some((kind, name)) = &detail.thing {
        all.object("thing", |all| {
            all.text("kind", kind).text("name", &short(name));
        });
    }
    if let Some(definition) = &detail.definition {
        all.object("definition", |all| defined(all, definition));
    }
    let keeps = detail.keeps;
    let parts = [
        ("arguments", &detail.arguments, keeps.plain, keeps.arguments),
        ("result", &detail.result, false, keeps.result),
    ];
    for (name, text, is_plain, is_kept) in parts {
        let Some(text) = text else { continue };
        all.object(name, |all| {
            examined(all, text);
            if is_plain && let Some(text) = text.text.as_deref() {
                plain(all, keeper, text);
            }
            if is_kept {
                payload(all, &keeper.keep(name, text, &mut payloads));
            }
        });
    }
    if let Some(sent) = detail.sent.as_ref().and_then(|sent| sent.now()) {
        all.object("sent", |all| sent_as(all, &sent));
    }
    if let Some(task) = &detail.task {
        all.text("task", &keyed(task));
    }
    if let Some(by) = &detail.decision {
        all.object("decision", |all| decision(all, by));
    }
    all.optional("approval", detail.approval.as_deref());
    all.text("outcome", facts.outcome);
    all.number("durationUs", facts.took.as_micros().try_into().unwrap_or(u64::MAX));
    if detail.again {
        all.number("again", 1);
    }
    (all.done(), payloads)
}

/// What its server says of a tool.
fn defined(all: &mut Members, definition: &Definition) {
    all.text("digest", &definition.digest);
    let hints = definition.hints;
    let named = [
        ("readOnlyHint", hints.read_only),
        ("destructiveHint", hints.destructive),
        ("idempotentHint", hints.idempotent),
        ("openWorldHint", hints.open_world),
    ];
    all.object("hints", |all| {
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            all.raw(name, if value { "true" } else { "false" });
        }
    });
}

fn principal(all: &mut Members, who: &Principal, detail: &Detail) {
    all.text("id", who.id());
    all.raw("anonymous", if *who == Principal::anonymous() { "true" } else { "false" });
    if let Some(credential) = &detail.credential {
        all.text("credential", &keyed(credential));
    }
    let Some(claims) = detail.claims.as_deref() else {
        all.texts("groups", []).texts("scopes", []).texts("amr", []);
        return;
    };
    all.text("issuer", &claims.issuer).text("subject", &claims.subject);
    all.optional("client", claims.client.as_deref());
    all.texts("groups", claims.groups.iter().map(String::as_str));
    all.texts("scopes", claims.scopes.iter().map(String::as_str));
    all.optional("acr", claims.acr.as_deref());
    all.texts("amr", claims.amr.iter().map(String::as_str));
    // Their names stand in the configuration, and may be any.
    all.object("claims", |all| {
        for (name, value) in &claims.more {
            let mut quoted = String::new();
            push_quoted(&mut quoted, name);
            let name = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
            match value {
                SaidClaim::Text(text) => all.text(name, text),
                SaidClaim::Texts(texts) => all.texts(name, texts.iter().map(String::as_str)),
                SaidClaim::Integer(_) | SaidClaim::Flag(_) => all.raw(name, &value.to_json()),
            };
        }
    });
}

/// A client chooses it: a number stays as it is spelled, a text is written anew.
fn client_id(all: &mut Members, id: &str) {
    match mcp::json::string(id) {
        Ok(text) => all.text("id", &short(&text)),
        Err(_) if id.len() <= MOST_CHOSEN => all.raw("id", id),
        Err(_) => all.text("id", &short(id)),
    };
}

fn examined(all: &mut Members, text: &Examined) {
    if let Some(digest) = &text.digest {
        all.text("digest", &keyed(digest));
    }
    all.number("bytes", text.bytes.try_into().unwrap_or(u64::MAX));
}

/// The text itself, without what is to be taken out of it.
fn plain(all: &mut Members, keeper: &Keeper, text: &str) {
    let Some((text, redacted)) = keeper.plain(text) else { return };
    all.text("json", &text);
    if redacted > 0 {
        all.number("redacted", redacted.try_into().unwrap_or(u64::MAX));
    }
}

/// Where the text itself is, for whoever has the key.
fn payload(all: &mut Members, kept: &Kept) {
    all.object("payload", |all| match kept {
        Kept::As { id, digest, redacted } => {
            all.text("id", id).text("digest", &format!("sha256:{digest}"));
            if *redacted > 0 {
                all.number("redacted", (*redacted).try_into().unwrap_or(u64::MAX));
            }
        }
        Kept::Not(why) => drop(all.text("leftOut", why)),
    });
}

/// How it went out to its server.
fn sent_as(all: &mut Members, sent: &SendFacts) {
    all.number("id", sent.id).number("times", sent.times.into());
    if let Some(session) = &sent.session {
        all.text("session", &keyed(session));
    }
}

fn decision(all: &mut Members, by: &Decision) {
    all.raw("allowed", if by.allowed { "true" } else { "false" });
    all.texts("by", by.by.iter().map(|id| &**id));
    all.text("why", &short(&by.why)).text("version", &by.version);
    if by.observed {
        all.raw("observed", "true");
    }
}
