//! How a result looks to a person.
//!
//! Text is shown as text; pictures, sounds and other bytes as one line that says what they are. What a server sends is
//! not trusted with the terminal.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp::json::{self, Kind, Object};

use crate::fault::Fault;
use crate::print;

pub(crate) mod entries;
mod lossy;
pub(crate) mod wire;

/// What to do with results.
#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// Print the result object as it came, for a program to read
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// Where bytes go.
#[derive(Debug, clap::Args)]
pub(crate) struct Save {
    /// Save the first picture, sound or other bytes of the result to this file; `-` is stdout
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

/// Text for a person, and the first bytes that came along.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    text: String,
    bytes: Option<String>,
}

impl Shown {
    /// A line.
    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        if !line.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// The result of a tool: its content, or what it says in structure if there is no text.
    pub(crate) fn tool(&mut self, result: &Object<'_>) {
        let blocks = list(result, "content");
        let mut has_text = false;
        // Some servers write the text itself where its blocks belong.
        if let Some(text) = text(result, "content") {
            has_text = true;
            self.line(&text);
        }
        for block in &blocks {
            has_text |= block.string("type").ok().flatten().as_deref() == Some("text");
            self.block(block);
        }
        let structured = result.get("structuredContent").ok().flatten();
        if let Some(structured) = structured.filter(|_| !has_text) {
            self.line(&json::laid_out(structured, 0));
        }
    }

    /// The messages of a prompt.
    pub(crate) fn prompt(&mut self, result: &Object<'_>) {
        for message in list(result, "messages") {
            let role = text(&message, "role");
            self.line(&format!("{}:", role.as_deref().unwrap_or("?")));
            if let Ok(Some(content)) = message.object("content") {
                self.block(&content);
            }
        }
    }

    /// The contents of a resource.
    pub(crate) fn resource(&mut self, result: &Object<'_>) {
        let all = list(result, "contents");
        for contents in &all {
            if all.len() > 1 {
                self.line(&format!("[{}]", text(contents, "uri").unwrap_or_default()));
            }
            match text(contents, "text") {
                Some(text) => self.line(&text),
                None => self.blob(contents, "blob", &text(contents, "uri").unwrap_or_default()),
            }
        }
    }

    fn block(&mut self, block: &Object<'_>) {
        match text(block, "type").as_deref() {
            Some("text") => self.line(&text(block, "text").unwrap_or_default()),
            Some(kind @ ("image" | "audio")) => self.blob(block, "data", kind),
            Some("resource_link") => {
                let or_empty = |name| text(block, name).unwrap_or_default();
                let media = text(block, "mimeType").map(|media| format!(", {media}")).unwrap_or_default();
                self.line(&format!("[link {}{media}] {}", or_empty("uri"), or_empty("name")));
            }
            Some("resource") => {
                let Ok(Some(resource)) = block.object("resource") else { return };
                let uri = text(&resource, "uri").unwrap_or_default();
                match text(&resource, "text") {
                    Some(text) => {
                        self.line(&format!("[resource {uri}]"));
                        self.line(&text);
                    }
                    None => self.blob(&resource, "blob", &uri),
                }
            }
            _ => self.line(&json::laid_out(block.text(), 0)),
        }
    }

    fn blob(&mut self, of: &Object<'_>, member: &str, what: &str) {
        let data = text(of, member).unwrap_or_default();
        let size = match STANDARD.decode(data.as_bytes()) {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(_) => "not valid base64".to_owned(),
        };
        let media = text(of, "mimeType").unwrap_or_else(|| "bytes".to_owned());
        self.line(&format!("[{what}: {media}, {size}]"));
        self.bytes.get_or_insert(data);
    }

    /// Whether there is nothing to see.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Prints it.
    pub(crate) fn print(&self) -> Result<(), Fault> {
        print::out(print::safe_out(&self.text).as_bytes())
    }
}

impl Save {
    /// Whether stdout is for the bytes.
    pub(crate) fn takes_stdout(&self) -> bool {
        self.output.as_deref() == Some(Path::new("-"))
    }

    /// Saves the first bytes, or the text where there are none, if that is wanted.
    pub(crate) fn save(&self, shown: &Shown) -> Result<(), Fault> {
        let Some(path) = &self.output else { return Ok(()) };
        let refused = |what: &str| Fault::Refused { what: what.to_owned(), hint: None };
        let bytes = match &shown.bytes {
            Some(data) => STANDARD
                .decode(data.as_bytes())
                .map_err(|_invalid| refused("the bytes are not valid base64"))?,
            None if shown.text.is_empty() => return Err(refused("the result has nothing to save")),
            None => shown.text.clone().into_bytes(),
        };
        if self.takes_stdout() {
            return print::out(&bytes);
        }
        let failed = |error| Fault::outside(&format!("{} cannot be written", path.display()), &error);
        std::fs::write(path, &bytes).map_err(failed)?;
        print::err(&format!("saved {} bytes to {}\n", bytes.len(), path.display()));
        Ok(())
    }
}

/// A string member, if it is there and is one.
pub(crate) fn text(object: &Object<'_>, name: &str) -> Option<String> {
    lossy::string(object.get(name).ok().flatten()?)
}

/// The objects of an array member.
pub(crate) fn list<'a>(object: &Object<'a>, name: &str) -> Vec<Object<'a>> {
    let array = object.get(name).ok().flatten().and_then(|raw| json::array(raw).ok()).unwrap_or_default();
    let objects = array.into_iter().filter(|raw| Kind::of(raw) == Kind::Object);
    objects.filter_map(|raw| Object::parse(raw).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(result: &str, show: impl Fn(&mut Shown, &Object<'_>)) -> Shown {
        let mut shown = Shown::default();
        show(&mut shown, &Object::parse(result).unwrap());
        shown
    }

    #[test]
    fn each_kind_of_content_is_shown() {
        let result = r#"{"content":[
            {"type":"text","text":"a\nb"},
            {"type":"image","data":"AAEC","mimeType":"image/png"},
            {"type":"resource_link","uri":"file:///a","name":"a","mimeType":"text/plain"},
            {"type":"resource","resource":{"uri":"x://t","text":"inside"}},
            {"type":"resource","resource":{"uri":"x://b","blob":"!"}},
            {"type":"later","x":1}],"structuredContent":{"a":1}}"#;
        let shown = shown(result, Shown::tool);
        assert_eq!(
            shown.text,
            "a\nb\n[image: image/png, 3 bytes]\n[link file:///a, text/plain] a\n[resource x://t]\ninside\n[x://b: bytes, not valid base64]\n{\n  \"type\": \"later\",\n  \"x\": 1\n}\n"
        );
        assert_eq!(shown.bytes.as_deref(), Some("AAEC"));
    }

    #[test]
    fn structure_is_shown_where_no_text_is() {
        assert_eq!(
            shown(r#"{"content":[],"structuredContent":{"a":1.0}}"#, Shown::tool).text,
            "{\n  \"a\": 1.0\n}\n"
        );
        assert_eq!(shown("{}", Shown::tool).text, "");
        assert_eq!(shown(r#"{"content":"just text"}"#, Shown::tool).text, "just text\n");
    }
}
