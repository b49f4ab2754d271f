//! `portolan pins`: what servers' tools and prompts were approved as, and what they are now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base::globs::Globs;
use base::plan::pins::Suspicious;
use globset::GlobBuilder;
use mcp::method::Kind;
use pins::Seen;
use pins::alike::Others;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::{columns, print};

mod kept;
pub(crate) mod looked;
mod told;

use self::kept::Kept;
use self::told::{Row, plain};

/// Show what servers' tools were approved as, what has changed since, and approve it or not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan pins diff
  portolan pins approve github/create_issue")]
pub(crate) struct PinsCommand {
    #[command(subcommand)]
    what: PinTask,
}

#[derive(Debug, clap::Subcommand)]
enum PinTask {
    /// Show everything that is pinned, and what is not as it was pinned
    #[command(after_help = "Example:\n  portolan pins list --waiting")]
    List(ListPins),
    /// Show what has changed: member by member, and in descriptions word by word
    #[command(after_help = "Example:\n  portolan pins diff 'github/*'")]
    Diff(DiffPins),
    /// Pin things as they are now
    #[command(after_help = "Example:\n  portolan pins approve github/create_issue")]
    Approve(PinDecision),
    /// Say that a definition is not wanted: it stays held, and what was pinned goes on when the server shows it again
    #[command(after_help = "Example:\n  portolan pins deny github/create_issue")]
    Deny(PinDecision),
    /// Forget what things were pinned as, because they are gone for good
    #[command(after_help = "Example:\n  portolan pins forget github/old_tool")]
    Forget(Forget),
    /// Pin what servers say now of which nothing is pinned yet: writes the lock file for the first time
    #[command(after_help = "Example:\n  portolan pins lock")]
    Lock(PinPlace),
}

#[derive(Debug, clap::Args)]
struct PinPlace {
    /// The configuration that the gateway serves
    #[arg(long, value_name = "FILE", default_value = "portolan.toml")]
    config: PathBuf,
}

/// WhichPins things, and where.
#[derive(Debug, clap::Args)]
struct WhichPins {
    /// SERVER or SERVER/NAME, by the server's own names; * stands for anything
    #[arg(value_name = "WHICH")]
    words: Vec<String>,
    #[command(flatten)]
    place: PinPlace,
    /// Ask the servers what they say now, beside what the store knows
    #[arg(long)]
    connect: bool,
}

#[derive(Debug, clap::Args)]
struct ListPins {
    #[command(flatten)]
    which: WhichPins,
    /// Only what is not as it was pinned
    #[arg(long)]
    waiting: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct DiffPins {
    #[command(flatten)]
    which: WhichPins,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct PinDecision {
    #[command(flatten)]
    which: WhichPins,
    /// Everything that waits
    #[arg(long, conflicts_with = "words")]
    all: bool,
    /// The definition that is meant, by the beginning of its digest, where several wait for one thing
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Forget {
    /// SERVER/NAME, by the server's own names; * stands for anything
    #[arg(value_name = "WHICH", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    place: PinPlace,
}

/// What is done about something that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Approve,
    Deny,
}

/// What one of a kind is called.
fn word(kind: Kind) -> &'static str {
    base::error::noun(kind)
}

impl PinsCommand {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        match self.what {
            PinTask::List(list) => list.run(voice).await,
            PinTask::Diff(diff) => diff.run(voice).await,
            PinTask::Approve(decision) => decision.run(Judgement::Approve, voice).await,
            PinTask::Deny(decision) => decision.run(Judgement::Deny, voice).await,
            PinTask::Forget(forget) => forget.run(voice).await,
            PinTask::Lock(place) => lock(&place, voice).await,
        }
    }
}

impl PinPlace {
    async fn open(&self, voice: Voice) -> Result<Kept, Fault> {
        Kept::open(Configuration::at(&self.config).load(voice)?).await
    }
}

impl WhichPins {
    /// What is kept, with what the servers say now if they are to be asked; and whether all of them have answered.
    async fn open(&self, voice: Voice) -> Result<(Kept, bool), Fault> {
        let mut kept = self.place.open(voice).await?;
        if !self.connect {
            if !kept.knows_what_waits() {
                let hint = "or give the configuration a store: store = \"sqlite:portolan.db\"";
                let what = "what has changed is known only by asking the servers: --connect";
                return Err(Fault::usage(what).hint(hint));
            }
            return Ok((kept, true));
        }
        let is_meant =
            |name: &str| self.words.is_empty() || self.words.iter().any(|word| of_server(word, name));
        let servers = kept.plan.upstreams.iter();
        let servers = servers.filter(|one| kept.servers.contains_key(&one.name) && is_meant(&one.name));
        let servers: Vec<_> = servers.cloned().collect();
        let mut all_there = true;
        for (name, said) in looked::look_at(servers).await {
            match said {
                Ok(said) => {
                    if let Some(of) = kept.servers.get_mut(&name) {
                        of.asked(&said);
                    }
                }
                Err(fault) => {
                    all_there = false;
                    print::err(&print::safe_err(&format!("{name}: {fault}\n")));
                }
            }
        }
        Ok((kept, all_there))
    }

    fn globs(&self) -> Result<Option<Globs>, Fault> {
        if self.words.is_empty() { Ok(None) } else { globs(&self.words).map(Some) }
    }
}

/// Whether a word may mean something of a server.
fn of_server(word: &str, server: &str) -> bool {
    let before = word.split('/').next().unwrap_or_default();
    before == server || before.contains(['*', '?', '[', '{'])
}

fn globs(words: &[String]) -> Result<Globs, Fault> {
    let mut all = Vec::new();
    for word in words {
        let whole = if word.contains('/') { word.clone() } else { format!("{word}/*") };
        let glob = GlobBuilder::new(&whole).literal_separator(false).backslash_escape(true).build();
        all.push(glob.map_err(|error| Fault::usage(format!("{word:?} is no glob: {error}")))?);
    }
    Globs::new(all).map_err(|error| Fault::usage(error.to_string()))
}

fn fits(globs: Option<&Globs>, server: &str, name: &str) -> bool {
    globs.is_none_or(|globs| globs.is_match(&format!("{server}/{name}")))
}

/// All tools that are known, for what can only be seen beside them.
fn others(kept: &Kept) -> Others {
    let mut others = Others::default();
    for (server, of) in &kept.servers {
        let pinned = of.book.iter().map(|(kind, name, _)| (kind, name));
        let waiting = of.waiting.iter().map(|seen| (seen.kind, seen.name.as_str()));
        for (_, name) in pinned.chain(waiting).filter(|(kind, _)| *kind == Kind::Tool) {
            others.add(server, name);
        }
    }
    others
}

fn exit(all_there: bool) -> Exit {
    if all_there { Exit::Ok } else { Exit::Unreachable }
}

impl ListPins {
    async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (kept, all_there) = match self.which.connect {
            true => self.which.open(voice).await?,
            false => (self.which.place.open(voice).await?, true),
        };
        let (globs, others) = (self.which.globs()?, others(&kept));
        let mut rows = Vec::new();
        for (server, of) in &kept.servers {
            let odd = |kind, name: &str, text: &str| looked::findings(&others, server, (kind, name, text));
            let row = |kind, name: &str, state: String, digest: &str, findings| Row {
                server: server.clone(),
                kind,
                name: name.to_owned(),
                state,
                digest: digest.to_owned(),
                findings,
            };
            for (kind, name, pin) in of.book.iter().filter(|_| !self.waiting) {
                let is_gone = of.gone.iter().any(|(of, gone)| (*of, gone.as_str()) == (kind, name));
                let state = if is_gone { "gone" } else { "pinned" };
                rows.push(row(kind, name, state.to_owned(), &pin.digest, odd(kind, name, &pin.text)));
            }
            for seen in &of.waiting {
                let Seen { kind, name, definition, why } = seen;
                rows.push(row(
                    *kind,
                    name,
                    plain(&why.word()),
                    &definition.digest,
                    odd(*kind, name, &definition.text),
                ));
            }
            for (kind, name, digest) in of.book.denied().filter(|_| !self.waiting) {
                rows.push(row(kind, name, "denied".to_owned(), digest, Vec::new()));
            }
        }
        rows.retain(|row| fits(globs.as_ref(), &row.server, &row.name));
        rows.sort_by(|one, other| {
            (&one.server, one.kind, &one.name).cmp(&(&other.server, other.kind, &other.name))
        });
        if self.json {
            let rows: Vec<_> = rows.iter().map(Row::json).collect();
            print::out(format!("[{}]\n", rows.join(",\n ")))?;
        } else if rows.is_empty() {
            print::out("(none)\n")?;
        } else {
            let mut cells = vec![["KIND", "NAME", "STATE", "DIGEST", "ODD"].map(str::to_owned).to_vec()];
            cells.extend(rows.iter().map(Row::cells));
            print::out(columns::table(&[8, 40, 10, 14], &cells, print::out_is_seen()))?;
        }
        Ok(exit(all_there))
    }
}

impl DiffPins {
    async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let (kept, all_there) = self.which.open(voice).await?;
        let (globs, others) = (self.which.globs()?, others(&kept));
        let (mut texts, mut objects) = (Vec::new(), Vec::new());
        for (server, of) in &kept.servers {
            for seen in of.waiting.iter().filter(|seen| fits(globs.as_ref(), server, &seen.name)) {
                let pin = of.book.get(seen.kind, &seen.name);
                let found = looked::findings(&others, server, (seen.kind, &seen.name, &seen.definition.text));
                if self.json {
                    objects.push(told::json(server, seen, pin, &found));
                } else {
                    texts.push(told::text(server, seen, pin, &found));
                }
            }
            for (kind, name) in
                of.gone.iter().filter(|(_, name)| !self.json && fits(globs.as_ref(), server, name))
            {
                texts.push(format!(
                    "{}/{} ({}): it is not listed any more\n",
                    plain(server),
                    plain(name),
                    word(*kind)
                ));
            }
        }
        if self.json {
            print::out(format!("[{}]\n", objects.join(",\n ")))?;
        } else if texts.is_empty() {
            print::out("everything is as it was pinned\n")?;
        } else {
            print::out(texts.join("\n"))?;
        }
        Ok(exit(all_there))
    }
}

impl PinDecision {
    async fn run(self, judgement: Judgement, voice: Voice) -> Result<Exit, Fault> {
        if self.which.words.is_empty() && !self.all {
            return Err(Fault::usage("which? SERVER, SERVER/NAME, or --all")
                .hint("`portolan pins diff` shows what waits"));
        }
        let (mut kept, all_there) = self.which.open(voice).await?;
        let globs = self.which.globs()?;
        let chosen = self.choose(&kept, globs.as_ref())?;
        let unkept = chosen.iter().find(|(_, seen)| !seen.definition.is_kept());
        if let (Some((server, seen)), Judgement::Approve) = (unkept, judgement) {
            let what =
                format!("{}/{} is too long to be kept while it waits", plain(server), plain(&seen.name));
            return Err(Fault::usage(what).hint("--connect asks its server what it says"));
        }
        let mut said = String::new();
        for (server, seen) in &chosen {
            let Some(of) = kept.servers.get_mut(server) else { continue };
            let (name, digest) =
                (format!("{}/{}", plain(server), plain(&seen.name)), &seen.definition.digest);
            match judgement {
                Judgement::Approve => {
                    of.book.pin(seen.kind, &seen.name, seen.definition.clone());
                    said.push_str(&format!("{name} ({}) is pinned as {digest}\n", word(seen.kind)));
                }
                Judgement::Deny => {
                    of.book.deny(seen.kind, &seen.name, digest);
                    said.push_str(&format!("{name} ({}) is not wanted as {digest}\n", word(seen.kind)));
                }
            }
        }
        let outcome = match judgement {
            Judgement::Approve => "approved",
            Judgement::Deny => "denied",
        };
        let mut servers: Vec<&String> = chosen.iter().map(|(server, _)| server).collect();
        servers.dedup();
        for server in servers {
            let mine = chosen.iter().filter(|(of, _)| of == server);
            // What else was seen under the same name waits on.
            let settled = |(_, seen): &(String, Seen)| {
                (seen.kind, seen.name.clone(), Some(Arc::clone(&seen.definition.digest)))
            };
            let settled: Vec<_> = mine.map(settled).collect();
            kept.keep(server, outcome, &settled).await?;
        }
        print::out(said)?;
        Ok(exit(all_there))
    }

    /// What is meant; one definition of each thing.
    fn choose(&self, kept: &Kept, globs: Option<&Globs>) -> Result<Vec<(String, Seen)>, Fault> {
        let wanted = self.digest.as_deref().map(|digest| digest.trim_start_matches("sha256:"));
        let mut chosen: Vec<(String, Seen)> = Vec::new();
        for (server, of) in &kept.servers {
            // What was denied is meant only where it is named.
            let denied = of.denied.iter().filter(|_| wanted.is_some());
            for seen in of.waiting.iter().chain(denied).filter(|seen| fits(globs, server, &seen.name)) {
                let digest = seen.definition.digest.trim_start_matches("sha256:");
                if wanted.is_some_and(|wanted| wanted.is_empty() || !digest.starts_with(wanted)) {
                    continue;
                }
                let is_twice = chosen.last().is_some_and(|(of, other)| {
                    (of, other.kind, &other.name) == (server, seen.kind, &seen.name)
                });
                if is_twice {
                    let what = format!("{}/{} was seen in several forms", plain(server), plain(&seen.name));
                    let hint = "say which: --digest DIGEST; `portolan pins diff` shows them";
                    return Err(Fault::usage(what).hint(hint));
                }
                chosen.push((server.clone(), seen.clone()));
            }
        }
        if chosen.is_empty() {
            let hint = if self.which.connect {
                "`portolan pins list` shows what is pinned"
            } else {
                "--connect asks the servers what they say now"
            };
            return Err(Fault::usage("nothing of that waits").hint(hint));
        }
        Ok(chosen)
    }
}

impl Forget {
    async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let mut kept = self.place.open(voice).await?;
        let globs = globs(&self.words)?;
        let mut said = String::new();
        let names: Vec<_> = kept.servers.keys().cloned().collect();
        for server in names {
            let Some(of) = kept.servers.get_mut(&server) else { continue };
            if of.is_broken && self.words.iter().any(|word| *word == server || *word == format!("{server}/*"))
            {
                said.push_str(&format!("{}: all that was pinned\n", plain(&server)));
                kept.keep(&server, "forgotten", &[]).await?;
                continue;
            }
            let pinned = of.book.iter().map(|(kind, name, _)| (kind, name.to_owned()));
            let denied = of.book.denied().map(|(kind, name, _)| (kind, name.to_owned()));
            let things = pinned.chain(denied).filter(|(_, name)| fits(Some(&globs), &server, name));
            let things: std::collections::BTreeSet<_> = things.collect();
            if things.is_empty() {
                continue;
            }
            for (kind, name) in &things {
                of.book.forget(*kind, name);
                said.push_str(&format!(
                    "{}/{} ({}) is pinned or denied no more\n",
                    plain(&server),
                    plain(name),
                    word(*kind)
                ));
            }
            // It is new when it is seen again, and not changed.
            let settled: Vec<_> = things.into_iter().map(|(kind, name)| (kind, name, None)).collect();
            kept.keep(&server, "forgotten", &settled).await?;
        }
        if said.is_empty() {
            return Err(Fault::usage("nothing of that is pinned").hint("`portolan pins list` shows what is"));
        }
        print::out(said)?;
        Ok(Exit::Ok)
    }
}

/// What is pinned of a server.
fn pinned_kinds() -> impl Iterator<Item = Kind> {
    [Kind::Tool, Kind::Prompt, Kind::Template].into_iter()
}

/// Pins what servers say of which nothing is pinned.
async fn lock(place: &PinPlace, voice: Voice) -> Result<Exit, Fault> {
    let which =
        WhichPins { words: Vec::new(), place: PinPlace { config: place.config.clone() }, connect: true };
    let (mut kept, all_there) = which.open(voice).await?;
    let others = others(&kept);
    let rules = kept.plan.pins.servers.iter();
    let suspicious: BTreeMap<_, _> = rules.map(|rule| (rule.server.clone(), rule.suspicious)).collect();
    let (mut said, mut odd, mut held) = (String::new(), Vec::new(), 0);
    let names: Vec<_> = kept.servers.keys().cloned().collect();
    for server in names {
        let Some(of) = kept.servers.get_mut(&server) else { continue };
        if !of.is_asked {
            continue;
        }
        let begun: Vec<Kind> = pinned_kinds().filter(|kind| !of.book.has_kind(*kind)).collect();
        let mut settled = Vec::new();
        for seen in of.waiting.clone() {
            let found = looked::findings(&others, &server, (seen.kind, &seen.name, &seen.definition.text));
            let withholds = suspicious.get(&server) == Some(&Suspicious::Withhold);
            if begun.contains(&seen.kind) && (found.is_empty() || !withholds) {
                let digest = Arc::clone(&seen.definition.digest);
                of.book.pin(seen.kind, &seen.name, seen.definition.clone());
                settled.push((seen.kind, seen.name.clone(), Some(digest)));
                let (kind, name) = (word(seen.kind), plain(&seen.name));
                let line = |finding| format!("{}/{name} ({kind}): {finding}\n", plain(&server));
                odd.extend(found.iter().map(line));
            } else {
                held += 1;
                said.push_str(&told::text(&server, &seen, of.book.get(seen.kind, &seen.name), &found));
            }
        }
        let count = settled.len();
        if !of.waiting.is_empty() || !begun.is_empty() {
            begun.iter().for_each(|kind| of.book.begin(*kind));
            kept.keep(&server, "approved", &settled).await?;
        }
        said.push_str(&format!("{}: {count} pinned\n", plain(&server)));
    }
    print::out(said)?;
    if !odd.is_empty() {
        print::err(&print::safe_err(&odd.concat()));
    }
    if held > 0 {
        print::err(&format!("{held} not pinned: `portolan pins approve --connect` pins what is to be\n"));
    }
    Ok(exit(all_there))
}
