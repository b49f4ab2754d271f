//! `portolan approvals`: what policies want somebody to approve, looked at and answered while the gateway runs.

use std::path::PathBuf;
use std::sync::Arc;

use approvals::{laid_out, people};
use base::visible::visible;
use mcp::json::quote;
use store::Store;
use store::approvals::{Approval, Standing};

use crate::api_keys::millis_of;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::keys::lasting;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::{columns, print, shared};

/// Whom answers are noted of that are given here. No caller is called so.
const OPERATOR: &str = "operator";

/// Show what somebody is asked to approve, and approve or deny it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan approvals list portolan.toml
  portolan approvals show 5f1c9a72 portolan.toml
  portolan approvals approve 5f1c9a72 portolan.toml")]
pub(crate) struct Approvals {
    #[command(subcommand)]
    what: ApprovalTask,
}

#[derive(Debug, clap::Subcommand)]
enum ApprovalTask {
    /// Show what is open, and what was approved and is not used yet
    #[command(after_help = "Example:\n  portolan approvals list portolan.toml --all --json")]
    List(ListApprovals),
    /// Show one, with the arguments of the call
    #[command(after_help = "Example:\n  portolan approvals show 5f1c9a72 portolan.toml")]
    Show(OneApproval),
    /// Approve one: its caller can then make that very call once
    #[command(after_help = "Example:\n  portolan approvals approve 5f1c9a72 portolan.toml")]
    Approve(OneApproval),
    /// Deny one
    #[command(after_help = "Example:\n  portolan approvals deny 5f1c9a72 portolan.toml")]
    Deny(OneApproval),
}

#[derive(Debug, clap::Args)]
struct ListApprovals {
    #[command(flatten)]
    place: ApprovalPlace,
    /// Also what is over: used, denied, expired; for a week
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct OneApproval {
    /// What `list` calls it, or so much of that as is enough
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: ApprovalPlace,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ApprovalPlace {
    /// The configuration that the gateway serves, which names the store
    #[arg(value_name = "FILE", default_value = "portolan.toml")]
    config: PathBuf,
}

impl ApprovalPlace {
    async fn open(&self, voice: Voice) -> Result<Arc<Store>, Fault> {
        let plan = Configuration::at(&self.config).load(voice)?;
        shared::store_of(&plan, "approvals are", "").await
    }
}

impl Approvals {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            ApprovalTask::List(list) => list.run(voice).await,
            ApprovalTask::Show(one) => {
                let (_, approval) = one.find(voice).await?;
                one.print(&approval)?;
                Ok(Exit::Ok)
            }
            ApprovalTask::Approve(one) => one.decide(true, voice).await,
            ApprovalTask::Deny(one) => one.decide(false, voice).await,
        }
    }
}

impl ListApprovals {
    async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let store = self.place.open(voice).await?;
        let all = store.approvals(self.all).await.map_err(|fault| shared::away(&fault))?;
        if self.json {
            let each: Vec<_> = all.iter().map(json).collect();
            print::out(format!("[{}]\n", each.join(",\n ")))?;
        } else if all.is_empty() {
            print::out("(none)\n")?;
        } else {
            print::out(table(&all))?;
        }
        Ok(Exit::Ok)
    }
}

impl OneApproval {
    async fn find(&self, voice: Voice) -> Result<(Arc<Store>, Approval), Fault> {
        let store = self.place.open(voice).await?;
        let away = |fault| shared::away(&fault);
        if let Some(found) = store.approval(&self.id).await.map_err(away)? {
            return Ok((store, found));
        }
        let all = store.approvals(true).await.map_err(away)?;
        let mut begun =
            all.into_iter().filter(|one| one.question.id.starts_with(&self.id) && !self.id.is_empty());
        match (begun.next(), begun.next()) {
            (Some(found), None) => Ok((store, found)),
            (Some(_), Some(_)) => Err(Fault::usage(format!("several begin with {:?}", self.id))
                .hint("`portolan approvals list` shows them whole")),
            (None, _) => Err(Fault::usage(format!("there is no approval {:?}", self.id))
                .hint("`portolan approvals list --all` shows those that there are")),
        }
    }

    async fn decide(&self, approves: bool, voice: Voice) -> Result<Exit, Fault> {
        let (store, before) = self.find(voice).await?;
        let id = before.question.id.clone();
        let id = id.as_str();
        let is_decided =
            store.decide_approval(id, approves, OPERATOR).await.map_err(|fault| shared::away(&fault))?;
        let now = store.approval(id).await.map_err(|fault| shared::away(&fault))?.unwrap_or(before);
        if !is_decided {
            let word = now.standing.word();
            let hint = match now.standing {
                Standing::Expired => "its caller can make the call again, which asks again",
                _ => "it is answered once",
            };
            return Err(Fault::Refused { what: format!("{id} is {word}"), hint: Some(hint.to_owned()) });
        }
        let what = now.standing.word();
        tracing::info!(target: "portolan::audit", approval = id, by = OPERATOR, "an approval is {what}");
        if self.json {
            self.print(&now)?;
        } else {
            let text = if approves {
                let good = lasting(now.expires_at - millis_of(shared::now()));
                format!("{id} is approved: its caller can make that very call once, within {good}\n")
            } else {
                format!("{id} is denied\n")
            };
            print::out(text)?;
        }
        Ok(Exit::Ok)
    }

    fn print(&self, approval: &Approval) -> Result<(), Fault> {
        if self.json { print::out(format!("{}\n", json(approval))) } else { print::out(text(approval)) }
    }
}

fn table(all: &[Approval]) -> String {
    let now = millis_of(shared::now());
    let mut rows =
        vec![["ID", "STATE", "ASKED", "ENDS", "CALLER", "WHAT", "FOR"].map(str::to_owned).to_vec()];
    for one in all {
        let [_, server, _, name] = &one.question.what;
        let ends = match one.standing {
            Standing::Pending | Standing::Approved => format!("in {}", lasting(one.expires_at - now)),
            _ => "-".to_owned(),
        };
        let row = [
            one.question.id.clone(),
            one.standing.word().to_owned(),
            format!("{} ago", lasting(now - one.made_at)),
            ends,
            caller(one),
            format!("{server}/{name}"),
            people::who(&one.question),
        ];
        rows.push(row.map(|cell| line(&cell)).to_vec());
    }
    columns::table(&[26, 10, 12, 10, 24, 32], &rows, print::out_is_seen())
}

/// A text of others on one line: what cannot be seen in it is shown, whoever reads it.
fn line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

fn caller(one: &Approval) -> String {
    let (issuer, subject) = &one.question.whose;
    if issuer.is_empty() { one.question.principal.clone() } else { subject.clone() }
}

fn text(one: &Approval) -> String {
    let now = millis_of(shared::now());
    let asked = &one.question;
    let [route, server, method, name] = &asked.what;
    let mut rows = vec![
        ("id", asked.id.clone()),
        ("state", one.standing.word().to_owned()),
        ("caller", format!("{} ({})", caller(one), asked.principal)),
        ("call", format!("{method} {name} of server {server}, on route {route}")),
    ];
    rows.extend(asked.reason.lines().map(|reason| ("why", reason.to_owned())));
    rows.push(("policies", asked.policies.replace('\n', ", ")));
    rows.push(("may answer", people::who(asked)));
    rows.push(("asked", format!("{} ago", lasting(now - one.made_at))));
    if matches!(one.standing, Standing::Pending | Standing::Approved) {
        rows.push(("ends", format!("in {}", lasting(one.expires_at - now))));
    }
    if one.decided_at != 0 {
        rows.push(("answered", format!("{} ago, by {}", lasting(now - one.decided_at), one.decided_by)));
    }
    if one.used_at != 0 {
        rows.push(("used", format!("{} ago", lasting(now - one.used_at))));
    }
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:<11} {}\n", line(value))).collect();
    if !asked.arguments.is_empty() {
        text.push_str(&format!("arguments\n{}\n", laid_out(&visible(&asked.arguments))));
    }
    text
}

fn json(one: &Approval) -> String {
    let asked = &one.question;
    let [route, server, method, name] = &asked.what;
    let list = |text: &str| format!("[{}]", text.lines().map(quote).collect::<Vec<_>>().join(","));
    let texts = [
        ("id", &asked.id),
        ("principal", &asked.principal),
        ("issuer", &asked.whose.0),
        ("subject", &asked.whose.1),
        ("route", route),
        ("server", server),
        ("method", method),
        ("name", name),
        ("arguments", &asked.arguments),
        ("decidedBy", &one.decided_by),
    ];
    let mut members = vec![format!("\"state\":\"{}\"", one.standing.word())];
    members.extend(texts.iter().map(|(name, value)| format!("\"{name}\":{}", quote(value))));
    members.extend([
        format!("\"reasons\":{}", list(&asked.reason)),
        format!("\"policies\":{}", list(&asked.policies)),
        format!("\"approvers\":{}", asked.approvers),
    ]);
    let times = [
        ("madeAt", one.made_at),
        ("expiresAt", one.expires_at),
        ("decidedAt", one.decided_at),
        ("usedAt", one.used_at),
    ];
    members.extend(times.iter().map(|(name, at)| format!("\"{name}\":{at}")));
    format!("{{{}}}", members.join(","))
}
