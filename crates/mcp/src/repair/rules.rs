//! Flat table: what clients want of the entries of lists. One line per member.

use std::borrow::Cow;

use crate::json::{self, Kind as JsonKind};
use crate::method::Kind;

/// What a member has to be.
pub(super) enum Want {
    Text,
    /// A moment as ISO 8601 has it, with a time zone.
    Time,
    Flag,
    Number,
    /// From 0 to 1.
    Share,
    OneOf(&'static [&'static str]),
    Object(&'static [Rule]),
    List(&'static Self),
    /// The schema of arguments.
    Input,
    /// The schema of structured results.
    Output,
}

impl Want {
    /// What is wrong with something else.
    pub(super) fn not(&self, found: JsonKind) -> Cow<'static, str> {
        let wanted = match self {
            Self::Text => "a string",
            Self::Time => "a moment with a time zone",
            Self::Flag => "a boolean",
            Self::Number => "a number",
            Self::Share => "a number from 0 to 1",
            Self::OneOf(words) => return format!("{found}, not one of {}", words.join(", ")).into(),
            Self::Object(_) | Self::Input | Self::Output => "an object",
            Self::List(_) => "an array",
        };
        format!("{found}, not {wanted}").into()
    }
}

/// What becomes of a member that cannot be mended, or is missing.
#[derive(Clone, Copy)]
pub(super) enum Otherwise {
    /// It may be missing, and goes.
    Gone,
    /// What it belongs to cannot be used.
    Useless,
    /// If it is missing, it is this. If it cannot be mended, what it belongs to cannot be used.
    Given(&'static str),
    /// It is the first of these members that is a text; each with what is said of that.
    Like(&'static [(&'static str, &'static str)]),
}

pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) want: Want,
    pub(super) otherwise: Otherwise,
}

impl Rule {
    /// Whether an object may be without it.
    pub(super) fn may_miss(&self) -> bool {
        matches!(self.otherwise, Otherwise::Gone)
    }
}

const fn may(name: &'static str, want: Want) -> Rule {
    Rule { name, want, otherwise: Otherwise::Gone }
}

const fn must(name: &'static str, want: Want) -> Rule {
    Rule { name, want, otherwise: Otherwise::Useless }
}

/// The rules for the entries of one kind's list, if it has one.
pub(super) fn of(kind: Kind) -> Option<&'static [Rule]> {
    match kind {
        Kind::Tool => Some(TOOL),
        Kind::Prompt => Some(PROMPT),
        Kind::Resource => Some(RESOURCE),
        Kind::Template => Some(TEMPLATE),
        Kind::Server | Kind::Task => None,
    }
}

static TOOL: &[Rule] = &[
    must("name", Want::Text),
    may("title", Want::Text),
    may("description", Want::Text),
    Rule { name: "inputSchema", want: Want::Input, otherwise: Otherwise::Given(super::schema::ANYTHING) },
    may("outputSchema", Want::Output),
    may(
        "annotations",
        Want::Object(&[
            may("title", Want::Text),
            may("readOnlyHint", Want::Flag),
            may("destructiveHint", Want::Flag),
            may("idempotentHint", Want::Flag),
            may("openWorldHint", Want::Flag),
        ]),
    ),
    may(
        "execution",
        Want::Object(&[may("taskSupport", Want::OneOf(&["required", "optional", "forbidden"]))]),
    ),
    may("icons", ICONS),
    may("_meta", Want::Object(&[])),
];

static PROMPT: &[Rule] = &[
    must("name", Want::Text),
    may("title", Want::Text),
    may("description", Want::Text),
    may(
        "arguments",
        Want::List(&Want::Object(&[
            must("name", Want::Text),
            may("title", Want::Text),
            may("description", Want::Text),
            may("required", Want::Flag),
        ])),
    ),
    may("icons", ICONS),
    may("_meta", Want::Object(&[])),
];

static RESOURCE: &[Rule] = &[
    must("uri", Want::Text),
    Rule {
        name: "name",
        want: Want::Text,
        otherwise: Otherwise::Like(&[("title", "its title"), ("uri", "its URI")]),
    },
    may("title", Want::Text),
    may("description", Want::Text),
    may("mimeType", Want::Text),
    may("size", Want::Number),
    may("annotations", ANNOTATIONS),
    may("icons", ICONS),
    may("_meta", Want::Object(&[])),
];

static TEMPLATE: &[Rule] = &[
    must("uriTemplate", Want::Text),
    Rule {
        name: "name",
        want: Want::Text,
        otherwise: Otherwise::Like(&[("title", "its title"), ("uriTemplate", "its URI template")]),
    },
    may("title", Want::Text),
    may("description", Want::Text),
    may("mimeType", Want::Text),
    may("annotations", ANNOTATIONS),
    may("icons", ICONS),
    may("_meta", Want::Object(&[])),
];

const ANNOTATIONS: Want = Want::Object(&[
    may("audience", Want::List(&Want::OneOf(&["user", "assistant"]))),
    may("priority", Want::Share),
    may("lastModified", Want::Time),
]);

const ICONS: Want = Want::List(&Want::Object(&[
    must("src", Want::Text),
    may("mimeType", Want::Text),
    may("sizes", Want::List(&Want::Text)),
    may("theme", Want::OneOf(&["light", "dark"])),
]));

pub(super) fn is_share(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|number| (0.0..=1.0).contains(&number))
}

/// Whether a JSON string is a moment of the form that SDKs take: `2026-01-31T10:00:00Z`, seconds and their fraction
/// optional, or with an offset.
pub(super) fn is_time(text: &str) -> bool {
    let Ok(text) = json::string(text) else { return false };
    // `d` is a digit.
    let fits = |text: &str, form: &str| {
        text.len() == form.len()
            && text
                .bytes()
                .zip(form.bytes())
                .all(|(b, f)| if f == b'd' { b.is_ascii_digit() } else { b == f })
    };
    let Some((date, time)) = text.split_once('T') else { return false };
    let clock = match time.strip_suffix('Z') {
        Some(clock) => clock,
        None => {
            let Some(at) = time.rfind(['+', '-']) else { return false };
            let Some((clock, offset)) = time.split_at_checked(at) else { return false };
            if !fits(offset.get(1..).unwrap_or_default(), "dd:dd") {
                return false;
            }
            clock
        }
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(c, f)| (c, Some(f)));
    let whole = fits(clock, "dd:dd:dd");
    fits(date, "dddd-dd-dd")
        && (whole || (fraction.is_none() && fits(clock, "dd:dd")))
        && fraction.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
