//! The configuration of a running gateway: a file, and what the command line says instead of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::plan::Plan;
use config::{Diagnostic, Loaded, Severity};
use transport::net::Address;

use crate::fault::Fault;
use crate::inherit::Inheriting;
use crate::log::Voice;
use crate::{locked, outside, policies, print, traced};

/// A file, and what is to be put in the place of what it says.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// The file.
    pub(crate) path: PathBuf,
    /// The address of its only listener.
    pub(crate) listen: Option<Address>,
    /// The address of the admin listener.
    pub(crate) admin: Option<Address>,
    /// How long to go on when it is asked to end.
    pub(crate) drain_delay: Option<Duration>,
    /// Whether a file is refused of which a server would be left out.
    pub(crate) strict: bool,
    /// What programs get of this environment.
    pub(crate) inheriting: Inheriting,
}

impl Configuration {
    /// What a file says.
    pub(crate) fn at(path: &Path) -> Self {
        let (listen, admin, drain_delay) = (None, None, None);
        let inheriting = Inheriting::default();
        Self { path: path.to_owned(), listen, admin, drain_delay, strict: false, inheriting }
    }

    /// Whether it comes from standard input, which is read once.
    pub(crate) fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Reads and checks it, and says everything that is wrong.
    pub(crate) fn load(&self, voice: Voice) -> Result<Plan, Fault> {
        self.judge(self.read(), voice)
    }

    /// Reads and checks it.
    pub(crate) fn read(&self) -> Loaded {
        config::load_with(&self.path, &outside::ProcessEnvironment, &self.inheriting.inherit())
    }

    /// Says everything that is wrong with what was read.
    pub(crate) fn judge(&self, loaded: Loaded, voice: Voice) -> Result<Plan, Fault> {
        say(&loaded.diagnostics, voice);
        let unusable = || Fault::Config(self.path.display().to_string());
        let mut plan = loaded.plan.ok_or_else(unusable)?;
        if let Err(faults) = policies::attach(&mut plan, &self.path) {
            say(&faults, voice);
            return Err(unusable());
        }
        if let Some(fault) = traced::unknown(&plan, &self.path).or_else(|| locked::wrong_lock(&plan)) {
            say(&[fault], voice);
            return Err(unusable());
        }
        if let Some(names) = left_out(&plan).filter(|_| self.strict) {
            let path = self.path.display();
            return Err(Fault::Config(format!("{path}, of which --strict does not leave out {names},")));
        }
        if let Some(address) = &self.listen {
            let [listener] = plan.listeners.as_mut_slice() else {
                let what = format!(
                    "--listen and --port move the only listener, and {} has {}",
                    self.path.display(),
                    plan.listeners.len()
                );
                return Err(Fault::usage(what).hint("change their addresses in the file"));
            };
            listener.address = address.clone();
            let every_network = matches!(address, Address::Tcp(host, _) if host == "0.0.0.0" || host == "::");
            if every_network && listener.allowed_hosts.is_empty() {
                let text = format!(
                    "{address} answers only what is addressed to this machine by a loopback name; name the others in \
                     allowed_hosts of the listener"
                );
                match voice {
                    Voice::Person => print::err(&format!("warning: {text}\n")),
                    Voice::Machine => tracing::warn!("{text}"),
                }
            }
        }
        if let Some(address) = &self.admin {
            plan.admin = Some(address.clone());
        }
        if let Some(delay) = self.drain_delay {
            plan.limits.drain_delay = delay;
        }
        Ok(plan)
    }
}

/// Says what is wrong with a configuration.
pub(crate) fn say(found: &[Diagnostic], voice: Voice) {
    let colour = print::Paint::stderr().is_on();
    for found in found {
        match (voice, found.severity) {
            (Voice::Person, _) => print::err(&format!("{}\n", found.render(colour))),
            (Voice::Machine, Severity::Error) => tracing::error!(help = found.help, "{}", found.line()),
            (Voice::Machine, Severity::Warning) => tracing::warn!(help = found.help, "{}", found.line()),
        }
    }
}

/// The servers that are left out of a plan, for a sentence.
pub(crate) fn left_out(plan: &Plan) -> Option<String> {
    let names: Vec<_> = plan.left_out.iter().map(|left| format!("{:?}", left.name)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
