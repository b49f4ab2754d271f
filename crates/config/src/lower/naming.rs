//! Public names: whether each leads to one server without a guess.

use base::plan::{Alphabet, Naming, PrefixRule};

use super::Lowering;
use super::upstream::Upstream;
use crate::file;
use crate::node::At;

/// The least room for a server's own name, its digest included.
const NAME_ROOM: usize = 16;
/// The most characters of a name that clients need to take (MCP 2026-07-28 server/tools §Tool Names).
pub(super) const NAME_LENGTH: usize = 128;

/// The most characters that models' providers take.
const PROVIDERS_LENGTH: usize = 64;

/// A server of a route, and what precedes its names there.
struct Front<'u> {
    text: String,
    upstream: &'u Upstream,
}

impl Lowering<'_, '_> {
    pub(super) fn naming(&mut self, given: Option<&At<file::Naming>>) -> Naming {
        let mut naming = Naming::default();
        let Some(At { value: given, .. }) = given else { return naming };
        naming.prefix = match given.prefix.as_ref().map(|prefix| prefix.value) {
            None | Some(file::Prefix::Auto) => PrefixRule::Auto,
            Some(file::Prefix::Always) => PrefixRule::Always,
            Some(file::Prefix::Never) => PrefixRule::Never,
        };
        if let Some(separator) = &given.separator {
            let valid = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if (1..=8).contains(&separator.value.len()) && separator.value.chars().all(valid) {
                naming.separator.clone_from(&separator.value);
            } else {
                self.findings.error(separator.span, "this cannot stand between prefix and name").help(
                    "a separator has 1 to 8 letters, digits, '_', '-' or '.'; many clients take no '.'",
                );
            }
        }
        naming.alphabet = match given.alphabet.as_ref().map(|alphabet| alphabet.value) {
            None | Some(file::Alphabet::Safe) => Alphabet::Safe,
            Some(file::Alphabet::Any) => Alphabet::Any,
        };
        self.set(&mut naming.max_length, given.max_length.as_ref(), NAME_ROOM..=NAME_LENGTH);
        naming
    }

    /// A long prefix makes names longer, where nobody has said how long they may be.
    pub(super) fn make_room(naming: &mut Naming, upstreams: &[&Upstream]) {
        let longest = upstreams.iter().map(|upstream| upstream.prefix.value.len()).max().unwrap_or_default();
        let wanted = (longest + naming.separator.len() + NAME_ROOM).min(PROVIDERS_LENGTH);
        naming.max_length = naming.max_length.max(wanted);
    }

    /// Checks what precedes the names of each server of a route: where it is needed, what precedes those of one must
    /// not begin what precedes those of another. Of another client's file, gives the servers of which that is true.
    pub(super) fn prefixes<'u>(
        &mut self,
        naming: &Naming,
        upstreams: &[&'u Upstream],
        route: Option<&At<String>>,
    ) -> Vec<&'u Upstream> {
        let needed = match naming.prefix {
            PrefixRule::Always => true,
            PrefixRule::Auto => upstreams.len() > 1,
            PrefixRule::Never => false,
        };
        if !needed {
            return upstreams.to_vec();
        }
        let of_route = route.map_or_else(String::new, |name| format!(" of route {:?}", name.value));
        let mut fronts: Vec<Front<'_>> = Vec::new();
        let mut told_apart = Vec::new();
        for upstream in upstreams {
            if self.foreign() {
                self.findings.begin_entry(&upstream.name.value);
            }
            let front = self.front(naming, upstream, upstreams.len() > 1, &fronts, &of_route);
            self.findings.end_entry();
            if self.findings.fault_of(&upstream.name.value).is_none() {
                fronts.extend(front);
                told_apart.push(*upstream);
            }
        }
        told_apart
    }

    /// What precedes the names of a server, if anything does.
    fn front<'u>(
        &mut self,
        naming: &Naming,
        upstream: &'u Upstream,
        is_among_others: bool,
        fronts: &[Front<'_>],
        of_route: &str,
    ) -> Option<Front<'u>> {
        let (name, prefix) = (&upstream.name.value, &upstream.prefix);
        let help = another_prefix(self.foreign(), name);
        if prefix.value.is_empty() {
            if is_among_others {
                let message = format!("upstream {name:?} needs a prefix among the others{of_route}");
                self.findings.error(prefix.span, message).help(help);
            }
            return None;
        }
        let front = Front { text: format!("{}{}", prefix.value, naming.separator), upstream };
        self.room(&front, naming, of_route);
        let other = fronts
            .iter()
            .find(|other| other.text.starts_with(&front.text) || front.text.starts_with(&other.text));
        if let Some(other) = other {
            self.findings
                .error(prefix.span, ambiguity(&front, other, of_route))
                .label(other.upstream.prefix.span, "this is the other")
                .help(help);
        }
        Some(front)
    }

    fn room(&mut self, front: &Front<'_>, naming: &Naming, of_route: &str) {
        let room = naming.max_length.saturating_sub(front.text.len());
        if room >= NAME_ROOM {
            return;
        }
        let message = format!("the prefix {:?} leaves {room} characters for names{of_route}", front.text);
        let help = if self.foreign() {
            "give the server a shorter name"
        } else {
            "write a shorter prefix = \"…\", or a larger naming.max_length of the route"
        };
        self.findings.error(front.upstream.prefix.span, message).help(help);
    }
}

fn ambiguity(front: &Front<'_>, other: &Front<'_>, of_route: &str) -> String {
    let (name, other_name) = (&front.upstream.name.value, &other.upstream.name.value);
    if front.text == other.text {
        format!("{name:?} and {other_name:?}{of_route} have the same prefix {:?}", front.text)
    } else {
        format!("names that begin with {:?} and {:?} cannot be told apart{of_route}", front.text, other.text)
    }
}

fn another_prefix(foreign: bool, name: &str) -> String {
    if foreign {
        format!("give {name:?} another name, with letters a to z or digits")
    } else {
        format!("give upstream {name:?} one: prefix = \"…\", of the letters a to z, digits, '_' and '-'")
    }
}
