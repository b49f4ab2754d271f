use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{JsonFault, Kind, LONG, Object, Patch, Span, array, array_within, integer, quote, string};

fn removed(text: &str, name: &str) -> String {
    let mut patch = Patch::new();
    Object::parse(text).unwrap().remove(|n| n == name, 0, &mut patch);
    String::from_utf8(patch.apply(text.as_bytes()).to_vec()).unwrap()
}

fn set(text: &str, name: &str, value: &str) -> String {
    let mut patch = Patch::new();
    Object::parse(text).unwrap().set(name, value.as_bytes(), 0, &mut patch).unwrap();
    String::from_utf8(patch.apply(text.as_bytes()).to_vec()).unwrap()
}

#[test]
fn members_keep_their_spelling() {
    let text = r#" { "a" : 42.0 , "\u0062":1e3,"c":{"x":[1, 2]} } "#;
    let object = Object::parse(text).unwrap();
    let seen: Vec<_> = object.iter().map(|m| (m.raw_name, m.name.into_owned(), m.value)).collect();
    assert_eq!(
        seen,
        [(r#""a""#, "a", "42.0"), (r#""\u0062""#, "b", "1e3"), (r#""c""#, "c", r#"{"x":[1, 2]}"#)]
            .map(|(raw, name, value)| (raw, name.to_owned(), value))
    );
}

#[test]
fn an_escaped_name_is_the_same_member() {
    let object = Object::parse(r#"{"id":1,"\u0069d":2}"#).unwrap();
    assert_eq!(object.get("id"), Err(JsonFault::Duplicate("id".to_owned())));
    assert_eq!(object.deny_duplicates(), Err(JsonFault::Duplicate("id".to_owned())));
}

#[test]
fn a_name_is_known_in_its_longest_spelling() {
    let object =
        Object::parse(r#"{"\u0075\u0072\u0069":1,"\u00e9":2,"\ud83d\ude00":3,"\ud800":4,"\n":5}"#).unwrap();
    for (name, value) in [("uri", "1"), ("é", "2"), ("😀", "3"), ("\n", "5")] {
        assert_eq!(object.get(name).unwrap(), Some(value), "{name}");
    }
    // Half of a pair is no text and equals no name, and `n` is not what `\n` means.
    for name in ["\\ud800", "\"\\ud800\"", "\\n", "n", ""] {
        assert_eq!(object.get(name).unwrap(), None, "{name}");
    }
}

#[test]
fn other_kinds_and_broken_text_are_told_apart() {
    assert_eq!(
        Object::parse("[1]").unwrap_err(),
        JsonFault::Kind { expected: "an object", found: Kind::Array }
    );
    for broken in
        ["", "{", "{}x", "{\"a\":}", "{\"a\":1,}", "\u{feff}{}", "{\"a\":\"\u{0}\"}", "{a:1}", "nul"]
    {
        assert!(matches!(Object::parse(broken), Err(JsonFault::Syntax(_))), "{broken:?}");
    }
}

#[test]
fn what_is_told_of_broken_text_is_what_is_wrong_with_it() {
    let why = |text| Object::parse(text).unwrap_err().to_string();
    assert_eq!(why(r#"{"a":1,"b":}"#), "expected value at line 1 column 12");
    // The first name is no text, which is nobody's business as long as nobody asks for it.
    assert_eq!(why(r#"{"\ud800":1,"a":}"#), "expected value at line 1 column 17");
    assert_eq!(array("[1,2").unwrap_err().to_string(), "EOF while parsing a list at line 1 column 4");
}

#[test]
fn a_member_is_removed_with_one_comma() {
    assert_eq!(removed(r#"{"a":1,"b":2,"c":3}"#, "a"), r#"{"b":2,"c":3}"#);
    assert_eq!(removed(r#"{"a":1,"b":2,"c":3}"#, "b"), r#"{"a":1,"c":3}"#);
    assert_eq!(removed(r#"{"a":1,"b":2,"c":3}"#, "c"), r#"{"a":1,"b":2}"#);
    assert_eq!(removed(r#"{ "a" : 1 }"#, "a"), r"{  }");
    assert_eq!(removed(r#"{"a":1,"b":2,"a":3}"#, "a"), r#"{"b":2}"#);
    assert_eq!(removed(r#"{"a":1,"a":2,"b":3}"#, "a"), r#"{"b":3}"#);
}

#[test]
fn a_member_is_set_where_it_stands_or_first() {
    assert_eq!(set(r#"{"a":1,"b":2}"#, "b", "[]"), r#"{"a":1,"b":[]}"#);
    assert_eq!(set(r#"{"a":1}"#, "b", "[]"), r#"{"b":[],"a":1}"#);
    assert_eq!(set("{}", "b", "[]"), r#"{"b":[]}"#);
}

#[test]
fn lone_surrogates_are_kept_in_values_and_refused_as_text() {
    let object = Object::parse(r#"{"a":"\ud800"}"#).unwrap();
    assert_eq!(object.get("a").unwrap(), Some(r#""\ud800""#));
    assert_eq!(object.string("a"), Err(JsonFault::NotText));
}

#[test]
fn integers_are_read_however_they_are_spelled() {
    assert_eq!(integer("42"), Some(42));
    assert_eq!(integer("42.0"), Some(42));
    assert_eq!(integer("4.2e1"), Some(42));
    assert_eq!(integer("-0"), Some(0));
    assert_eq!(integer("42.5"), None);
    assert_eq!(integer("1180591620717411303424"), None);
    assert_eq!(integer("1e400"), None);
}

#[test]
fn what_has_too_many_members_is_refused_and_read_no_further() {
    let object = |count: usize, end: &str| {
        let members: Vec<_> = (0..count).map(|n| format!("\"{n}\":1")).collect();
        format!("{{{}{end}", members.join(","))
    };
    assert_eq!(Object::parse_within(&object(9, "}"), 9).unwrap().iter().count(), 9);
    assert_eq!(Object::parse_within(&object(10, "}"), 9).unwrap_err(), JsonFault::TooMany(9));
    assert_eq!(Object::parse_within(&object(10, "no JSON"), 9).unwrap_err(), JsonFault::TooMany(9));
    assert!(matches!(Object::parse_within(&object(9, "no JSON"), 9), Err(JsonFault::Syntax(_))));
}

#[test]
fn the_first_elements_of_an_array_are_read_and_the_others_checked() {
    assert_eq!(array_within("[1,2,3]", 3).unwrap(), (vec!["1", "2", "3"], false));
    assert_eq!(array_within("[1,{\"a\":2},3]", 2).unwrap(), (vec!["1", "{\"a\":2}"], true));
    assert!(matches!(array_within("[1,2,3", 2), Err(JsonFault::Syntax(_))));
}

#[test]
fn deep_nesting_neither_overflows_nor_fails() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let object = Object::parse(&deep).unwrap();
    assert_eq!(object.get("a").unwrap().map(str::len), Some(200_001));
}

#[test]
fn strings_decode_and_quote() {
    assert_eq!(string(r#""a\nb""#).unwrap(), "a\nb");
    assert_eq!(string("7"), Err(JsonFault::Kind { expected: "a string", found: Kind::Number }));
    assert_eq!(quote("a\"b"), r#""a\"b""#);
    assert_eq!(array("[1, {\"a\":[2]},\"x\"]").unwrap(), ["1", "{\"a\":[2]}", "\"x\""]);
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("42.0".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<String>().prop_map(|s| quote(&s)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(" , "))),
            prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|v| {
                let members: Vec<_> = v.iter().map(|(k, v)| format!("{} :{v}", quote(k))).collect();
                format!("{{ {} }}", members.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics(text in any::<String>()) {
        drop(Object::parse(&text));
        drop(array(&text));
        drop(string(&text));
    }

    #[test]
    fn removing_leaves_valid_json_and_all_else(members in prop::collection::vec(("[a-c]", value()), 0..6), gone in "[a-c]") {
        let text = format!("{{{}}}", members.iter().map(|(k, v)| format!("{}: {v}", quote(k))).collect::<Vec<_>>().join(" ,"));
        let left = removed(&text, &gone);
        let left = Object::parse(&left).unwrap();
        let expected: Vec<_> = members.iter().filter(|(k, _)| *k != gone).map(|(k, v)| (k.clone(), v.clone())).collect();
        let seen: Vec<_> = left.iter().map(|m| (m.name.to_string(), m.value.to_owned())).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn setting_changes_one_member_only(members in prop::collection::btree_map("[a-c]", value(), 0..4), name in "[a-d]", new in value()) {
        let text = format!("{{{}}}", members.iter().map(|(k, v)| format!("{}:{v}", quote(k))).collect::<Vec<_>>().join(","));
        let out = set(&text, &name, &new);
        let after = Object::parse(&out).unwrap();
        assert_eq!(after.get(&name).unwrap(), Some(new.as_str()));
        for (k, v) in members.iter().filter(|(k, _)| **k != name) {
            assert_eq!(after.get(k).unwrap(), Some(v.as_str()));
        }
    }
}

/// Changes of a text of that length, in parts of which each is kept or replaced; and the parts that are kept.
fn changes(parts: &[(usize, Option<String>)]) -> (String, Patch, Vec<Span>) {
    let (mut text, mut patch, mut kept) = (String::new(), Patch::new(), Vec::new());
    for (number, (length, with)) in parts.iter().enumerate() {
        let start = text.len();
        text.extend(std::iter::repeat_n(char::from(b'a' + u8::try_from(number % 26).unwrap()), *length));
        let span = Span { start, end: text.len() };
        match with {
            Some(with) => patch.replace(span, with.as_bytes()),
            None => kept.push(span),
        }
    }
    (text, patch, kept)
}

#[test]
fn only_what_is_long_and_stays_is_not_copied() {
    let (text, patch, _) = changes(&[(1, None), (3, Some("x".to_owned())), (LONG, None), (2, None)]);
    let text = Bytes::from(text);
    let pieces = patch.pieces(&text);
    assert_eq!(pieces.len(), 2);
    assert!(text.as_ptr_range().contains(&pieces[1].as_ptr()) && pieces[0] == "ax");
    let (short, patch, _) = changes(&[(1, None), (3, Some("x".to_owned()))]);
    assert_eq!(patch.pieces(&Bytes::from(short)), ["ax"]);
}

proptest! {
    #[test]
    fn pieces_are_the_changed_text_and_what_is_kept_is_found_again(
        parts in prop::collection::vec((1usize..9000, prop::option::of("[A-Z]{0,70}")), 1..9)
    ) {
        let (text, patch, kept) = changes(&parts);
        let changed = patch.apply(text.as_bytes());
        let pieces = patch.pieces(&Bytes::from(text.clone())).concat();
        proptest::prop_assert_eq!(&pieces, &changed);
        let changed = patch.apply_text(&text);
        proptest::prop_assert_eq!(changed.as_bytes(), &pieces);
        for part in kept {
            proptest::prop_assert_eq!(patch.moved(part).of(&changed), part.of(&text));
        }
    }
}
