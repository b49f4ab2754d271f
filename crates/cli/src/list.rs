//! `portolan list`: what a server has to offer.

use std::collections::BTreeSet;

use bytes::Bytes;
use clap::ValueEnum as _;
use mcp::discover::Discovered;
use mcp::json::{self, Kind, Object, Patch, quote};
use mcp::list::{Page, join};
use mcp::meta::DEGRADED;
use mcp::method;

use crate::client::{Answer, Client, Deaf, Ear};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::meant::instead;
use crate::peer::Peer;
use crate::print::Paint;
use crate::show::entries::{self, Entry};
use crate::show::{Output, text};
use crate::words::Words;
use crate::{print, words};

/// How it is used most.
const EXAMPLES: &str = "\
Examples:
  portolan list https://mcp.example.com/mcp
  portolan list mcp.json github tools";

/// More pages than this are no list.
const MOST_PAGES: usize = 10_000;

/// List what a server has: tools, prompts, resources, resource templates
///
/// A server that is down does not hide the others: what they have is printed, and it is named on stderr. Only where nothing
/// can be reached the exit status is 4; portolan check --connect is for scripts that want all of them.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "portolan list [OPTIONS] <SERVER> [tools|prompts|resources|templates|all]\n       portolan list [OPTIONS] [tools|…|all] -- <COMMAND>…",
    after_help = format!("{EXAMPLES}\n\n{}", words::HELP)
)]
pub(crate) struct List {
    /// The server, and what to list (all, if nothing is said)
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// The server's command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    output: Output,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Tools,
    Prompts,
    Resources,
    Templates,
    All,
}

/// One of the four lists.
#[derive(Debug)]
pub(crate) struct Listing {
    what: What,
    method: &'static str,
    /// The member of the result that has the entries.
    member: &'static str,
    title: &'static str,
    /// The member of an entry that names it.
    name: &'static str,
}

impl Listing {
    /// Whether a server has such things, as far as it says so.
    pub(crate) fn is_of(&self, found: &Discovered) -> bool {
        match self.what {
            What::Tools => found.capabilities.tools,
            What::Prompts => found.capabilities.prompts,
            What::Resources | What::Templates | What::All => found.capabilities.resources,
        }
    }

    /// What it lists.
    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    /// The kind of what it lists, and the member of an entry that names it.
    pub(crate) fn names(&self) -> (method::Kind, &'static str) {
        let kind = match self.what {
            What::Tools | What::All => method::Kind::Tool,
            What::Prompts => method::Kind::Prompt,
            What::Resources => method::Kind::Resource,
            What::Templates => method::Kind::Template,
        };
        (kind, self.name)
    }
}

pub(crate) const TOOLS: Listing =
    Listing { what: What::Tools, method: "tools/list", member: "tools", title: "tools", name: "name" };
pub(crate) const PROMPTS: Listing = Listing {
    what: What::Prompts,
    method: "prompts/list",
    member: "prompts",
    title: "prompts",
    name: "name",
};
pub(crate) const RESOURCES: Listing = Listing {
    what: What::Resources,
    method: "resources/list",
    member: "resources",
    title: "resources",
    name: "uri",
};
pub(crate) const LISTINGS: [&Listing; 4] = [
    &TOOLS,
    &PROMPTS,
    &RESOURCES,
    &Listing {
        what: What::Templates,
        method: "resources/templates/list",
        member: "resourceTemplates",
        title: "resource templates",
        name: "uriTemplate",
    },
];

/// All pages of a list.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The result as it came, with the entries of all pages.
    text: String,
    entries: Vec<Bytes>,
    /// What it says of entries that were mended or left out.
    odd: Vec<Odd>,
    /// Which servers' entries are missing, and why.
    missing: Vec<(String, String)>,
}

/// What a list says of an entry that clients would refuse.
#[derive(Debug)]
pub(crate) struct Odd {
    /// Its server's name for it, if it has one.
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) why: String,
    /// Whether it was mended; else it is left out.
    pub(crate) mended: bool,
}

impl Listed {
    /// What it says of entries that were mended or left out.
    pub(crate) fn odd(&self) -> &[Odd] {
        &self.odd
    }

    /// The entries.
    pub(crate) fn entries(&self) -> Vec<Object<'_>> {
        let texts = self.entries.iter().filter_map(|entry| std::str::from_utf8(entry).ok());
        texts.filter_map(|text| Object::parse(text).ok()).collect()
    }
}

impl List {
    /// Lists.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let mut words = Words::sort(self.words.clone(), self.command.clone())?;
        let mut servers = self.peer.find(&words.server)?;
        // A server may be called what can be listed: then it takes both words to mean it.
        let is_what = |word: &String| What::from_str(word, false).is_ok();
        if words.rest.len() > 1 || words.rest.first().is_some_and(|word| !is_what(word)) {
            servers.choose(&mut words)?;
        }
        let what = match words.next() {
            None => What::All,
            Some(word) => What::from_str(&word, false).map_err(|_unknown| {
                Fault::usage(format!("{word:?} cannot be listed"))
                    .hint("tools, prompts, resources, templates or all")
            })?,
        };
        words.end()?;
        self.peer.meet(servers, async |client| self.speak(client, what).await).await
    }

    async fn speak(&self, client: &mut Client, what: What) -> Result<Exit, Fault> {
        let mut lists = Vec::new();
        if what == What::All {
            let answer = client.get("server/discover", &[], &mut Deaf).await?;
            let found = Discovered::read(answer.message());
            for listing in LISTINGS {
                // What a server says it does not have is not asked for.
                if found.as_ref().is_ok_and(|found| listing.is_of(found)) {
                    lists.push((listing, fetch(client, listing, &mut Deaf).await?));
                }
            }
        } else {
            for listing in LISTINGS.into_iter().filter(|listing| listing.what == what) {
                lists.push((listing, fetch(client, listing, &mut Deaf).await?));
            }
        }
        say_missing(client, "entries", lists.iter().flat_map(|(_, listed)| &listed.missing));
        if self.output.json {
            print::out(as_json(what, &lists))?;
            return Ok(client.exit());
        }
        let text = as_text(&lists);
        print::out(&text)?;
        if text.is_empty() {
            print::err("(empty)\n");
        }
        Ok(client.exit())
    }
}

/// Says which servers are missing and why, each once.
pub(crate) fn say_missing<'m>(
    client: &Client,
    what: &str,
    missing: impl Iterator<Item = &'m (String, String)>,
) {
    let mut said = BTreeSet::new();
    for (server, why) in missing {
        if said.insert(server) {
            // Of a server that it has started itself it knows more than clients are told.
            let why = client.why_down(server).map(|why| why.to_string()).unwrap_or_else(|| why.clone());
            print::err(&print::safe_err(&format!("warning: {what} of {server} are missing: {why}\n")));
        }
    }
}

/// Reads all pages of a list. One page stays the result that it was; several become one.
pub(crate) async fn fetch(
    client: &mut Client,
    listing: &Listing,
    ear: &mut dyn Ear,
) -> Result<Listed, Fault> {
    let unreadable =
        |fault: &dyn std::fmt::Display| Fault::Unreachable(format!("{}: {fault}", listing.method));
    let mut cursor: Option<String> = None;
    let mut first: Option<Answer> = None;
    let mut entries: Vec<Bytes> = Vec::new();
    let (mut odd, mut missing) = (Vec::new(), Vec::new());
    for _ in 0..MOST_PAGES {
        let params: Vec<_> = cursor.iter().map(|cursor| format!("\"cursor\":{}", quote(cursor))).collect();
        let answer = client.get(listing.method, &params, ear).await?;
        let page =
            Page::read(answer.message().clone(), listing.member).map_err(|fault| unreadable(&fault))?;
        entries.extend(page.entries);
        odd.extend(oddities(answer.text()));
        missing.extend(
            degraded(answer.text()).into_iter().filter(|one| !missing.contains(one)).collect::<Vec<_>>(),
        );
        let again = page.next_cursor.is_some() && page.next_cursor == cursor;
        cursor = page.next_cursor;
        let first = first.get_or_insert(answer);
        if again || cursor.is_none() {
            let text = whole(first, listing, &entries).map_err(|fault| unreadable(&fault))?;
            return Ok(Listed { text, entries, odd, missing });
        }
    }
    Err(unreadable(&format!("it has more than {MOST_PAGES} pages")))
}

/// An outcome of a request for something by its name; where the server says no and lists no such name, with what may have been
/// meant.
pub(crate) async fn or_meant(
    outcome: Result<Exit, Fault>,
    client: &mut Client,
    listing: &Listing,
    written: &str,
) -> Result<Exit, Fault> {
    let Err(fault @ Fault::Refused { hint: None, .. }) = outcome else { return outcome };
    let Ok(listed) = fetch(client, listing, &mut Deaf).await else { return Err(fault) };
    let entries = listed.entries();
    let names: Vec<String> = entries.iter().filter_map(|entry| text(entry, listing.name)).collect();
    if names.is_empty() || names.iter().any(|name| name == written) {
        return Err(fault);
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    Err(fault.hint(instead(written, &names, &format!("the server's {} are", listing.title))))
}

/// Which servers' entries a page lacks, and why.
pub(crate) fn degraded(result: &str) -> Vec<(String, String)> {
    let meta = Object::parse(result).and_then(|result| result.object("_meta")).ok().flatten();
    let Some(meta) = meta else { return Vec::new() };
    let one =
        |one: &Object<'_>| (text(one, "server").unwrap_or_default(), text(one, "reason").unwrap_or_default());
    crate::show::list(&meta, DEGRADED).iter().map(one).collect()
}

/// What a page says of its odd entries.
fn oddities(result: &str) -> Vec<Odd> {
    let meta = Object::parse(result).and_then(|result| result.object("_meta")).ok().flatten();
    let Some(meta) = meta else { return Vec::new() };
    let said = [("dev.portolan/repaired", true), ("dev.portolan/left-out", false)];
    let each = said.into_iter().flat_map(|(member, mended)| {
        let all = crate::show::list(&meta, member);
        let odd = |one: &Object<'_>| Odd {
            name: text(one, "name").unwrap_or_default(),
            why: text(one, "why").unwrap_or_default(),
            mended,
        };
        all.iter().map(odd).collect::<Vec<_>>()
    });
    each.collect()
}

/// The first page's result with all entries, and no more pages.
fn whole(first: &Answer, listing: &Listing, entries: &[Bytes]) -> Result<String, json::JsonFault> {
    let object = Object::parse(first.text())?;
    let Some(array) = object.get("nextCursor")?.and(object.get(listing.member)?) else {
        return Ok(first.text().to_owned());
    };
    let mut patch = Patch::new();
    patch.replace(object.span_of(array), &join(entries));
    object.remove(|name| name == "nextCursor", 0, &mut patch);
    Ok(String::from_utf8_lossy(&patch.apply(first.text().as_bytes())).into_owned())
}

/// One list is its result; all lists are one object, each under its member's name.
fn as_json(what: What, lists: &[(&Listing, Listed)]) -> String {
    if let ([(_, listed)], false) = (lists, what == What::All) {
        return format!("{}\n", listed.text);
    }
    let each = lists.iter().map(|(listing, listed)| {
        format!("\"{}\":{}", listing.member, String::from_utf8_lossy(&join(&listed.entries)))
    });
    format!("{{{}}}\n", each.collect::<Vec<_>>().join(","))
}

/// Lists as a person reads them, or as a pipe does.
fn as_text(lists: &[(&Listing, Listed)]) -> String {
    let each = lists.iter().map(|(listing, listed)| {
        let entries: Vec<_> = listed.entries().iter().map(|entry| described(listing, entry)).collect();
        if print::out_is_seen() {
            entries::page(listing.title, &entries, Paint::stdout())
        } else {
            entries::records(listing.title.trim_end_matches('s'), &entries)
        }
    });
    let each: Vec<_> = each.collect();
    each.join(if print::out_is_seen() { "\n" } else { "" })
}

fn described(listing: &Listing, entry: &Object<'_>) -> Entry {
    let takes = match listing.what {
        What::Tools => of_schema(entry),
        What::Prompts => of_prompt(entry),
        What::Resources | What::Templates | What::All => {
            text(entry, "mimeType").map(|media| format!("[{media}]")).into_iter().collect()
        }
    };
    let says = text(entry, "description").or_else(|| text(entry, "title")).unwrap_or_default();
    Entry { name: text(entry, listing.name).unwrap_or_default(), takes, says }
}

/// The arguments of a tool as they would be written: `a=<number>`, `[b=<string>]`.
pub(crate) fn of_schema(entry: &Object<'_>) -> Vec<String> {
    let Ok(Some(schema)) = entry.object("inputSchema") else { return Vec::new() };
    let required =
        schema.get("required").ok().flatten().and_then(|raw| json::array(raw).ok()).unwrap_or_default();
    let required: Vec<_> = required.into_iter().filter_map(|raw| json::string(raw).ok()).collect();
    let Ok(Some(properties)) = schema.object("properties") else { return Vec::new() };
    let each = properties.iter().map(|property| {
        let kind = Object::parse(property.value).ok().and_then(|shape| kind_of(&shape));
        argument(&property.name, kind.as_deref().unwrap_or("any"), required.contains(&property.name))
    });
    each.collect()
}

fn kind_of(shape: &Object<'_>) -> Option<String> {
    let raw = shape.get("type").ok().flatten()?;
    match Kind::of(raw) {
        Kind::String => json::string(raw).ok().map(|kind| kind.into_owned()),
        Kind::Array => {
            let kinds = json::array(raw).ok()?;
            Some(kinds.into_iter().filter_map(|kind| json::string(kind).ok()).collect::<Vec<_>>().join("|"))
        }
        Kind::Boolean | Kind::Null | Kind::Number | Kind::Object => None,
    }
}

fn of_prompt(entry: &Object<'_>) -> Vec<String> {
    let arguments = crate::show::list(entry, "arguments");
    let each = arguments.iter().map(|argument_of| {
        let required = argument_of.get("required").ok().flatten() == Some("true");
        argument(&text(argument_of, "name").unwrap_or_default(), "string", required)
    });
    each.collect()
}

fn argument(name: &str, kind: &str, required: bool) -> String {
    if required { format!("{name}=<{kind}>") } else { format!("[{name}=<{kind}>]") }
}
