//! Reading server-sent events, independently of the library under test. Source: WHATWG HTML §9.2.

use std::collections::VecDeque;

/// Something in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// An event.
    Event {
        /// Its type, if it names one.
        name: Option<String>,
        /// Its id, if it has one.
        id: Option<String>,
        /// Its data.
        data: String,
    },
    /// A comment between events.
    Comment,
}

/// Cuts a stream's bytes into pieces.
#[derive(Debug, Default)]
pub struct Pieces {
    text: Vec<u8>,
    /// How much of the text has no end of a piece in it.
    searched: usize,
    ready: VecDeque<Piece>,
}

impl Pieces {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        while let Some(at) = self.text[self.searched..].windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.text.drain(..self.searched + at + 2).collect();
            self.searched = 0;
            let piece = piece(&String::from_utf8(block).expect("an event that is text"));
            self.ready.push_back(piece);
        }
        self.searched = self.text.len().saturating_sub(1);
    }

    /// The next piece that is complete.
    pub fn take(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }
}

fn piece(block: &str) -> Piece {
    let (mut name, mut id, mut data) = (None, None, None::<String>);
    for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "event" => name = Some(value),
            "id" => id = Some(value),
            "data" => data = Some(data.map_or_else(|| value.clone(), |data| format!("{data}\n{value}"))),
            "retry" => {}
            other => panic!("no field of server-sent events: {other}"),
        }
    }
    data.map_or(Piece::Comment, |data| Piece::Event { name, id, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_at_blank_lines() {
        let mut pieces = Pieces::default();
        pieces.feed(b":\n\nevent: message\nda");
        pieces.feed(b"ta: {}\n\n");
        assert_eq!(pieces.take(), Some(Piece::Comment));
        let event = Piece::Event { name: Some("message".to_owned()), id: None, data: "{}".to_owned() };
        assert_eq!((pieces.take(), pieces.take()), (Some(event), None));
    }
}
