//! The resources, and their one template.

use mcp::cache::{Hints, Scope};
use mcp::json;

use crate::methods::CONSTANT;
use crate::tool::PNG;
use crate::world::World;

/// The resource that changes: `test_trigger_resource_update` does it.
pub(crate) const WATCHED: &str = "test://watched-resource";

/// The template.
pub(crate) const TEMPLATE: &str = "test://template/{id}/data";

/// URI, name, description, media type.
const RESOURCES: [[&str; 4]; 3] = [
    ["test://static-text", "static-text", "A text that never changes", "text/plain"],
    ["test://static-binary", "static-binary", "A picture of one red pixel", "image/png"],
    [WATCHED, "watched-resource", "A text that test_trigger_resource_update changes", "text/plain"],
];

/// What a read gives.
pub(crate) struct Found {
    /// The JSON text of its one `ResourceContents`.
    pub(crate) contents: String,
    /// How long it may be cached, and for whom.
    pub(crate) hints: Hints,
}

/// The list's entries.
pub(crate) fn entries() -> Vec<String> {
    RESOURCES.iter().map(|row| entry("uri", row)).collect()
}

/// The entries of the list of templates.
pub(crate) fn template_entries() -> Vec<String> {
    vec![entry("uriTemplate", &[TEMPLATE, "template-data", "JSON that names its own id", "application/json"])]
}

fn entry(uri_member: &str, [uri, name, description, mime_type]: &[&str; 4]) -> String {
    format!(
        r#"{{"{uri_member}":"{uri}","name":"{name}","description":"{description}","mimeType":"{mime_type}"}}"#
    )
}

/// Reads a resource; `None` if it is not there.
pub(crate) fn read(uri: &str, world: &World) -> Option<Found> {
    let contents = |mime_type: &str, member: &str, value: &str| {
        let (uri, value) = (json::quote(uri), json::quote(value));
        format!(r#"{{"uri":{uri},"mimeType":"{mime_type}","{member}":{value}}}"#)
    };
    Some(match uri {
        "test://static-text" => {
            let text = "This is the content of the static text resource.";
            Found { contents: contents("text/plain", "text", text), hints: CONSTANT }
        }
        "test://static-binary" => Found { contents: contents("image/png", "blob", PNG), hints: CONSTANT },
        WATCHED => {
            let text = format!("Version {} of the watched resource.", world.watched_version());
            let hints = Hints { scope: Scope::Private, ..Hints::NONE };
            Found { contents: contents("text/plain", "text", &text), hints }
        }
        _ => {
            let id = template_id(uri)?;
            let (quoted, data) = (json::quote(id), json::quote(&format!("Data for ID: {id}")));
            let data = format!(r#"{{"id":{quoted},"templateTest":true,"data":{data}}}"#);
            Found { contents: contents("application/json", "text", &data), hints: CONSTANT }
        }
    })
}

/// Whether there is such a resource.
pub(crate) fn exists(uri: &str) -> bool {
    RESOURCES.iter().any(|[known, ..]| *known == uri) || template_id(uri).is_some()
}

/// What a variable of a template may be; `None` if there is no such template.
pub(crate) fn suggestions(template: &str, variable: &str) -> Option<&'static [&'static str]> {
    match (template, variable) {
        (TEMPLATE, "id") => Some(&["1", "12", "123"]),
        (TEMPLATE, _) => Some(&[]),
        _ => None,
    }
}

/// The `{id}` of a URI that the template gives.
fn template_id(uri: &str) -> Option<&str> {
    let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}
