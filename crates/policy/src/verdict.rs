//! What policies say of an action, and why.

/// What policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub why: Why,
}

/// Why something is allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// These permit it, and none forbids it.
    Permitted(Vec<String>),
    /// It is permitted, and these want it to be approved first.
    Asks(Vec<String>),
    /// None permits it.
    NotPermitted,
    /// These forbid it.
    Forbidden(Vec<String>),
    /// This one has erred, so that nobody knows what it would have said.
    Erred {
        /// The policy, if it is one's fault alone.
        id: Option<String>,
        /// What went wrong.
        text: String,
    },
    /// The arguments are too many or too long for policies that read them.
    Incomplete,
    /// The arguments are not what the tool takes, or can be read in two ways.
    Arguments(String),
    /// What a server says of the arguments of its tool cannot be used, and a policy reads them.
    Schema(String),
}

impl Verdict {
    pub(crate) fn allowed(by: Vec<String>) -> Self {
        Self { allowed: true, why: Why::Permitted(by) }
    }

    pub(crate) fn denied(why: Why) -> Self {
        Self { allowed: false, why }
    }

    /// Whether it is allowed once it is approved.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(self.why, Why::Asks(_))
    }

    /// The policies that have decided.
    #[must_use]
    pub fn by(&self) -> &[String] {
        match &self.why {
            Why::Permitted(ids) | Why::Asks(ids) | Why::Forbidden(ids) => ids,
            Why::Erred { id, .. } => id.as_slice(),
            Why::NotPermitted | Why::Incomplete | Why::Arguments(_) | Why::Schema(_) => &[],
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Permitted(ids) => write!(f, "permitted by {}", ids.join(", ")),
            Self::Asks(ids) => write!(f, "to be approved first, by {}", ids.join(", ")),
            Self::NotPermitted => f.write_str("no policy permits it"),
            Self::Forbidden(ids) => write!(f, "forbidden by {}", ids.join(", ")),
            Self::Erred { id: Some(id), text } => write!(f, "the policy {id} has erred: {text}"),
            Self::Erred { id: None, text } => write!(f, "policies cannot be asked: {text}"),
            Self::Incomplete => {
                f.write_str("the arguments are too many or too long for the policies that read them")
            }
            Self::Arguments(text) => write!(f, "the arguments are not good: {text}"),
            Self::Schema(text) => write!(f, "the tool's inputSchema cannot be used: {text}"),
        }
    }
}
