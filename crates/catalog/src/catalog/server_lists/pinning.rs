//! A server's lists, held to what was pinned of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::pin::is_definition;
use base::plan::SessionRule;
use base::sync::lock;
use mcp::cache::Scope;
use mcp::method::{Kind, Method};
use tokio::time::Instant;

use super::{Audience, Pages, ServerLists};
use crate::caller::Caller;
use crate::catalog::entries::own_name;
use crate::catalog::remarks::{Done, Remark, told_name};

/// For so long at least, and at most, a list is known that its server says is fresh for less, or for more, where it is held to what
/// was pinned.
const LEAST_TERM: Duration = Duration::from_secs(60);
const LONGEST_TERM: Duration = Duration::from_secs(600);
/// Of so many conversations it is known what they were shown.
const MOST_WHOLES: usize = 10_000;

/// What was found out when lists were last read to their end, by the conversation, where each caller has its own, and by kind.
#[derive(Debug, Default)]
pub(super) struct Wholes(Mutex<HashMap<(Option<Audience>, Kind), Whole>>, Tried);

/// When somebody has last gone to the end of a list for its pins alone.
type Tried = Mutex<HashMap<(Option<Audience>, Kind), Instant>>;

impl Wholes {
    /// Whether nobody has tried that lately.
    fn may_try(&self, key: (Option<Audience>, Kind), now: Instant) -> bool {
        let mut tried = lock(&self.1);
        if tried.get(&key).is_some_and(|at| now.saturating_duration_since(*at) < LEAST_TERM) {
            return false;
        }
        if tried.len() >= MOST_WHOLES {
            tried.clear();
        }
        tried.insert(key, now);
        true
    }

    fn remember(&self, key: (Option<Audience>, Kind), whole: Whole) {
        let mut wholes = lock(&self.0);
        if wholes.len() >= MOST_WHOLES {
            // Whoever is forgotten is looked at again before its next call.
            wholes.clear();
        }
        wholes.insert(key, whole);
    }
}

/// A list that was read to its end.
#[derive(Debug, Clone)]
struct Whole {
    /// How many times servers had been reached when it was asked for.
    links: u64,
    /// How often it had been decided then what is pinned.
    decisions: u64,
    /// What of it is not shown, because it is not what was pinned.
    withheld: Arc<HashSet<String>>,
    /// For whom it was asked, if it is for nobody else.
    private_of: Option<Audience>,
    /// When it is to be read again before anything is called, unless somebody does that now.
    due: Option<Instant>,
}

impl ServerLists {
    /// Whether what is not as it was pinned may not be used, so that before a call it must be known what it is.
    pub fn holds(&self) -> bool {
        self.pins.as_ref().is_some_and(|pins| pins.holds())
    }

    /// How often anything has changed that was pinned, or was seen to be something else.
    pub(super) fn pins_version(&self) -> u64 {
        self.pins.as_ref().map_or(0, |pins| pins.version())
    }

    /// How many times servers had been reached when it was found out what this one has of a kind, in the conversation in which a
    /// caller is spoken for; nothing where that makes no difference. Whoever was reached since may be another one.
    pub fn known_at(&self, kind: Kind, caller: &Caller) -> Option<u64> {
        let is_asked = matches!(kind, Kind::Tool | Kind::Prompt) && self.holds();
        is_asked.then(|| self.whole(kind, caller).map_or(0, |whole| whole.links))
    }

    /// Whether a list is to be read to its end, because a client has begun to read it page by page: what is pinned is a whole list, and
    /// such a client may never come to its end, or never through pages of one time. At most once a minute.
    pub fn wants_whole(&self, kind: Kind, caller: &Caller) -> bool {
        if self.pins.is_none() || !is_definition(kind) {
            return false;
        }
        let now = Instant::now();
        let whole = self.whole(kind, caller);
        let is_due = whole.is_none_or(|whole| whole.due.is_none_or(|due| due <= now));
        let key = (self.own_conversation(caller), kind);
        is_due && self.known(caller.era()).wholes.may_try(key, now)
    }

    /// Whether, in the conversation of a caller's own, a thing was last seen to be something that is not shown.
    pub fn is_withheld(&self, kind: Kind, name: &str, caller: &Caller) -> bool {
        self.own_conversation(caller).is_some()
            && self.whole(kind, caller).is_some_and(|whole| whole.withheld.contains(told_name(name)))
    }

    /// Whether what was last listed was listed for somebody else, to whom its server may list other things.
    pub fn is_of_another(&self, kind: Kind, caller: &Caller) -> bool {
        let reader = self.whole(kind, caller).and_then(|whole| whole.private_of);
        reader.is_some_and(|reader| reader != self.audience(caller))
    }

    /// What is known of a list that is to be read again counts no more, though nobody has said that it has changed: whoever never lists
    /// is not to be sent by what was true long ago.
    pub fn forget_what_is_due(&self, kind: Kind, caller: &Caller) {
        let now = Instant::now();
        let key = (self.own_conversation(caller), kind);
        let mut wholes = lock(&self.known(caller.era()).wholes.0);
        let is_due = match wholes.get_mut(&key) {
            // The first who finds it so is enough.
            Some(whole) => whole.due.take_if(|due| *due <= now).is_some(),
            None => false,
        };
        drop(wholes);
        if is_due {
            self.changed(kind, Some(caller.era()));
        }
    }

    fn decisions(&self) -> u64 {
        self.pins.as_ref().map_or(0, |pins| pins.decisions())
    }

    /// The conversation that a caller has for itself with the server, where each has one.
    fn own_conversation(&self, caller: &Caller) -> Option<Audience> {
        (self.upstream.plan().sessions == SessionRule::PerClient).then(|| self.audience(caller))
    }

    fn whole(&self, kind: Kind, caller: &Caller) -> Option<Whole> {
        let key = (self.own_conversation(caller), kind);
        let decisions = self.decisions();
        let whole = lock(&self.known(caller.era()).wholes.0).get(&key).cloned();
        // What is known of all is forgotten after a decision; what is known of one conversation is when it is used.
        whole.filter(|whole| key.0.is_none() || whole.decisions == decisions)
    }

    /// A list was read from its beginning to its end.
    pub(super) async fn read_whole(&self, method: &'static Method, caller: &Caller, pages: &mut Pages) {
        if self.pins.is_none() || !is_definition(method.kind) {
            return self.completed(method, caller.era());
        }
        let kind = method.kind;
        let conversation = self.own_conversation(caller);
        let all = || pages.pages.iter();
        // What was listed in another conversation says nothing of this one.
        let is_own = conversation.as_ref().is_none_or(|own| all().all(|page| page.audience == *own));
        let links = all().map(|page| page.links).min().filter(|_| is_own).unwrap_or_default();
        let withheld =
            all().flat_map(|page| &page.remarks).filter_map(Remark::quarantined).map(str::to_owned);
        let private_of = is_private(pages).then(|| self.audience(caller));
        let due = all().map(|page| page.received + page.hints.ttl.clamp(LEAST_TERM, LONGEST_TERM)).min();
        let (decisions, withheld) = (self.decisions(), Arc::new(withheld.collect()));
        let whole = Whole { links, decisions, withheld, private_of, due };
        self.known(caller.era()).wholes.remember((conversation, kind), whole);
        let names: HashSet<String> =
            all().flat_map(|page| &page.page.entries).map(|entry| own_name(kind, entry)).collect();
        // An earlier list may have had others, on other pages.
        if self.index(caller.era()).has_others(kind, &names) {
            self.learn(caller.era(), |index| index.keep_only(kind, &names));
        }
        self.completed(method, caller.era());
        self.hold_to_pins(kind, names, pages).await;
    }

    /// These are all names that the server has of a kind: what was pinned and is not there is told.
    async fn hold_to_pins(&self, kind: Kind, names: HashSet<String>, pages: &mut Pages) {
        let Some(pins) = &self.pins else { return };
        let lacks = pins.ended(kind, names).await;
        let why = || "it was pinned, and its server does not list it any more".to_owned();
        // What is not there cannot be shown, whatever becomes of what is.
        let done = if pins.holds() { Done::Quarantined } else { Done::Changed };
        let remarks: Vec<_> = lacks.iter().map(|name| Remark::new(kind, name, done, why())).collect();
        self.tell(&remarks);
        // Where callers are listed different things, one is not told what another one has.
        let is_told = !pages.pages.is_empty() && !is_private(pages);
        pages.beside = match lacks.len() {
            0 => Vec::new(),
            _ if is_told => remarks,
            count => vec![Remark::new(kind, "", done, format!("of what was pinned, {count} are not listed"))],
        };
    }

    /// The server has nothing of a kind.
    pub async fn lists_nothing(&self, kind: Kind) -> Pages {
        let mut nothing = Pages::default();
        if let Some(pins) = &self.pins {
            pins.ready().await;
        }
        self.hold_to_pins(kind, HashSet::new(), &mut nothing).await;
        nothing
    }
}

/// Whether a list is for whom it was asked.
fn is_private(pages: &Pages) -> bool {
    pages.pages.iter().any(|page| page.hints.scope == Scope::Private)
}
