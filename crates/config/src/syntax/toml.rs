//! TOML → nodes.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::findings::Findings;
use crate::node::{At, Member, Node, Value};

/// Parses what can be parsed, and says everything that cannot. The tree may lack parts then.
pub(crate) fn parse(findings: &mut Findings<'_>) -> Node {
    let text = &findings.source().text;
    let (table, faults) = DeTable::parse_recoverable(text);
    for fault in faults {
        let span = fault.span().unwrap_or(0..0);
        findings.error(span.into(), fault.message());
    }
    let span = table.span().into();
    Node { span, value: Value::Table(members(table.into_inner())) }
}

fn members(table: DeTable<'_>) -> Vec<Member> {
    let mut members: Vec<Member> = table
        .into_iter()
        .map(|(key, value)| Member {
            key: At { span: key.span().into(), value: key.into_inner().into_owned() },
            value: node(value),
        })
        .collect();
    // The parser sorts them by name; order matters to lists that show several servers.
    members.sort_by_key(|member| member.key.span.start);
    members
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span().into();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(digits) => Value::Whole(whole(digits.as_str(), digits.radix())),
        DeValue::Float(digits) => Value::Fraction(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(is) => Value::Boolean(is),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.into_iter().map(node).collect()),
        DeValue::Table(table) => Value::Table(members(table)),
    };
    Node { span, value }
}

fn whole(digits: &str, radix: u32) -> i64 {
    let limit = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    i64::from_str_radix(digits, radix).unwrap_or(limit)
}
