//! A call as it was recorded. What is not known here is passed over.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use auth::definition::{Definition, Hints, Sort};
use auth::{Claims, SaidClaim};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// The version of records that is known.
const VERSION: u64 = 1;

/// So many characters of what cannot be read are told.
const LONGEST_TOLD: usize = 40;

/// A line.
pub(super) enum RecordedLine<'a> {
    Call(Box<Record<'a>>),
    /// Something else that is recorded.
    Other,
}

/// A call.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) time: SystemTime,
    pub(super) route: String,
    /// The JSON text of who called.
    pub(super) principal: &'a str,
    pub(super) method: String,
    /// The server, and its own name of what the call is about.
    pub(super) thing: Option<(Arc<str>, Sort, String)>,
    /// What the server said of it.
    pub(super) definition: Option<Arc<Definition>>,
    /// The JSON text of its arguments, if that was recorded.
    pub(super) arguments: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) era: &'static str,
    pub(super) trace: Option<String>,
    /// What was decided.
    pub(super) was: Option<PastDecision>,
    /// Whether somebody had approved it.
    pub(super) approved: bool,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct PastDecision {
    pub(super) allowed: bool,
    #[serde(default)]
    pub(super) by: Vec<String>,
    #[serde(default)]
    pub(super) why: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    v: u64,
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Recorded<'a> {
    time: String,
    #[serde(borrow)]
    principal: &'a RawValue,
    #[serde(default)]
    route: String,
    method: String,
    server: Option<String>,
    thing: Option<ThingWritten>,
    definition: Option<DefinitionWritten>,
    arguments: Option<ArgumentsWritten>,
    address: Option<String>,
    era: Option<String>,
    trace: Option<String>,
    decision: Option<PastDecision>,
    approval: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ThingWritten {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct DefinitionWritten {
    #[serde(default)]
    digest: String,
    #[serde(default)]
    hints: HintsWritten,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HintsWritten {
    read_only_hint: Option<bool>,
    destructive_hint: Option<bool>,
    idempotent_hint: Option<bool>,
    open_world_hint: Option<bool>,
}

#[derive(Deserialize)]
struct ArgumentsWritten {
    json: Option<String>,
}

/// Who called.
#[derive(Debug, Deserialize)]
pub(super) struct Caller {
    pub(super) id: String,
    #[serde(default)]
    pub(super) anonymous: bool,
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    subject: String,
    client: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    /// What else policies look at; nothing where that was not recorded.
    claims: Option<Box<RawValue>>,
}

impl<'a> Record<'a> {
    /// Reads a line.
    pub(super) fn read(bytes: &'a [u8]) -> Result<RecordedLine<'a>, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let line: Line<'a> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if line.v != VERSION {
            return Err(format!("it is of version {}, and this Portolan knows {VERSION}", line.v));
        }
        if line.kind != "call" {
            return Ok(RecordedLine::Other);
        }
        let written: Recorded<'a> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Self::of(written).map(Box::new).map(RecordedLine::Call)
    }

    fn of(written: Recorded<'a>) -> Result<Self, String> {
        let time = base::moment::read(&written.time);
        let time = time.ok_or_else(|| format!("its time is none: {:?}", beginning(&written.time)))?;
        let address = written
            .address
            .map(|text| text.parse().map_err(|_none| format!("its address is none: {:?}", beginning(&text))));
        let thing = written.server.zip(written.thing).and_then(|(server, thing)| {
            let sort = match thing.kind.as_str() {
                "tool" => Sort::Tool,
                "prompt" => Sort::Prompt,
                "resource" => Sort::Resource,
                "template" => Sort::Template,
                _ => return None,
            };
            Some((server.into(), sort, thing.name))
        });
        Ok(Self {
            time,
            route: written.route,
            principal: written.principal.get(),
            method: written.method,
            thing,
            definition: written.definition.map(|of| Arc::new(of.read())),
            arguments: written.arguments.and_then(|arguments| arguments.json),
            address: address.transpose()?,
            era: if written.era.as_deref() == Some("legacy") { "legacy" } else { "modern" },
            trace: written.trace,
            was: written.decision,
            approved: written.approval.is_some(),
        })
    }
}

/// The beginning of a text, for who is told of it.
fn beginning(text: &str) -> String {
    text.chars().take(LONGEST_TOLD).collect()
}

impl DefinitionWritten {
    fn read(self) -> Definition {
        let hints = Hints {
            read_only: self.hints.read_only_hint,
            destructive: self.hints.destructive_hint,
            idempotent: self.hints.idempotent_hint,
            open_world: self.hints.open_world_hint,
        };
        unknown(hints, self.digest)
    }
}

/// A definition of which nothing more is known.
pub(super) fn unknown(hints: Hints, digest: String) -> Definition {
    Definition { hints, digest: digest.into(), input: Some("{}".into()) }
}

impl Caller {
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What else policies look at, if it was recorded as they see it.
    fn more(&self) -> Option<Vec<(Arc<str>, SaidClaim)>> {
        self.claims.as_deref().and_then(|text| Claims::read_more(text.get()))
    }

    /// Whether all was recorded that policies may look at.
    pub(super) fn is_known(&self) -> bool {
        self.anonymous || self.more().is_some()
    }

    /// What was said of them by whoever vouches.
    pub(super) fn claims(&self) -> Option<Claims> {
        (!self.anonymous).then(|| Claims {
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            client: self.client.clone(),
            groups: self.groups.clone(),
            scopes: self.scopes.clone(),
            acr: self.acr.clone(),
            amr: self.amr.clone(),
            more: self.more().unwrap_or_default(),
            ..Claims::default()
        })
    }
}
