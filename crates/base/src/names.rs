//! Public names and upstream names: a pure function of the configuration, and back without guessing.
//!
//! A public name is `prefix + separator + name`, where a route needs prefixes at all. The configuration makes sure
//! that no `prefix + separator` of a route begins with another one, so the owner of a name is told by its beginning.
//! A name that would be too long, or has characters that clients replace, is cut or spelled without them and gets a digest;
//! which upstream name it stands for is then looked up in the owner's list. So a public name without a digest never means
//! anything but the server's name that it shows. Of names that differ only in what clients fold (case, `-` and `_`), all
//! but one get a digest too; that is the one thing for which the list has to be known. URIs keep their scheme, because schemes mean something to clients (`ui://`, `skill://`): the prefix
//! goes behind `scheme://`. Web URIs are left alone, since a client may fetch those without us, and so are paths without a
//! scheme, which have no place for it: whose they are, lists and templates tell.

use std::borrow::Cow;

use crate::plan::{Alphabet, Naming, PrefixRule, Selection};
use aws_lc_rs::digest::{SHA256, digest};

/// How one route names things.
#[derive(Debug, Clone)]
pub struct Names {
    naming: Naming,
    /// Each server's prefix with its separator, empty where it has none; in the order of the route's servers.
    stems: Vec<String>,
    /// Whether a server's stem looks like the beginning of an earlier one's, or the other way round, to a client that folds
    /// names: all its names get a digest.
    alike: Vec<bool>,
}

/// Hexadecimal digits of the digest of a name that was cut.
const DIGEST_DIGITS: usize = 8;

/// Whose a public name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner<'n> {
    /// The server at this place of the route; the rest of the name is its own name, or the digest form of one.
    Server(usize, &'n str),
    /// Any of several servers without a prefix: their lists must tell.
    Unprefixed(&'n str),
    /// Nobody's.
    Nobody,
}

impl Names {
    /// The names of a route with servers of these prefixes.
    pub fn new<'p>(naming: &Naming, prefixes: impl Iterator<Item = &'p str>) -> Self {
        let prefixes: Vec<_> = prefixes.collect();
        let prefixed = match naming.prefix {
            PrefixRule::Auto => prefixes.len() > 1,
            PrefixRule::Always => true,
            PrefixRule::Never => false,
        };
        let stem = |prefix: &&str| {
            if prefixed && !prefix.is_empty() {
                format!("{prefix}{}", naming.separator)
            } else {
                String::new()
            }
        };
        let stems: Vec<String> = prefixes.iter().map(stem).collect();
        let folds: Vec<String> = stems.iter().map(|stem| fold(stem)).collect();
        let like =
            |a: &str, b: &str| !a.is_empty() && !b.is_empty() && (a.starts_with(b) || b.starts_with(a));
        let alike = |(at, own): (usize, &String)| folds.iter().take(at).any(|earlier| like(own, earlier));
        let is_safe = naming.alphabet == Alphabet::Safe;
        let alike = folds.iter().enumerate().map(|each| is_safe && alike(each)).collect();
        Self { naming: naming.clone(), stems, alike }
    }

    /// Whether this route passes its only server's names through.
    pub fn is_transparent(&self) -> bool {
        matches!(self.stems.as_slice(), [stem] if stem.is_empty())
    }

    /// The public name of a server's tool or prompt.
    pub fn public<'n>(&self, server: usize, name: &'n str, selection: &'n Selection) -> Cow<'n, str> {
        let shown = selection.rename.get(name).map_or(name, String::as_str);
        // One server's own names are not ours to change.
        if self.is_transparent() {
            return Cow::Borrowed(shown);
        }
        let stem = self.stems.get(server).map_or("", String::as_str);
        let length = stem.chars().count() + shown.chars().count();
        if !self.is_safe(shown) || length > self.naming.max_length || self.is_alike(server) {
            return Cow::Owned(self.with_digest(stem, shown));
        }
        if stem.is_empty() { Cow::Borrowed(shown) } else { Cow::Owned(format!("{stem}{shown}")) }
    }

    /// The public name that it has if another one looks the same to clients.
    pub fn digested(&self, server: usize, name: &str, selection: &Selection) -> String {
        let shown = selection.rename.get(name).map_or(name, String::as_str);
        self.with_digest(self.stems.get(server).map_or("", String::as_str), shown)
    }

    /// Every name by which it can be called, whichever of them lists show.
    pub fn forms(&self, server: usize, name: &str, selection: &Selection) -> Vec<String> {
        let shown = selection.rename.get(name).map_or(name, String::as_str);
        let stem = self.stems.get(server).map_or("", String::as_str);
        vec![format!("{stem}{shown}"), self.with_digest(stem, shown)]
    }

    fn with_digest(&self, stem: &str, shown: &str) -> String {
        let digest = digest(&SHA256, format!("{stem}{shown}").as_bytes());
        let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let digits = digits.get(..DIGEST_DIGITS).unwrap_or_default();
        let kept = self.naming.max_length.saturating_sub(DIGEST_DIGITS + 1);
        let begin: String = match self.naming.alphabet {
            Alphabet::Any => stem.chars().chain(shown.chars()).take(kept).collect(),
            Alphabet::Safe => stem.chars().chain(spelled(shown)).take(kept).collect(),
        };
        format!("{begin}_{digits}")
    }

    fn is_safe(&self, shown: &str) -> bool {
        self.naming.alphabet == Alphabet::Any || shown.chars().all(is_safe)
    }

    fn is_alike(&self, server: usize) -> bool {
        self.alike.get(server).copied().unwrap_or_default()
    }

    /// Whether names that look the same to clients are told apart.
    pub fn tells_apart(&self) -> bool {
        self.naming.alphabet == Alphabet::Safe && !self.is_transparent()
    }

    /// Whether a public name may be one that has a digest.
    pub fn may_be_cut(&self, public: &str) -> bool {
        let fits = self.naming.alphabet == Alphabet::Safe || public.chars().count() == self.naming.max_length;
        !self.is_transparent()
            && fits
            && public.rsplit_once('_').is_some_and(|(_, digits)| {
                digits.len() == DIGEST_DIGITS
                    && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            })
    }

    /// Whose a tool's or prompt's public name is.
    pub fn owner<'n>(&self, public: &'n str) -> Owner<'n> {
        for (server, stem) in self.stems.iter().enumerate().filter(|(_, stem)| !stem.is_empty()) {
            if let Some(rest) = public.strip_prefix(stem.as_str()) {
                return Owner::Server(server, rest);
            }
        }
        self.unprefixed(public)
    }

    fn unprefixed<'n>(&self, public: &'n str) -> Owner<'n> {
        let mut bare =
            self.stems.iter().enumerate().filter(|(_, stem)| stem.is_empty()).map(|(server, _)| server);
        match (bare.next(), bare.next()) {
            (None, _) => Owner::Nobody,
            (Some(server), None) => Owner::Server(server, public),
            (Some(_), Some(_)) => Owner::Unprefixed(public),
        }
    }

    /// The public form of a server's URI or URI template; none if its scheme is not known, so that there is no telling where
    /// a prefix stands.
    pub fn public_uri<'u>(&self, server: usize, uri: &'u str) -> Option<Cow<'u, str>> {
        let stem = self.stems.get(server).map_or("", String::as_str);
        if stem.is_empty() || is_web(uri) {
            return Some(Cow::Borrowed(uri));
        }
        match split_scheme(uri) {
            Some((scheme, rest)) => Some(Cow::Owned(format!("{scheme}{stem}{rest}"))),
            None if has_open_scheme(uri) => None,
            None => Some(Cow::Borrowed(uri)),
        }
    }

    /// Whose a public URI is, and the server's own form of it.
    pub fn uri_owner(&self, public: &str) -> (Owner<'static>, String) {
        let own = |text: String| (Owner::Unprefixed(""), text);
        if let (false, Some((scheme, rest))) = (is_web(public), split_scheme(public)) {
            for (server, stem) in self.stems.iter().enumerate().filter(|(_, stem)| !stem.is_empty()) {
                if let Some(rest) = rest.strip_prefix(stem.as_str()) {
                    return (Owner::Server(server, ""), format!("{scheme}{rest}"));
                }
            }
        } else if self.stems.len() > 1 {
            return own(public.to_owned());
        }
        match self.unprefixed("") {
            Owner::Server(server, _) => (Owner::Server(server, ""), public.to_owned()),
            Owner::Unprefixed(_) => own(public.to_owned()),
            Owner::Nobody => (Owner::Nobody, public.to_owned()),
        }
    }
}

/// A name as the clients see it that replace most.
pub fn fold(public: &str) -> String {
    public.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// A name in safe characters: others are `_`, several in a row one.
fn spelled(name: &str) -> impl Iterator<Item = char> {
    let mut replaced = false;
    name.chars().filter_map(move |c| {
        let again = replaced;
        replaced = !is_safe(c);
        match (replaced, again) {
            (true, true) => None,
            (true, false) => Some('_'),
            (false, _) => Some(c),
        }
    })
}

/// `scheme:` or `scheme://`, and the rest.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let starts = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    // No scheme has a `_`, but servers write such.
    let fits = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_'));
    if !starts || !fits {
        return None;
    }
    let slashes = if rest.starts_with("//") { 2 } else { 0 };
    uri.split_at_checked(scheme.len() + 1 + slashes)
}

/// Whether a URI template may become a URI of any scheme.
fn has_open_scheme(uri: &str) -> bool {
    uri.find('{').is_some_and(|at| {
        let before = uri.get(..at).unwrap_or_default();
        !before.contains(['/', '?', '#']) && (before.is_empty() || uri.contains(':'))
    })
}

fn is_web(uri: &str) -> bool {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    fn names(rule: PrefixRule, prefixes: &[&str]) -> Names {
        Names::new(&Naming { prefix: rule, ..Naming::default() }, prefixes.iter().copied())
    }

    #[test]
    fn one_server_is_transparent_and_several_are_prefixed() {
        let plain = Selection::default();
        let one = names(PrefixRule::Auto, &["gh"]);
        assert!(one.is_transparent());
        assert_eq!(one.public(0, "add", &plain), "add");
        assert_eq!(one.owner("anything__at all"), Owner::Server(0, "anything__at all"));
        let two = names(PrefixRule::Auto, &["gh", "fs"]);
        assert_eq!(two.public(1, "add", &plain), "fs__add");
        assert_eq!(two.owner("fs__add"), Owner::Server(1, "add"));
        assert_eq!(two.owner("fs__gh__add"), Owner::Server(1, "gh__add"));
        assert_eq!(two.owner("add"), Owner::Nobody);
        assert!(!names(PrefixRule::Always, &["gh"]).is_transparent());
        assert_eq!(names(PrefixRule::Never, &["gh", "fs"]).owner("add"), Owner::Unprefixed("add"));
        let mixed = names(PrefixRule::Auto, &["", "fs"]);
        assert_eq!(mixed.owner("add"), Owner::Server(0, "add"));
    }

    #[test]
    fn long_names_are_cut_to_the_limit_and_stay_different() {
        let two = names(PrefixRule::Auto, &["gh", "fs"]);
        let (a, b) = ("x".repeat(80), format!("{}y", "x".repeat(79)));
        let plain = Selection::default();
        let (short_a, short_b) = (two.public(0, &a, &plain), two.public(0, &b, &plain));
        assert_eq!(short_a.chars().count(), 45);
        assert_ne!(short_a, short_b);
        assert!(two.may_be_cut(&short_a) && !two.may_be_cut("gh__add"));
        assert_eq!(two.owner(&short_a), Owner::Server(0, short_a.strip_prefix("gh__").unwrap()));
        assert_eq!(
            names(PrefixRule::Auto, &["gh"]).public(0, &a, &plain),
            a,
            "one server's names are its own"
        );
    }

    #[test]
    fn names_of_several_servers_have_characters_that_clients_take() {
        let plain = Selection::default();
        let two = names(PrefixRule::Auto, &["gh", "fs"]);
        for (own, begin) in [
            ("admin.tools.list", "gh__admin_tools_list_"),
            ("user-profile/update", "gh__user-profile_update_"),
            ("with space", "gh__with_space_"),
            ("天気", "gh____"),
        ] {
            let public = two.public(0, own, &plain);
            let digits = public.strip_prefix(begin).unwrap_or_else(|| panic!("{public}"));
            assert_eq!(digits.len(), 8, "{public}");
            assert!(two.may_be_cut(&public));
        }
        assert_ne!(two.public(0, "a.b", &plain), two.public(0, "a/b", &plain));
        let any =
            Names::new(&Naming { alphabet: Alphabet::Any, ..Naming::default() }, ["gh", "fs"].into_iter());
        assert_eq!(any.public(0, "admin.tools/ü", &plain), "gh__admin.tools/ü");
        assert_eq!(names(PrefixRule::Auto, &["gh"]).public(0, "a.b", &plain), "a.b");
    }

    #[test]
    fn servers_whose_prefixes_look_alike_are_told_apart() {
        let plain = Selection::default();
        let two = names(PrefixRule::Auto, &["git-hub", "git_hub"]);
        assert_eq!(two.public(0, "add", &plain), "git-hub__add");
        let other = two.public(1, "add", &plain);
        assert!(other.starts_with("git_hub__add_") && two.may_be_cut(&other), "{other}");
    }

    #[test]
    fn uris_keep_their_scheme() {
        let two = names(PrefixRule::Auto, &["gh", "fs"]);
        for (own, public) in [
            ("file:///a/b", "file://fs__/a/b"),
            ("test://template/{id}/data", "test://fs__template/{id}/data"),
            ("urn:isbn:1", "urn:fs__isbn:1"),
            ("case_law://x", "case_law://fs__x"),
        ] {
            assert_eq!(two.public_uri(1, own).unwrap(), public);
            assert_eq!(two.uri_owner(public), (Owner::Server(1, ""), own.to_owned()));
        }
        assert_eq!(two.public_uri(1, "https://a.example/x").unwrap(), "https://a.example/x");
        assert_eq!(two.uri_owner("https://a.example/x").0, Owner::Unprefixed(""));
        for open in ["{+uri}", "{scheme}://x", "a{b}:c"] {
            assert_eq!(two.public_uri(1, open), None);
        }
        for path in ["/search/x", "relative", "/article/{title}"] {
            assert_eq!(two.public_uri(1, path).unwrap(), path);
            assert_eq!(two.uri_owner(path), (Owner::Unprefixed(""), path.to_owned()));
        }
        assert_eq!(two.uri_owner("file:///a/b").0, Owner::Nobody);
        let one = names(PrefixRule::Auto, &["gh"]);
        assert_eq!(one.uri_owner("file:///a/b"), (Owner::Server(0, ""), "file:///a/b".to_owned()));
    }

    proptest! {
        #[test]
        fn naming_is_a_bijection(name in "[A-Za-z0-9_.-]{1,60}", server in 0usize..3) {
            let route = names(PrefixRule::Auto, &["a", "a-b", "c"]);
            let plain = Selection::default();
            let public = route.public(server, &name, &plain);
            if !route.may_be_cut(&public) {
                assert_eq!(route.owner(&public), Owner::Server(server, name.as_str()));
            }
        }

        #[test]
        fn uri_mapping_is_a_bijection(scheme in "[a-z][a-z0-9+.-]{0,8}", rest in "(//)?[ -~]{0,30}", server in 0usize..3) {
            let route = names(PrefixRule::Auto, &["a", "a-b", "c"]);
            let own = format!("{scheme}:{rest}");
            let public = route.public_uri(server, &own).unwrap().into_owned();
            let (owner, back) = route.uri_owner(&public);
            assert_eq!(back, own);
            if !is_web(&own) {
                assert_eq!(owner, Owner::Server(server, ""));
            }
        }

        #[test]
        fn no_name_is_longer_than_the_limit(name in ".{0,200}", limit in 20usize..80) {
            let naming = Naming { max_length: limit, ..Naming::default() };
            let route = Names::new(&naming, ["a", "b"].into_iter());
            assert!(route.public(0, &name, &Selection::default()).chars().count() <= limit);
            let _ = prop::bool::ANY;
        }
    }
}
