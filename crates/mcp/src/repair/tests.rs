use super::*;
use crate::version;

fn checked(kind: Kind, entry: &str, from: &str) -> Checked {
    check(kind, &Bytes::copy_from_slice(entry.as_bytes()), version::find(from).unwrap())
}

fn tool(entry: &str) -> Checked {
    checked(Kind::Tool, entry, "2025-11-25")
}

fn text(of: Option<&Bytes>) -> &str {
    std::str::from_utf8(of.unwrap()).unwrap()
}

fn faults(checked: &Checked) -> Vec<String> {
    checked.faults.iter().map(Fault::to_string).collect()
}

/// What becomes of a legacy tool: for modern clients, and for those that know only schemas of objects.
#[track_caller]
fn becomes(entry: &str, wide: &str, narrow: &str) {
    let checked = tool(entry);
    assert_eq!(text(checked.text.as_ref()), wide);
    assert_eq!(text(checked.narrow.as_ref().or(checked.text.as_ref())), narrow);
    assert!(!checked.faults.is_empty());
    assert!(checked.faults.iter().all(|fault| fault.done.is_some()), "{:?}", checked.faults);
}

#[test]
fn schemas_of_arguments_are_of_objects() {
    for (odd, mended) in [
        (r#"{"name":"t"}"#, r#"{"inputSchema":{"type":"object"},"name":"t"}"#),
        (r#"{"name":"t","inputSchema":null}"#, r#"{"name":"t","inputSchema":{"type":"object"}}"#),
        (r#"{"name":"t","inputSchema":true}"#, r#"{"name":"t","inputSchema":{"type":"object"}}"#),
        (r#"{"name":"t","inputSchema":[]}"#, r#"{"name":"t","inputSchema":{"type":"object"}}"#),
        (r#"{"name":"t","inputSchema":{}}"#, r#"{"name":"t","inputSchema":{"type":"object"}}"#),
        (
            r#"{"name":"t","inputSchema":{"required" : null}}"#,
            r#"{"name":"t","inputSchema":{"type":"object"}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"$schema":"x"}}"#,
            r#"{"name":"t","inputSchema":{"type":"object","$schema":"x"}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"anyOf":[{"type":"object"}, 1e0]}}"#,
            r#"{"name":"t","inputSchema":{"type":"object","anyOf":[{"type":"object"}, 1e0]}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":["object","null"]}}"#,
            r#"{"name":"t","inputSchema":{"type":"object"}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"OBJECT","x":1.0}}"#,
            r#"{"name":"t","inputSchema":{"type":"object","x":1.0}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"object","properties":[]}}"#,
            r#"{"name":"t","inputSchema":{"type":"object","properties":{}}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"object","properties":null,"required":{}}}"#,
            r#"{"name":"t","inputSchema":{"type":"object","required":[]}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":true,"b":false,"c":null,"d":"string","e":{}},"required":["a",7,"b"]}}"#,
            r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":{},"b":{"not":{}},"c":{},"d":{},"e":{}},"required":["a","b"]}}"#,
        ),
        (
            r#"{"name":"t","inputSchema":{"type":"object","required":"a","properties":{"a":{}}}}"#,
            r#"{"name":"t","inputSchema":{"type":"object","required":["a"],"properties":{"a":{}}}}"#,
        ),
    ] {
        becomes(odd, mended, mended);
    }
}

#[test]
fn what_nobody_could_call_is_useless() {
    for (odd, why) in [
        ("null", "it is null, not an object"),
        ("7", "it is a number, not an object"),
        (r#"{"inputSchema":{"type":"object"}}"#, "it has no name"),
        (r#"{"name":7,"inputSchema":{"type":"object"}}"#, "name: a number, not a string"),
        (r#"{"name":null,"inputSchema":{"type":"object"}}"#, "name: null, not a string"),
        (r#"{"name":"t","inputSchema":"object"}"#, "inputSchema: a string, not a schema"),
        (r#"{"name":"t","inputSchema":["a"]}"#, "inputSchema: an array, not a schema"),
        (r#"{"name":"t","inputSchema":false}"#, "inputSchema: false, which allows no arguments at all"),
        (r#"{"name":"t","inputSchema":{"type":"string"}}"#, r#"inputSchema: its type is not "object""#),
        (r#"{"name":"t","inputSchema":{"type":"thing"}}"#, "inputSchema: its type is none"),
    ] {
        let checked = tool(odd);
        assert_eq!((checked.text.as_ref(), checked.narrow.as_ref()), (None, None), "{odd}");
        assert_eq!(faults(&checked).last().unwrap(), why);
    }
}

#[test]
fn schemas_of_results_are_of_objects_where_the_client_knows_no_others() {
    let with =
        |output: &str| format!(r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{output}}}"#);
    let without = r#"{"name":"t","inputSchema":{"type":"object"}}"#;
    for (odd, wide, narrow) in [
        (r#"{"type":"array"}"#, Some(r#"{"type":"array"}"#), None),
        ("{}", Some("{}"), Some(r#"{"type":"object"}"#)),
        (
            r#"{"$id":"x","description":"d"}"#,
            Some(r#"{"$id":"x","description":"d"}"#),
            Some(r#"{"type":"object","$id":"x","description":"d"}"#),
        ),
        (
            r#"{"type":["null","object"]}"#,
            Some(r#"{"type":["null","object"]}"#),
            Some(r#"{"type":"object"}"#),
        ),
        (
            r#"{"type":"object","properties":{"a":true}}"#,
            Some(r#"{"type":"object","properties":{"a":{}}}"#),
            Some(r#"{"type":"object","properties":{"a":{}}}"#),
        ),
        (r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}}}"##, None, None),
        (r#"{"type":"object","items":{"$ref":"other.json"}}"#, None, None),
        ("null", None, None),
        ("true", None, None),
        ("[]", None, None),
        (r#"{"type":"thing"}"#, None, None),
    ] {
        let given = |output: Option<&str>| output.map_or_else(|| without.to_owned(), with);
        becomes(&with(odd), &given(wide), &given(narrow));
    }
    for fine in [
        r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"},"b":{"$ref":"#"}},"$defs":{"A":{"type":"string"}}}"##,
        r##"{"type":"object","properties":{"a":{"$ref":"#/definitions/x~1y"}},"definitions":{"x/y":true}}"##,
        r##"{"type":"object","const":{"$ref":"nowhere"}}"##,
    ] {
        assert_eq!(faults(&tool(&with(fine))), [""; 0]);
    }
}

#[test]
fn a_modern_server_may_have_any_schema_of_results() {
    for fine in [
        r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":true}},"outputSchema":{"type":"array"}}"#,
        r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{}}"#,
    ] {
        let checked = checked(Kind::Tool, fine, "2026-07-28");
        assert_eq!((text(checked.text.as_ref()), &checked.narrow), (fine, &None));
        assert_eq!(faults(&checked), [""; 0]);
    }
    let odd = checked(Kind::Tool, r#"{"name":"t","inputSchema":{"properties":{"a":7}}}"#, "2026-07-28");
    assert_eq!(
        text(odd.text.as_ref()),
        r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":{}}}}"#
    );
}

#[test]
fn null_is_absent_and_what_nobody_can_read_goes() {
    let odd = r#"{"title":null,"name":"t", "annotations":{"readOnlyHint":"true","title":7,"x":[1.0]},"inputSchema":{"type":"object"},"icons":[{"src":"a","sizes":"48x48"},null,{"x":1}],"_meta":[],"description":null}"#;
    let mended = r#"{"name":"t", "annotations":{"readOnlyHint":true,"x":[1.0]},"inputSchema":{"type":"object"},"icons":[{"src":"a","sizes":["48x48"]}],"_meta":{}}"#;
    becomes(odd, mended, mended);
    assert_eq!(
        faults(&tool(odd)),
        [
            "title: null, not a string (left out)",
            "description: null, not a string (left out)",
            "annotations.title: a number, not a string (left out)",
            "annotations.readOnlyHint: a text (its boolean)",
            "icons[0].sizes: a text (an array of it)",
            "icons[1]: null, not an object (left out)",
            "icons[2]: it has no src (left out)",
            "_meta: an empty array ({})",
        ]
    );
    let nothing = r#"{"name":"t","inputSchema":{"type":"object"},"annotations":null,"icons":null,"_meta":null,"execution":null}"#;
    becomes(
        nothing,
        r#"{"name":"t","inputSchema":{"type":"object"}}"#,
        r#"{"name":"t","inputSchema":{"type":"object"}}"#,
    );
}

#[test]
fn prompts_resources_and_templates_have_rules_too() {
    for (kind, odd, mended) in [
        (Kind::Prompt, r#"{"name":"p","arguments":null}"#, Some(r#"{"name":"p"}"#)),
        (Kind::Prompt, r#"{"name":"p","arguments":{}}"#, Some(r#"{"name":"p","arguments":[]}"#)),
        (
            Kind::Prompt,
            r#"{"name":"p","arguments":[null,{"name":"a","required":null},{"description":"d"}]}"#,
            Some(r#"{"name":"p","arguments":[{"name":"a"}]}"#),
        ),
        (Kind::Prompt, r#"{"description":"d"}"#, None),
        (Kind::Resource, r#"{"uri":"a:b","name":"n","size":null}"#, Some(r#"{"uri":"a:b","name":"n"}"#)),
        (Kind::Resource, r#"{"uri":"a:b"}"#, Some(r#"{"name":"a:b","uri":"a:b"}"#)),
        (
            Kind::Resource,
            r#"{"uri":"a:b","name":null,"title":"T"}"#,
            Some(r#"{"uri":"a:b","name":"T","title":"T"}"#),
        ),
        (Kind::Resource, r#"{"name":"n"}"#, None),
        (
            Kind::Resource,
            r#"{"uri":"a:b","name":"n","annotations":{"audience":"user","priority":2,"lastModified":"yesterday"}}"#,
            Some(r#"{"uri":"a:b","name":"n","annotations":{"audience":["user"]}}"#),
        ),
        (
            Kind::Template,
            r#"{"uriTemplate":"a:{b}","mimeType":null}"#,
            Some(r#"{"name":"a:{b}","uriTemplate":"a:{b}"}"#),
        ),
        (Kind::Template, r#"{"uriTemplate":null,"name":"n"}"#, None),
    ] {
        let checked = checked(kind, odd, "2025-06-18");
        assert_eq!(checked.text.as_ref().map(|mended| text(Some(mended))), mended, "{odd}");
        assert!(!checked.faults.is_empty());
    }
    for time in ["2026-01-31T10:00:00Z", "2026-01-31T10:00Z", "2026-01-31T10:00:00.123+02:00"] {
        assert!(rules::is_time(&json::quote(time)), "{time}");
    }
    for time in ["2026-01-31", "2026-01-31T10:00:00", "2026-01-31T10:00:00.Z", "T", "", "é"] {
        assert!(!rules::is_time(&json::quote(time)), "{time}");
    }
}

/// What clients were seen to lose all tools over, each as a list of conditions that it makes of a tool.
#[test]
fn no_client_refuses_what_it_refused_before() {
    use serde_json::Value;
    type Condition = fn(&Value) -> bool;
    let has_input: Condition = |tool| tool["inputSchema"].is_object();
    let typed_input: Condition = |tool| tool["inputSchema"]["type"] == "object";
    let object_properties: Condition = |tool| {
        let properties = tool["inputSchema"]["properties"].as_object();
        properties.is_none_or(|properties| properties.values().all(Value::is_object))
    };
    let typed_output: Condition =
        |tool| tool.get("outputSchema").is_none_or(|output| output["type"] == "object");
    let clients: [(&str, &[Condition]); 6] = [
        ("Claude", &[has_input, typed_input]),
        ("OpenCode", &[has_input, typed_input, object_properties]),
        ("Gemini", &[has_input, typed_input, object_properties, typed_output]),
        ("fast-agent", &[has_input, typed_input, typed_output]),
        ("Codex", &[has_input]),
        ("Copilot", &[]),
    ];
    let rows = [
        (r#"{"name":"t"}"#, "Claude OpenCode Gemini fast-agent Codex"),
        (r#"{"name":"t","inputSchema":{}}"#, "Claude OpenCode Gemini fast-agent"),
        (r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":true}}}"#, "OpenCode Gemini"),
        (
            r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}"#,
            "Gemini fast-agent",
        ),
    ];
    for (odd, lost_by) in rows {
        let refused_by = |text: &str| {
            let tool: Value = serde_json::from_str(text).unwrap();
            let refuse = clients.iter().filter(|(_, wants)| !wants.iter().all(|want| want(&tool)));
            refuse.map(|(client, _)| *client).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(refused_by(odd), lost_by, "{odd}");
        let checked = tool(odd);
        let mended = checked.narrow.or(checked.text);
        assert_eq!(refused_by(text(mended.as_ref())), "", "{odd}");
    }
}

/// Nor does a server that writes very much nonsense keep us busy.
#[test]
fn very_large_schemas_are_walked_once() {
    let numbers = ["1"; 200_000].join(",");
    let odd = format!(r#"{{"name":"t","inputSchema":{{"type":"object","required":[{numbers}]}}}}"#);
    let mended = r#"{"name":"t","inputSchema":{"type":"object","required":[]}}"#;
    becomes(&odd, mended, mended);
    let uses = r##"{"$ref":"#/$defs/a"}"##;
    let uses = [uses; 20_000].join(",");
    let good = format!(
        r#"{{"name":"t","inputSchema":{{"type":"object"}},"outputSchema":{{"type":"object","anyOf":[{uses}],"$defs":{{"a":{{}}}}}}}}"#
    );
    assert_eq!(text(tool(&good).text.as_ref()), good);
}
