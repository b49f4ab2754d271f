//! Times of the day as texts (RFC 3339 §5.6).

use std::time::{Duration, SystemTime};

/// A time as RFC 3339 writes it, in UTC.
#[must_use]
pub fn write(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days since 0000-03-01, in eras of 400 years (H. Hinnant, «chrono-compatible low-level date algorithms»).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// When a text says: `2026-11-30T12:00:00Z`, from 1970 on.
#[must_use]
pub fn read(text: &str) -> Option<SystemTime> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let is = |at: usize, marks: &str| text.get(at..=at).is_some_and(|mark| marks.contains(mark));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_laid_out = is(4, "-") && is(7, "-") && is(10, "Tt ") && is(13, ":") && is(16, ":");
    let long = if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 29 } else { 28 };
    let last = [31, long, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let last = *last.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    if !is_laid_out || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = text.get(19..)?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit())?;
            if end == 0 {
                return None;
            }
            fraction.get(end..)?
        }
        None => rest,
    };
    let at = text.len() - rest.len();
    let offset = match rest.get(..1)? {
        "Z" | "z" if rest.len() == 1 => 0,
        sign @ ("+" | "-") if rest.len() == 6 && is(at + 3, ":") => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            let seconds = (hours * 60 + minutes) * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if sign == "-" { -seconds } else { seconds }
        }
        _ => return None,
    };
    // Days since 1970, in years that begin in March (H. Hinnant, «chrono-compatible low-level date algorithms»).
    let years = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * years + years / 4 - years / 100 + years / 400 + day_of_year - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are() {
        let at = |seconds| write(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_785_196_800_000), "2026-07-28T00:00:00.000Z");
    }

    #[test]
    fn times_are_read() {
        let seconds = |text| read(text)?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|d| d.as_secs());
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-30T12:00:00Z", 1_796_040_000),
            ("2026-11-30T13:00:00+01:00", 1_796_040_000),
            ("2026-11-30 06:30:00.25-05:30", 1_796_040_000),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2000-03-01T00:00:00z", 951_868_800),
            ("2100-01-01T00:00:00Z", 4_102_444_800),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "2026-11-30",
            "2026-11-30T12:00:00",
            "2026-11-30T12:00Z",
            "2026-02-29T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "2026-11-31T12:00:00Z",
            "2026-11-30T24:00:00Z",
            "2026-11-30T12:60:00Z",
            "2026-11-30T12:00:60Z",
            "2026-11-30T12:00:00+1:00",
            "1969-12-31T23:59:59Z",
            "2026-11-30T12:00:00.Z",
            "2026-11-30T12:00:00Z ",
            "2026/11/30T12:00:00Z",
            "+026-11-30T12:00:00Z",
            "2026-11-30T12:00:00ä",
            "２026-11-30T12:00:00Z",
            "2026-11-30T12:00:00+25:00",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
