//! The kinds of values that have a spelling of their own: durations, sizes, counts, commands.

use std::time::{Duration, SystemTime};

use base::moment;
use base::plan::limit::Rate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::findings::Findings;
use crate::node::{At, Node, Value};
use crate::read::{Read, WrongKind};
use crate::template::Template;

/// How long: `"250ms"`, `"15s"`, `"5m"`, `"24h"`, `"7d"`, and any of them in a row: `"1h30m"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasting(pub(crate) Duration);

/// When: `"2026-11-30T12:00:00Z"` (RFC 3339 §5.6).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) SystemTime);

/// How many bytes: `"64KiB"`, `"4MiB"`, or a plain number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size(pub(crate) usize);

/// How many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) usize);

/// A part of the whole: from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share(pub(crate) f64);

/// How often: `"10/s"`, `"60/min"`, `"500/h"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frequency(pub(crate) Rate);

/// How many bytes in an hour: `"100MB/h"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hourly(pub(crate) usize);

/// A program, or a program and its first arguments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Command {
    pub(crate) words: Vec<At<Template>>,
}

/// The name of a policy, or names of several.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies {
    pub(crate) names: Vec<At<Template>>,
}

/// A value that has bounds.
pub(crate) trait Bounded: Copy {
    /// What the plan takes.
    type Plain: Copy + PartialOrd;
    fn plain(self) -> Self::Plain;
    /// How a person writes it.
    fn spell(plain: Self::Plain) -> String;
}

impl Bounded for Lasting {
    type Plain = Duration;

    fn plain(self) -> Duration {
        self.0
    }

    fn spell(plain: Duration) -> String {
        let ms = plain.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
        let fits = |(_, one): &&(&str, u128)| ms >= *one && ms.is_multiple_of(*one);
        units.iter().find(fits).map_or_else(|| "0s".to_owned(), |(unit, one)| format!("{}{unit}", ms / one))
    }
}

impl Bounded for Size {
    type Plain = usize;

    fn plain(self) -> usize {
        self.0
    }

    fn spell(plain: usize) -> String {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let fits = |(_, one): &&(&str, usize)| plain >= *one && plain.is_multiple_of(*one);
        units
            .iter()
            .find(fits)
            .map_or_else(|| plain.to_string(), |(unit, one)| format!("{}{unit}", plain / one))
    }
}

impl Bounded for Hourly {
    type Plain = usize;

    fn plain(self) -> usize {
        self.0
    }

    fn spell(plain: usize) -> String {
        format!("{}/h", Size::spell(plain))
    }
}

impl Bounded for Count {
    type Plain = usize;

    fn plain(self) -> usize {
        self.0
    }

    fn spell(plain: usize) -> String {
        plain.to_string()
    }
}

/// Splits what begins with digits.
fn digits(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

/// How long a text says: `"250ms"`, `"15s"`, `"1h30m"`.
#[must_use]
pub fn lasting(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = digits(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(ms)?))?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

fn size(text: &str) -> Option<usize> {
    let (number, unit) = digits(text)?;
    let one: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    usize::try_from(number.checked_mul(one)?).ok()
}

impl Read for Frequency {
    const EXPECTED: &'static str = "a rate such as \"10/s\", \"60/min\" or \"500/h\"";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let found = match &node.value {
            Value::Text(text) => Rate::read(text),
            Value::Whole(_) => None,
            _ => return Err(WrongKind),
        };
        if found.is_none() {
            let finding = findings.error(node.span, format!("expected {}", Self::EXPECTED));
            finding.help("a whole number from 1 to 1000000, and in what time: /s, /min or /h");
        }
        Ok(found.map(Self))
    }
}

impl Read for Hourly {
    const EXPECTED: &'static str = "bytes in an hour such as \"100MB/h\"";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let found = match &node.value {
            Value::Text(text) => text.trim_end().strip_suffix("/h").and_then(|text| size(text.trim_end())),
            Value::Whole(_) => None,
            _ => return Err(WrongKind),
        };
        if found.is_none() {
            let finding = findings.error(node.span, format!("expected {}", Self::EXPECTED));
            finding.help("a size and \"/h\", in quotes; the units are kB, MB and GB, and KiB, MiB and GiB");
        }
        Ok(found.map(Self))
    }
}

impl Read for Share {
    const EXPECTED: &'static str = "a number from 0 to 1";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let found = match node.value {
            Value::Whole(0) => Some(0.0),
            Value::Whole(1) => Some(1.0),
            Value::Fraction(share) if (0.0..=1.0).contains(&share) => Some(share),
            Value::Whole(_) | Value::Fraction(_) => None,
            _ => return Err(WrongKind),
        };
        if found.is_none() {
            let finding = findings.error(node.span, format!("expected {}", Self::EXPECTED));
            finding.help("such as 0.01 for one in a hundred, or 1 for all");
        }
        Ok(found.map(Self))
    }
}

impl Read for Lasting {
    const EXPECTED: &'static str = "a duration such as \"30s\", \"5m\" or \"250ms\"";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let found = match &node.value {
            Value::Text(text) => lasting(text),
            Value::Whole(_) => None,
            _ => return Err(WrongKind),
        };
        if found.is_none() {
            let finding = findings.error(node.span, format!("expected {}", Self::EXPECTED));
            match &node.value {
                Value::Whole(number) if *number > 0 => {
                    finding.help(format!("a number needs its unit: \"{number}s\" or \"{number}ms\""))
                }
                _ => finding.help("the units are ms, s, m, h and d; whole numbers only"),
            };
        }
        Ok(found.map(Self))
    }
}

impl Read for Moment {
    const EXPECTED: &'static str = "a time such as \"2026-11-30T12:00:00Z\"";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let found = match &node.value {
            Value::Text(text) => moment::read(text),
            Value::Date => None,
            _ => return Err(WrongKind),
        };
        if found.is_none() {
            let finding = findings.error(node.span, format!("expected {}", Self::EXPECTED));
            finding.help("a text in quotes: the date, T, the time of day, and Z or +01:00; from 1970 on");
        }
        Ok(found.map(Self))
    }
}

impl Read for Size {
    const EXPECTED: &'static str = "a size such as \"64KiB\" or \"4MiB\", or a number of bytes";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let found = match &node.value {
            Value::Text(text) => size(text),
            Value::Whole(number) => usize::try_from(*number).ok(),
            _ => return Err(WrongKind),
        };
        if found.is_none() {
            findings
                .error(node.span, format!("expected {}", Self::EXPECTED))
                .help("the units are KiB, MiB and GiB; whole numbers only");
        }
        Ok(found.map(Self))
    }
}

impl Read for Count {
    const EXPECTED: &'static str = "a whole number";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        let Value::Whole(number) = node.value else { return Err(WrongKind) };
        let found = usize::try_from(number).ok();
        if found.is_none() {
            findings.error(node.span, "expected a whole number that is not negative");
        }
        Ok(found.map(Self))
    }
}

impl Read for Command {
    const EXPECTED: &'static str = "a program, or a list of a program and its arguments";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        match &node.value {
            Value::Text(_) => Ok(At::read(node, findings).map(|word| Self { words: vec![word] })),
            Value::List(_) => Ok(At::<Vec<_>>::read(node, findings).map(|words| Self { words: words.value })),
            _ => Err(WrongKind),
        }
    }
}

impl Read for Policies {
    const EXPECTED: &'static str = "the name or the path of a policy, or a list of these";

    fn read(node: &Node, findings: &mut Findings<'_>) -> Result<Option<Self>, WrongKind> {
        match &node.value {
            Value::Text(_) => Ok(At::read(node, findings).map(|name| Self { names: vec![name] })),
            Value::List(_) => Ok(At::<Vec<_>>::read(node, findings).map(|names| Self { names: names.value })),
            _ => Err(WrongKind),
        }
    }
}

/// A schema of a few lines, which needs no name of its own.
macro_rules! inline {
    ($kind:ty, $schema:tt) => {
        impl JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

inline!(Lasting, { "type": "string", "title": "duration", "pattern": "^([0-9]+(ms|s|m|h|d))+$" });
inline!(Moment, { "type": "string", "format": "date-time" });
inline!(Size, { "type": ["string", "integer"], "title": "size", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|kB|KB|MB|GB)?$", "minimum": 0 });
inline!(Share, { "type": "number", "minimum": 0, "maximum": 1 });
inline!(Frequency, { "type": "string", "title": "rate", "pattern": "^[0-9]+ */ *(s|m|min|h)$" });
inline!(Hourly, { "type": "string", "title": "bytes in an hour", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|kB|KB|MB|GB)? */h$" });
inline!(Count, { "type": "integer", "minimum": 0 });
inline!(Command, { "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1 });
inline!(Policies, { "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1 });
inline!(Template, { "type": "string" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_spelled() {
        let ms = |text| lasting(text).map(|d| d.as_millis());
        assert_eq!(ms("250ms"), Some(250));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        for wrong in
            ["", "5", "5 s", "s", "-1s", "1.5s", "1y", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
        for right in ["250ms", "15s", "90s", "5m", "24h", "7d", "0s"] {
            let normal = Lasting::spell(lasting(right).unwrap());
            assert_eq!(lasting(&normal), lasting(right), "{right} {normal}");
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_spelled() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("1 GB"), Some(1_000_000_000));
        assert_eq!(size("12"), Some(12));
        for wrong in ["", "KiB", "1.5MiB", "-1", "64kib", "99999999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        assert_eq!(Size::spell(4 << 20), "4MiB");
        assert_eq!(Size::spell(1_000_001), "1000001");
    }
}
