//! Where something stands in a definition. It is spelled only where something is found: a server chooses how long its names are.

use crate::difference::cut;
use crate::hidden::visible;

/// So many characters of one name are told.
const MOST_NAME: usize = 80;

/// A member within a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    outer: Option<&'p Self>,
    name: &'p str,
}

impl Place<'_> {
    /// The definition itself.
    pub(crate) const ROOT: Place<'static> = Place { outer: None, name: "" };

    /// A member of what stands here.
    pub(crate) fn inner<'q>(&'q self, name: &'q str) -> Place<'q> {
        Place { outer: Some(self), name }
    }

    /// Whether it is a member of that name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.outer.is_some() && self.name == name
    }

    /// As `inputSchema.properties.note`, cut if it is long.
    pub(crate) fn spell(&self) -> String {
        let mut names = Vec::new();
        let mut place = Some(self);
        while let Some(Place { outer: Some(outer), name }) = place {
            names.push(spell(name));
            place = Some(*outer);
        }
        names.reverse();
        cut(names.join("."))
    }
}

fn spell(name: &str) -> String {
    let is_long = name.len() > MOST_NAME && name.chars().nth(MOST_NAME).is_some();
    let short: String = name.chars().take(MOST_NAME).collect();
    let quoted = visible(&short);
    let is_plain = quoted.get(1..quoted.len().saturating_sub(1)) == Some(&*short);
    let spelled = if is_plain { short } else { quoted };
    if is_long { format!("{spelled}…") } else { spelled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_spelled_and_cut() {
        let (one, name) = (Place::ROOT.inner("inputSchema"), "n".repeat(1_000_000));
        let two = one.inner("x\u{200b}");
        assert_eq!(two.spell(), "inputSchema.\"x\\u200b\"");
        let long = one.inner(&name);
        assert!(long.spell().chars().count() < 120, "{}", long.spell());
        assert!(one.is_called("inputSchema") && !Place::ROOT.is_called(""));
    }
}
