//! Numbers of JSON as Cedar can have them, never another number than the one that is written.

/// A number, exactly: so many times a power of ten. No zeros at the end of the digits.
struct Exact {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

/// What a JSON number is to policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    /// If it is whole and fits.
    pub(crate) integer: Option<i64>,
    /// If it has no more than four digits after the point, and fits: as Cedar reads it.
    pub(crate) decimal: Option<String>,
}

/// The digits that Cedar's decimals have after the point.
const PLACES: i64 = 4;
/// No number that fits has more.
const MOST_DIGITS: i64 = 19;

impl Number {
    /// Reads a number that is JSON.
    pub(crate) fn read(written: &str) -> Self {
        let exact = Exact::read(written);
        let integer = exact.scaled(0);
        let decimal = exact.scaled(PLACES).map(|value| {
            let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
            format!("{sign}{}.{:04}", value / 10_000, value % 10_000)
        });
        Self { integer, decimal }
    }
}

impl Exact {
    fn read(written: &str) -> Self {
        let (is_negative, rest) = match written.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, written),
        };
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let kept = digits.trim_end_matches('0');
        // An exponent that fits into no number is as good as a very large one.
        let far = if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
        let exponent =
            exponent.parse().map_or(far, |exponent: i64| exponent.clamp(i64::MIN / 4, i64::MAX / 4));
        let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX / 8);
        let exponent = exponent.saturating_sub(length(fraction)) + length(digits) - length(kept);
        Self { is_negative, digits: kept.to_owned(), exponent }
    }

    /// It times ten to that power, if that is whole and fits.
    fn scaled(&self, power: i64) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = usize::try_from(self.exponent.saturating_add(power)).ok()?;
        let length = i64::try_from(self.digits.len()).ok()?;
        if length.saturating_add(i64::try_from(zeros).ok()?) > MOST_DIGITS {
            return None;
        }
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{}{}", self.digits, "0".repeat(zeros)).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn integer(written: &str) -> Option<i64> {
        Number::read(written).integer
    }

    #[test]
    fn only_the_number_that_is_written() {
        for (written, value) in [
            ("1000", 1000),
            ("1000.0", 1000),
            ("1e3", 1000),
            ("0.1e1", 1),
            ("-0", 0),
            ("0.000e5", 0),
            ("0e99999999999999999999", 0),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("120e-1", 12),
        ] {
            assert_eq!(integer(written), Some(value), "{written}");
        }
        for written in [
            "1.5",
            "9223372036854775808",
            "1e19",
            "1e99999999999999999999",
            "1e-1",
            "1e-99999999999999999999",
        ] {
            assert_eq!(integer(written), None, "{written}");
        }
    }

    #[test]
    fn decimals_are_never_rounded() {
        let decimal = |written: &str| Number::read(written).decimal;
        assert_eq!(decimal("1.5").as_deref(), Some("1.5000"));
        assert_eq!(decimal("-0.0001").as_deref(), Some("-0.0001"));
        assert_eq!(decimal("12345e-4").as_deref(), Some("1.2345"));
        assert_eq!(decimal("7").as_deref(), Some("7.0000"));
        assert_eq!(decimal("1.23456"), None);
        assert_eq!(decimal("922337203685477.5807").as_deref(), Some("922337203685477.5807"));
        assert_eq!(decimal("922337203685477.5808"), None);
    }

    proptest! {
        #[test]
        fn what_is_whole_is_itself(value: i64, zeros in 0_usize..4) {
            prop_assert_eq!(integer(&value.to_string()), Some(value));
            prop_assert_eq!(integer(&format!("{value}.{}", "0".repeat(zeros + 1))), Some(value));
            prop_assert_eq!(integer(&format!("{value}{}e-{zeros}", "0".repeat(zeros))), Some(value));
        }

        #[test]
        fn it_is_what_a_float_says(mantissa in -99_999_i64..99_999, exponent in -8_i32..8) {
            let written = format!("{mantissa}e{exponent}");
            let float: f64 = written.parse().unwrap();
            let is_whole = float.fract() == 0.0;
            prop_assert_eq!(integer(&written).is_some(), is_whole, "{}", written);
        }
    }
}
