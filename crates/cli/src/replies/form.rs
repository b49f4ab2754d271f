//! A form of a server's: asked field by field, or filled in by what the command line says.

use mcp::json::{self, Kind, Object, quote};

use super::{Action, is_yes};
use crate::arguments::Written;
use crate::fault::Fault;
use crate::print;
use crate::show::text;

/// A form.
pub(crate) struct Form<'a> {
    schema: Option<Object<'a>>,
    fields: Vec<Field>,
}

/// One field.
pub(crate) struct Field {
    name: String,
    kind: String,
    choices: Vec<String>,
    /// As JSON.
    default: Option<String>,
    required: bool,
    question: String,
}

/// What became of a field.
enum Given {
    /// As JSON.
    Value(String),
    Nothing,
}

impl<'a> Form<'a> {
    /// The form with this schema.
    pub(crate) fn read(schema: Option<Object<'a>>) -> Self {
        let fields = schema.as_ref().map(Field::all).unwrap_or_default();
        Self { schema, fields }
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Asks for each field. An empty line takes the default, leaves an optional field out, or, at a field that is
    /// required, declines the whole.
    pub(crate) async fn ask(
        &self,
        ask: &mut impl AsyncFnMut(&str) -> Result<String, Fault>,
    ) -> Result<Action, Fault> {
        if self.fields.is_empty() {
            let agrees = is_yes(&ask("Do you agree? [y/N] ").await?);
            return Ok(if agrees { Action::Accept(Vec::new()) } else { Action::Decline });
        }
        let mut members = Vec::new();
        for field in &self.fields {
            match field.ask(ask).await? {
                Given::Value(value) => members.push(field.member(&value)),
                Given::Nothing if field.required => return Ok(Action::Decline),
                Given::Nothing => {}
            }
        }
        Ok(Action::Accept(members))
    }

    /// Fills each field by what is written; the others take their default. One that is required and still has no value is
    /// asked for, if there is somebody to ask.
    pub(crate) async fn fill(
        &self,
        written: &mut Written,
        mut ask: Option<&mut impl AsyncFnMut(&str) -> Result<String, Fault>>,
    ) -> Result<Action, Fault> {
        let object = written.object(self.schema.as_ref().map(Object::text));
        let object = Object::parse(&object).map_err(|fault| Fault::Bug(fault.to_string()))?;
        let mut members = Vec::new();
        for field in &self.fields {
            let given = match object.get(&field.name).ok().flatten() {
                Some("null") => Given::Nothing,
                Some(value) => Given::Value(field.accept(value)?),
                None => field.or_default(),
            };
            written.mark_used(&field.name);
            match (given, &mut ask) {
                (Given::Value(value), _) => members.push(field.member(&value)),
                (Given::Nothing, _) if !field.required => {}
                (Given::Nothing, Some(ask)) => match field.ask(ask).await? {
                    Given::Value(value) => members.push(field.member(&value)),
                    Given::Nothing => return Ok(Action::Decline),
                },
                (Given::Nothing, None) => {
                    let what = format!("the server asks for {}, and no answer gives it", field.name);
                    let wants = field.question.trim_end_matches(": ");
                    return Err(Fault::usage(what)
                        .hint(format!("--answer {}=…  {wants}; --decline declines", field.name)));
                }
            }
        }
        Ok(Action::Accept(members))
    }
}

impl Field {
    /// The fields of a form.
    fn all(schema: &Object<'_>) -> Vec<Self> {
        let array = |name: &str| schema.get(name).ok().flatten().and_then(|raw| json::array(raw).ok());
        let required = array("required").unwrap_or_default();
        let required: Vec<_> = required.into_iter().filter_map(|raw| json::string(raw).ok()).collect();
        let properties = schema.object("properties").ok().flatten();
        let properties = properties.iter().flat_map(Object::iter);
        let shapes =
            properties.filter_map(|property| Some((property.name, Object::parse(property.value).ok()?)));
        shapes.map(|(name, shape)| Self::read(&name, &shape, required.contains(&name))).collect()
    }

    fn read(name: &str, shape: &Object<'_>, required: bool) -> Self {
        let items = shape.object("items").ok().flatten();
        let choices = choices(items.as_ref().unwrap_or(shape));
        let kind = text(shape, "type").unwrap_or_else(|| "string".to_owned());
        let default = shape.get("default").ok().flatten().map(str::to_owned);
        let title = text(shape, "title").or_else(|| text(shape, "description"));
        let mut question = match title {
            Some(title) => format!("{name} ({title})"),
            None => name.to_owned(),
        };
        if choices.is_empty() {
            question.push_str(&format!(" <{kind}>"));
        } else {
            question.push_str(&format!(" <{}>", choices.join("|")));
        }
        if kind == "array" {
            question.push_str(", several with commas between");
        }
        question.push_str(&match (&default, required) {
            (Some(default), _) => format!(" [{default}]: "),
            (None, true) => ": ".to_owned(),
            (None, false) => " (optional): ".to_owned(),
        });
        Self { name: name.to_owned(), kind, choices, default, required, question }
    }

    /// What a person is asked.
    pub(crate) fn question(&self) -> &str {
        &self.question
    }

    fn member(&self, value: &str) -> String {
        format!("{}:{value}", quote(&self.name))
    }

    fn or_default(&self) -> Given {
        self.default.clone().map_or(Given::Nothing, Given::Value)
    }

    async fn ask(&self, ask: &mut impl AsyncFnMut(&str) -> Result<String, Fault>) -> Result<Given, Fault> {
        loop {
            let line = ask(&self.question).await?;
            if line.trim().is_empty() {
                return Ok(self.or_default());
            }
            match self.value(line.trim()) {
                Some(value) => return Ok(Given::Value(value)),
                None => print::err(&format!("that is no {} for {}\n", self.kind, self.name)),
            }
        }
    }

    /// What is written on the command line, as JSON: JSON of the field's kind, or a text as it could be typed.
    fn accept(&self, raw: &str) -> Result<String, Fault> {
        let of_kind = match (&*self.kind, Kind::of(raw)) {
            ("boolean", Kind::Boolean) | ("number", Kind::Number) => true,
            ("integer", Kind::Number) => json::integer(raw).is_some(),
            ("array", Kind::Array) => json::array(raw).is_ok_and(|items| {
                items.iter().all(|item| json::string(item).is_ok_and(|it| self.allows(&it)))
            }),
            _ => false,
        };
        if of_kind {
            return Ok(raw.to_owned());
        }
        json::string(raw).ok().and_then(|text| self.value(&text)).ok_or_else(|| {
            Fault::usage(format!("{raw} is no {} for {}", self.kind, self.name))
                .hint(self.question.trim_end_matches(": "))
        })
    }

    fn allows(&self, text: &str) -> bool {
        self.choices.is_empty() || self.choices.iter().any(|choice| choice == text)
    }

    /// What was typed, as JSON.
    fn value(&self, typed: &str) -> Option<String> {
        match &*self.kind {
            "boolean" => match typed {
                "true" | "yes" | "y" => Some("true".to_owned()),
                "false" | "no" | "n" => Some("false".to_owned()),
                _ => None,
            },
            "integer" => json::integer(typed).map(|number| number.to_string()),
            "number" => {
                let is_number = Kind::of(typed) == Kind::Number && json::array(&format!("[{typed}]")).is_ok();
                is_number.then(|| typed.to_owned())
            }
            "array" => {
                let parts: Vec<_> = typed.split(',').map(str::trim).collect();
                parts
                    .iter()
                    .all(|part| self.allows(part))
                    .then(|| format!("[{}]", parts.into_iter().map(quote).collect::<Vec<_>>().join(",")))
            }
            _ => self.allows(typed).then(|| quote(typed)),
        }
    }
}

/// The values of a choice, titled or not.
fn choices(shape: &Object<'_>) -> Vec<String> {
    let array = |name: &str| shape.get(name).ok().flatten().and_then(|raw| json::array(raw).ok());
    if let Some(values) = array("enum") {
        return values
            .into_iter()
            .filter_map(|raw| json::string(raw).ok())
            .map(|text| text.into_owned())
            .collect();
    }
    let titled = array("oneOf").or_else(|| array("anyOf")).unwrap_or_default();
    titled.into_iter().filter_map(|raw| text(&Object::parse(raw).ok()?, "const")).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const FORM: &str = r#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","default":30},"colour":{"type":"string","oneOf":[{"const":"r","title":"Red"},{"const":"b","title":"Blue"}]},"tags":{"type":"array","items":{"enum":["x","y"]}},"sure":{"type":"boolean"}},"required":["name"]}"#;

    fn ask(lines: &[&str]) -> (Action, Vec<String>) {
        let mut lines = lines.iter();
        let mut asked = Vec::new();
        let mut ask = async |question: &str| {
            asked.push(question.to_owned());
            Ok((*lines.next().unwrap()).to_owned())
        };
        let action = Form::read(Object::parse(FORM).ok()).ask(&mut ask).now_or_never();
        (action.unwrap().unwrap(), asked)
    }

    /// Filled in by the command line; `typed` is what a person says when asked, if one is there.
    fn fill(words: &[&str], typed: Option<&str>) -> Result<String, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut written = Written::read(&words, None).unwrap();
        let mut ask = async |_: &str| Ok(typed.unwrap().to_owned());
        let ask = typed.map(|_| &mut ask);
        let form = Form::read(Object::parse(FORM).ok());
        let action = form.fill(&mut written, ask).now_or_never().unwrap();
        action.map(|action| action.text()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_form_is_asked_field_by_field() {
        let (action, asked) = ask(&["Ada", "x", "", "r", "x, y", ""]);
        assert_eq!(
            action.text(),
            r#"{"action":"accept","content":{"name":"Ada","age":30,"colour":"r","tags":["x","y"]}}"#
        );
        assert_eq!(
            asked,
            [
                "name <string>: ",
                "age <integer> [30]: ",
                "age <integer> [30]: ",
                "colour <r|b> (optional): ",
                "tags <x|y>, several with commas between (optional): ",
                "sure <boolean> (optional): "
            ]
        );
    }

    #[test]
    fn an_empty_line_at_a_required_field_declines() {
        assert_eq!(ask(&[""]).0, Action::Decline);
    }

    #[test]
    fn what_is_written_is_taken_and_the_rest_is_default() {
        let accepted = |content: &str| Ok(format!(r#"{{"action":"accept","content":{{{content}}}}}"#));
        for (words, content) in [
            (&["name=7"][..], r#""name":"7","age":30"#),
            (&["name=Ada", "age=31", "sure=yes"], r#""name":"Ada","age":31,"sure":true"#),
            (&["name=Ada", "age:=null", "tags=x, y"], r#""name":"Ada","tags":["x","y"]"#),
            (&["name=Ada", "tags:=[\"y\"]", "other=1"], r#""name":"Ada","age":30,"tags":["y"]"#),
        ] {
            assert_eq!(fill(words, None), accepted(content), "{words:?}");
        }
        assert_eq!(fill(&["age=1"], Some("Bo")), accepted(r#""name":"Bo","age":1"#));
        assert_eq!(fill(&["age=1"], Some("")), Ok(r#"{"action":"decline"}"#.to_owned()));
    }

    #[test]
    fn what_does_not_fit_the_form_is_refused() {
        assert_eq!(fill(&[], None), Err("the server asks for name, and no answer gives it".to_owned()));
        for (word, why) in [
            ("age=1.5", "1.5 is no integer for age"),
            ("age=old", "\"old\" is no integer for age"),
            ("colour=g", "\"g\" is no string for colour"),
            ("tags:=[\"z\"]", "[\"z\"] is no array for tags"),
            ("sure=1", "1 is no boolean for sure"),
        ] {
            assert_eq!(fill(&["name=Ada", word], None), Err(why.to_owned()));
        }
    }
}
