use http::{HeaderMap, HeaderName, HeaderValue};

use super::{AnnotationFault, MirrorFault, MirroredParams};

const SCHEMA: &str = r#"{"type":"object","properties":{
    "region":{"type":"string","x-mcp-header":"Region"},
    "limit":{"type":"integer","x-mcp-header":"Limit"},
    "deep":{"type":"object","properties":{"on":{"type":"boolean","x-mcp-header":"On"}}},
    "x-mcp-header":{"type":"string"}}}"#;

fn sent(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse::<HeaderValue>().unwrap())).collect()
}

#[test]
fn annotated_arguments_become_headers() {
    let params = MirroredParams::read(SCHEMA).unwrap();
    let headers = params.headers(Some(r#"{"region":" x ","limit":42.0,"deep":{"on":true}}"#)).unwrap();
    let seen: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(
        seen,
        [("mcp-param-region", "=?base64?IHgg?="), ("mcp-param-limit", "42"), ("mcp-param-on", "true")]
    );
    assert_eq!(params.headers(Some(r#"{"region":null}"#)).unwrap(), []);
    assert_eq!(params.headers(None).unwrap(), []);
}

#[test]
fn headers_must_agree_with_arguments() {
    let params = MirroredParams::read(SCHEMA).unwrap();
    let check = |headers: &[(&str, &str)], arguments| params.check(&sent(headers), Some(arguments));
    assert_eq!(check(&[("Mcp-Param-Region", "eu")], r#"{"region":"eu"}"#), Ok(()));
    assert_eq!(check(&[("mcp-param-region", "=?base64?ZXU=?=")], r#"{"region":"eu"}"#), Ok(()));
    assert_eq!(check(&[("mcp-param-limit", "42")], r#"{"limit":42.0}"#), Ok(()));
    assert_eq!(check(&[("mcp-param-other", "1")], r"{}"), Ok(()));
    assert_eq!(check(&[], r#"{"region":null}"#), Ok(()));
    let name = |n: &'static str| HeaderName::from_static(n);
    assert_eq!(check(&[], r#"{"region":"eu"}"#), Err(MirrorFault::Missing(name("mcp-param-region"))));
    assert_eq!(
        check(&[("mcp-param-region", "eu")], r"{}"),
        Err(MirrorFault::Unexpected(name("mcp-param-region")))
    );
    assert_eq!(
        check(&[("mcp-param-region", "EU")], r#"{"region":"eu"}"#),
        Err(MirrorFault::Differs(name("mcp-param-region")))
    );
    assert!(matches!(
        check(&[("mcp-param-region", "=?base64?Z?=")], r#"{"region":"eu"}"#),
        Err(MirrorFault::Malformed(..))
    ));
    assert!(matches!(
        check(&[("mcp-param-region", "eu")], r#"{"region":"eu","region":"us"}"#),
        Err(MirrorFault::Unmirrorable(_))
    ));
}

#[test]
fn misplaced_annotations_make_the_tool_invalid() {
    let under = |inner: &str| {
        MirroredParams::read(&format!(r#"{{"type":"object","properties":{{"a":{inner}}}}}"#)).unwrap_err()
    };
    let leaf = r#"{"type":"string","x-mcp-header":"A"}"#;
    for keyword in ["items", "not", "if", "then", "else", "additionalProperties", "contains"] {
        assert_eq!(
            under(&format!(r#"{{"{keyword}":{leaf}}}"#)),
            AnnotationFault::Unreachable(keyword.to_owned())
        );
    }
    for keyword in ["oneOf", "anyOf", "allOf", "prefixItems"] {
        assert_eq!(
            under(&format!(r#"{{"{keyword}":[{leaf}]}}"#)),
            AnnotationFault::Unreachable(keyword.to_owned())
        );
    }
    let defs = format!(r#"{{"type":"object","$defs":{{"x":{leaf}}}}}"#);
    assert_eq!(MirroredParams::read(&defs), Err(AnnotationFault::Unreachable("$defs".to_owned())));
    assert_eq!(
        under(r#"{"type":"number","x-mcp-header":"A"}"#),
        AnnotationFault::NotPrimitive("A".to_owned())
    );
    assert_eq!(under(r#"{"type":"string","x-mcp-header":""}"#), AnnotationFault::NotToken(String::new()));
    assert_eq!(
        under(r#"{"type":"string","x-mcp-header":"a b"}"#),
        AnnotationFault::NotToken("a b".to_owned())
    );
    assert_eq!(
        under(r#"{"type":"string","x-mcp-header":"a\r\n"}"#),
        AnnotationFault::NotToken("a\r\n".to_owned())
    );
    assert_eq!(under(r#"{"type":"string","x-mcp-header":7}"#), AnnotationFault::NotString);
    assert_eq!(
        under(r#"{"type":"string","\u0078-mcp-header":7}"#),
        AnnotationFault::NotString,
        "an escaped keyword is the keyword"
    );
    let twice = r#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#;
    assert_eq!(MirroredParams::read(twice), Err(AnnotationFault::Repeated("a".to_owned())));
}

#[test]
fn data_in_a_schema_is_not_an_annotation() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"object","default":{"x-mcp-header":"A"}}}}"#;
    assert!(MirroredParams::read(schema).unwrap().is_empty());
    let property =
        r#"{"type":"object","properties":{"o":{"not":{"properties":{"x-mcp-header":{"type":"string"}}}}}}"#;
    assert!(MirroredParams::read(property).unwrap().is_empty());
}

/// Each of them is a header of each call, and the arguments are looked through once, however many there are.
#[test]
fn a_tool_may_mirror_so_many_parameters_and_no_more() {
    let schema = |count: usize| {
        let property = |n| format!(r#""p{n}":{{"type":"string","x-mcp-header":"P{n}"}}"#);
        let properties: Vec<_> = (0..count).map(property).collect();
        format!(r#"{{"type":"object","properties":{{{}}}}}"#, properties.join(","))
    };
    let params = MirroredParams::read(&schema(64)).unwrap();
    let arguments: Vec<_> = (0..64).rev().map(|n| format!(r#""p{n}":"{n}""#)).collect();
    let headers = params.headers(Some(&format!("{{{}}}", arguments.join(",")))).unwrap();
    assert_eq!(headers.len(), 64);
    assert_eq!(headers.last().unwrap().0, "mcp-param-p63");
    for count in [65, 40_000] {
        assert_eq!(MirroredParams::read(&schema(count)), Err(AnnotationFault::TooMany));
    }
}

/// What stands twice, or below something that does, has no one meaning; what stands beside it has.
#[test]
fn an_argument_that_stands_twice_is_not_mirrored() {
    let params = MirroredParams::read(SCHEMA).unwrap();
    let name = |n: &'static str| HeaderName::from_static(n);
    for (arguments, header) in [
        (r#"{"region":"a","\u0072egion":"a"}"#, "mcp-param-region"),
        (r#"{"deep":{"on":true},"deep":{"on":true}}"#, "mcp-param-on"),
        (r#"{"deep":{"on":true},"deep":7}"#, "mcp-param-on"),
        (r#"{"limit":[1]}"#, "mcp-param-limit"),
        (r#"{"region":"\ud800"}"#, "mcp-param-region"),
    ] {
        let fault = params.headers(Some(arguments)).unwrap_err();
        assert_eq!(fault, MirrorFault::Unmirrorable(name(header)), "{arguments}");
    }
    assert_eq!(params.headers(Some(r#"{"deep":7,"other":1,"other":2}"#)).unwrap(), []);
}
