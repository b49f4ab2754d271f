//! What a server asks for in the middle of a call, and what the command line answers.

use crate::program::{PORTOLAN, assert_ended, reference_server, run, run_with_input};

/// Calls a tool of a modern server with these options.
fn call(tool: &str, options: &[&str]) -> crate::program::Ended {
    let (_server, url) = reference_server("modern");
    run(&[&["call", &url, tool], options].concat())
}

#[test]
fn a_form_is_filled_in_by_answers_and_by_its_defaults() {
    assert_ended!(call("test_elicitation_sep1034_defaults", &["--answer", "age=31", "--answer", "verified=no"]), @r#"
        exit: 0
        ----- stdout -----
        Elicitation completed: action=accept, content={"name":"John Doe","age":31,"score":95.5,"status":"active","verified":false}
        ----- stderr -----
        the server asks: Please review the defaults
        "#);
    assert_ended!(call("test_elicitation_sep1034_defaults", &["--answers", r#"{"score":1.50}"#]), @r#"
        exit: 0
        ----- stdout -----
        Elicitation completed: action=accept, content={"name":"John Doe","age":30,"score":1.50,"status":"active","verified":true}
        ----- stderr -----
        the server asks: Please review the defaults
        "#);
}

#[test]
fn servers_of_both_eras_get_the_same_answers_over_every_transport() {
    let (_modern, modern) = reference_server("modern");
    let (_legacy, legacy) = reference_server("legacy");
    let process = format!("'{PORTOLAN}' reference-server --stdio --era legacy");
    for server in [modern, legacy, process] {
        let ended = run(&["call", &server, "test_elicitation_sep1034_defaults", "--answer", "age=31"]);
        let given = r#"{"name":"John Doe","age":31,"score":95.5,"status":"active","verified":true}"#;
        assert_eq!(
            ended.stdout,
            format!("Elicitation completed: action=accept, content={given}\n"),
            "{server}: {ended:?}"
        );
        let ended = run(&["call", &server, "test_elicitation_sep1330_enums", "--decline"]);
        assert!(ended.stdout.contains("action=decline"), "{server}: {ended:?}");
        let ended = run(&["call", &server, "test_sampling", "prompt=x", "--sample-with", "echo Paris"]);
        assert_eq!(ended.stdout, "LLM response: Paris\n", "{server}: {ended:?}");
    }
}

#[test]
fn answers_come_from_files_and_stdin_too() {
    let (_server, url) = reference_server("modern");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"name":"Ada"}"#).unwrap();
    let tool = "test_input_required_result_elicitation";
    let ended = run(&["call", &url, tool, "--answers", &format!("@{}", file.path().display())]);
    assert_eq!(ended.stdout, "Hello, Ada!\n");
    let ended = run_with_input(&["call", &url, tool, "--answers", "-"], r#"{"name":"Bo"}"#);
    assert_eq!(ended.stdout, "Hello, Bo!\n");
}

#[test]
fn a_form_can_be_declined() {
    assert_ended!(call("test_elicitation_sep1330_enums", &["--decline"]), @r#"
        exit: 0
        ----- stdout -----
        Elicitation completed: action=decline, content={}
        ----- stderr -----
        the server asks: Please choose
          untitledSingle <option1|option2|option3> (optional)
          titledSingle <value1|value2|value3> (optional)
          legacyEnum <opt1|opt2|opt3> (optional)
          untitledMulti <option1|option2|option3>, several with commas between (optional)
          titledMulti <value1|value2|value3>, several with commas between (optional)
        declined
        "#);
}

#[test]
fn several_rounds_take_what_each_asks_for() {
    let answers = ["--answer", "name=Ada", "--answer", "color=red", "--answer", "colour=blue"];
    assert_ended!(call("test_input_required_result_multi_round", &answers), @r#"
        exit: 0
        ----- stdout -----
        Ada likes red.
        ----- stderr -----
        the server asks: Step 1: What is your name?
        the server asks: Step 2: What is your favorite color?
        note: no form has asked for "colour"
        "#);
    assert_ended!(call("test_input_required_result_multi_round", &answers[..2]), @r#"
        exit: 2
        ----- stderr -----
        the server asks: Step 1: What is your name?
        the server asks: Step 2: What is your favorite color?
        error: the server asks for color, and no answer gives it

        hint: --answer color=…  color <string>; --decline declines
        "#);
}

#[test]
fn roots_are_told_and_a_command_plays_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a b");
    std::fs::create_dir(&root).unwrap();
    let root = root.to_str().unwrap();
    let ended = call("test_input_required_result_list_roots", &["--root", root]);
    assert!(ended.stdout.contains("file:///") && ended.stdout.contains("/a%20b"), "{ended:?}");

    // It is asked with the server's request on stdin, and answers with a text, or with a whole result.
    let command = r#"sh -c 'grep -q maxTokens && echo Paris'"#;
    assert_ended!(call("test_input_required_result_sampling", &["--sample-with", command]), @r#"
        exit: 0
        ----- stdout -----
        Paris
        ----- stderr -----
        the server asks for a message of the model; sh answers
        "#);
    let whole = r#"printf '{"role":"assistant","content":{"type":"text","text":"Rome"},"model":"m"}'"#;
    assert_eq!(call("test_input_required_result_sampling", &["--sample-with", whole]).code, Some(0));
    assert_ended!(call("test_input_required_result_sampling", &["--sample-with", "false"]), @r#"
        exit: 4
        ----- stderr -----
        the server asks for a message of the model; false answers
        error: false failed: exit status: 1
        "#);

    let all = ["--root", root, "--sample-with", "echo Paris", "--answer", "name=Ada"];
    let ended = call("test_input_required_result_multiple_inputs", &all);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "Paris Ada, you have 1 root(s).\n"));
}

#[test]
fn what_cannot_be_answered_is_not_declared_and_the_hint_says_what_would_help() {
    assert_ended!(call("test_input_required_result_elicitation", &[]), @r#"
        exit: 1
        ----- stderr -----
        error: this needs the client capability "elicitation", which the request does not declare (-32021)
        data: {
          "requiredCapabilities": {
            "elicitation": {}
          }
        }

        hint: it wants to ask something: answer with --answer NAME=VALUE, or refuse with --decline
        "#);
    // It is told exactly what it can ask.
    assert_ended!(call("test_input_required_result_capabilities", &["--root", "/"]), @r#"
        exit: 0
        ----- stdout -----
        Answered: client_roots
        "#);
}

#[test]
fn answers_that_cannot_be_meant_are_refused_before_anything_is_sent() {
    let nowhere = "http://127.0.0.1:1/mcp";
    for (options, why) in [
        (&["--answer", "x"][..], "\"x\" is no argument"),
        (&["--answers", "[]"], "the arguments are no JSON object"),
        (&["--answer", "x=1", "--answers", r#"{"x":1}"#], "is given twice"),
        (&["--decline", "--answer", "x=1"], "cannot be used with"),
        (&["--root", "/does/not/exist"], "/does/not/exist cannot be a root"),
        (&["--sample-with", "'x"], "a quote is not closed"),
    ] {
        let ended = run(&[&["call", nowhere, "t"], options].concat());
        assert!(ended.code == Some(2) && ended.stderr.contains(why), "{options:?}: {ended:?}");
    }
    // That it is not asked for is seen only then.
    assert_ended!(call("test_input_required_result_elicitation", &["--answer", "name:=null"]), @r#"
        exit: 2
        ----- stderr -----
        the server asks: What is your name?
        error: the server asks for name, and no answer gives it

        hint: --answer name=…  name <string>; --decline declines
        "#);
}
