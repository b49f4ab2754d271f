//! What the program says by its exit status.

use std::process::ExitCode;

use crate::columns;

/// An exit status. These numbers are part of the interface: scripts may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything went well.
    Ok,
    /// It ran, and the answer is no: a tool failed, a server refused, a check found something.
    Findings,
    /// The command line is wrong.
    Usage,
    /// The configuration is wrong.
    Config,
    /// Something outside is not as it must be: a server that cannot be reached, an address that is taken.
    Unreachable,
    /// A bug in Portolan.
    Bug,
    /// A signal ended it before it was done.
    Interrupted,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Findings,
        Self::Usage,
        Self::Config,
        Self::Unreachable,
        Self::Bug,
        Self::Interrupted,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Unreachable => 4,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// What it means, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "everything went well",
            Self::Findings => {
                "it ran, and the answer is no: a tool failed, a server refused, a check found something"
            }
            Self::Usage => "the command line is wrong",
            Self::Config => "the configuration is wrong",
            Self::Unreachable => "a server cannot be reached, or something else outside is not as it must be",
            Self::Bug => "a bug in Portolan",
            Self::Interrupted => "a signal ended it before it was done",
        }
    }

    /// All of them, as the help shows them.
    #[must_use]
    pub fn table() -> String {
        let mut table = "Exit status:\n".to_owned();
        for exit in Self::ALL {
            table.push_str(&format!("  {:>3} ", exit.code()));
            columns::wrap(&mut table, exit.meaning().split(' '), 6, 7);
        }
        table.trim_end().to_owned()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
