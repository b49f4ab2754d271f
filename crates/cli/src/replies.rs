//! What this client can be asked in the middle of a call, and what it then answers.
//!
//! Source: MCP 2026-07-28 `client/elicitation`, `client/sampling`, `client/roots`. Forms and pages are put to the person
//! at the terminal, or answered by the command line. A model and roots there are only if the command line names them. What
//! cannot be answered is not declared, so that a server knows before it asks.

mod form;
mod roots;
mod sample;

use std::path::PathBuf;

use mcp::json::Object;

use crate::arguments::Written;
use crate::fault::Fault;
use crate::print;
use crate::show::text;
use form::{Field, Form};
use roots::Roots;
use sample::Model;

/// What to answer a server that asks.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "When the server asks")]
pub(crate) struct Replies {
    /// A field of a form, written as arguments are (k=v, k:=JSON, k=@FILE); may be given several times. Fields that are
    /// not given take their default
    #[arg(long, value_name = "FIELD")]
    answer: Vec<String>,
    /// The object of all fields: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON")]
    answers: Option<String>,
    /// Decline whatever form or page the server asks for
    #[arg(long, conflicts_with_all = ["answer", "answers"])]
    decline: bool,
    /// A directory that the server may know of; may be given several times
    #[arg(long, value_name = "DIR")]
    root: Vec<PathBuf>,
    /// A command that plays the model: it gets the server's request as JSON on stdin, and prints a result as JSON, or
    /// just a text
    #[arg(long, value_name = "COMMAND")]
    sample_with: Option<String>,
}

/// Answers a server, as the command line says.
#[derive(Debug)]
pub(crate) struct Replier {
    user: User,
    roots: Option<Roots>,
    model: Option<Model>,
    can_ask: bool,
}

/// Who answers forms.
#[derive(Debug)]
enum User {
    /// Whoever sits at the terminal, if anybody does.
    Person,
    /// The command line. A person is asked only for what is missing.
    Words(Written),
    /// Nobody, and says so.
    Declines,
}

impl Replies {
    /// Reads all of it, so that mistakes show before anything is sent.
    pub(crate) fn read(&self) -> Result<Replier, Fault> {
        let user = if self.decline {
            User::Declines
        } else if self.answer.is_empty() && self.answers.is_none() {
            User::Person
        } else {
            User::Words(Written::read(&self.answer, self.answers.as_deref())?)
        };
        let roots = if self.root.is_empty() { None } else { Some(Roots::read(&self.root)?) };
        let model = self.sample_with.as_deref().map(Model::read).transpose()?;
        Ok(Replier { user, roots, model, can_ask: print::can_ask() })
    }
}

impl Replier {
    /// The capabilities that a server is told of: exactly what can be answered.
    pub(crate) fn capabilities(&self) -> String {
        let (form, page) = match self.user {
            User::Person => (self.can_ask, self.can_ask),
            User::Words(_) => (true, self.can_ask),
            User::Declines => (true, true),
        };
        let modes = [form.then_some("\"form\":{}"), page.then_some("\"url\":{}")];
        let modes: Vec<_> = modes.into_iter().flatten().collect();
        let all = [
            (!modes.is_empty()).then(|| format!("\"elicitation\":{{{}}}", modes.join(","))),
            self.roots.is_some().then(|| "\"roots\":{}".to_owned()),
            self.model.is_some().then(|| "\"sampling\":{}".to_owned()),
        ];
        format!("{{{}}}", all.into_iter().flatten().collect::<Vec<_>>().join(","))
    }

    /// The result of one request of the server's.
    pub(crate) async fn reply(&mut self, method: &str, params: &Object<'_>) -> Result<String, Fault> {
        match (method, &self.roots, &self.model) {
            ("elicitation/create", ..) => Ok(self.elicit(params).await?.text()),
            ("roots/list", Some(roots), _) => Ok(roots.result()),
            ("sampling/createMessage", _, Some(model)) => model.answer(params).await,
            _ => Err(Fault::Refused {
                what: format!("the server asks for {method}, which this client has said it cannot do"),
                hint: None,
            }),
        }
    }

    async fn elicit(&mut self, params: &Object<'_>) -> Result<Action, Fault> {
        let message = text(params, "message").unwrap_or_default();
        print::err(&format!("the server asks: {}\n", print::safe_err(&message)));
        if let Some(url) = text(params, "url") {
            return self.page(&url, &mut typed).await;
        }
        let form = Form::read(params.object("requestedSchema").ok().flatten());
        match &mut self.user {
            User::Words(written) => {
                let ask = if self.can_ask { Some(&mut typed) } else { None };
                form.fill(written, ask).await
            }
            User::Person if self.can_ask => form.ask(&mut typed).await,
            User::Person | User::Declines => {
                for question in form.fields().iter().map(Field::question) {
                    print::err(&format!("  {}\n", print::safe_err(question.trim_end_matches(": "))));
                }
                print::err("declined\n");
                Ok(Action::Decline)
            }
        }
    }

    async fn page(
        &self,
        url: &str,
        ask: &mut impl AsyncFnMut(&str) -> Result<String, Fault>,
    ) -> Result<Action, Fault> {
        print::err(&format!("it wants you to visit {}\n", print::safe_err(url)));
        if matches!(self.user, User::Declines) || !self.can_ask {
            print::err("declined\n");
            return Ok(Action::Decline);
        }
        let answer = ask("Have you been there? [y/N] ").await?;
        Ok(if is_yes(&answer) { Action::Visited } else { Action::Decline })
    }

    /// Says which answers no form has asked for: they may be misspelled.
    pub(crate) fn say_unused(&self) {
        if let User::Words(written) = &self.user {
            for name in written.unused() {
                print::err(&format!("note: no form has asked for {name:?}\n"));
            }
        }
    }
}

/// What the user does about a question.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// Answers; the members of the content.
    Accept(Vec<String>),
    Visited,
    Decline,
}

impl Action {
    fn text(&self) -> String {
        match self {
            Self::Accept(members) => format!(r#"{{"action":"accept","content":{{{}}}}}"#, members.join(",")),
            Self::Visited => r#"{"action":"accept"}"#.to_owned(),
            Self::Decline => r#"{"action":"decline"}"#.to_owned(),
        }
    }
}

fn is_yes(typed: &str) -> bool {
    matches!(typed.trim(), "y" | "Y" | "yes")
}

async fn typed(question: &str) -> Result<String, Fault> {
    print::err(&print::safe_err(question));
    // Beside, so that a signal is heard meanwhile.
    let line =
        tokio::task::spawn_blocking(print::typed).await.map_err(|error| Fault::Bug(error.to_string()))?;
    line.map_err(|error| Fault::outside("cannot read what is typed", &error))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_page_is_visited_only_if_a_person_says_so() {
        for (user, can_ask, typed, action) in [
            (User::Person, true, Some("y"), Action::Visited),
            (User::Person, true, Some(""), Action::Decline),
            (User::Words(Written::default()), true, Some("yes"), Action::Visited),
            (User::Words(Written::default()), false, None, Action::Decline),
            (User::Declines, true, None, Action::Decline),
        ] {
            let replier = Replier { user, roots: None, model: None, can_ask };
            let mut ask = async |_: &str| Ok(typed.unwrap().to_owned());
            let page = replier.page("https://example.com/", &mut ask).now_or_never().unwrap();
            assert_eq!(page.unwrap(), action);
        }
    }

    fn capabilities(user: User, can_ask: bool) -> String {
        Replier { user, roots: None, model: None, can_ask }.capabilities()
    }

    #[test]
    fn what_cannot_be_answered_is_not_declared() {
        let words = || User::Words(Written::default());
        for (user, can_ask, declared) in [
            (User::Person, true, r#"{"elicitation":{"form":{},"url":{}}}"#),
            (User::Person, false, "{}"),
            (words(), true, r#"{"elicitation":{"form":{},"url":{}}}"#),
            // Nobody is there who could visit a page.
            (words(), false, r#"{"elicitation":{"form":{}}}"#),
            (User::Declines, false, r#"{"elicitation":{"form":{},"url":{}}}"#),
        ] {
            assert_eq!(capabilities(user, can_ask), declared);
        }
        let all = Replier {
            user: User::Person,
            roots: Some(Roots::read(&[PathBuf::from("/")]).unwrap()),
            model: Some(Model::read("cat").unwrap()),
            can_ask: false,
        };
        assert_eq!(all.capabilities(), r#"{"roots":{},"sampling":{}}"#);
    }
}
