//! One value of the arguments, for Cedar.

use std::collections::BTreeSet;

use cedar_policy::{Entity, EntityUid, RestrictedExpression as Expression};

use crate::arguments::{Arguments, Value};
use crate::reads::Members;

/// The value, of which only those members are there that somebody looks at.
pub(crate) fn expression(value: &Value, members: &Members) -> Expression {
    let text = |text: &str| Expression::new_string(text.to_owned());
    let mut all = Vec::with_capacity(2);
    let mut add = |name: &str, expression: &dyn Fn() -> Option<Expression>| {
        let expression = if members.has(name) { expression() } else { None };
        all.extend(expression.map(|expression| (name.to_owned(), expression)));
    };
    add("kind", &|| Some(text(value.kind)));
    add("text", &|| value.text.as_deref().map(text));
    add("integer", &|| value.integer.map(Expression::new_long));
    add("decimal", &|| value.decimal.as_deref().map(Expression::new_decimal));
    add("flag", &|| value.flag.map(Expression::new_bool));
    add("size", &|| value.size.map(Expression::new_long));
    let texts = |texts: &BTreeSet<String>| Expression::new_set(texts.iter().map(|each| text(each)));
    add("texts", &|| value.texts.as_ref().map(texts));
    add("clean", &|| value.clean.map(Expression::new_bool));
    // Names stand once.
    Expression::new_record(all).unwrap_or_else(|_impossible| Expression::new_bool(false))
}

/// The arguments as the schema has them: an entity, with a tag for each value.
///
/// # Errors
/// When a value is none that Cedar can have.
pub(crate) fn entity(uid: EntityUid, arguments: &Arguments, members: &Members) -> Result<Entity, String> {
    let tags = arguments.values.iter().map(|(pointer, value)| (pointer.clone(), expression(value, members)));
    let none: [(String, Expression); 0] = [];
    Entity::new_with_tags(uid, none, [], tags).map_err(|error| error.to_string())
}
