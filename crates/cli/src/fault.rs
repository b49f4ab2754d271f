//! Why a command does not do what it was told.

use std::io;

use base::fault::Why;
use gateway::assembly::StartFault;

use crate::exit::Exit;
use crate::print;

/// Why a command ends early, told by who has to do something about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The user wrote something that cannot be meant.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// The configuration is wrong, which was said in full.
    #[error("{0} cannot be used")]
    Config(String),
    /// A server of the configuration cannot be used, though others can.
    #[error("{0}")]
    LeftOut(String),
    /// Something of this machine is not as it must be.
    #[error("{0}")]
    Outside(String),
    /// The other side cannot be reached, or does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The other side refuses our credentials.
    #[error("{0}")]
    Unauthorized(String),
    /// The server is down.
    #[error("{0}")]
    Down(Why),
    /// The other side says no.
    #[error("{what}")]
    Refused {
        /// What it says.
        what: String,
        /// What could be done about it.
        hint: Option<String>,
    },
    /// Any other, with what could be done about it.
    #[error("{0}")]
    Hinted(Box<Self>, String),
    /// Nobody reads stdout any more, as in `portolan list … | head -1`. Nothing is wrong.
    #[error("nobody reads the output")]
    Unread,
    /// The user does not want to wait.
    #[error("interrupted")]
    Interrupted,
    /// A bug.
    #[error("this is a bug in Portolan: {0}")]
    Bug(String),
}

impl Fault {
    /// For something that the user wrote.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: None }
    }

    /// For something that this machine refuses.
    pub(crate) fn outside(what: &str, error: &io::Error) -> Self {
        Self::Outside(format!("{what}: {error}"))
    }

    /// The same, with what could be done about it.
    pub(crate) fn hint(self, text: impl Into<String>) -> Self {
        let text = text.into();
        match self {
            Self::Usage { what, .. } => Self::Usage { what, hint: Some(text) },
            Self::Refused { what, .. } => Self::Refused { what, hint: Some(text) },
            Self::Hinted(fault, _) => Self::Hinted(fault, text),
            other => Self::Hinted(Box::new(other), text),
        }
    }

    /// What could be done about it, if that is known.
    pub(crate) fn next_step(&self) -> Option<&str> {
        match self {
            Self::Usage { hint, .. } | Self::Refused { hint, .. } => hint.as_deref(),
            Self::Hinted(_, hint) => Some(hint),
            _ => None,
        }
    }

    /// The same as what happened, and what a program said.
    pub(crate) fn why(&self) -> Why {
        match self {
            Self::Down(why) => why.clone(),
            other => other.to_string().into(),
        }
    }

    /// What the program ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } => Exit::Usage,
            Self::Config(_) | Self::LeftOut(_) => Exit::Config,
            Self::Hinted(fault, _) => fault.exit(),
            Self::Outside(_) | Self::Unreachable(_) | Self::Unauthorized(_) | Self::Down(_) => {
                Exit::Unreachable
            }
            Self::Refused { .. } => Exit::Findings,
            Self::Unread => Exit::Ok,
            Self::Interrupted => Exit::Interrupted,
            Self::Bug(_) => Exit::Bug,
        }
    }

    /// Says it on stderr.
    pub(crate) fn say(&self) {
        let paint = print::Paint::stderr();
        match self {
            Self::Unread => return,
            Self::Interrupted => print::err("interrupted\n"),
            _ => print::err(&format!(
                "{}error{}: {}\n",
                paint.error,
                paint.off,
                print::safe_err(&self.to_string())
            )),
        }
        if let Some(hint) = self.next_step() {
            print::err(&format!("\n{}hint{}: {}\n", paint.hint, paint.off, print::safe_err(hint)));
        }
    }
}

impl From<StartFault> for Fault {
    fn from(fault: StartFault) -> Self {
        let is_taken =
            matches!(&fault, StartFault::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse);
        let said = Self::Outside(fault.to_string());
        if is_taken {
            said.hint("another program listens there; --port 0 takes any that is free")
        } else {
            said
        }
    }
}
