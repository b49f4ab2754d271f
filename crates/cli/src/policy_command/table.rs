//! `portolan policy test`: decisions as a table expects them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use auth::SaidClaim;
use policy::Verdict;
use serde::Deserialize;

use super::question::{Opened, Question, claim_of};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::moments::moment;
use crate::print::{self, Paint};

/// Compare decisions with those that a table expects
///
/// The table is a TOML file. `args` and `annotations` are tables, or JSON in a text. Ends with 0 if all decisions are as
/// expected and with 1 if not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The table:
  config = \"portolan.toml\"    # beside the table; this one, if it is not said

  [[case]]
  name = \"clerks pay little\"
  as = \"alice\"
  groups = [\"clerks\"]
  tool = \"bank/pay\"           # or prompt, or resource
  args = { amount = 250 }
  expect = \"deny\"             # or \"allow\", or \"ask\": allowed once it is approved

  Also: route, issuer, client, scopes, acr, claims, annotations, address, now.

Example:
  portolan policy test cases.toml")]
pub(crate) struct Test {
    /// The table
    #[arg(value_name = "FILE")]
    table: PathBuf,
    /// The configuration, in place of the one that the table names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseTable {
    config: Option<PathBuf>,
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    route: Option<String>,
    #[serde(rename = "as")]
    subject: Option<String>,
    issuer: Option<String>,
    client: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    acr: Option<String>,
    #[serde(default)]
    claims: std::collections::BTreeMap<String, toml::Value>,
    tool: Option<String>,
    prompt: Option<String>,
    resource: Option<String>,
    args: Option<toml::Value>,
    annotations: Option<toml::Value>,
    address: Option<IpAddr>,
    now: Option<String>,
    expect: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Ask,
    Deny,
}

impl Expected {
    /// What is expected where this is what is said.
    fn of(verdict: &Verdict) -> Self {
        match (verdict.allowed, verdict.asks()) {
            (true, _) => Self::Allow,
            (false, true) => Self::Ask,
            (false, false) => Self::Deny,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl Test {
    /// Compares.
    pub(crate) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let shown = self.table.display();
        let text = std::fs::read_to_string(&self.table)
            .map_err(|error| Fault::usage(format!("{shown} cannot be read: {error}")))?;
        let table: CaseTable = toml::from_str(&text)
            .map_err(|error| Fault::usage(format!("{shown} is no table of decisions: {error}")))?;
        if table.cases.is_empty() {
            return Err(Fault::usage(format!("{shown} has no case")).hint("each begins with [[case]]"));
        }
        let beside = self.table.parent().unwrap_or_else(|| Path::new(""));
        let named = table.config.unwrap_or_else(|| "portolan.toml".into());
        let config = self.config.unwrap_or_else(|| beside.join(named));
        let opened = Opened::read(&config, voice)?;
        let (paint, total) = (Paint::stdout(), table.cases.len());
        let mut wrong = 0;
        for (number, case) in table.cases.into_iter().enumerate() {
            let name = case.name.clone().map_or_else(String::new, |name| format!(" {name:?}"));
            let case_of = format!("case {}{name}", number + 1);
            let expected = case.expect;
            let question =
                case.question().map_err(|what| Fault::usage(format!("{shown}: {case_of}: {what}")))?;
            let answer = opened.ask(&question).map_err(|fault| {
                let hint = fault.next_step().map(str::to_owned).unwrap_or_default();
                Fault::usage(format!("{shown}: {case_of}: {fault}")).hint(hint)
            })?;
            let found = Expected::of(&answer.verdict);
            if found == expected {
                continue;
            }
            wrong += 1;
            let text = format!(
                "{case_of}: {}\n{}- {}{}\n{}+ {}{}  ({})\n",
                answer.deed,
                paint.good,
                expected.word(),
                paint.off,
                paint.error,
                found.word(),
                paint.off,
                answer.verdict.why
            );
            print::out(print::safe_out(&text).as_bytes())?;
        }
        print::out(format!("{} of {total} as expected\n", total - wrong))?;
        Ok(if wrong == 0 { Exit::Ok } else { Exit::Findings })
    }
}

impl Case {
    fn question(self) -> Result<Question, String> {
        Ok(Question {
            route: self.route,
            subject: self.subject,
            issuer: self.issuer,
            client: self.client,
            groups: self.groups,
            scopes: self.scopes,
            acr: self.acr,
            claims: self
                .claims
                .into_iter()
                .map(|(name, value)| Ok((name, said(value)?)))
                .collect::<Result<_, String>>()?,
            tool: self.tool,
            prompt: self.prompt,
            resource: self.resource,
            args: self.args.map(json).transpose()?,
            annotations: self.annotations.map(json).transpose()?,
            address: self.address,
            now: self.now.as_deref().map(moment).transpose()?,
        })
    }
}

/// A claim: a text is one.
fn said(value: toml::Value) -> Result<SaidClaim, String> {
    match value {
        toml::Value::String(text) => Ok(SaidClaim::Text(text)),
        other => claim_of(&json(other)?),
    }
}

/// JSON as it stands in a text, or what a table is as JSON.
fn json(value: toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text),
        other => serde_json::to_string(&other).map_err(|error| error.to_string()),
    }
}
