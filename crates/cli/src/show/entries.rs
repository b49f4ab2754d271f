//! How the entries of a list look: to a person, in 80 columns and by server; to a pipe, one a line and nothing cut.

use std::collections::BTreeSet;

use crate::columns::wrap;
use crate::print::{self, Paint};

/// What stands between a server's prefix and a name of its own, if nothing else was configured.
const SEPARATOR: &str = "__";

/// An entry of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    /// Its name or URI.
    pub(crate) name: String,
    /// What it takes, word by word: arguments, or its media type.
    pub(crate) takes: Vec<String>,
    /// What it says of itself.
    pub(crate) says: String,
}

/// The entries for a pipe: name, kind, what it takes and what it says of itself, with tabs between them.
pub(crate) fn records(kind: &str, entries: &[Entry]) -> String {
    let record = |entry: &Entry| {
        let takes = one_line(&entry.takes.join(" "));
        let fields = [one_line(&entry.name), kind.to_owned(), takes, one_line(&entry.says)];
        format!("{}\n", fields.join("\t").trim_end_matches('\t'))
    };
    entries.iter().map(record).collect()
}

/// The entries for a person, under a title; those of several servers each under its server.
pub(crate) fn page(title: &str, entries: &[Entry], paint: Paint) -> String {
    let mut out = format!("{}{title} ({}){}\n", paint.bold, entries.len(), paint.off);
    let servers: BTreeSet<_> = entries.iter().filter_map(server).collect();
    if servers.len() < 2 {
        entries.iter().for_each(|entry| paragraph(&mut out, entry, 2, paint));
        return out;
    }
    // As the list has them: servers one after the other, in the order of the configuration.
    let mut current = None;
    for entry in entries {
        let server = server(entry);
        if current != Some(server) {
            let count = entries.iter().filter(|other| self::server(other) == server).count();
            let name = print::safe_out(server.unwrap_or("without a prefix")).into_owned();
            out.push_str(&format!("\n  {}{name} ({count}){}\n", paint.bold, paint.off));
            current = Some(server);
        }
        paragraph(&mut out, entry, 4, paint);
    }
    out
}

/// The server that a name is of, as far as the name tells.
fn server(entry: &Entry) -> Option<&str> {
    let (server, _) = entry.name.split_once(SEPARATOR)?;
    (!server.is_empty() && !server.contains(':')).then_some(server)
}

/// What it is called and takes, and below it what it says of itself in a sentence.
fn paragraph(out: &mut String, entry: &Entry, indent: usize, paint: Paint) {
    let name = print::safe_out(&one_line(&entry.name)).into_owned();
    let length = name.chars().count();
    let first = format!("{}{}{name}{}", " ".repeat(indent), paint.hint, paint.off);
    out.push_str(&first);
    let takes: Vec<_> =
        entry.takes.iter().map(|word| print::safe_out(&one_line(word)).into_owned()).collect();
    wrap(out, takes.iter().map(String::as_str), indent + length, indent + 4);
    let says = print::safe_out(&first_sentence(&entry.says)).into_owned();
    if !says.is_empty() {
        out.push_str(&" ".repeat(indent + 3));
        wrap(out, says.split(' '), indent + 3, indent + 4);
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first sentence of a text: up to a full stop that another sentence follows, or to the end of its first paragraph.
fn first_sentence(text: &str) -> String {
    let paragraph = text.trim_start().split("\n\n").next().unwrap_or_default();
    let line = one_line(paragraph);
    let mut words: Vec<&str> = Vec::new();
    let mut rest = line.split(' ').peekable();
    while let Some(word) = rest.next() {
        words.push(word);
        let is_abbreviation =
            ["e.g.", "i.e.", "etc.", "vs.", "cf."].iter().any(|short| word.ends_with(short));
        let goes_on = |next: &&str| next.starts_with(char::is_lowercase);
        if word.ends_with('.') && !is_abbreviation && !rest.peek().is_some_and(goes_on) {
            break;
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, takes: &[&str], says: &str) -> Entry {
        let takes = takes.iter().map(|word| (*word).to_owned()).collect();
        Entry { name: name.to_owned(), takes, says: says.to_owned() }
    }

    #[test]
    fn a_pipe_gets_a_line_for_each_entry_with_nothing_cut() {
        let says = format!("One.\n\nTwo\twords. {}", "long ".repeat(40));
        let records = records(
            "tool",
            &[entry("a", &["x=<number>", "[y=<any>]"], &says), entry("b\n", &["n\na\tb"], "")],
        );
        let expected = format!(
            "a\ttool\tx=<number> [y=<any>]\tOne. Two words. {}\nb\ttool\tn a b\n",
            "long ".repeat(40).trim()
        );
        assert_eq!(records, expected);
    }

    #[test]
    fn a_person_gets_eighty_columns_and_each_server_for_itself() {
        let takes: Vec<_> = (0..12).map(|at| format!("[argument{at}=<string>]")).collect();
        let takes: Vec<_> = takes.iter().map(String::as_str).collect();
        let long = format!("{} end. Another.", "word ".repeat(30).trim());
        let entries = [entry("gh__a", &takes, &long), entry("fs__b", &[], "Reads e.g. files. Really.")];
        let page = page("tools", &entries, Paint::PLAIN);
        assert!(page.starts_with("tools (2)\n\n  gh (1)\n    gh__a [argument0=<string>] "), "{page}");
        assert!(page.ends_with("\n\n  fs (1)\n    fs__b\n        Reads e.g. files.\n"), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        assert!(page.contains("argument11=<string>]") && page.contains(" end.\n"), "{page}");
    }

    #[test]
    fn one_server_needs_no_heading() {
        let both = [entry("a", &["x=<number>"], "A. B"), entry("my__b", &[], "")];
        assert_eq!(page("tools", &both, Paint::PLAIN), "tools (2)\n  a x=<number>\n      A.\n  my__b\n");
    }
}
