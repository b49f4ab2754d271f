//! Content blocks of types that a client's revision does not have, told as text.

use std::borrow::Cow;

use super::{Gap, short};
use crate::json::{self, JsonFault, Object, Patch};

/// Makes a text of a block that the client does not know; `at` is where the block begins in the text that is patched. All
/// members but those of the change stay: annotations, `_meta`, and what a text block has no use for. A block that cannot
/// be read stays as it is.
pub(super) fn convert(block: &str, at: usize, gap: Gap, patch: &mut Patch) {
    let Ok(object) = Object::parse(block) else { return };
    let Ok(Some(kind)) = object.string("type") else { return };
    if gap.to.blocks.contains(&kind.as_ref()) {
        return;
    }
    let mut own = Patch::new();
    if to_text(&object, &kind, at, gap, &mut own).is_ok() {
        patch.append(own);
    }
}

fn to_text(object: &Object<'_>, kind: &str, at: usize, gap: Gap, patch: &mut Patch) -> Result<(), JsonFault> {
    let unknown = format!("which revision {} of MCP does not know", gap.to.name);
    let text = match kind {
        "audio" => {
            let bytes = object.string("data")?.map_or(0, |data| decoded_size(&data));
            let mime = object.string("mimeType")?.unwrap_or(Cow::Borrowed("no MIME type"));
            // A client that knows only text must not be made to carry megabytes that nobody can hear.
            object.remove(|name| matches!(name, "data" | "mimeType"), at, patch);
            format!("[audio of {bytes} bytes, {}, {unknown}]", short(&mime))
        }
        "resource_link" => link(object)?,
        other => {
            format!("[content of type {:?}, {} bytes as JSON, {unknown}]", short(other), object.text().len())
        }
    };
    object.set("type", b"\"text\"", at, patch)?;
    object.set("text", json::quote(&text).as_bytes(), at, patch)
}

/// A link in words: all that a model or a person needs to read the resource.
fn link(object: &Object<'_>) -> Result<String, JsonFault> {
    let name = object.string("name")?.or(object.string("title")?);
    let uri = object.string("uri")?.unwrap_or_default();
    let name = name.map(|name| format!("{name} ")).unwrap_or_default();
    let mime = object.string("mimeType")?.map(|mime| format!(", {}", short(&mime)));
    let description = object.string("description")?.map(|text| format!(": {text}"));
    let (mime, description) = (mime.unwrap_or_default(), description.unwrap_or_default());
    Ok(format!("[link to a resource: {name}<{uri}>{mime}{description}]"))
}

/// How many bytes Base64 text holds, without decoding it.
fn decoded_size(data: &str) -> usize {
    let digits = data.bytes().filter(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)).count();
    digits / 4 * 3 + (digits % 4).saturating_sub(1)
}

/// Whether some block of a result's content is text.
pub(super) fn any_text(content: &str) -> Result<bool, JsonFault> {
    let is_text = |block: &str| {
        let kind = Object::parse(block).ok().and_then(|block| block.string("type").ok().flatten());
        kind.as_deref() == Some("text")
    };
    Ok(json::array(content)?.into_iter().any(is_text))
}

/// A text block that tells a JSON value.
pub(super) fn text_block(value: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, json::quote(value))
}
