//! Calls in rounds: a server that asks for input gets the user's answer, or is told that there is none.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr`, `client/elicitation`. Forms are asked field by field and pages are
//! named, both only where a person sits at a terminal; everywhere else they are declined. Nothing else can be asked:
//! this client has no model and no roots, and says so.

use mcp::json::{self, Kind, Object, quote};

use crate::client::{Answer, Client};
use crate::fault::Fault;
use crate::follow::Follower;
use crate::print;
use crate::show::text;

/// More rounds than this are no conversation.
const MOST_ROUNDS: usize = 20;

/// Asks until there is an answer that asks for nothing more.
pub(crate) async fn in_rounds(
    client: &mut Client,
    method: &str,
    params: &[String],
    follower: &mut Follower,
) -> Result<Answer, Fault> {
    let mut round = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let answer = client.get(method, &[params, &round].concat(), follower).await?;
        follower.pause();
        if !answer.asks()? {
            return Ok(answer);
        }
        round = next_round(&answer.object()?).await?;
    }
    Err(Fault::Refused { what: format!("after {MOST_ROUNDS} rounds the server still asks"), hint: None })
}

/// The members that the next round adds.
async fn next_round(result: &Object<'_>) -> Result<Vec<String>, Fault> {
    let mut members = Vec::new();
    let requests = result.object("inputRequests").ok().flatten();
    if let Some(requests) = requests.filter(|requests| !requests.is_empty()) {
        let mut answers = Vec::new();
        for request in requests.iter() {
            let answer = answer(request.value).await?;
            answers.push(format!("{}:{answer}", request.raw_name));
        }
        members.push(format!("\"inputResponses\":{{{}}}", answers.join(",")));
    } else {
        // It wants to be asked again, and says nothing of when.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    if let Some(state) = result.get("requestState").ok().flatten() {
        members.push(format!("\"requestState\":{state}"));
    }
    Ok(members)
}

async fn answer(request: &str) -> Result<String, Fault> {
    let unreadable = |fault: json::JsonFault| {
        Fault::Unreachable(format!("the server asks for something unreadable: {fault}"))
    };
    let request = Object::parse(request).map_err(unreadable)?;
    let params = request.object("params").map_err(unreadable)?;
    let method = text(&request, "method").unwrap_or_default();
    let (Some(params), "elicitation/create") = (params, &*method) else {
        return Err(Fault::Refused {
            what: format!("the server asks for {method}, which this client has said it cannot do"),
            hint: None,
        });
    };
    let message = text(&params, "message").unwrap_or_default();
    let can_ask = print::can_ask();
    print::err(&format!("the server asks: {}\n", print::safe_err(&message)));
    let action = match (text(&params, "url"), params.object("requestedSchema").ok().flatten()) {
        (Some(url), _) => page(&url, can_ask).await?,
        (None, Some(schema)) if can_ask => form(&schema, &mut typed).await?,
        (None, schema) => {
            for field in schema.iter().flat_map(Field::all) {
                print::err(&format!("  {}\n", print::safe_err(field.question.trim_end_matches(": "))));
            }
            Action::Decline
        }
    };
    if !can_ask {
        print::err("declined: nobody can be asked, because stdin or stderr is no terminal\n");
    }
    Ok(action.text())
}

/// What the user does about a question.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// Answers; the members of the content.
    Accept(Vec<String>),
    Visited,
    Decline,
}

impl Action {
    fn text(&self) -> String {
        match self {
            Self::Accept(members) => format!(r#"{{"action":"accept","content":{{{}}}}}"#, members.join(",")),
            Self::Visited => r#"{"action":"accept"}"#.to_owned(),
            Self::Decline => r#"{"action":"decline"}"#.to_owned(),
        }
    }
}

async fn page(url: &str, can_ask: bool) -> Result<Action, Fault> {
    print::err(&format!("it wants you to visit {}\n", print::safe_err(url)));
    if !can_ask {
        return Ok(Action::Decline);
    }
    let answer = typed("Have you been there? [y/N] ").await?;
    Ok(if is_yes(&answer) { Action::Visited } else { Action::Decline })
}

fn is_yes(typed: &str) -> bool {
    matches!(typed.trim(), "y" | "Y" | "yes")
}

async fn typed(question: &str) -> Result<String, Fault> {
    print::err(&print::safe_err(question));
    // Beside, so that a signal is heard meanwhile.
    let line =
        tokio::task::spawn_blocking(print::typed).await.map_err(|error| Fault::Bug(error.to_string()))?;
    line.map_err(|error| Fault::outside("cannot read what is typed", &error))
}

/// One field of a form.
struct Field {
    name: String,
    kind: String,
    choices: Vec<String>,
    default: Option<String>,
    required: bool,
    question: String,
}

/// Asks for each field. An empty line takes the default, leaves an optional field out, or, at a field that is required,
/// declines the whole.
async fn form(
    schema: &Object<'_>,
    ask: &mut impl AsyncFnMut(&str) -> Result<String, Fault>,
) -> Result<Action, Fault> {
    let fields = Field::all(schema);
    if fields.is_empty() {
        let agrees = is_yes(&ask("Do you agree? [y/N] ").await?);
        return Ok(if agrees { Action::Accept(Vec::new()) } else { Action::Decline });
    }
    let mut members = Vec::new();
    for field in fields {
        match field.ask(ask).await? {
            Given::Value(value) => members.push(format!("{}:{value}", quote(&field.name))),
            Given::Nothing if field.required => return Ok(Action::Decline),
            Given::Nothing => {}
        }
    }
    Ok(Action::Accept(members))
}

enum Given {
    Value(String),
    Nothing,
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
            properties.filter_map(|property| Some((&property.name, Object::parse(property.value).ok()?)));
        shapes.map(|(name, shape)| Self::read(name, &shape, required.contains(name))).collect()
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

    async fn ask(&self, ask: &mut impl AsyncFnMut(&str) -> Result<String, Fault>) -> Result<Given, Fault> {
        loop {
            let line = ask(&self.question).await?;
            if line.trim().is_empty() {
                return Ok(self.default.clone().map_or(Given::Nothing, Given::Value));
            }
            match self.value(line.trim()) {
                Some(value) => return Ok(Given::Value(value)),
                None => print::err(&format!("that is no {} for {}\n", self.kind, self.name)),
            }
        }
    }

    /// What was typed, as JSON.
    fn value(&self, typed: &str) -> Option<String> {
        let allowed =
            |text: &str| self.choices.is_empty() || self.choices.iter().any(|choice| choice == text);
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
                    .all(|part| allowed(part))
                    .then(|| format!("[{}]", parts.into_iter().map(quote).collect::<Vec<_>>().join(",")))
            }
            _ => allowed(typed).then(|| quote(typed)),
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

    fn fill(lines: &[&str]) -> (Action, Vec<String>) {
        let mut lines = lines.iter();
        let mut asked = Vec::new();
        let mut ask = async |question: &str| {
            asked.push(question.to_owned());
            Ok((*lines.next().unwrap()).to_owned())
        };
        let form = Object::parse(FORM).unwrap();
        let action = super::form(&form, &mut ask).now_or_never();
        (action.unwrap().unwrap(), asked)
    }

    #[test]
    fn a_form_is_asked_field_by_field() {
        let (action, asked) = fill(&["Ada", "x", "", "r", "x, y", ""]);
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
        assert_eq!(fill(&[""]).0, Action::Decline);
    }
}
