//! Server-sent events, out of whatever pieces they come in.

/// What has come and was not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event with an id or data: its id and its data. Comments are passed over.
    pub(crate) fn next(&mut self) -> Option<(Option<String>, String)> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block).into_owned();
            let (mut id, mut data) = (None, None::<String>);
            for line in block.lines() {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "id" => id = Some(value.to_owned()),
                    "data" => {
                        data = Some(
                            data.map_or_else(|| value.to_owned(), |before| format!("{before}\n{value}")),
                        );
                    }
                    _ => {}
                }
            }
            if id.is_some() || data.is_some() {
                return Some((id, data.unwrap_or_default()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_out_of_any_pieces() {
        let text = ": alive\n\nid: 1\ndata: \n\nevent: message\nid: 2\ndata: {\"a\":\ndata: 1}\n\nretry: 5\n\ndata: x\n\n";
        let expected = [(Some("1"), ""), (Some("2"), "{\"a\":\n1}"), (None, "x")];
        for size in [1, 3, 1000] {
            let mut events = Events::default();
            let mut got = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                events.feed(piece);
                got.extend(std::iter::from_fn(|| events.next()));
            }
            let got: Vec<_> = got.iter().map(|(id, data)| (id.as_deref(), data.as_str())).collect();
            assert_eq!(got, expected);
        }
    }
}
