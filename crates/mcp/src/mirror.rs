//! `x-mcp-header`: tool arguments that are mirrored into `Mcp-Param-*` headers.
//!
//! A tool's schema is read once into [`MirroredParams`]; each call then reads only the annotated arguments.
//! Source: MCP 2026-07-28 `server/tools` §x-mcp-header, `streamable-http` §Custom Headers from Tool Parameters.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use smallvec::{SmallVec, smallvec};

use crate::headers::{self, PARAM_PREFIX};
use crate::json::{self, JsonFault, Kind, Member, Object};

/// The annotated parameters of one tool. Most tools have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirroredParams {
    params: Vec<MirroredParam>,
    /// Where their values stand in the arguments.
    root: Node,
}

/// One annotated parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MirroredParam {
    header: HeaderName,
    integer: bool,
}

/// A place in the arguments: all annotated ones are found in one walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// The parameter whose value stands here.
    param: Option<usize>,
    /// The properties under which others stand.
    below: BTreeMap<String, Self>,
}

/// Why a tool's annotations make the tool invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationFault {
    /// Not a string.
    #[error("x-mcp-header must be a string")]
    NotString,
    /// Empty, or not an HTTP token.
    #[error("x-mcp-header {0:?} is not an HTTP field-name token")]
    NotToken(String),
    /// Two parameters share a header.
    #[error("x-mcp-header {0:?} is used twice (names are compared without case)")]
    Repeated(String),
    /// On a type that has no header form.
    #[error("x-mcp-header {0:?} is on a parameter that is not an integer, a string or a boolean")]
    NotPrimitive(String),
    /// Where no chain of `properties` leads.
    #[error("x-mcp-header stands under {0:?}, where no chain of \"properties\" leads")]
    Unreachable(String),
    /// The schema could not be read.
    #[error("the input schema cannot be read: {0}")]
    Schema(#[from] JsonFault),
    /// More than any server means, and than a message may have headers.
    #[error("more than {MOST_PARAMS} parameters have an x-mcp-header")]
    TooMany,
    /// Nested too deeply to look through.
    #[error("the input schema is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Why a call's headers and arguments disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorFault {
    /// The argument is there and its header is not.
    #[error("it is missing for an argument that is present")]
    Missing(HeaderName),
    /// The header is there and its argument is not.
    #[error("it is present for an argument that is absent or null")]
    Unexpected(HeaderName),
    /// Both are there and differ.
    #[error("it does not equal its argument")]
    Differs(HeaderName),
    /// The header's value has no meaning.
    #[error("{1}")]
    Malformed(HeaderName, headers::HeaderFault),
    /// The argument cannot be mirrored: it is not of its annotated type, or it stands twice.
    #[error("its argument has no header form")]
    Unmirrorable(HeaderName),
}

impl MirrorFault {
    /// The header that it is about.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        match self {
            Self::Missing(name)
            | Self::Unexpected(name)
            | Self::Differs(name)
            | Self::Malformed(name, _)
            | Self::Unmirrorable(name) => name,
        }
    }
}

/// Schemas are read recursively; real ones are a dozen levels deep.
const MAX_DEPTH: usize = 64;
/// Each annotated parameter is a header of each call, and peers take a hundred or so of those.
const MOST_PARAMS: usize = 64;

impl MirroredParams {
    /// Reads the annotations of a tool's `inputSchema`.
    ///
    /// # Errors
    /// Says which annotation makes the tool invalid: an HTTP client must then leave the whole tool out of the list.
    pub fn read(input_schema: &str) -> Result<Self, AnnotationFault> {
        // Almost every schema ends here, without being parsed.
        if !may_annotate(input_schema) {
            return Ok(Self::default());
        }
        let mut params = Self::default();
        if Kind::of(input_schema) == Kind::Object {
            params.walk(input_schema, &mut Vec::new(), 0)?;
        }
        Ok(params)
    }

    /// Whether the tool mirrors nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// Whether one of them is mirrored in that header.
    #[must_use]
    pub fn names(&self, header: &HeaderName) -> bool {
        self.params.iter().any(|param| param.header == *header)
    }

    /// The headers that `arguments` must be sent with.
    ///
    /// # Errors
    /// When an annotated argument has no header form.
    pub fn headers(
        &self,
        arguments: Option<&str>,
    ) -> Result<Vec<(HeaderName, http::HeaderValue)>, MirrorFault> {
        self.of(arguments.map(Object::parse)).headers()
    }

    /// Reads the annotated arguments of a call.
    pub fn of<'p>(&'p self, arguments: Option<Result<Object<'p>, JsonFault>>) -> Mirrored<'p> {
        let mut values: Values<'p> = smallvec![Ok(None); self.params.len()];
        if !self.params.is_empty() {
            match arguments {
                Some(Ok(arguments)) => self.root.read_members(arguments.iter(), &mut values),
                Some(Err(JsonFault::Kind { .. })) | None => {}
                Some(Err(_unreadable)) => self.root.fail(&mut values),
            }
        }
        Mirrored { params: &self.params, values }
    }

    /// Checks a request's `Mcp-Param-*` headers against its arguments. Headers of that prefix that no annotation
    /// names are not looked at.
    ///
    /// # Errors
    /// Names the first header that is missing, unexpected, malformed or different.
    pub fn check(&self, sent: &HeaderMap, arguments: Option<&str>) -> Result<(), MirrorFault> {
        self.of(arguments.map(Object::parse)).check(sent)
    }

    fn walk(&mut self, schema: &str, path: &mut Vec<String>, depth: usize) -> Result<(), AnnotationFault> {
        if depth > MAX_DEPTH {
            return Err(AnnotationFault::TooDeep);
        }
        let object = Object::parse(schema)?;
        if let Some(annotation) = object.get("x-mcp-header")? {
            self.annotate(annotation, &object, path)?;
        }
        for member in object.iter() {
            match (member.name.as_ref(), Kind::of(member.value)) {
                ("properties", Kind::Object) => {
                    for property in Object::parse(member.value)?.iter() {
                        // What nothing is looked for in may be as deep as it is.
                        if Kind::of(property.value) == Kind::Object && may_annotate(property.value) {
                            path.push(property.name.clone().into_owned());
                            self.walk(property.value, path, depth + 1)?;
                            path.pop();
                        }
                    }
                }
                // Instance data, not schemas: an annotation inside them is text like any other.
                ("x-mcp-header" | "default" | "const" | "enum" | "examples", _) => {}
                (keyword, Kind::Array | Kind::Object) => deny_below(keyword, member.value, depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn annotate(&mut self, raw: &str, schema: &Object<'_>, path: &[String]) -> Result<(), AnnotationFault> {
        let name = json::string(raw).map_err(|_not_text| AnnotationFault::NotString)?.into_owned();
        // HeaderName::from_bytes accepts exactly the tokens of RFC 9110 §5.1.
        let token =
            (!name.is_empty()).then(|| HeaderName::from_bytes(format!("{PARAM_PREFIX}{name}").as_bytes()));
        let Some(Ok(header)) = token else { return Err(AnnotationFault::NotToken(name)) };
        if path.is_empty() {
            return Err(AnnotationFault::NotPrimitive(name));
        }
        let integer = match schema.string("type").ok().flatten().as_deref() {
            Some("integer") => true,
            Some("string" | "boolean") => false,
            _ => return Err(AnnotationFault::NotPrimitive(name)),
        };
        if self.names(&header) {
            return Err(AnnotationFault::Repeated(name));
        }
        if self.params.len() == MOST_PARAMS {
            return Err(AnnotationFault::TooMany);
        }
        let mut node = &mut self.root;
        for property in path {
            node = node.below.entry(property.clone()).or_default();
        }
        if let (Some(_), Some(property)) = (node.param, path.last()) {
            return Err(JsonFault::Duplicate(property.clone()).into());
        }
        node.param = Some(self.params.len());
        self.params.push(MirroredParam { header, integer });
        Ok(())
    }
}

/// The annotated arguments of one call.
#[derive(Debug)]
pub struct Mirrored<'p> {
    params: &'p [MirroredParam],
    /// The texts that the headers carry, in the order of the parameters; none where the argument is absent or null.
    values: Values<'p>,
}

impl Mirrored<'_> {
    fn each(&self) -> impl Iterator<Item = (&MirroredParam, Result<Option<&str>, MirrorFault>)> {
        self.params.iter().zip(&self.values).map(|(param, value)| match value {
            Ok(text) => (param, Ok(text.as_deref())),
            Err(fault) => (param, Err(param.fault(*fault))),
        })
    }

    /// The headers that they must be sent with.
    ///
    /// # Errors
    /// When one of them has no header form.
    pub fn headers(&self) -> Result<Vec<(HeaderName, http::HeaderValue)>, MirrorFault> {
        let mut out = Vec::with_capacity(self.params.len());
        for (param, value) in self.each() {
            if let Some(value) = value? {
                out.push((param.header.clone(), headers::encode(value)));
            }
        }
        Ok(out)
    }

    /// Checks a request's headers against them, as [`MirroredParams::check`] does.
    ///
    /// # Errors
    /// Names the first header that is missing, unexpected, malformed or different.
    pub fn check(&self, sent: &HeaderMap) -> Result<(), MirrorFault> {
        for (param, value) in self.each() {
            let name = || param.header.clone();
            let header =
                headers::only(sent, &param.header).map_err(|fault| MirrorFault::Malformed(name(), fault))?;
            match (header, value?) {
                (None, None) => {}
                (None, Some(_)) => return Err(MirrorFault::Missing(name())),
                (Some(_), None) => return Err(MirrorFault::Unexpected(name())),
                (Some(header), Some(value)) => {
                    // Integers are compared as numbers: `42.0` is 42.
                    let equal = header == value
                        || (param.integer
                            && json::integer(&header).is_some_and(|n| json::integer(value) == Some(n)));
                    if !equal {
                        return Err(MirrorFault::Differs(name()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the keyword may stand somewhere in a text. An escaped spelling of it has one of a letter from a to z, or of `-`:
/// writers escape other characters, those of other languages for one.
fn may_annotate(text: &str) -> bool {
    text.contains("x-mcp-header")
        || text.match_indices("\\u00").any(|(at, _)| {
            let digits = text.as_bytes().get(at + 4..at + 6);
            matches!(digits, Some([b'6' | b'7', _] | [b'2', b'd' | b'D']))
        })
}

/// Refuses an annotation anywhere below a keyword that is not on a chain of `properties`.
fn deny_below(keyword: &str, value: &str, depth: usize) -> Result<(), AnnotationFault> {
    if !may_annotate(value) {
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(AnnotationFault::TooDeep);
    }
    match Kind::of(value) {
        Kind::Array => {
            json::array(value)?.into_iter().try_for_each(|each| deny_below(keyword, each, depth + 1))
        }
        Kind::Object => Object::parse(value)?.iter().try_for_each(|member| {
            // As the name of a property it is a name, not an annotation: an annotation's value is a string.
            if member.name == "x-mcp-header" && Kind::of(member.value) == Kind::String {
                return Err(AnnotationFault::Unreachable(keyword.to_owned()));
            }
            deny_below(keyword, member.value, depth + 1)
        }),
        Kind::Boolean | Kind::Null | Kind::Number | Kind::String => Ok(()),
    }
}

/// What the header of a parameter carries, if it carries anything.
type Value<'v> = Result<Option<Cow<'v, str>>, Unmirrorable>;
/// Few tools mirror more.
type Values<'v> = SmallVec<[Value<'v>; 4]>;

/// An argument that has no header form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unmirrorable;

impl MirroredParam {
    fn fault(&self, Unmirrorable: Unmirrorable) -> MirrorFault {
        MirrorFault::Unmirrorable(self.header.clone())
    }
}

impl Node {
    /// Reads what stands here and below.
    fn read<'a>(&self, value: &'a str, values: &mut [Value<'a>]) {
        if let Some(place) = self.param.and_then(|at| values.get_mut(at)) {
            *place = text_of(value);
        }
        if self.below.is_empty() || Kind::of(value) != Kind::Object {
            return;
        }
        match Object::parse(value) {
            Ok(object) => self.read_members(object.iter(), values),
            Err(_unreadable) => self.fail(values),
        }
    }

    fn read_members<'a>(&self, members: impl Iterator<Item = Member<'a>>, values: &mut [Value<'a>]) {
        // As many as there are nodes below at most, however many members there are.
        let mut found: SmallVec<[(&Self, Option<&'a str>); 4]> = SmallVec::new();
        for member in members {
            let Some(node) = self.below.get(member.name.as_ref()) else { continue };
            match found.iter_mut().find(|(earlier, _)| std::ptr::eq(*earlier, node)) {
                // It stands twice.
                Some((_, value)) => *value = None,
                None => found.push((node, Some(member.value))),
            }
        }
        for (node, value) in found {
            match value {
                Some(value) => node.read(value, values),
                None => node.fail(values),
            }
        }
    }

    /// Nobody can tell what stands here and below.
    fn fail(&self, values: &mut [Value<'_>]) {
        if let Some(place) = self.param.and_then(|at| values.get_mut(at)) {
            *place = Err(Unmirrorable);
        }
        self.below.values().for_each(|node| node.fail(values));
    }
}

/// What a header carries of an argument.
fn text_of(value: &str) -> Value<'_> {
    match Kind::of(value) {
        Kind::Null => Ok(None),
        Kind::Boolean => Ok(Some(Cow::Borrowed(value))),
        Kind::String => json::string(value).map(Some).map_err(|_not_text| Unmirrorable),
        Kind::Number => Ok(Some(match json::integer(value) {
            // As it stands, where it stands as it is to be.
            Some(_) if is_plain_integer(value) => Cow::Borrowed(value),
            Some(number) => Cow::Owned(number.to_string()),
            None => Cow::Borrowed(value),
        })),
        Kind::Array | Kind::Object => Err(Unmirrorable),
    }
}

/// Whether an integer is written with digits alone, and without zeros before them.
fn is_plain_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.bytes().all(|byte| byte.is_ascii_digit()) && value != "-0"
}

#[cfg(test)]
mod tests;
