//! Dates of HTTP headers and cookies.

/// The seconds since 1970 of a date such as `Tue, 01 Dec 2026 10:00:00 GMT`, as loosely as cookies need it (RFC 6265 §5.1.1).
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let (mut day, mut month, mut year, mut time) = (None, None, None, None);
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':') {
        if let Some(read) = clock(word) {
            time = time.or(Some(read));
        } else if let Ok(number) = word.parse::<i64>() {
            match word.len() {
                1 | 2 if day.is_none() => day = Some(number),
                2 => year = year.or(Some(if number < 70 { 2000 + number } else { 1900 + number })),
                4 => year = year.or(Some(number)),
                _ => {}
            }
        } else if let Some(found) = word.get(..3).and_then(|name| {
            MONTHS
                .iter()
                .zip(1..)
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, number)| number)
        }) {
            month = month.or(Some(found));
        }
    }
    let day = day.filter(|day| (1..=31).contains(day))?;
    let year = year.filter(|year| (1601..=9999).contains(year))?;
    Some(days(year, month?, day) * 86_400 + time?)
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

fn clock(word: &str) -> Option<i64> {
    let mut parts =
        word.split(':').map(|part| part.parse::<i64>().ok().filter(|part| (0..=60).contains(part)));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    Some(hour * 3600 + minute * 60 + second)
}

/// The days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // A year that begins in March has its leap day at its end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_all_their_forms() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in [
            "Tue, 01 Dec 2026 10:00:00 GMT",
            "Tuesday, 01-Dec-26 10:00:00 GMT",
            "Tue Dec  1 10:00:00 2026",
            "tue, 1-dec-2026 10:00:00",
        ] {
            assert_eq!(seconds(text), Some(1_796_119_200), "{text}");
        }
        assert_eq!(seconds("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        for text in ["", "soon", "01 Dec 2026", "Tue, 41 Dec 2026 10:00:00 GMT", "10:00:00"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
