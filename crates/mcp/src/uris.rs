//! Where the URIs of a server's resources stand in what it says, and their public forms in their place.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::{self, JsonFault, Object, Patch};

/// The public form of a URI, if it has one.
pub type Public<'a> = &'a dyn for<'u> Fn(&'u str) -> Option<Cow<'u, str>>;

/// The texts of a result's content with the public URIs of one server's resources.
///
/// # Errors
/// When a place where a URI stands cannot be read.
pub fn in_result(
    public: Public<'_>,
    method: &str,
    object: &Object<'_>,
    offset: usize,
    patch: &mut Patch,
) -> Result<(), JsonFault> {
    let result = object.text();
    // Most results tell of no resource, and are not read again for that.
    if !object.may_name_a_uri() {
        return Ok(());
    }
    let mapper = Mapper { public, text: result, offset };
    mapper.apps(object, patch)?;
    match method {
        "resources/read" => {
            for contents in elements(object.get("contents")?)? {
                mapper.uri_of(&Object::parse(contents)?, patch)?;
            }
        }
        "tools/call" | "tasks/result" => {
            for block in elements(object.get("content")?)? {
                mapper.block(block, patch)?;
            }
        }
        "prompts/get" => {
            for message in elements(object.get("messages")?)? {
                if let Some(content) = Object::parse(message)?.get("content")? {
                    let blocks = if content.starts_with('[') { json::array(content)? } else { vec![content] };
                    for block in blocks {
                        mapper.block(block, patch)?;
                    }
                }
            }
        }
        "tasks/get" => {
            if let Some(result) = object.get("result")?.filter(|raw| raw.starts_with('{')) {
                let result = Object::parse(result)?;
                mapper.apps(&result, patch)?;
                for block in elements(result.get("content")?)? {
                    mapper.block(block, patch)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// An error's text with the public form of the URI that it says is not there. What else an error's data may be is the
/// server's business.
pub fn in_error(public: Public<'_>, error: &str, offset: usize, patch: &mut Patch) {
    let member = |text, name| Object::parse(text).ok().and_then(|object| object.get(name).ok().flatten());
    let Some(raw) = member(error, "data").and_then(|data| member(data, "uri")) else { return };
    let Ok(uri) = json::string(raw) else { return };
    if let Some(public) = public(&uri).filter(|public| *public != uri) {
        patch.replace(json::Span::locate(error, raw).shift(offset), json::quote(&public).as_bytes());
    }
}

/// A tool's text with the public URIs of the user interfaces that it names, if it may name any.
///
/// # Errors
/// When a place where a URI stands cannot be read.
pub fn in_tool(public: Public<'_>, tool: &Bytes) -> Result<Option<Bytes>, JsonFault> {
    let text = std::str::from_utf8(tool).map_err(|_not_utf8| JsonFault::NotText)?;
    let object = Object::parse(text)?;
    // Most tools have no user interface.
    if !object.may_name_a_uri() {
        return Ok(None);
    }
    let mut patch = Patch::new();
    Mapper { public, text, offset: 0 }.apps(&object, &mut patch)?;
    Ok(Some(patch.apply(tool)))
}

struct Mapper<'a> {
    public: Public<'a>,
    text: &'a str,
    offset: usize,
}

impl Mapper<'_> {
    fn block(&self, block: &str, patch: &mut Patch) -> Result<(), JsonFault> {
        if !block.starts_with('{') {
            return Ok(());
        }
        let object = Object::parse(block)?;
        self.apps(&object, patch)?;
        match object.string("type")?.as_deref() {
            Some("resource_link") => self.uri_of(&object, patch),
            Some("resource") => match object.object("resource")? {
                Some(resource) => self.uri_of(&resource, patch),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The resources of user interfaces that something's `_meta` names.
    fn apps(&self, of: &Object<'_>, patch: &mut Patch) -> Result<(), JsonFault> {
        if !of.may_name_a_uri() {
            return Ok(());
        }
        let Some(meta) = object(of.get("_meta")?)? else { return Ok(()) };
        let ui = object(meta.get("ui")?)?;
        let named = [
            meta.get("ui/resourceUri")?,
            meta.get("openai/outputTemplate")?,
            ui.as_ref().map(|ui| ui.get("resourceUri")).transpose()?.flatten(),
        ];
        named
            .into_iter()
            .flatten()
            .filter(|raw| raw.starts_with('"'))
            .try_for_each(|raw| self.map(raw, patch))
    }

    fn uri_of(&self, object: &Object<'_>, patch: &mut Patch) -> Result<(), JsonFault> {
        object.get("uri")?.map_or(Ok(()), |raw| self.map(raw, patch))
    }

    /// Puts the public form in the place of a URI, which is written so.
    fn map(&self, raw: &str, patch: &mut Patch) -> Result<(), JsonFault> {
        let uri = json::string(raw)?;
        if let Some(public) = (self.public)(&uri).filter(|public| *public != uri) {
            patch.replace(
                json::Span::locate(self.text, raw).shift(self.offset),
                json::quote(&public).as_bytes(),
            );
        }
        Ok(())
    }
}

fn elements(array: Option<&str>) -> Result<Vec<&str>, JsonFault> {
    match array {
        Some(array) if array.starts_with('[') => {
            Ok(json::array(array)?.into_iter().filter(|element| element.starts_with('{')).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// The object that a value is, if it is one.
fn object(raw: Option<&str>) -> Result<Option<Object<'_>>, JsonFault> {
    raw.filter(|raw| raw.starts_with('{')).map(Object::parse).transpose()
}
