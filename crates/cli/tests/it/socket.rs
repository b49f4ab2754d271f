//! A client of one connection, in bytes: what it does not show, it does not hide either.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};

use crate::program::DEADLINE;

/// A connection, and what came over it that nobody has looked at.
pub(crate) struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A modern request with `_meta`; `params` are the members beside it, and end in a comma.
pub(crate) fn modern(method: &str, params: &str) -> String {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#)
}

impl Socket {
    /// Connects to the host of a URL.
    pub(crate) fn connect(url: &str) -> io::Result<Self> {
        let host = url.split('/').nth(2).unwrap();
        let stream = TcpStream::connect_timeout(&host.to_socket_addrs()?.next().unwrap(), DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Asks for a tool by a modern request, or for something without a name.
    pub(crate) fn ask(&mut self, method: &str, name: Option<&str>, body: &str) -> io::Result<()> {
        self.ask_with(method, name, (body, ""))
    }

    /// The same with further lines of the head.
    pub(crate) fn ask_with(
        &mut self,
        method: &str,
        name: Option<&str>,
        (body, more): (&str, &str),
    ) -> io::Result<()> {
        let name = name.map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n\
             content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{name}{more}\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(format!("{head}{body}").as_bytes())
    }

    /// Calls the tool `add`; what it gives, and whether the connection stays.
    pub(crate) fn add(&mut self, tool: &str, a: u32, b: u32) -> io::Result<(String, bool)> {
        let params = format!(r#""name":"{tool}","arguments":{{"a":{a},"b":{b}}},"#);
        self.ask("tools/call", Some(tool), &modern("tools/call", &params))?;
        let head = self.until("\r\n\r\n")?;
        let body = self.body_of(&head)?;
        let stays = !head.contains("connection: close");
        Ok((body, stays))
    }

    /// The body of a response with that head, which says how long it is.
    pub(crate) fn body_of(&mut self, head: &str) -> io::Result<String> {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.unwrap_or_else(|| panic!("an answer of a known length: {head}")).parse().unwrap();
        while self.unread.len() < length {
            self.more()?;
        }
        let body: Vec<u8> = self.unread.drain(..length).collect();
        Ok(String::from_utf8(body).unwrap())
    }

    /// What comes until and with this text.
    pub(crate) fn until(&mut self, text: &str) -> io::Result<String> {
        loop {
            let found = self.unread.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let all = self.unread.drain(..at + text.len()).collect();
                return Ok(String::from_utf8(all).unwrap());
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer)? {
            0 => {
                let text = String::from_utf8_lossy(&self.unread).into_owned();
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
            }
            read => {
                self.unread.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }
}
