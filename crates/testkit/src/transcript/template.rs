//! Texts with holes: `*` stands for anything, `<name>` for anything that is the same wherever the name stands.

use std::collections::BTreeMap;

/// What the names stand for.
pub type Vars = BTreeMap<String, String>;

/// A text with holes.
#[derive(Debug, Clone)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Any,
    Named(String),
}

impl Template {
    /// Reads a template.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['*', '<']) {
            let (before, hole) = rest.split_at(at);
            let named = name_of(hole);
            let (part, length) = match named {
                _ if hole.starts_with('*') => (Part::Any, 1),
                Some(name) => (Part::Named(name.to_owned()), name.len() + 2),
                None => (Part::Text("<".to_owned()), 1),
            };
            parts
                .extend(Some(before).filter(|text| !text.is_empty()).map(|text| Part::Text(text.to_owned())));
            parts.push(part);
            rest = hole.split_at(length).1;
        }
        parts.extend(Some(rest).filter(|text| !text.is_empty()).map(|text| Part::Text(text.to_owned())));
        Self(parts)
    }

    /// Whether the text fits; then its holes are known.
    pub fn matches(&self, text: &str, vars: &mut Vars) -> bool {
        let mut found = vars.clone();
        let fits = fits(&self.0, text, &mut found);
        if fits {
            *vars = found;
        }
        fits
    }

    /// The text with all holes filled. A hole that is not known is left as it stands.
    #[must_use]
    pub fn fill(&self, vars: &Vars) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Any => "*".to_owned(),
            Part::Named(name) => vars.get(name).cloned().unwrap_or_else(|| format!("<{name}>")),
        };
        self.0.iter().map(text).collect()
    }
}

/// The name in `<name>…`.
fn name_of(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!name.is_empty() && name.bytes().all(fits)).then_some(name)
}

/// Holes take as little as they can.
fn fits(parts: &[Part], text: &str, vars: &mut Vars) -> bool {
    let Some((first, rest)) = parts.split_first() else { return text.is_empty() };
    match first {
        Part::Text(literal) => text.strip_prefix(literal.as_str()).is_some_and(|text| fits(rest, text, vars)),
        Part::Named(name) if vars.contains_key(name) => {
            let known = vars.get(name).cloned().unwrap_or_default();
            text.strip_prefix(known.as_str()).is_some_and(|text| fits(rest, text, vars))
        }
        Part::Any | Part::Named(_) => {
            let ends = text.char_indices().map(|(at, _)| at).chain(Some(text.len()));
            for end in ends {
                let (taken, after) = text.split_at(end);
                let mut tried = vars.clone();
                if let Part::Named(name) = first {
                    tried.insert(name.clone(), taken.to_owned());
                }
                let worth = match rest.first() {
                    Some(Part::Text(literal)) => after.starts_with(literal.as_str()),
                    _ => true,
                };
                if worth && fits(rest, after, &mut tried) {
                    *vars = tried;
                    return true;
                }
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_what_fits_and_names_stay_the_same() {
        let mut vars = Vars::new();
        assert!(
            Template::new(r#"{"id":<a>,"x":*,"y":<a>}"#).matches(r#"{"id":17,"x":[1,2],"y":17}"#, &mut vars)
        );
        assert_eq!(vars.get("a").map(String::as_str), Some("17"));
        assert!(!Template::new("<a>").matches("18", &mut vars));
        assert_eq!(Template::new("<a>/<b>/a<B").fill(&vars), "17/<b>/a<B");
        assert!(!Template::new(r#"{"a":*}"#).matches(r#"{"b":1}"#, &mut vars));
    }
}
