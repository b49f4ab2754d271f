//! Secrets that the configuration knows, and what is shown in their place.
//!
//! What a server's program writes, and what is said of a server that cannot be used, is text of others: it may hold what they
//! were given. It is masked where it is taken in, so that nobody who passes it on need think of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use mcp::json;

/// The fewest bytes of a secret that is masked. A shorter one stands in many a text by chance, and to blot it out there would
/// tell what it is.
pub const LEAST: usize = 6;
/// The most. What is longer is no credential, and would be looked for at a price.
pub const MOST: usize = 64 * 1024;

/// What stands before a credential and is none.
const SCHEMES: [&str; 2] = ["Bearer ", "Basic "];

/// Values that nobody may see, as they are gathered.
#[derive(Default)]
pub struct Secrets {
    /// Each with what is shown instead.
    values: BTreeMap<String, Arc<str>>,
}

/// Finds secrets in a text. Made once for a configuration; a copy costs nothing.
#[derive(Clone, Default)]
pub struct Masks(Option<Arc<Found>>);

struct Found {
    values: AhoCorasick,
    /// What is shown in the place of each.
    shown: Vec<Arc<str>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nor how many there are.
        f.debug_struct("Masks").finish_non_exhaustive()
    }
}

impl PartialEq for Masks {
    /// Always: they are made of the secrets of a whole configuration, and a server goes on as it is when another one's change.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Masks {}

impl Secrets {
    /// One more, and what is shown in its place: the reference that it came by.
    pub fn add(&mut self, value: &str, shown: &str) {
        let shown: Arc<str> = shown.into();
        self.one(value, &shown);
        // Text is looked at line by line, and a key in PEM has many. What frames it is no secret.
        for line in value.lines().filter(|line| value.contains('\n') && !line.trim().starts_with("-----")) {
            self.one(line, &shown);
        }
        // Who is given `Bearer abc` may tell of `abc`.
        if let Some(bare) = SCHEMES.iter().find_map(|scheme| value.trim().strip_prefix(scheme)) {
            self.one(bare, &shown);
        }
    }

    fn one(&mut self, value: &str, shown: &Arc<str>) {
        let value = value.trim();
        if !(LEAST..=MOST).contains(&value.len()) {
            return;
        }
        self.values.entry(value.to_owned()).or_insert_with(|| Arc::clone(shown));
        // As it stands within a message, and within quotes in a log.
        let quoted = json::quote(value);
        if let Some(escaped) = quoted.get(1..quoted.len() - 1).filter(|escaped| *escaped != value) {
            self.values.entry(escaped.to_owned()).or_insert_with(|| Arc::clone(shown));
        }
    }

    /// What finds them all.
    #[must_use]
    pub fn masks(&self) -> Masks {
        if self.values.is_empty() {
            return Masks::default();
        }
        let shown = self.values.values().cloned().collect();
        // It fails only past 2 GiB of values, which no environment and no set of files of a configuration has.
        let found = AhoCorasick::new(self.values.keys()).ok();
        Masks(found.map(|values| Arc::new(Found { values, shown })))
    }
}

impl Masks {
    /// The text without secrets. Where they overlap, one mask stands for all of them.
    #[must_use]
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(found) = &self.0 else { return Cow::Borrowed(text) };
        let mut places = found.values.find_overlapping_iter(text).collect::<Vec<_>>();
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        // The longest of those that begin at one place first: it names the mask.
        places.sort_by_key(|place| (place.start(), usize::MAX - place.end()));
        let (mut masked, mut done, mut hidden) = (String::with_capacity(text.len()), 0, 0);
        for place in places {
            if place.start() >= hidden {
                masked.push_str(text.get(done..place.start()).unwrap_or_default());
                masked.push_str(found.shown.get(place.pattern().as_usize()).map_or("***", |shown| shown));
            }
            hidden = hidden.max(place.end());
            done = hidden;
        }
        masked.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(masked)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masks(values: &[(&str, &str)]) -> Masks {
        let mut secrets = Secrets::default();
        for (value, shown) in values {
            secrets.add(value, shown);
        }
        secrets.masks()
    }

    #[test]
    fn what_is_known_is_hidden_and_nothing_else() {
        let masks =
            masks(&[("s3cret-token", "${env:TOKEN}"), ("short", "${env:SHORT}"), ("päss-wörd", "***")]);
        assert_eq!(masks.mask("no s3cret-toke here, and short"), "no s3cret-toke here, and short");
        assert!(matches!(masks.mask("nothing"), Cow::Borrowed("nothing")));
        assert_eq!(
            masks.mask("s3cret-token? s3cret-tokens3cret-token päss-wörd!"),
            "${env:TOKEN}? ${env:TOKEN}${env:TOKEN} ***!"
        );
        assert_eq!(format!("{masks:?}"), "Masks { .. }");
        assert_eq!(Masks::default().mask("s3cret-token"), "s3cret-token");
    }

    #[test]
    fn overlapping_secrets_leave_nothing_of_each_other() {
        let masks = masks(&[("abcdef", "A"), ("abcdefghi", "B"), ("ghijkl", "C")]);
        assert_eq!(masks.mask("<abcdefghijkl><abcdef>"), "<B><A>");
    }

    #[test]
    fn a_secret_is_known_by_line_without_its_scheme_and_escaped() {
        let pem = "-----BEGIN KEY-----\nMIIBVgIBADANBg\r\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
        let masks = masks(&[(pem, "P"), ("Bearer abc-123-def", "B"), ("quo\"te\\d", "Q")]);
        assert_eq!(masks.mask("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
        assert_eq!(masks.mask("line kqhkiG9w0BAQEF."), "line P.");
        assert_eq!(masks.mask(&format!("{}!", pem.trim())), "P!");
        assert_eq!(masks.mask("Bearer abc-123-def, abc-123-def"), "B, B");
        assert_eq!(masks.mask(r#"{"a":"quo\"te\\d"} quo"te\d"#), r#"{"a":"Q"} Q"#);
    }

    proptest! {
        #[test]
        fn no_secret_is_left(values in prop::collection::vec("[ab]{6,9}", 1..4), text in "[abc]{0,60}") {
            let mut secrets = Secrets::default();
            for value in &values {
                secrets.add(value, "*");
            }
            let masked = secrets.masks().mask(&text).into_owned();
            for value in &values {
                prop_assert!(!masked.contains(value.as_str()));
            }
            // What stays, stays as it was: no more is taken than secrets cover.
            let kept = masked.chars().filter(|c| *c != '*').count();
            let covered = (0..text.len())
                .filter(|at| values.iter().any(|value| text.match_indices_all(value).any(|from| (from..from + value.len()).contains(at))))
                .count();
            prop_assert_eq!(kept, text.len() - covered);
        }
    }

    /// Where a text has another, overlapping places too.
    trait MatchIndicesAll {
        fn match_indices_all<'t>(&'t self, of: &'t str) -> impl Iterator<Item = usize> + 't;
    }

    impl MatchIndicesAll for str {
        fn match_indices_all<'t>(&'t self, of: &'t str) -> impl Iterator<Item = usize> + 't {
            (0..self.len()).filter(move |at| self.get(*at..).is_some_and(|rest| rest.starts_with(of)))
        }
    }
}
