//! `portolan policy explain`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use policy::Why;

use super::question::{Decision, Opened, Question};
use crate::arguments::text_of;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::policies::beside;
use crate::print::{self, Paint};

/// Say why something is allowed or denied
///
/// No server is asked, so a tool's annotations are those of `--annotations`, and arguments are not compared with its
/// inputSchema. Ends with 0 if it is allowed and with 1 if not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan policy explain portolan.toml --tool files/read_file
  portolan policy explain portolan.toml --as alice --issuer company \\
    --group staff --tool bank/pay --args '{\"amount\": 250}'")]
pub(crate) struct Explain {
    /// The configuration
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// The route, where several have policies
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Who it is: `sub` of a token, the name of a key. Without it, somebody of whom nothing is known
    #[arg(long = "as", value_name = "SUBJECT")]
    subject: Option<String>,
    /// Who vouches for that one: the name of its table, or api-keys. Without it, the only issuer
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The client by which that one acts
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// A group of that one; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// What the token is good for; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How that one has logged in
    #[arg(long, value_name = "ACR")]
    acr: Option<String>,
    /// The tool to be called, by its server's own name
    #[arg(long, value_name = "SERVER/NAME")]
    tool: Option<String>,
    /// The prompt to be got
    #[arg(long, value_name = "SERVER/NAME")]
    prompt: Option<String>,
    /// The resource to be read
    #[arg(long, value_name = "SERVER/URI")]
    resource: Option<String>,
    /// The arguments; @FILE is what a file says
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// What the server says of the tool, as in '{"readOnlyHint": true}'
    #[arg(long, value_name = "JSON")]
    annotations: Option<String>,
    /// Where the connection comes from
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// When, such as 2026-11-30T12:00:00Z. Without it, now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<SystemTime>,
}

/// Reads a time.
pub(crate) fn moment(text: &str) -> Result<SystemTime, String> {
    base::moment::read(text).ok_or_else(|| "a time is written 2026-11-30T12:00:00Z".to_owned())
}

impl Explain {
    /// Explains.
    pub(crate) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let opened = Opened::read(&self.config, voice)?;
        let config = self.config.clone();
        let question = self.question()?;
        let answer = opened.ask(&question)?;
        let place = |id: &str| {
            let place = answer.policies.place(id)?;
            let path = beside(&config, &place.source);
            Some((format!("{}:{}:{}", path.display(), place.at.0, place.at.1), place.line))
        };
        print::out(print::safe_out(&text(&answer, &question, place)).as_bytes())?;
        Ok(if answer.verdict.allowed { Exit::Ok } else { Exit::Findings })
    }

    fn question(self) -> Result<Question, Fault> {
        Ok(Question {
            route: self.route,
            subject: self.subject,
            issuer: self.issuer,
            client: self.client,
            groups: self.groups,
            scopes: self.scopes,
            acr: self.acr,
            tool: self.tool,
            prompt: self.prompt,
            resource: self.resource,
            args: self.args.as_deref().map(text_of).transpose()?,
            annotations: self.annotations,
            address: self.address,
            now: self.now,
        })
    }
}

fn text(answer: &Decision, question: &Question, place: impl Fn(&str) -> Option<(String, String)>) -> String {
    let paint = Paint::stdout();
    let verdict = &answer.verdict;
    let (tint, word) = if verdict.allowed { (paint.good, "allowed") } else { (paint.error, "denied") };
    let mut text = format!("{tint}{word}{}: {}\n{}\n", paint.off, answer.deed, verdict.why);
    for id in verdict.by() {
        if let Some((at, line)) = place(id) {
            text.push_str(&format!("  {at}: {line}\n"));
        }
    }
    let reason = verdict.by().iter().find_map(|id| answer.policies.annotation(id, "reason"));
    if let Some(reason) = reason.filter(|_| !verdict.allowed) {
        text.push_str(&format!("the caller is told: {reason}\n"));
    }
    match answer.policies.leaves(question.args.as_deref().unwrap_or("{}")) {
        Ok(leaves) if leaves.is_empty() => {}
        Ok(leaves) => {
            text.push_str("what policies see of the arguments:\n");
            for (pointer, value) in leaves {
                text.push_str(&format!(
                    "  {}  {value}\n",
                    if pointer.is_empty() { "\"\"" } else { &pointer }
                ));
            }
        }
        Err(fault) => text.push_str(&format!("the arguments cannot be read: {fault}\n")),
    }
    if !verdict.allowed {
        text.push_str(&format!("to be allowed: {}\n", cure(&verdict.why, answer.policies.ids().count())));
        if !answer.enforced {
            text.push_str(&format!(
                "route {} only observes: it is said in the log, and carried out\n",
                answer.route
            ));
        }
    }
    text
}

/// What would have to differ.
fn cure(why: &Why, count: usize) -> String {
    match why {
        Why::NotPermitted if count == 1 => {
            "a policy must permit it, and the only one here does not".to_owned()
        }
        Why::NotPermitted => format!("a policy must permit it, and none of the {count} here does"),
        Why::Forbidden(_) => "what is above must not match; whatever permits it, a forbid wins".to_owned(),
        Why::Erred { .. } => {
            "the policy must not err: it is to ask with `has` or `hasTag` before it reads what may not be there"
                .to_owned()
        }
        Why::Incomplete => "the arguments must be fewer or shorter".to_owned(),
        Why::Arguments(_) => "the arguments must be what the tool takes, each member once".to_owned(),
        Why::Schema(_) => "the server must say what its tool takes in a schema that can be read".to_owned(),
        Why::Permitted(_) => String::new(),
    }
}
