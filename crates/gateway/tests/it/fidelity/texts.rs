//! The awkward values of `values.txt`.

fn values() -> Vec<&'static str> {
    include_str!("values.txt").lines().collect()
}

/// All of them as an array.
pub(crate) fn array() -> String {
    format!("[{}]", values().join(","))
}

/// All of them as members of an object, without its braces.
pub(crate) fn members() -> String {
    let members: Vec<_> = values().iter().enumerate().map(|(n, value)| format!("\"v{n}\":{value}")).collect();
    members.join(",")
}
