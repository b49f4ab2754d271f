//! What else is known when something is decided, as policies see it.

use std::net::IpAddr;
use std::time::SystemTime;

use cedar_policy::{Context, EntityUid, RestrictedExpression as Expression};

use crate::reads::Reads;
use crate::who::Who;

/// What only a call has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) now: SystemTime,
    pub(crate) address: Option<IpAddr>,
    pub(crate) era: &'a str,
    pub(crate) trace: Option<&'a str>,
    /// Where the arguments are, if they are an entity.
    pub(crate) arguments: Option<&'a EntityUid>,
    /// Whether they are all there.
    pub(crate) complete: bool,
}

/// The context of a request: that of the caller, and of the call, if there is one, as far as it is read: what nobody looks at need
/// not be made. `more` are further members.
///
/// # Errors
/// When a value is none that Cedar can have: nothing may be decided without it.
pub(crate) fn context(
    who: &Who,
    route: &str,
    moment: Option<(&Moment<'_>, &Reads)>,
    more: impl IntoIterator<Item = (String, Expression)>,
) -> Result<Context, String> {
    let text = |value: &str| Expression::new_string(value.to_owned());
    let set = |values: &[String]| Expression::new_set(values.iter().map(|value| text(value)));
    let mut members = Vec::with_capacity(10);
    if moment.is_none_or(|(_, reads)| reads.caller) {
        members.extend([("scopes", set(&who.scopes)), ("amr", set(&who.amr)), ("route", text(route))]);
        members.extend(who.acr.as_deref().map(|acr| ("acr", text(acr))));
    }
    if let Some((moment, reads)) = moment {
        if reads.now {
            members.push(("now", Expression::new_datetime(base::moment::write(moment.now))));
        }
        if reads.call {
            let address = moment.address.map(|address| address.to_canonical().to_string());
            members.extend(address.map(|address| ("address", Expression::new_ip(address))));
            members.push(("era", text(moment.era)));
            members.extend(moment.trace.map(|trace| ("trace", text(trace))));
        }
        if reads.complete {
            members.push(("complete", Expression::new_bool(moment.complete)));
        }
        members.extend(moment.arguments.map(|uid| ("arguments", Expression::new_entity_uid(uid.clone()))));
    }
    Context::from_pairs(members.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(more))
        .map_err(|error| error.to_string())
}
