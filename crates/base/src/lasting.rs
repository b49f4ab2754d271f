//! Times as people say them.

use std::fmt;
use std::time::Duration;

/// A time, for a line that a person reads: `250 ms`, `1.5 s`, `42 s`, `3 min 20 s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasting(pub Duration);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        // Rounded, so that what was to last a second is one.
        let (tenths, seconds) = (millis.saturating_add(50) / 100, millis.saturating_add(500) / 1000);
        match (tenths, seconds) {
            (..10, _) => write!(f, "{millis} ms"),
            (10..100, _) if tenths % 10 == 0 => write!(f, "{} s", tenths / 10),
            (10..100, _) => write!(f, "{}.{} s", tenths / 10, tenths % 10),
            (_, ..120) => write!(f, "{seconds} s"),
            _ if seconds % 60 == 0 => write!(f, "{} min", seconds / 60),
            _ => write!(f, "{} min {} s", seconds / 60, seconds % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let said = |millis| Lasting(Duration::from_millis(millis)).to_string();
        let all =
            [0, 584, 949, 950, 974, 1000, 1230, 9_940, 9_960, 42_400, 119_000, 120_000, 200_000].map(said);
        let right = "0 ms,584 ms,949 ms,1 s,1 s,1 s,1.2 s,9.9 s,10 s,42 s,119 s,2 min,3 min 20 s";
        assert_eq!(all.join(","), right);
    }
}
