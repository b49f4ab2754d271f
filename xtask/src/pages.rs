//! Pages that a comment or a document cites and nobody can open, because they are not in the repository.

use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cited {
    pub path: String,
    pub line: usize,
    pub page: String,
}

impl std::fmt::Display for Cited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} cites {}, which is not in the repository", self.path, self.line, self.page)
    }
}

/// What `text` cites that is none of `there`: a page by its file name, or an appendix, of which there is none at all.
/// Of Rust sources only the comments are read.
pub fn missing(path: &str, text: &str, there: &BTreeSet<String>) -> Vec<Cited> {
    let lines = if path.ends_with(".rs") {
        comments(text)
    } else {
        text.lines().enumerate().map(|(at, line)| (at + 1, line.to_owned())).collect()
    };
    let mut found = Vec::new();
    for (line, text) in lines {
        let mut cite = |page: &str| found.push(Cited { path: path.to_owned(), line, page: page.to_owned() });
        let mut last = "";
        for word in text.split(|c: char| !c.is_alphanumeric() && !"._-".contains(c)) {
            let word = word.trim_end_matches('.');
            if word.ends_with(".md") && !there.contains(word) {
                cite(word);
            }
            if last.eq_ignore_ascii_case("appendix")
                && word.len() == 1
                && word.chars().all(char::is_uppercase)
            {
                cite(&format!("Appendix {word}"));
            }
            last = word;
        }
    }
    found
}

/// The comments of a Rust source, line by line.
fn comments(source: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or_default();
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut index, mut line) = (0, 1);
    while index < chars.len() {
        let end = match (at(index), at(index + 1)) {
            ('/', '/') => next(&chars, index, |at| chars.get(at) == Some(&'\n')),
            ('/', '*') => block(&chars, index),
            ('"', _) => string(&chars, index),
            ('r', '"' | '#') if !is_name(at(index.wrapping_sub(1))) || prefixed(&chars, index) => {
                raw(&chars, index)
            }
            ('\'', '\\') => next(&chars, index + 3, |at| chars.get(at) == Some(&'\'')) + 1,
            ('\'', _) if at(index + 2) == '\'' => index + 3,
            _ => index + 1,
        };
        let text: String = chars.iter().skip(index).take(end - index).collect();
        if text.starts_with("//") || text.starts_with("/*") {
            found.extend(text.lines().enumerate().map(|(below, text)| (line + below, text.to_owned())));
        }
        line += text.matches('\n').count();
        index = end;
    }
    found
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the `r` at `index` is that of `br` or `cr`.
fn prefixed(chars: &[char], index: usize) -> bool {
    let before = |by: usize| index.checked_sub(by).and_then(|at| chars.get(at)).copied().unwrap_or_default();
    matches!(before(1), 'b' | 'c') && !is_name(before(2))
}

/// The first place from `index` on where that is so, or the end.
fn next(chars: &[char], index: usize, is: impl Fn(usize) -> bool) -> usize {
    (index..chars.len()).find(|at| is(*at)).unwrap_or(chars.len())
}

fn block(chars: &[char], index: usize) -> usize {
    let (mut depth, mut index) = (0, index);
    while index < chars.len() {
        match (chars.get(index), chars.get(index + 1)) {
            (Some('/'), Some('*')) => (depth, index) = (depth + 1, index + 2),
            (Some('*'), Some('/')) => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            break;
        }
    }
    index.min(chars.len())
}

fn string(chars: &[char], index: usize) -> usize {
    let mut index = index + 1;
    while let Some(c) = chars.get(index) {
        match c {
            '"' => return index + 1,
            '\\' => index += 2,
            _ => index += 1,
        }
    }
    chars.len()
}

/// From `r`, over `#`s and a quote, to the quote with as many `#`s. A raw name (`r#type`) ends where it begins.
fn raw(chars: &[char], index: usize) -> usize {
    let open = next(chars, index + 1, |at| chars.get(at) != Some(&'#'));
    if chars.get(open) != Some(&'"') {
        return open;
    }
    let hashes = open - index - 1;
    let closes = |at: usize| {
        let rest = chars.get(at..).unwrap_or_default();
        rest.first() == Some(&'"')
            && rest.iter().skip(1).take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (next(chars, open + 1, closes) + 1 + hashes).min(chars.len())
}
