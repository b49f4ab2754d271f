//! The policies that are built in.

/// One of them: its name, and its text.
pub type Builtin = (&'static str, &'static str);

/// All of them, from the widest.
pub const ALL: [Builtin; 3] = [
    ("allow-all", include_str!("builtin/allow-all.cedar")),
    ("annotated", include_str!("builtin/annotated.cedar")),
    ("read-only", include_str!("builtin/read-only.cedar")),
];

/// The text of the one of that name.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(of, _)| *of == name).map(|(_, text)| *text)
}
