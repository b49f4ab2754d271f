//! Conversations as files: what a client sends, what a server behind the gateway must get, what it answers, and what the
//! client must get. `transcripts/README.md` describes the format.
//!
//! [`Transcript::parse`] reads a file, [`play`] acts it out on a [`Stage`], which whoever has a gateway sets up.

use std::fmt;

mod play;
mod render;
mod template;

pub use self::play::{Down, Stage, play};
pub use self::template::{Template, Vars};

/// A conversation.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// What is set up before it begins, and what it is about.
    pub header: Header,
    /// What happens, in order.
    pub blocks: Vec<Block>,
    /// The file's lines, for writing it again.
    lines: Vec<String>,
}

/// What stands above the conversation.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// The rules that it shows.
    pub clauses: Vec<String>,
    /// The ways in which it can be played: `memory`, `loopback`, `stdio`.
    pub ways: Vec<String>,
    /// The servers: their names, and words that say what they are.
    pub upstreams: Vec<(String, Vec<String>)>,
    /// Everything else: the first word of a line, and the rest.
    pub settings: Vec<(String, String)>,
}

/// Who says something to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `C>`: the client to the gateway.
    ClientSends,
    /// `C<`: the gateway to the client; an expectation.
    ClientGets,
    /// `U>`: the gateway to a server; an expectation.
    ServerGets,
    /// `U<`: a server to the gateway.
    ServerSends,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub struct Block {
    /// Who says it to whom.
    pub direction: Direction,
    /// The prefix of its lines, as `C2>`: equal prefixes are one exchange.
    pub prefix: String,
    /// The words of its first line.
    pub words: Vec<String>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its lines joined.
    pub body: Option<String>,
    /// Its first line in the file, counted from 0, and how many lines it has.
    pub at: (usize, usize),
}

/// Why a file is no transcript.
#[derive(Debug)]
pub struct ParseFault {
    line: usize,
    why: &'static str,
}

impl fmt::Display for ParseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line + 1, self.why)
    }
}

impl std::error::Error for ParseFault {}

impl Transcript {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the first line that has no meaning.
    pub fn parse(text: &str) -> Result<Self, ParseFault> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut header = Header::default();
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (at, line) in lines.iter().enumerate() {
            let fault = |why| ParseFault { line: at, why };
            if line.is_empty() || line.starts_with('#') {
                open = false;
                continue;
            }
            let Some((prefix, direction, rest)) = prefixed(line) else {
                if !blocks.is_empty() {
                    return Err(fault("neither C>, C<, U> nor U<"));
                }
                header.read(line).ok_or_else(|| fault("no setting"))?;
                continue;
            };
            match blocks.last_mut().filter(|block| open && block.prefix == prefix) {
                Some(block) => block.read(rest).ok_or_else(|| fault("no header"))?,
                None => blocks.push(Block::begin(direction, prefix, rest, at)),
            }
            open = true;
        }
        if header.ways.is_empty() {
            header.ways = ["memory", "loopback", "stdio"].map(str::to_owned).to_vec();
        }
        Ok(Self { header, blocks, lines })
    }

    /// The methods that a server gets in this conversation, so that it must not answer them by itself.
    #[must_use]
    pub fn scripted(&self, upstream: &str) -> Vec<String> {
        let gets = |block: &&Block| {
            block.direction == Direction::ServerGets
                && block.words.first().is_some_and(|name| name == upstream)
        };
        self.blocks.iter().filter(gets).filter_map(Block::method).collect()
    }
}

impl Header {
    fn read(&mut self, line: &str) -> Option<()> {
        let (name, rest) = line.split_once(' ')?;
        let words = || rest.split_whitespace().map(str::to_owned);
        match name {
            "clauses:" => self.clauses.extend(words()),
            "ways:" => self.ways.extend(words()),
            "upstream" => {
                let mut words = words();
                self.upstreams.push((words.next()?, words.collect()));
            }
            _ => self.settings.push((name.to_owned(), rest.trim().to_owned())),
        }
        Some(())
    }

    /// The values of a setting, in order.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.settings.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

impl Block {
    fn begin(direction: Direction, prefix: &str, rest: &str, at: usize) -> Self {
        let words: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
        let bodily = words.iter().any(|word| matches!(word.as_str(), "event" | "line"));
        let body = bodily.then(String::new);
        Self { direction, prefix: prefix.to_owned(), words, headers: Vec::new(), body, at: (at, 1) }
    }

    fn read(&mut self, rest: &str) -> Option<()> {
        self.at.1 += 1;
        let rest = rest.trim_start();
        match &mut self.body {
            Some(body) => body.push_str(rest),
            None if rest.is_empty() => self.body = Some(String::new()),
            None => {
                let (name, value) = rest.split_once(':')?;
                self.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        Some(())
    }

    /// The method of the message that a server gets here.
    fn method(&self) -> Option<String> {
        match self.words.get(1)?.as_str() {
            "POST" | "line" => {
                let body = self.body.as_ref()?;
                let (_, rest) = body.split_once("\"method\":\"").unwrap_or(("", "response\""));
                rest.split('"').next().map(str::to_owned)
            }
            verb @ ("GET" | "DELETE") => Some(verb.to_owned()),
            _ => None,
        }
    }
}

/// The prefix of a line, what it means, and the rest of the line.
fn prefixed(line: &str) -> Option<(&str, Direction, &str)> {
    let (prefix, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (who, number) = prefix.split_at_checked(1)?;
    let (number, arrow) = number.split_at_checked(number.len().checked_sub(1)?)?;
    let direction = match (who, arrow) {
        ("C", ">") => Direction::ClientSends,
        ("C", "<") => Direction::ClientGets,
        ("U", ">") => Direction::ServerGets,
        ("U", "<") => Direction::ServerSends,
        _ => return None,
    };
    number.bytes().all(|b| b.is_ascii_digit()).then_some((prefix, direction, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_blocks() {
        let text = "clauses: a b\nupstream gh modern-http events\nset x  y z\n\nC> POST /mcp\nC> A: b\nC>\nC> {\"a\":\nC>   1}\nU> gh POST /mcp\nU>\nU> {\"method\":\"m\"}\n\nU> gh closed\nC2< event\nC2< {}\n";
        let read = Transcript::parse(text).unwrap();
        assert_eq!(read.header.clauses, ["a", "b"]);
        assert_eq!(read.header.upstreams[0].1, ["modern-http", "events"]);
        assert_eq!(read.header.all("set").collect::<Vec<_>>(), ["x  y z"]);
        assert_eq!(read.blocks.len(), 4);
        assert_eq!(read.blocks[0].headers, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(read.blocks[0].body.as_deref(), Some("{\"a\":1}"));
        assert_eq!((read.scripted("gh"), read.blocks[1].at), (vec!["m".to_owned()], (9, 3)));
        assert_eq!((read.blocks[3].prefix.as_str(), read.blocks[3].body.as_deref()), ("C2<", Some("{}")));
        assert!(Transcript::parse("C> POST /mcp\nD> x\n").is_err());
    }
}
