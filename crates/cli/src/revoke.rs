//! `portolan token revoke`, `list` and `allow`: which tokens are good no more, although they have not expired.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::plan::identity::IssuerPlan;
use store::Store;
use store::revocations::{API_KEYS, MOST_REVOCATIONS, Revocation, Revoked};

use crate::api_keys::{millis_of, time};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::keys::lasting;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::{columns, print, shared};

/// The longest name of a token or a subject. Longer ones are in no token that is read.
const LONGEST: usize = 2048;

/// The store of a configuration, which the gateway shares.
#[derive(Debug, clap::Args)]
pub(crate) struct Revocations {
    /// The configuration that the gateway serves, which names the store
    #[arg(value_name = "FILE", default_value = "portolan.toml")]
    config: PathBuf,
}

/// Which tokens.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    #[command(flatten)]
    place: Revocations,
    /// Whose tokens: the name of an issuer in the configuration
    #[arg(long, value_name = "NAME")]
    issuer: String,
    #[command(flatten)]
    named: Named,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Named {
    /// The one token of that name (its claim `jti`)
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// All tokens of that subject (`sub`, or what the issuer has for it in `claims`; `portolan token inspect` shows it) that were issued before now, and those that do not say when; whoever logs in anew gets others
    #[arg(long, value_name = "SUB")]
    sub: Option<String>,
}

/// What to revoke, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeTokens {
    #[command(flatten)]
    which: Which,
    /// How long it is remembered: as long as a token of that issuer is good at most, or longer
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "30d")]
    keep: Duration,
}

impl Revocations {
    async fn open(&self, voice: Voice) -> Result<(Arc<Store>, Vec<IssuerPlan>), Fault> {
        let plan = Configuration::at(&self.config).load(voice)?;
        let or = "; or not_before in [issuer.NAME]";
        Ok((shared::store_of(&plan, "what is revoked is", or).await?, plan.issuers.clone()))
    }

    /// Shows what is revoked.
    pub(crate) async fn list(self, voice: Voice) -> Result<Exit, Fault> {
        let (store, issuers) = self.open(voice).await?;
        let all = store.revocations().await.map_err(|fault| shared::away(&fault))?;
        show(&all, &issuers)?;
        Ok(Exit::Ok)
    }
}

impl Which {
    /// The store, what vouches, and which of its tokens.
    async fn open(&self, voice: Voice) -> Result<(Arc<Store>, IssuerPlan, (Revoked, &str)), Fault> {
        let (store, issuers) = self.place.open(voice).await?;
        let named = issuers.iter().find(|issuer| issuer.name == self.issuer);
        let issuer = named.ok_or_else(|| {
            let names: Vec<_> = issuers.iter().map(|issuer| issuer.name.as_str()).collect();
            let hint = match names.as_slice() {
                [] => "an issuer is a table [issuer.NAME]".to_owned(),
                names => format!("those that there are: {}", names.join(", ")),
            };
            Fault::usage(format!("the configuration has no issuer {:?}", self.issuer)).hint(hint)
        })?;
        let (what, name) = match (&self.named.jti, &self.named.sub) {
            (Some(jti), _) => (Revoked::Token, jti),
            (None, Some(sub)) => (Revoked::Subject, sub),
            // There is one of them, as clap has seen.
            (None, None) => return Err(Fault::usage("neither --jti nor --sub")),
        };
        if name.is_empty() || name.len() > LONGEST || name.contains('\0') {
            return Err(Fault::usage(format!("a {} has 1 to {LONGEST} bytes, and no NUL", noun(what))));
        }
        Ok((store, issuer.clone(), (what, name)))
    }

    /// Lets it be good again.
    pub(crate) async fn allow(self, voice: Voice) -> Result<Exit, Fault> {
        let (store, issuer, which) = self.open(voice).await?;
        if !store.allow(&issuer.issuer, which).await.map_err(|fault| shared::away(&fault))? {
            let hint = "`portolan token list` shows what is revoked";
            return Err(Fault::usage(format!("that {} is not revoked", noun(which.0))).hint(hint));
        }
        print::out("it is not revoked any more\n")?;
        Ok(Exit::Ok)
    }
}

impl RevokeTokens {
    /// Revokes it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (store, issuer, which) = self.which.open(voice).await?;
        if !store.revoke(&issuer.issuer, which, self.keep).await.map_err(|fault| shared::away(&fault))? {
            let hint = "`not_before` in the table of the issuer refuses all of its tokens that were issued before a time";
            return Err(Fault::Outside(format!(
                "{MOST_REVOCATIONS} are revoked, the most that there may be"
            ))
            .hint(hint));
        }
        let what = match which {
            (Revoked::Token, name) => format!("a token with the jti {name:?} is good nowhere any more"),
            (Revoked::Subject, name) => {
                let claim = issuer.claims.subject.join(".");
                format!(
                    "tokens whose {claim} is {name:?} and that were issued until now are good nowhere any more; whoever logs in anew gets others"
                )
            }
        };
        let keep = lasting(i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX));
        print::out(format!("{what}\n"))?;
        print::err(&format!("It is forgotten in {keep}: --for for tokens that are good for longer\n"));
        Ok(Exit::Ok)
    }
}

fn noun(what: Revoked) -> &'static str {
    match what {
        Revoked::Token => "jti",
        Revoked::Subject => "subject",
    }
}

fn show(all: &[Revocation], issuers: &[IssuerPlan]) -> Result<(), Fault> {
    // That a key was taken back is noted for what was opened with it, and no business of this one.
    let all: Vec<_> = all.iter().filter(|one| one.issuer != API_KEYS).collect();
    if all.is_empty() {
        return print::out("(none)\n");
    }
    let now = millis_of(shared::now());
    let mut rows = vec![["ISSUER", "WHAT", "WHICH", "REVOKED", "FORGOTTEN"].map(str::to_owned).to_vec()];
    for one in all {
        let named = issuers.iter().find(|issuer| issuer.issuer == one.issuer);
        let issuer = named.map_or(one.issuer.as_str(), |issuer| issuer.name.as_str());
        let (since, until) = (lasting(now - one.revoked_at), lasting(one.expires_at - now));
        let name = print::safe_out(&one.name).into_owned();
        let (since, until) = (format!("{since} ago"), format!("in {until}"));
        rows.push(vec![issuer.to_owned(), noun(one.what).to_owned(), name, since, until]);
    }
    print::out(columns::table(&[14, 9, 40, 14], &rows, print::out_is_seen()))
}
