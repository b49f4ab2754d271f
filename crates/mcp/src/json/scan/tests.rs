use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde_json::value::RawValue;

use super::{Scanner, plain_until};

/// Whether the scanner takes a text for JSON.
fn takes(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.space();
    scanner.value().is_some_and(|()| scanner.ends())
}

/// Whether serde_json does.
fn serde_takes(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text.trim_start_matches([' ', '\n', '\t', '\r'])).is_ok()
}

fn agree(text: &str) {
    assert_eq!(takes(text), serde_takes(text), "{text:?}");
}

/// How deep a text goes.
fn deepest(text: &str) -> usize {
    let mut scanner = Scanner::new(text);
    scanner.space();
    scanner.value().expect("JSON");
    assert_eq!(scanner.level, 0, "{text:?}");
    scanner.deepest
}

/// The same of a text that is JSON, by counting brackets.
fn counted(text: &str) -> usize {
    let (mut level, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => level += 1,
            b'}' | b']' => level -= 1,
            _ => {}
        }
        deepest = deepest.max(level);
    }
    deepest
}

#[test]
fn numbers_words_and_escapes_are_those_of_the_rfc() {
    for good in [
        "0",
        "-0",
        "10",
        "-1.50",
        "1e9",
        "1E+09",
        "0.0e-0",
        "1e999",
        "true",
        "false",
        "null",
        r#""""#,
        r#""\"\\\/\b\f\n\r\t\u00e9\ud800\uABCD""#,
        "\"\u{7f}é\u{2028}\"",
        " [ ] ",
        "{\r\n\t}",
        "[{},[]]",
        r#"{ "a" : [ 1 , { "" : null } ] , "a" : "b" }"#,
    ] {
        assert!(takes(good), "{good}");
        agree(good);
    }
    for bad in [
        "",
        " ",
        "-",
        "01",
        "00",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "0x1",
        "Infinity",
        "NaN",
        "-a",
        "tru",
        "truee",
        "nul",
        "\"",
        "\"\\",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\x\"",
        "\"\n\"",
        "\"\u{1f}\"",
        "'a'",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "{a:1}",
        "{\"a\" 1}",
        "[}",
        "{]",
        "[1}",
        "{\"a\":1]",
        "1 1",
        "[]]",
        "\u{feff}1",
        "/**/1",
        "1//",
    ] {
        assert!(!takes(bad), "{bad}");
        agree(bad);
    }
}

#[test]
fn however_deep_a_text_goes_its_brackets_must_match() {
    for depth in [1, 63, 64, 65, 127, 128, 129, 1000, 100_000] {
        let kinds: Vec<bool> = (0..depth).map(|n| n % 3 == 0).collect();
        let open: String = kinds.iter().map(|object| if *object { "{\"a\":" } else { "[" }).collect();
        let close: String = kinds.iter().rev().map(|object| if *object { '}' } else { ']' }).collect();
        let text = format!("{open}1{close}");
        assert!(takes(&text), "{depth}");
        assert_eq!((deepest(&text), counted(&text)), (depth, depth));
        // One closes that is not open, at every depth that matters.
        for wrong in [0, depth / 2, depth - 1] {
            let mut close = close.clone().into_bytes();
            close[wrong] ^= b'}' ^ b']';
            assert!(!takes(&format!("{open}1{}", String::from_utf8(close).unwrap())), "{depth} {wrong}");
        }
        assert!(!takes(&format!("{open}1{}", close.get(1..).unwrap())), "{depth}");
    }
}

#[test]
fn a_text_is_as_deep_as_it_has_brackets_in_brackets() {
    for (text, depth) in [
        ("1", 0),
        (r#""[[{{""#, 0),
        ("{}", 1),
        ("[ ]", 1),
        ("[1,[],2]", 2),
        (r#"{"a":{},"b":[{}],"c":{}}"#, 3),
        (r#"[[[1],2],[[[]]]]"#, 4),
        (r#"{"[{":"]}\"[","a":["\\"]}"#, 2),
    ] {
        assert_eq!((deepest(text), counted(text)), (depth, depth), "{text}");
        let members = |text: &str| {
            let mut scanner = Scanner::new(text);
            super::members(&mut scanner, |scanner, _| scanner.value())?;
            Some((scanner.level, scanner.deepest))
        };
        let elements = |text: &str| {
            let mut scanner = Scanner::new(text);
            super::elements(&mut scanner, |_| {})?;
            Some((scanner.level, scanner.deepest))
        };
        let read = members(text).or_else(|| elements(text));
        assert_eq!(read, (depth > 0).then_some((0, depth)), "{text}");
    }
}

#[test]
fn a_member_called_uri_is_seen_at_any_depth() {
    let sees = |text: &str| {
        let mut scanner = Scanner::new(text);
        scanner.value().expect("JSON");
        scanner.uri
    };
    for text in [
        r#"{"uri":1}"#,
        r#"[{"a":[{"b":1,"uri":{}}]}]"#,
        r#"{"\u0075ri":1}"#,
        r#"{"\u0075\u0072\u0069":1}"#,
        r#"{"resourceUri":1}"#,
        r#"{"ui\/resourceUri":1}"#,
        r#"{"ui/resourceUri":1}"#,
        r#"[{"openai/outputTemplate":1}]"#,
    ] {
        assert!(sees(text), "{text}");
    }
    for text in [
        r#"{"URI":1,"a":"uri"}"#,
        r#"{"resourceUrl":1,"openai/outputTemplata":"resourceUri"}"#,
        r#"["uri","\u0075ri"]"#,
        r#"{"ur":{"i":"\""}}"#,
        r#"{"image\/png":1,"ur\u0069\n":1}"#,
        "1",
    ] {
        assert!(!sees(text), "{text}");
    }
}

/// What a JSON text may be made of, valid and not.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", " ", "\n", "\"", "\"a\"", "\"uri\":", "\"\\u0041\"", "0", "1", "-", ".", "e", "+",
            "true", "false", "null", "\\", "\\\"", "\\u", "\u{1}", "é", "漢",
        ])
        .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => (0_usize..200).prop_map(|n| format!("\"{}\"", "x".repeat(n))),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A valid text.
fn value() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ("[ -~]{0,200}", any::<bool>()).prop_map(|(text, _)| serde_json::to_string(&text).unwrap()),
    ];
    let leaf = prop_oneof![
        text,
        any::<f64>().prop_map(|n| serde_json::to_string(&n).unwrap()),
        any::<i64>().prop_map(|n| n.to_string()),
        prop::sample::select(vec!["true", "false", "null", "1E-7", "-0.0", "{ }", "[\t]"])
            .prop_map(str::to_owned),
    ];
    let space = || prop_oneof![Just(""), Just(" "), Just("\r\n\t")];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let member = (".{0,12}", space(), inner.clone(), space()).prop_map(|(name, before, value, after)| {
            format!("{before}{}{after}:{before}{value}{after}", serde_json::to_string(&name).unwrap())
        });
        let element =
            (space(), inner, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        prop_oneof![
            prop::collection::vec(member, 0..5).prop_map(|all| format!("{{{}}}", all.join(","))),
            prop::collection::vec(element, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn it_takes_what_serde_json_takes_of_any_pieces(text in pieces()) {
        agree(&text);
        agree(&format!("[{text}]"));
        agree(&format!("{{\"a\":{text}}}"));
    }

    #[test]
    fn it_takes_every_valid_text_and_no_part_of_it(text in value(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        assert!(takes(&text), "{text:?}");
        prop_assert_eq!(deepest(&text), counted(&text));
        // Cut off, or with another byte somewhere: whatever serde_json says of that.
        let at = cut.index(text.len());
        if let Some(part) = text.get(..at) {
            agree(part);
        }
        let mut bytes = text.into_bytes();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            agree(&text);
        }
    }

    #[test]
    fn the_end_of_a_run_is_found_wherever_it_is(plain in 0_usize..300, from in 0_usize..20, end in 0_u8..=255, rest in 0_usize..100) {
        let mut text = vec![b'"'; from];
        text.extend(vec![b'x'; plain]);
        text.push(end);
        text.extend(vec![b'y'; rest]);
        let ends = end < 0x20 || end == b'"' || end == b'\\';
        let expected = if ends { (from + plain, Some(end)) } else { (text.len(), None) };
        prop_assert_eq!(plain_until(&text, from), expected);
    }
}
