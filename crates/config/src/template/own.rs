//! A text that was read in another client's spelling, in Portolan's own.

use super::{Piece, Template, Unset};
use crate::outside::Outside;

impl Template {
    /// The text as Portolan's own file has it: what refers to something goes on to do so. `path` says how a path is written there,
    /// `remarks` takes what somebody has to know.
    pub(crate) fn own(
        &self,
        outside: &Outside<'_>,
        path: &dyn Fn(&str) -> String,
        remarks: &mut Vec<String>,
    ) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(part) => text.push_str(&part.replace("${", "$${")),
                Piece::Elsewhere { name, .. } => {
                    remarks.push(format!("{name} stood in an env file; set it where Portolan is started"));
                    refer(&mut text, &format!("${{env:{name}}}"), remarks);
                }
                Piece::Variable { name, unset: Unset::AsWritten(written), .. } => {
                    // Whether it is a reference depends on the environment, and in Portolan's own file nothing does.
                    match outside.env(name) {
                        Some(_) => refer(&mut text, &format!("${{env:{name}}}"), remarks),
                        None => text.push_str(written),
                    }
                }
                Piece::Variable { name, default, input, unset, .. } => {
                    if let Some(id) = input {
                        remarks
                            .push(format!("the input {id:?} is taken from the environment variable {name}"));
                    }
                    let empty = matches!(unset, Unset::Empty).then(String::new);
                    let default = default.clone().or(empty).map(|default| format!(":-{default}"));
                    refer(&mut text, &format!("${{env:{name}{}}}", default.unwrap_or_default()), remarks);
                }
                Piece::File { path: named, tilde, .. } => {
                    let home = named.strip_prefix("~/").filter(|_| *tilde).zip(outside.env("HOME"));
                    let named = home.map_or_else(|| path(named), |(rest, home)| format!("{home}/{rest}"));
                    refer(&mut text, &format!("${{file:{named}}}"), remarks);
                }
            }
        }
        text
    }
}

impl Template {
    /// The variables that have to be set, and are not, before the text can be made as Portolan's own file has it.
    pub(crate) fn lacks<'t>(&'t self, outside: &Outside<'_>) -> Vec<&'t str> {
        let needed = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Elsewhere { name, .. }
            | Piece::Variable { name, default: None, unset: Unset::Fault(_), .. } => Some(name.as_str()),
            Piece::Literal(_) | Piece::Variable { .. } | Piece::File { .. } => None,
        });
        needed.filter(|name| outside.env(name).is_none()).collect()
    }
}

/// Adds a reference. After a `$` it would be read as the characters themselves, and there is no other way to write that.
fn refer(text: &mut String, reference: &str, remarks: &mut Vec<String>) {
    if text.ends_with('$') {
        text.pop();
        remarks.push(format!("the \"$\" before {reference} cannot be written, and is left out"));
    }
    text.push_str(reference);
}
