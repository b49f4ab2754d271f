//! `portolan api-keys`: keys for callers that no identity provider knows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base::plan::{Plan, RoutePlan};
use identity::ApiKey;
use store::Store;
use store::api_keys::ApiKeyFacts;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::keys::lasting;
use crate::log::Voice;
use crate::meant::instead;
use crate::recording::{self, of_key};
use crate::serve::configuration::Configuration;
use crate::{columns, print, shared};

/// Make, show and take back the keys of callers that have no identity provider: scripts, jobs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  portolan api-keys create portolan.toml --principal nightly-report --expires 90d"
)]
pub(crate) struct ApiKeys {
    #[command(subcommand)]
    what: KeyTask,
}

#[derive(Debug, clap::Subcommand)]
enum KeyTask {
    /// Make a key and print it, once: what is kept is a digest
    #[command(
        after_help = "Example:\n  portolan api-keys create portolan.toml --principal nightly-report \\\n      --expires 90d --scope mcp:read"
    )]
    Create(Create),
    /// Show which keys there are, whose, and until when. Never the keys themselves
    #[command(after_help = "Example:\n  portolan api-keys list portolan.toml")]
    List(Place),
    /// Take a key back: within a second it is good nowhere
    #[command(after_help = "Example:\n  portolan api-keys revoke 8f14e45fceea portolan.toml")]
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration that the gateway serves, which names the store
    #[arg(value_name = "FILE", default_value = "portolan.toml")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    place: Place,
    /// Whose it is; what policy, audit and sessions know its caller by
    #[arg(long, value_name = "NAME")]
    principal: String,
    /// How long it is good: 12h, 90d; without it, until it is taken back
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires: Option<Duration>,
    /// A route that it is good for, by its name; again for more. Without it, for all that take keys
    #[arg(long = "route", value_name = "ROUTE")]
    routes: Vec<String>,
    /// A scope that it has; again for more
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// What `list` calls the key
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
}

/// The least and the most time for which something is kept.
const LEAST: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long something is good, or remembered.
pub(crate) fn time(text: &str) -> Result<Duration, &'static str> {
    let lasts = config::duration(text).ok_or("expected a time such as 30m, 12h or 90d")?;
    let fits = (LEAST..=MOST).contains(&lasts);
    if fits { Ok(lasts) } else { Err("expected at least a minute, and ten years at most") }
}

impl ApiKeys {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            KeyTask::Create(create) => create.run(voice).await?,
            KeyTask::List(place) => {
                let (store, _, _) = place.open(voice).await?;
                show(&store.api_keys().await.map_err(|fault| shared::away(&fault))?)?;
            }
            KeyTask::Revoke(Revoke { id, place }) => {
                let (store, _, plan) = place.open(voice).await?;
                if !store.revoke_api_key(&id).await.map_err(|fault| shared::away(&fault))? {
                    let hint = "`portolan api-keys list` shows those that there are";
                    return Err(Fault::usage(format!("there is no key {id:?}")).hint(hint));
                }
                recording::tell_done(&plan, None, &[of_key("revoked", ("api-key", &id), None)]).await;
                print::out(format!("{id} is good nowhere any more\n"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl Place {
    /// The store, the routes that take keys, and the plan.
    async fn open(&self, voice: Voice) -> Result<(Arc<Store>, Vec<RoutePlan>, Plan), Fault> {
        let plan = Configuration::at(&self.config).load(voice)?;
        let store = shared::store_of(&plan, "keys are", "").await?;
        let takes = |route: &RoutePlan| route.resource.as_ref().is_some_and(|of| of.api_keys);
        Ok((store, plan.routes.iter().filter(|route| takes(route)).cloned().collect(), plan))
    }
}

impl Create {
    async fn run(self, voice: Voice) -> Result<(), Fault> {
        let (store, takes, plan) = self.place.open(voice).await?;
        if self.principal.trim().is_empty() || self.principal.chars().any(char::is_control) {
            return Err(Fault::usage("--principal is a name, such as nightly-report"));
        }
        if takes.is_empty() {
            let hint = "write api_keys = true, and public_url, into a table [route.NAME]";
            return Err(Fault::usage("no route of this configuration takes keys").hint(hint));
        }
        let names: Vec<_> = takes.iter().map(|route| route.name.as_str()).collect();
        if let Some(unknown) = self.routes.iter().find(|route| !names.contains(&route.as_str())) {
            let hint = format!("those that do: {}", names.join(", "));
            return Err(Fault::usage(format!("no route {unknown:?} takes keys")).hint(hint));
        }
        self.say_strange_scopes(&takes);
        let key = ApiKey::random()
            .map_err(|_none| Fault::Outside("the system gives no random numbers".to_owned()))?;
        let facts = ApiKeyFacts {
            id: key.id(),
            principal: self.principal,
            routes: self.routes,
            scopes: self.scopes,
            made_at: 0,
            expires_at: None,
        };
        if !store
            .add_api_key(&key.digest(), &facts, self.expires)
            .await
            .map_err(|fault| shared::away(&fault))?
        {
            return Err(Fault::Outside("two keys would have one id; try again".to_owned()));
        }
        let told = of_key("made", ("api-key", &facts.id), Some(&facts.principal));
        recording::tell_done(&plan, None, &[told]).await;
        print::out(format!("{}\n", key.text()))?;
        let until = self.expires.map_or_else(
            || "until it is taken back".to_owned(),
            |lasts| format!("for {}", lasting(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX))),
        );
        print::err(&format!(
            "{} of {:?}, good {until}. It is shown this once; clients send it as Authorization: Bearer KEY\n",
            facts.id, facts.principal
        ));
        Ok(())
    }
}

impl Create {
    /// A scope that nothing asks for gives nothing, and may be misspelt. It may also be one of a configuration that is yet to come.
    fn say_strange_scopes(&self, takes: &[RoutePlan]) {
        let is_meant = |route: &&RoutePlan| self.routes.is_empty() || self.routes.contains(&route.name);
        let resources = takes.iter().filter(is_meant).filter_map(|route| route.resource.as_ref());
        let known: BTreeSet<_> = resources
            .flat_map(|of| of.scopes_supported.iter().chain(of.scopes.iter().flat_map(|rule| &rule.scopes)))
            .map(String::as_str)
            .collect();
        let known = Vec::from_iter(known);
        for scope in self.scopes.iter().filter(|scope| !known.contains(&scope.as_str())) {
            let meant = match known.as_slice() {
                [] => "they ask for none".to_owned(),
                known => instead(scope, known, "they ask for"),
            };
            let text = format!("warning: no route of the key asks for the scope {scope:?}; {meant}\n");
            print::err(&print::safe_err(&text));
        }
    }
}

fn show(keys: &[ApiKeyFacts]) -> Result<(), Fault> {
    if keys.is_empty() {
        return print::out("(none)\n");
    }
    let now = millis_of(shared::now());
    let mut rows = vec![["ID", "PRINCIPAL", "MADE", "EXPIRES", "GOOD FOR"].map(str::to_owned).to_vec()];
    for key in keys {
        let made = format!("{} ago", lasting(now - key.made_at));
        let expires =
            key.expires_at.map_or_else(|| "never".to_owned(), |at| format!("in {}", lasting(at - now)));
        let routes = if key.routes.is_empty() { "all routes".to_owned() } else { key.routes.join(", ") };
        let scopes =
            if key.scopes.is_empty() { String::new() } else { format!("; {}", key.scopes.join(" ")) };
        let principal = print::safe_out(&key.principal).into_owned();
        rows.push(vec![key.id.clone(), principal, made, expires, format!("{routes}{scopes}")]);
    }
    print::out(columns::table(&[14, 24, 14, 14], &rows, print::out_is_seen()))
}

pub(crate) fn millis_of(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(time("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(time("30m"), Ok(Duration::from_secs(1800)));
        for bad in ["", "90", "d", "0d", "-1d", "1.5h", "90 d", "99999999999999999999d", "4000d", "10s"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
