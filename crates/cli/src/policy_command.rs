//! `portolan policy`: who may do what, looked at without serving anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::clock::SystemClock;
use base::plan::policy::{BUILT_IN, PolicyPlan, PolicySource, built_in};
use config::Diagnostic;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::meant::instead;
use crate::serve::configuration::{Configuration, say};
use crate::{policies, print};

mod explain;
mod question;
mod simulate;
mod starter;
mod table;

use self::explain::Explain;
use self::simulate::Simulate;
use self::starter::New;
use self::table::Test;

/// Write, check and try out policies: who may do what
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan policy show read-only
  portolan policy new rules.cedar
  portolan policy check portolan.toml
  portolan policy explain portolan.toml --as alice --tool github/create_issue
  portolan policy test cases.toml
  portolan policy simulate portolan.toml --audit audit/")]
pub(crate) struct PolicyCommand {
    #[command(subcommand)]
    what: Wanted,
}

#[derive(Debug, clap::Subcommand)]
enum Wanted {
    Show(ShowBuiltIn),
    New(New),
    Check(CheckPolicies),
    Explain(Box<Explain>),
    Test(Test),
    Simulate(Box<Simulate>),
    /// Print what policies can speak of: the schema, for editors and the tools of Cedar
    #[command(after_help = "Example:\n  portolan policy schema > portolan.cedarschema")]
    Schema,
}

/// Show the policies that are built in, as Cedar text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan policy show
  portolan policy show read-only > rules.cedar")]
struct ShowBuiltIn {
    /// Which; without it, all
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Check policies: say every mistake, with its line
///
/// What is odd is said, too: names of what the configuration does not have, a permit that leaves nothing for others to say. Ends with 0
/// if they are good and with 3 if not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan policy check portolan.toml
  portolan policy check portolan.toml --strict
  portolan policy check rules.cedar")]
struct CheckPolicies {
    /// A configuration with policies, or .cedar files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Take what is odd for a mistake
    #[arg(long)]
    strict: bool,
}

impl PolicyCommand {
    /// Does it.
    pub(crate) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            Wanted::Schema => print::out(policy::SCHEMA).map(|()| Exit::Ok),
            Wanted::Show(show) => show.run(),
            Wanted::New(new) => new.run(),
            Wanted::Check(check) => check.run(voice),
            Wanted::Explain(explain) => explain.run(voice),
            Wanted::Test(test) => test.run(voice),
            Wanted::Simulate(simulate) => simulate.run(voice),
        }
    }
}

impl ShowBuiltIn {
    fn run(self) -> Result<Exit, Fault> {
        match self.name.as_deref() {
            Some(name) => {
                let text = built_in(name).ok_or_else(|| {
                    let known = BUILT_IN.map(|(name, _)| name);
                    Fault::usage(format!("no policy {name:?} is built in")).hint(instead(
                        name,
                        &known,
                        "there are",
                    ))
                })?;
                print::out(text)?;
            }
            None => {
                let all = BUILT_IN.map(|(name, text)| format!("// policy = {name:?}\n{text}"));
                print::out(all.join("\n"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl CheckPolicies {
    fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let mut bad = None;
        for path in &self.files {
            let checked = if path.extension().is_some_and(|ending| ending == "cedar") {
                check_file(path, self.strict, voice)?
            } else {
                check_configuration(path, self.strict, voice)?
            };
            match checked {
                Some(said) => print::out(format!("{}: {said}\n", path.display()))?,
                None => bad = Some(path),
            }
        }
        match bad {
            Some(path) => Err(Fault::Config(path.display().to_string())),
            None => Ok(Exit::Ok),
        }
    }
}

/// What there is to say of a file of policies, unless something is wrong with it, which is said.
fn check_file(path: &Path, is_strict: bool, voice: Voice) -> Result<Option<String>, Fault> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::usage(format!("{} cannot be read: {error}", path.display())))?;
    let source = PolicySource { name: path.display().to_string(), text: text.into() };
    let plan = PolicyPlan { sources: vec![source], enforce: true, explain: false };
    let ground = policy::Ground { route: "", servers: &[], issuers: &[] };
    // Its name is its path already.
    let at = (plan.sources.as_slice(), Path::new(""));
    match policy::Policies::new(&plan, ground, Arc::new(SystemClock)) {
        Ok(policies) => {
            let warnings: Vec<_> =
                policies.remarks(None).iter().map(|remark| policies::warning(remark, at)).collect();
            say(&warnings, voice);
            let is_good = !is_strict || warnings.is_empty();
            Ok(is_good.then(|| number(policies.ids().count())))
        }
        Err(faults) => {
            let told: Vec<Diagnostic> =
                faults.iter().map(|fault| policies::told(fault, at.0, at.1)).collect();
            say(&told, voice);
            Ok(None)
        }
    }
}

/// The same of those of a configuration.
fn check_configuration(path: &Path, is_strict: bool, voice: Voice) -> Result<Option<String>, Fault> {
    let configuration = Configuration::at(path);
    let loaded = configuration.read();
    let Some(mut plan) = loaded.plan else {
        say(&loaded.diagnostics, voice);
        return Ok(None);
    };
    let decided = match policies::attach(&mut plan, path) {
        Ok(decided) => decided,
        Err(faults) => {
            say(&faults, voice);
            return Ok(None);
        }
    };
    if decided.is_empty() {
        let fault = Fault::usage(format!("{} has no policies", path.display()));
        return Err(fault.hint("policy = \"read-only\" above the first table, or in a route"));
    }
    let said = |one: &policies::Decided| format!("{} for route {:?}", number(one.count), one.route);
    let warnings = policies::warnings(&decided);
    say(&warnings, voice);
    if is_strict && !warnings.is_empty() {
        return Ok(None);
    }
    Ok(Some(decided.iter().map(said).collect::<Vec<_>>().join(", ")))
}

fn number(count: usize) -> String {
    if count == 1 { "1 policy is good".to_owned() } else { format!("{count} policies are good") }
}
