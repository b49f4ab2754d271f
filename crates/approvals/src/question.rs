//! A question as the store keeps it, made of what policies ask.

use auth::{Asked, Claims, Principal};
use base::masks::Masks;
use base::random::{self, NoRandom};
use store::approvals::Question;

use crate::people;
use crate::text::{bounded, squeezed};

/// The most bytes of arguments that are kept for people. What is approved are all of them.
const ARGUMENTS: usize = 16 * 1024;
/// The most bytes of a name.
const NAME: usize = 1024;

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The server's.
    pub server: &'a str,
    /// The MCP method.
    pub method: &'a str,
    /// The server's own name of what it is about.
    pub name: &'a str,
    /// The JSON text of the arguments.
    pub arguments: Option<&'a str>,
    /// Who wants it.
    pub principal: &'a Principal,
    /// What was said of it.
    pub claims: Option<&'a Claims>,
    /// What is not to be seen.
    pub masks: &'a Masks,
}

/// The question that policies want to be asked.
///
/// # Errors
/// When the system gives no random number to call it by.
pub fn question(asked: &Asked, wanted: &Wanted<'_>) -> Result<Question, NoRandom> {
    let (name, _) = crate::text::cut(wanted.name, NAME);
    let name = wanted.masks.mask(name).into_owned();
    let whose = wanted.claims.map(|claims| (claims.issuer.clone(), claims.subject.clone()));
    // A database takes no NUL in a text.
    let text = |text: &str| text.replace('\0', "\\u0000");
    Ok(Question {
        id: random::hex::<12>()?,
        binding: asked.binding.to_string(),
        principal: text(wanted.principal.id()),
        whose: whose.map(|(issuer, subject)| (text(&issuer), text(&subject))).unwrap_or_default(),
        what: [wanted.route, wanted.server, wanted.method, &name].map(text),
        arguments: text(&bounded(
            &squeezed(&wanted.masks.mask(wanted.arguments.unwrap_or_default())),
            ARGUMENTS,
        )),
        reason: asked.reason.clone(),
        policies: asked.policies.join("\n"),
        approvers: text(&people::write(&asked.approvers)),
        lasts: asked.lasts,
    })
}
