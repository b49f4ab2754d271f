//! One record is one line: a JSON object that begins in one way only, so that it can be read by its places and hashed as it stands.
//!
//! `{"v":1,"type":"call","time":"2026-12-01T15:40:00.123456Z","replica":"main","seq":17,"prev":"sha256:…"`, then the members of its
//! type, then `}`. What is signed ends in `,"signature":"…"}`, and the signature is over what stands before that.

use std::time::{Duration, SystemTime};

use base::moment;

use crate::hash::{Hash, of_hex};

const VERSION: &str = "{\"v\":1,\"type\":\"";
const TIME: &str = "\",\"time\":\"";
const REPLICA: &str = "\",\"replica\":\"";
const SEQ: &str = "\",\"seq\":";
const PREV: &str = ",\"prev\":\"sha256:";
const SIGNATURE: &str = ",\"signature\":\"";
/// How long a time is: `2026-12-01T15:40:00.123456Z`.
const TIME_LENGTH: usize = 27;

/// What every record begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// What it is a record of.
    pub kind: &'a str,
    /// When it was made, to the microsecond, in UTC.
    pub time: &'a str,
    /// Whose chain it is in.
    pub replica: &'a str,
    /// Its place in the chain, from 0.
    pub seq: u64,
    /// The hash of the record before it.
    pub prev: Hash,
    /// What stands behind, with the `}` at the end.
    pub rest: &'a str,
}

impl<'a> Head<'a> {
    /// Reads a line without its line break. Nothing where it does not begin, or end, as records do.
    #[must_use]
    pub fn read(line: &'a str) -> Option<Self> {
        let (kind, rest) = line.strip_prefix(VERSION)?.split_once('"')?;
        let rest = rest.strip_prefix(TIME.strip_prefix('"')?)?;
        let (time, rest) = rest.split_at_checked(TIME_LENGTH)?;
        let (replica, rest) = rest.strip_prefix(REPLICA)?.split_once('"')?;
        let (seq, rest) = rest.strip_prefix(SEQ.strip_prefix('"')?)?.split_once(',')?;
        let rest = rest.strip_prefix(PREV.strip_prefix(',')?)?;
        let (prev, rest) = rest.split_at_checked(64)?;
        let rest = rest.strip_prefix('"')?;
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(is_name);
        let is_number = !seq.is_empty()
            && seq.bytes().all(|byte| byte.is_ascii_digit())
            && (seq == "0" || !seq.starts_with('0'));
        if !is_word(kind) || !is_word(replica) || !is_number || !is_time(time) || !rest.ends_with('}') {
            return None;
        }
        Some(Self { kind, time, replica, seq: seq.parse().ok()?, prev: Hash::of_hex(prev)?, rest })
    }
}

/// So much of a line as tells its time and place.
pub(crate) const BEGIN: usize = 512;

/// The time and place of a record, of no more than the beginning of its line.
pub(crate) fn begins(line: &[u8]) -> Option<(&str, u64)> {
    let line = line.get(..BEGIN).unwrap_or(line);
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(line.get(..error.valid_up_to())?).ok()?,
    };
    let (_, rest) = text.strip_prefix(VERSION)?.split_once('"')?;
    let (time, rest) = rest.strip_prefix(TIME.strip_prefix('"')?)?.split_at_checked(TIME_LENGTH)?;
    let (_, rest) = rest.strip_prefix(REPLICA)?.split_once(SEQ)?;
    let (seq, _) = rest.split_once(',')?;
    is_time(time).then_some((time, seq.parse().ok()?))
}

fn is_time(text: &str) -> bool {
    text.bytes().zip(*b"0000-00-00T00:00:00.000000Z").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    })
}

/// So much earlier than one before it may a record be, and no clock went back: machines adjust their clocks by less all the time.
pub(crate) const BACK: Duration = Duration::from_secs(1);

/// When a record was made, to the microsecond. Nothing where that is no time of a record.
#[must_use]
pub fn moment_of(time: &str) -> Option<SystemTime> {
    let second = moment::read(&format!("{}Z", time.get(..19)?))?;
    let micros = time.get(20..26)?.parse().ok()?;
    Some(second + Duration::from_micros(micros))
}

/// Whether a clock went back between a record and one behind it.
pub(crate) fn is_back(before: &str, behind: &str) -> bool {
    let moments = || Some((moment_of(before)?, moment_of(behind)?));
    behind < before && moments().is_none_or(|(before, behind)| behind + BACK < before)
}

/// What types and replicas are called by. None of it is escaped in JSON or changed in a path.
#[must_use]
pub fn is_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
}

/// Writes the beginning of a record.
pub(crate) fn begin(out: &mut Vec<u8>, kind: &str, time: &str, (replica, seq, prev): (&str, u64, &Hash)) {
    let mut digits = itoa::Buffer::new();
    for part in [VERSION, kind, TIME, time, REPLICA, replica, SEQ, digits.format(seq), PREV] {
        out.extend_from_slice(part.as_bytes());
    }
    prev.push(out);
    out.push(b'"');
}

/// Ends a record that is signed.
pub(crate) fn sign_off(out: &mut Vec<u8>, signature: &[u8]) {
    out.extend_from_slice(SIGNATURE.as_bytes());
    crate::hash::push_hex(out, signature);
    out.extend_from_slice(b"\"}");
}

/// What of a signed record is signed, and the signature.
#[must_use]
pub fn signed(line: &str) -> Option<(&str, [u8; 64])> {
    let (text, signature) = line.rsplit_once(SIGNATURE)?;
    Some((text, of_hex(signature.strip_suffix("\"}")?)?))
}

/// Writes times. Most come in the same second as the one before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stamp {
    second: Option<u64>,
    text: String,
}

impl Stamp {
    /// A time, to the microsecond.
    pub(crate) fn write(&mut self, at: SystemTime) -> &str {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text = moment::write(SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()));
        }
        // What `moment` writes ends in three digits and `Z`.
        self.text.truncate(TIME_LENGTH - 7);
        let mut micros = since.subsec_micros();
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(micros % 10).unwrap_or_default();
            micros /= 10;
        }
        self.text.extend(digits.map(char::from));
        self.text.push('Z');
        &self.text
    }
}

/// Writes a text as JSON of which every receiver reads the same: no control characters of any kind and no separators of lines.
pub(crate) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(is_plain) {
        out.push_str(text);
    } else {
        text.chars().for_each(|c| push_char(out, c));
    }
    out.push('"');
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
            out.push_str("\\u");
            let digit = |shift: u32| char::from_digit(u32::from(c) >> shift & 15, 16).unwrap_or('0');
            out.extend([12, 8, 4, 0].map(digit));
        }
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (mut out, mut stamp, prev) = (Vec::new(), Stamp::default(), Hash::of(&[b"x"]));
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_785_196_800_000_042);
        begin(&mut out, "call", stamp.write(at), ("main-2", 17, &prev));
        out.extend_from_slice(b",\"x\":1}");
        let line = String::from_utf8(out).unwrap();
        let head = Head::read(&line).unwrap();
        let time = "2026-07-28T00:00:00.000042Z";
        assert_eq!(head, Head { kind: "call", time, replica: "main-2", seq: 17, prev, rest: ",\"x\":1}" });
        assert_eq!(stamp.write(at + Duration::from_millis(999)), "2026-07-28T00:00:00.999042Z");
        assert_eq!(stamp.write(at + Duration::from_secs(1)), "2026-07-28T00:00:01.000042Z");
        assert_eq!(begins(line.as_bytes()), Some((time, 17)));
        assert_eq!(begins(&line.as_bytes()[..80]), None);
        assert_eq!(moment_of(time), Some(at));
        assert!(is_back("2026-07-28T00:00:10.000001Z", "2026-07-28T00:00:09.000000Z"));
        assert!(!is_back("2026-07-28T00:00:10.000000Z", "2026-07-28T00:00:09.000000Z"));
        for wrong in
            ["", "{}", &line.replace("17", "017"), &line.replace("main", "m in"), line.trim_end_matches('}')]
        {
            assert_eq!(Head::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_are_one_line_for_everybody() {
        let mut out = String::new();
        push_quoted(&mut out, "a\"\\\n\0\u{7f}\u{85}\u{2028}\u{feff}ä");
        assert_eq!(out, r#""a\"\\\u000a\u0000\u007f\u0085\u2028\ufeffä""#);
        assert_eq!(mcp::json::string(&out).unwrap(), "a\"\\\n\0\u{7f}\u{85}\u{2028}\u{feff}ä");
    }
}
