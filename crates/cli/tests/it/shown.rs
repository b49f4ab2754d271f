//! How results look, whatever servers put into them.

use crate::program::{assert_ended, run};
use crate::scripted;

const TOOLS: &str = r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}"#;

#[test]
fn a_text_that_is_no_unicode_is_shown_with_its_escapes() {
    let dir = tempfile::tempdir().unwrap();
    let result = r#"{"content":[{"type":"text","text":"a\ud83db \ud83d\ude00"}]}"#;
    let server =
        scripted::server(dir.path(), r#"{"tools":{}}"#, &[("tools/list", TOOLS), ("tools/call", result)]);
    assert_eq!(run(&["call", &server, "a"]).stdout, "a\\ud83db 😀\n");
    // As it came.
    let json = run(&["call", &server, "a", "--json"]).stdout;
    assert!(json.contains(r#""content":[{"type":"text","text":"a\ud83db \ud83d\ude00"}]"#), "{json}");
}

#[test]
fn nothing_is_told_from_a_result_that_was_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let empty = r#"{"content":[]}"#;
    let failed = r#"{"content":[],"isError":true}"#;
    let text = r#"{"content":"only text"}"#;
    let results = [
        ("tools/list", TOOLS),
        (r#""name":"empty""#, empty),
        (r#""name":"failed""#, failed),
        (r#""name":"text""#, text),
        ("resources/read", r#"{"contents":[{"uri":"x://a","text":""}]}"#),
    ];
    let server = scripted::server(dir.path(), r#"{"tools":{},"resources":{}}"#, &results);
    assert_ended!(run(&["call", &server, "empty"]), @r#"
        exit: 0
        ----- stderr -----
        (empty)
        "#);
    assert_ended!(run(&["call", &server, "failed"]), @r#"
        exit: 1
        ----- stderr -----
        the tool failed, and does not say why
        "#);
    assert_eq!(run(&["call", &server, "text"]).stdout, "only text\n");
    assert_eq!(run(&["read", &server, "x://a"]).stderr, "(empty)\n");
    // For a program, nothing is said beside it.
    assert_eq!(run(&["call", &server, "empty", "--json"]).stderr, "");
}
