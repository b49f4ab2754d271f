//! Resources, their one template, and the pages that lists come in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::ErrorData;
use rmcp::model::{PaginatedRequestParams, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

pub(crate) const WATCHED: &str = "test://watched-resource";
pub(crate) const TEMPLATE: &str = "test://template/{id}/data";

/// One red pixel: the smallest file that a decoder accepts.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

pub(crate) fn resources() -> Vec<Resource> {
    let resource = |uri: &str, name: &str, description: &str, mime_type: &str| {
        Resource::new(uri, name).with_description(description).with_mime_type(mime_type)
    };
    vec![
        resource("test://static-text", "static-text", "Fixed text", "text/plain"),
        resource("test://static-binary", "static-binary", "A picture", "image/png"),
        resource(WATCHED, "watched-resource", "Changes on demand", "text/plain"),
    ]
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(TEMPLATE, "template")
            .with_description("Data by id")
            .with_mime_type("application/json"),
    ]
}

pub(crate) fn contents_of(uri: &str, watched_version: u64) -> Option<ResourceContents> {
    let text = |text: String, mime_type: &str| ResourceContents::text(text, uri).with_mime_type(mime_type);
    match uri {
        "test://static-text" => {
            Some(text("This is the content of the static text resource.".to_owned(), "text/plain"))
        }
        "test://static-binary" => Some(ResourceContents::blob(PNG, uri).with_mime_type("image/png")),
        WATCHED => Some(text(format!("Version {watched_version} of the watched resource."), "text/plain")),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let named = !id.is_empty() && !id.contains('/');
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            named.then(|| text(data.to_string(), "application/json"))
        }
    }
}

/// The page that `params` asks for, and the cursor of the page after it. A size of 0 means one page.
pub(crate) fn page<T>(
    mut items: Vec<T>,
    params: Option<PaginatedRequestParams>,
    size: usize,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let start = match params.and_then(|params| params.cursor) {
        None => 0,
        Some(cursor) => URL_SAFE_NO_PAD
            .decode(&cursor)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<usize>().ok())
            .filter(|start| (1..items.len()).contains(start))
            .ok_or_else(|| ErrorData::invalid_params("Invalid cursor", Some(json!({ "cursor": cursor }))))?,
    };
    items.drain(..start);
    if size == 0 || size >= items.len() {
        return Ok((items, None));
    }
    items.truncate(size);
    Ok((items, Some(URL_SAFE_NO_PAD.encode((start + size).to_string()))))
}
