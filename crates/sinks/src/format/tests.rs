use mcp::json::Object;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{call, samples};
use super::*;

fn is_plain_line(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

/// The fields of a line of CEF, read by the rules of its specification.
fn fields(cef: &str) -> (Vec<String>, Vec<(String, String)>) {
    let header: Vec<String> = cef.splitn(8, '|').map(str::to_owned).collect();
    let (header, extension) = header.split_at(7);
    let mut found: Vec<(String, String)> = Vec::new();
    // An equals sign that is not escaped ends a name, which begins behind the last space before it.
    let (mut text, mut chars) = (String::new(), extension[0].chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                other => other,
            }),
            '=' => {
                let (value, name) =
                    text.rsplit_once(' ').map_or((None, text.as_str()), |(v, n)| (Some(v), n));
                if let Some((last, value)) = found.last_mut().zip(value) {
                    last.1 = value.to_owned();
                }
                let name = name.to_owned();
                found.push((name, String::new()));
                text.clear();
            }
            other => text.push(other),
        }
    }
    found.last_mut().unwrap().1 = text;
    (header.to_vec(), found)
}

fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        any::<String>(),
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "\n",
            "\r\n",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "|",
            "\\",
            "=",
            "\\=",
            " suser=root",
            "\"",
            "]",
            "\\\"",
            "CEF:0|x|",
            "{\"",
            ":{,",
            "#012",
            "\u{1f512}",
            "\u{202e}",
            "%00",
            "<13>1 ",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_chosen_stays_a_value(text in hostile()) {
        let line = call(&text);
        let record: Value = serde_json::from_str(&line).unwrap();

        let json = write(Format::Json, &line).unwrap();
        prop_assert!(json.is_ascii() && is_plain_line(&json));
        prop_assert_eq!(&serde_json::from_str::<Value>(&json).unwrap(), &record);

        let ocsf = write(Format::Ocsf, &line).unwrap();
        prop_assert!(ocsf.is_ascii() && is_plain_line(&ocsf));
        Object::parse(&ocsf).unwrap().deny_duplicates().unwrap();
        let event: Value = serde_json::from_str(&ocsf).unwrap();
        prop_assert_eq!(&event["unmapped"]["mcp"], &record);
        prop_assert_eq!(&event["actor"]["user"]["uid"], &record["principal"]["id"]);
        prop_assert_eq!(&event["resources"][0]["name"], &record["thing"]["name"]);
        prop_assert_eq!(&event["type_uid"], 600_304);

        let cef = write(Format::Cef, &line).unwrap();
        prop_assert!(is_plain_line(&cef));
        let (header, found) = fields(&cef);
        prop_assert_eq!(&header[4..7], ["call", "MCP call", "6"]);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let usual = fields(&write(Format::Cef, &call("x")).unwrap()).1;
        if text.trim().is_empty() {
            prop_assert!(names.len() < usual.len());
        } else {
            prop_assert_eq!(names, usual.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        }
        let said = |c: char| if c.is_control() && c != '\n' && c != '\r' || "\u{2028}\u{2029}\u{feff}".contains(c) { '\u{fffd}' } else { c };
        let value = found.iter().find(|(name, _)| name == "suid").map(|(_, value)| value.as_str());
        let wanted: String = text.trim().chars().map(said).collect();
        if wanted.len() < 300 {
            prop_assert_eq!(value.unwrap_or_default(), wanted);
        }
    }

    #[test]
    fn whatever_is_chosen_every_part_is_json_and_nothing_is_cut(text in hostile(), room in 200_usize..2000) {
        let line = call(&text);
        let record = Record::read(&line).unwrap();
        let parts = in_parts(&record, room).unwrap();
        prop_assert!(parts.len() <= json::MOST_PARTS);
        let whole: Value = serde_json::from_str(&line).unwrap();
        for part in parts {
            prop_assert!(part.len() <= room && part.is_ascii(), "{} {}", part.len(), part);
            let Value::Object(part) = serde_json::from_str(&part).unwrap() else { panic!() };
            for (name, value) in part {
                match value {
                    _ if name == "part" || name == "left_out" => {}
                    Value::Object(inner) => {
                        for (inner, value) in inner {
                            prop_assert_eq!(&whole[&name][&inner], &value);
                        }
                    }
                    other => prop_assert_eq!(&whole[&name], &other),
                }
            }
        }
    }

    #[test]
    fn what_has_to_be_little_is(text in hostile(), times in 1_usize..60) {
        let line = call(&text.repeat(times));
        let record = Record::read(&line).unwrap();
        for (format, least) in [(Format::Ocsf, 6144), (Format::Cef, 2048)] {
            let little = write_within(format, &record, Room::Little);
            prop_assert!(little.len() <= least - 200, "{format:?} {}", little.len());
        }
    }
}

#[test]
fn a_record_that_fits_is_one_part_and_one_that_does_not_loses_its_payload_first() {
    let line = call("ab");
    let record = Record::read(&line).unwrap();
    let parts = in_parts(&record, 4000).unwrap();
    assert_eq!(parts.len(), 1);
    let part: Value = serde_json::from_str(&parts[0]).unwrap();
    assert_eq!((&part["part"], &part["left_out"]), (&json!("1/1"), &json!(["arguments.json"])));
    assert_eq!(part["arguments"], json!({"digest": "hmac-sha256:ab", "bytes": 5}));

    let parts = in_parts(&record, 500).unwrap();
    let parts: Vec<Value> = parts.iter().map(|part| serde_json::from_str(part).unwrap()).collect();
    assert!(parts.len() > 1);
    for (at, part) in parts.iter().enumerate() {
        assert_eq!(part["part"], format!("{}/{}", at + 1, parts.len()));
        assert_eq!((&part["replica"], &part["seq"]), (&json!("web-1"), &json!(17)));
    }
    let outcomes: Vec<&Value> = parts.iter().filter_map(|part| part.get("outcome")).collect();
    assert_eq!(outcomes, ["policy"]);
    assert_eq!(in_parts(&record, 50), None);
}

#[test]
fn what_is_no_record_is_not_written() {
    for format in [Format::Json, Format::Ocsf, Format::Cef] {
        assert_eq!(write(format, "{}"), None);
    }
}

#[test]
fn the_longest_values_are_cut_on_a_character_with_a_mark() {
    let cef = write(Format::Cef, &call(&"ä=".repeat(3000))).unwrap();
    let (_, found) = fields(&cef);
    for (name, value) in &found {
        let most = if name.starts_with("cs") { 4000 } else { 1023 };
        let written = value.replace('=', "\\=").len();
        assert!(written <= most, "{name} {written}");
    }
    assert!(found.iter().filter(|(_, value)| value.ends_with('…')).count() >= 5);
}

#[test]
fn events_have_the_class_and_the_sums_that_belong_to_them() {
    let lines = samples();
    let classes = lines.iter().map(|line| {
        let event: Value = serde_json::from_str(&write(Format::Ocsf, line).unwrap()).unwrap();
        let number = |name: &str| event[name].as_u64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("category_uid"), number("class_uid") / 1000);
        assert_eq!(number("time"), 1_796_139_600_123);
        assert_eq!(number("activity_id") == 99, event.get("activity_name").is_some());
        assert_eq!(event["unmapped"]["mcp"], serde_json::from_str::<Value>(line).unwrap());
        (number("type_uid"), number("status_id"), number("severity_id"))
    });
    let wanted = [
        (600_203, 1, 1),
        (600_203, 1, 4),
        (600_302, 1, 1),
        (600_304, 1, 1),
        (600_399, 2, 2),
        (600_399, 2, 3),
        (600_399, 99, 1),
        (600_399, 2, 4),
        (600_302, 1, 1),
        (600_304, 2, 3),
        (300_201, 2, 3),
        (300_399, 1, 1),
        (300_301, 1, 1),
        (300_399, 2, 3),
        (300_399, 1, 1),
        (300_403, 1, 1),
        (300_403, 2, 3),
        (100_899, 2, 4),
        (100_899, 1, 1),
        (100_802, 1, 2),
        (600_204, 1, 1),
        (100_899, 2, 3),
        (300_201, 1, 1),
        (300_202, 1, 1),
        (300_299, 1, 1),
        (300_299, 2, 2),
        (600_301, 1, 1),
        (600_303, 1, 1),
        (600_303, 2, 2),
        (600_303, 99, 1),
        (300_401, 1, 2),
        (300_403, 1, 2),
        (300_404, 1, 2),
        (300_499, 1, 1),
        (300_499, 2, 3),
        (300_404, 1, 2),
        (100_802, 1, 2),
        (99, 1, 1),
    ];
    assert_eq!(classes.collect::<Vec<_>>(), wanted);
}

#[test]
fn each_type_of_the_ledger_has_its_place_in_each_format() {
    let samples = samples();
    for kind in ledger::schema::types() {
        let of_kind: Vec<_> =
            samples.iter().filter(|line| Record::read(line).unwrap().head.kind == kind).collect();
        assert!(!of_kind.is_empty(), "no sample of {kind}");
        for line in of_kind {
            let event: Value = serde_json::from_str(&write(Format::Ocsf, line).unwrap()).unwrap();
            assert_ne!(event["class_uid"], 0, "{line}");
            assert_ne!(event["activity_name"], "Other", "{line}");
            let (header, found) = fields(&write(Format::Cef, line).unwrap());
            assert_eq!(header[4], kind, "{line}");
            assert!(found.iter().any(|(name, _)| name == "msg"), "{line}");
            let json: Value = serde_json::from_str(&write(Format::Json, line).unwrap()).unwrap();
            assert_eq!(json["type"], kind);
            assert!(!Record::read(line).unwrap().summary().contains("a record of type"), "{line}");
        }
    }
}
