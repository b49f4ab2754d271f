//! One request whose result is shown: what `call`, `read` and `prompt` have in common.

use mcp::json::Object;

use crate::ask;
use crate::client::Client;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::follow::Follow;
use crate::list::{self, Listing};
use crate::peer::Peer;
use crate::print;
use crate::replies::{Replier, Replies};
use crate::show::{Output, Save, Shown};
use crate::targets::Targets;

/// How to make the request, and what to do with its result.
#[derive(Debug, clap::Args)]
pub(crate) struct Fetch {
    #[command(flatten)]
    pub(crate) peer: Peer,
    #[command(flatten)]
    pub(crate) follow: Follow,
    #[command(flatten)]
    replies: Replies,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    save: Save,
}

impl Fetch {
    /// Makes it, and shows the result by `show`. It is about something that a list may have, by its name there.
    pub(crate) async fn run(
        &self,
        servers: Targets,
        method: &str,
        params: &[String],
        (listing, name): (&Listing, &str),
        show: fn(&mut Shown, &Object<'_>),
    ) -> Result<Exit, Fault> {
        let mut replier = self.replier()?;
        let speak = async |client: &mut Client| {
            let outcome = self.get(client, method, params, &mut replier, show).await;
            list::or_meant(outcome, client, listing, name).await
        };
        self.peer.meet(servers, speak).await
    }

    /// Who answers the server. Mistakes in it show before anything is sent.
    pub(crate) fn replier(&self) -> Result<Replier, Fault> {
        self.replies.read()
    }

    /// The same with a client that is there.
    pub(crate) async fn get(
        &self,
        client: &mut Client,
        method: &str,
        params: &[String],
        replier: &mut Replier,
        show: fn(&mut Shown, &Object<'_>),
    ) -> Result<Exit, Fault> {
        let mut follower = self.follow.begin(self.peer.is_verbose());
        client.declare(replier.capabilities());
        let answer = ask::in_rounds(client, method, params, &mut follower, replier).await?;
        drop(follower);
        replier.say_unused();
        let result = answer.object()?;
        let failed = result.get("isError").ok().flatten() == Some("true");
        let mut shown = Shown::default();
        show(&mut shown, &result);
        if self.output.json {
            print::out(format!("{}\n", answer.text()))?;
        } else if failed && shown.is_empty() {
            print::err("the tool failed, and does not say why\n");
        } else if failed {
            print::err(&print::safe_err(shown.text()));
        } else if !self.save.takes_stdout() {
            shown.print()?;
            if shown.is_empty() {
                print::err("(empty)\n");
            }
        }
        if failed {
            return Ok(Exit::Findings);
        }
        self.save.save(&shown)?;
        Ok(Exit::Ok)
    }
}
