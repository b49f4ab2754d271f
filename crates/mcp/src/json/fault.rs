//! Why a text is not what was asked for, in serde_json's words. Only ever asked when [`super::scan`] has refused it.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonFault, Kind};

/// Why the text does not hold one object.
#[cold]
pub(super) fn of_object(text: &str) -> JsonFault {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(Passed("an object"));
    of(read.and_then(|()| reader.end()), text, "an object")
}

/// Why the text does not hold one array.
#[cold]
pub(super) fn of_array(text: &str) -> JsonFault {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_seq(Passed("an array"));
    of(read.and_then(|()| reader.end()), text, "an array")
}

/// Why the text does not hold one value.
#[cold]
pub(super) fn of_value(text: &str) -> JsonFault {
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => JsonFault::Syntax(error.to_string()),
        // Both take the same texts for JSON, but for those that are deeper than serde_json reads.
        Ok(_) => JsonFault::Syntax("this is not JSON".to_owned()),
    }
}

fn of(read: Result<(), serde_json::Error>, text: &str, expected: &'static str) -> JsonFault {
    debug_assert!(read.is_err(), "serde_json takes {text:?} for {expected}");
    match read {
        // "Invalid type" says nothing that a client can use when the text is valid JSON of another kind.
        Err(error) if error.is_data() => JsonFault::Kind { expected, found: Kind::of(text.trim_start()) },
        Err(error) => JsonFault::Syntax(error.to_string()),
        // Both take the same texts for JSON, of which the tests make sure.
        Ok(()) => JsonFault::Syntax("this is not JSON".to_owned()),
    }
}

/// Members or elements that are passed over.
struct Passed(&'static str);

impl<'de> Visitor<'de> for Passed {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Names as they stand: one that is no text is not what is wrong.
        while map.next_entry::<&'de RawValue, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
