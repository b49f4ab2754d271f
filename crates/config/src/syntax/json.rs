//! JSON, with the comments and trailing commas that editors allow, → nodes.

use jsonc_parser::ast::{Object, ObjectPropName, Value as Json};
use jsonc_parser::common::Range;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::members;
use crate::findings::Findings;
use crate::node::{At, Member, Node, Span, Value};

const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Parses it, or says where it ceases to be JSON.
pub(crate) fn parse(findings: &mut Findings<'_>) -> Node {
    let text = &findings.source().text;
    let empty = Node { span: Span::default(), value: Value::Table(Vec::new()) };
    match parse_to_ast(text, &CollectOptions::default(), &OPTIONS) {
        Ok(parsed) => parsed.value.map_or(empty, |value| node(&value, findings)),
        Err(fault) => {
            let kind = lower_first(&fault.kind().to_string());
            let help = next_step(&kind);
            findings.error(span(fault.range()), format!("not JSON: {kind}")).help(help);
            empty
        }
    }
}

/// What to do about it, by the parser's words.
fn next_step(kind: &str) -> &'static str {
    let steps = [
        ("comma", "members and elements stand apart by one comma each"),
        ("single-quoted", "write the text between \" and \""),
        ("unterminated", "what begins here has no end: a quote, bracket or brace is missing"),
        ("colon", "a member is written \"name\": value"),
        ("close", "there is one bracket or brace too many, or one too few before it"),
        ("nesting", "no configuration lies so deep"),
    ];
    let step = steps.iter().find(|(word, _)| kind.contains(word));
    step.map_or("look at what stands right before it, too", |(_, step)| step)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn node(value: &Json<'_>, findings: &mut Findings<'_>) -> Node {
    let (range, value) = match value {
        Json::StringLit(text) => (text.range, Value::Text(text.value.clone().into_owned())),
        Json::NumberLit(number) => (number.range, self::number(number.value)),
        Json::BooleanLit(is) => (is.range, Value::Boolean(is.value)),
        Json::NullKeyword(null) => (null.range, Value::Null),
        Json::Array(list) => {
            (list.range, Value::List(list.elements.iter().map(|item| node(item, findings)).collect()))
        }
        Json::Object(object) => (object.range, Value::Table(members(object, findings))),
    };
    Node { span: span(range), value }
}

fn number(digits: &str) -> Value {
    if digits.contains(['.', 'e', 'E']) {
        return Value::Fraction(digits.parse().unwrap_or(f64::NAN));
    }
    let limit = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    Value::Whole(digits.parse().unwrap_or(limit))
}

fn members(object: &Object<'_>, findings: &mut Findings<'_>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for property in &object.properties {
        let range = match &property.name {
            ObjectPropName::String(name) => name.range,
            ObjectPropName::Word(name) => name.range,
        };
        let key = At { span: span(range), value: property.name.as_str().to_owned() };
        let value = node(&property.value, findings);
        members::put(&mut members, Member { key, value }, findings);
    }
    members
}

fn span(range: Range) -> Span {
    Span { start: range.start, end: range.end }
}
