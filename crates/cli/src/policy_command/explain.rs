//! `portolan policy explain`.

use std::path::PathBuf;

use policy::{Part, Unmet, Why};

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
/// inputSchema. Ends with 0 if it is allowed and with 1 if not, or not without an approval.
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
    #[command(flatten)]
    question: Question,
}

/// What policies have of a tool's annotations.
const HINTS: [&str; 4] =
    ["resource.read_only", "resource.destructive", "resource.idempotent", "resource.open_world"];
/// So many policies are told of that say what they want.
const MOST_UNMET: usize = 5;

impl Explain {
    /// Explains.
    pub(crate) fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let opened = Opened::read(&self.config, voice)?;
        let Self { config, mut question } = self;
        question.args = question.args.as_deref().map(text_of).transpose()?;
        if let Some(Err(fault)) = question.args.as_deref().map(serde_json::from_str::<serde::de::IgnoredAny>)
        {
            return Err(Fault::usage(format!("--args is no JSON: {fault}"))
                .hint("--args '{\"amount\": 250}', or @FILE"));
        }
        let answer = opened.ask(&question)?;
        let place = |id: &str| {
            let place = answer.policies.place(id)?;
            let path = beside(&config, &place.source);
            Some((format!("{}:{}:{}", path.display(), place.at.0, place.at.1), place.line))
        };
        print::out(print::safe_out(&text(&answer, &question, place)).as_bytes())?;
        Ok(if answer.verdict.allowed { Exit::Ok } else { Exit::Findings })
    }
}

fn text(answer: &Decision, question: &Question, place: impl Fn(&str) -> Option<(String, String)>) -> String {
    let paint = Paint::stdout();
    let verdict = &answer.verdict;
    let (tint, word) = match (verdict.allowed, verdict.asks()) {
        (true, _) => (paint.good, "allowed"),
        (false, true) => (paint.hint, "ask"),
        (false, false) => (paint.error, "denied"),
    };
    let mut text = format!("{tint}{word}{}: {}\n{}\n", paint.off, answer.deed, verdict.why);
    for id in verdict.by() {
        if let Some((at, line)) = place(id) {
            text.push_str(&format!("  {at}: {line}\n"));
        }
    }
    let reason = verdict.by().iter().find_map(|id| answer.policies.annotation(id, "reason"));
    for id in verdict.by().iter().filter(|_| verdict.asks()) {
        let said = |name| answer.policies.annotation(id, name);
        let approvers =
            said("approvers").map_or_else(|| "the caller".to_owned(), |who| format!("one of {who}"));
        let reason = said("approval").unwrap_or_default();
        text.push_str(&format!("{approvers} is asked to approve it: {reason}\n"));
    }
    if let Some(reason) = reason.filter(|_| !verdict.allowed && !verdict.asks()) {
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
        for unmet in answer.unmet.iter().take(MOST_UNMET) {
            text.push_str(&missing(unmet, &place));
        }
        if answer.unmet.len() > MOST_UNMET {
            text.push_str(&format!("  and {} more\n", answer.unmet.len() - MOST_UNMET));
        }
        let said = |part: &Part| HINTS.iter().any(|hint| part.text.contains(hint));
        if question.annotations.is_none() && answer.unmet.iter().flat_map(|unmet| &unmet.parts).any(said) {
            text.push_str("what its server says of the tool is not known here: --annotations '{\"readOnlyHint\": true}'\n");
        }
        if !answer.enforced {
            text.push_str(&format!(
                "route {} only observes: it is said in the log, and carried out\n",
                answer.route
            ));
        }
    }
    text
}

/// What of a policy would have to differ.
fn missing(unmet: &Unmet, place: impl Fn(&str) -> Option<(String, String)>) -> String {
    let at = place(&unmet.id).map(|(at, _)| format!(" ({at})")).unwrap_or_default();
    let mut text = match (unmet.permits, unmet.parts.len()) {
        (true, _) => format!("  {}{at} would permit it with\n", unmet.id),
        (false, 1) => format!("  {}{at} would not match with\n", unmet.id),
        (false, _) => format!("  {}{at} would not match with one of\n", unmet.id),
    };
    for part in &unmet.parts {
        let word = if part.must { "" } else { "not: " };
        text.push_str(&format!("    {word}{}\n", part.text));
        for (read, value) in &part.values {
            text.push_str(&format!("      {read}: {value}\n"));
        }
        if let Some(fault) = &part.erred {
            text.push_str(&format!("      it errs: {fault}\n"));
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
        Why::Asks(_) => "somebody must approve it; what is approved is done once".to_owned(),
        Why::Permitted(_) => String::new(),
    }
}
