//! `portolan call`, `read` and `prompt`.

use crate::program::{PORTOLAN, Running, assert_ended, reference_server, run, run_with_input};

#[test]
fn a_call_gives_the_same_over_every_era_and_transport() {
    let (_both, both) = reference_server("both");
    let (_modern, modern) = reference_server("modern");
    let (_legacy, legacy) = reference_server("legacy");
    let quoted = format!("'{PORTOLAN}' reference-server --stdio --era legacy");
    for server in [both, modern, legacy, quoted] {
        let ended = run(&["call", &server, "add", "a=9007199254740993", "b=1"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
            (Some(0), "9007199254740994\n", ""),
            "{server}"
        );
    }
    for era in ["both", "modern", "legacy"] {
        let after =
            ["call", "add", "a=1", "b=2", "--", PORTOLAN, "reference-server", "--stdio", "--era", era];
        let ended = run(&after);
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "3\n", ""), "{era}");
    }
}

#[test]
fn json_is_the_result_byte_for_byte() {
    let (_server, url) = reference_server("modern");
    let spelled = r#"{"n":1.0,"big":12345678901234567890123,"s":"é","list":[ 1 ]}"#;
    let ended = run(&["call", &url, "echo", "--json", "--args", spelled]);
    assert_ended!(ended, @r#"
        exit: 0
        ----- stdout -----
        {"resultType":"complete","content":[{"type":"text","text":"{\"n\":1.0,\"big\":12345678901234567890123,\"s\":\"é\",\"list\":[ 1 ]}"}],"structuredContent":{"n":1.0,"big":12345678901234567890123,"s":"é","list":[ 1 ]},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"portolan-reference","title":"Portolan reference server","version":"0.1.0"}}}
        "#);
    let ended = run(&["call", &url, "test_error_handling", "--json"]);
    assert_ended!(ended, @r#"
        exit: 1
        ----- stdout -----
        {"resultType":"complete","content":[{"type":"text","text":"This tool intentionally returns an error for testing"}],"isError":true,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"portolan-reference","title":"Portolan reference server","version":"0.1.0"}}}
        "#);
}

#[test]
fn arguments_are_read_as_the_schema_says() {
    let (_server, url) = reference_server("both");
    let structured = |words: &[&str], input: &str| {
        let ended = run_with_input(&[&["call", &url, "echo"], words].concat(), input);
        assert_eq!(ended.stderr, "");
        ended.stdout
    };
    assert_eq!(
        structured(&["a=1", "b=x", "c:=\"1\"", "d=[1,2]"], ""),
        "{\"a\":1,\"b\":\"x\",\"c\":\"1\",\"d\":[1,2]}\n"
    );
    assert_eq!(structured(&["-", "z=1"], r#"{"a": 1.50}"#), "{\"a\":1.50,\"z\":1}\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "two\nlines").unwrap();
    assert_eq!(
        structured(&[&format!("text=@{}", file.path().display())], ""),
        "{\"text\":\"two\\nlines\"}\n"
    );
    assert_eq!(structured(&["--arg", "a=1", "b=2", "--arg", "c:=[]"], ""), "{\"b\":2,\"a\":1,\"c\":[]}\n");
    // Its schema says that `region` is a string, so 7 stays one.
    let ended = run(&["call", &url, "region", "region=7", "priority=7"]);
    assert_eq!(ended.stdout, "{\"region\":\"7\",\"priority\":7}\n");
}

#[test]
fn each_kind_of_content_is_shown_or_saved() {
    let (_server, url) = reference_server("both");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("saved");
    let ended = run(&["call", &url, "test_multiple_content_types", "-o", path.to_str().unwrap()]);
    assert_ended!(ended, @r#"
        exit: 0
        ----- stdout -----
        Multiple content types test:
        [image: image/png, 69 bytes]
        [resource test://mixed-content-resource]
        {"test":"data","value":123}
        ----- stderr -----
        saved 69 bytes to /tmp/DIR/saved
        "#);
    assert!(std::fs::read(&path).unwrap().starts_with(b"\x89PNG"));
    // Where there are no bytes, the text.
    let text = dir.path().join("text");
    let ended = run(&["read", &url, "test://static-text", "-o", text.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(format!("{}\n", std::fs::read_to_string(&text).unwrap().trim_end()), ended.stdout);
    let ended = run(&["read", &url, "test://static-binary"]);
    assert_ended!(ended, @r#"
        exit: 0
        ----- stdout -----
        [test://static-binary: image/png, 69 bytes]
        "#);
}

#[test]
fn a_tool_that_fails_is_told_from_one_that_is_not_there() {
    let (_server, url) = reference_server("both");
    assert_ended!(run(&["call", &url, "test_error_handling"]), @r#"
        exit: 1
        ----- stderr -----
        This tool intentionally returns an error for testing
        "#);
    assert_ended!(run(&["call", &url, "ad", "a=1"]), @r#"
        exit: 1
        ----- stderr -----
        error: unknown tool: ad (-32602)

        hint: did you mean "add"?
        "#);
    assert_ended!(run(&["call", &url, "subtract", "a=1"]), @r#"
        exit: 1
        ----- stderr -----
        error: unknown tool: subtract (-32602)

        hint: the server's tools are test_simple_text, test_image_content, test_audio_content, test_embedded_resource, test_multiple_content_types, test_error_handling, test_tool_with_progress, test_tool_with_logging, test_logging_tool, test_reconnection, slow_counter, sleep, …
        "#);
    assert_ended!(run(&["prompt", &url, "test_simple_promt"]), @r#"
        exit: 1
        ----- stderr -----
        error: unknown prompt: test_simple_promt (-32602)

        hint: did you mean "test_simple_prompt"?
        "#);
    assert_ended!(run(&["read", &url, "test://static-txt"]), @r#"
        exit: 1
        ----- stderr -----
        error: resource not found: test://static-txt (-32602)
        data: {
          "uri": "test://static-txt"
        }

        hint: did you mean "test://static-text"?
        "#);
    assert_ended!(run(&["read", &url, "test://nope"]), @r#"
        exit: 1
        ----- stderr -----
        error: resource not found: test://nope (-32602)
        data: {
          "uri": "test://nope"
        }

        hint: the server's resources are test://static-text, test://static-binary, test://watched-resource
        "#);
}

#[test]
fn progress_and_log_messages_are_shown_beside_the_result() {
    for era in ["modern", "legacy"] {
        let (_server, url) = reference_server(era);
        let call = ["call", &url, "slow_counter", "to=2", "intervalMs=20"];
        let ended = run(&[&call[..], &["--log-level", "info"]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "Counted to 2.\n"), "{era}");
        assert_eq!(
            ended.stderr, "progress 1/2\n[info] fixture: 1\nprogress 2/2\n[info] fixture: 2\n",
            "{era}"
        );
        assert_eq!(run(&[&call[..], &["--no-progress"]].concat()).stderr, "", "{era}");
    }
}

#[test]
fn prompts_and_resources_are_fetched() {
    let (_server, url) = reference_server("both");
    assert_ended!(run(&["prompt", &url, "test_prompt_with_arguments", "arg1=1", "arg2=two"]), @r#"
        exit: 0
        ----- stdout -----
        user:
        Prompt with arguments: arg1='1', arg2='two'
        "#);
    assert_ended!(run(&["read", &url, "test://template/7/data"]), @r#"
        exit: 0
        ----- stdout -----
        {"id":"7","templateTest":true,"data":"Data for ID: 7"}
        "#);
    assert_ended!(run(&["read", &url, "test://static-text", "--json"]), @r#"
        exit: 0
        ----- stdout -----
        {"resultType":"complete","contents":[{"uri":"test://static-text","mimeType":"text/plain","text":"This is the content of the static text resource."}],"ttlMs":60000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"portolan-reference","title":"Portolan reference server","version":"0.1.0"}}}
        "#);
}

#[test]
fn who_cannot_be_reached_is_told_from_who_says_no() {
    assert_ended!(run(&["call", "http://127.0.0.1:1/mcp", "add"]), @r#"
        exit: 4
        ----- stderr -----
        error: the server cannot be reached: Connection refused (os error 111)

        hint: nothing listens there: start the server, or look at the port of its URL
        "#);
    assert_ended!(run(&["call", "/does/not/exist", "add"]), @r#"
        exit: 4
        ----- stderr -----
        error: the server cannot be reached: "/does/not/exist" cannot be started: there is no such program

        hint: install it, or write its whole path; if a server's URL is meant, it begins with http:// or https://; if a configuration is, its name ends in .json, .toml or .yaml
        "#);
    assert_ended!(run(&["list", "127.0.0.1:8000"]), @r#"
        exit: 2
        ----- stderr -----
        error: "127.0.0.1:PORT" is an address, and no URL

        hint: write http://127.0.0.1:PORT/mcp
        "#);
    let (_server, url) = reference_server("both");
    assert_ended!(run(&["list", &url.replace("http:", "https:")]), @r#"
        exit: 4
        ----- stderr -----
        error: the server cannot be reached: received corrupt message of type InvalidContentType; what answers there does not speak TLS: write http:// for https://
        "#);
}

/// Before anything is sent, unless that is not wanted: the server is the judge.
#[test]
fn arguments_that_the_schema_does_not_allow_are_told() {
    let (_server, url) = reference_server("both");
    assert_ended!(run(&["call", &url, "add", "a=five", "c=1"]), @r#"
        exit: 2
        ----- stderr -----
        error: the tool "add" cannot be called so:
          "b" is missing: a number
          "a" must be a number, and is a string: "five"

        hint: it takes a=<number> b=<number>; --no-check sends the arguments as they are
        "#);
    let ended = run(&["call", &url, "add", "a=five", "--no-check"]);
    assert_eq!(ended.code, Some(1));
    assert!(!ended.stderr.contains("--no-check"), "{}", ended.stderr);
    let ended = run(&["call", &url, "add", "a:=1", "b:=2.5", "c=1"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "3.5\n"));
}

#[test]
fn a_call_that_takes_too_long_is_given_up_and_cancelled() {
    let (_server, url) = reference_server("modern");
    let ended = run(&[
        "call",
        &url,
        "test_cancellation",
        "seconds=600",
        "token=t",
        "--timeout",
        "300ms",
        "--no-progress",
    ]);
    assert_ended!(ended, @r#"
        exit: 4
        ----- stderr -----
        error: no answer within 300ms
        "#);
    let ended = run(&["call", &url, "cancellations", "atLeast=1"]);
    assert_eq!(ended.stdout, "{\"cancellations\":1}\n");
}

#[test]
fn ctrl_c_cancels_the_call() {
    let (_server, url) = reference_server("legacy");
    let mut call = Running::start(&["call", &url, "test_cancellation", "seconds=600"]);
    call.stderr.find("progress 0/1");
    call.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(call.code(), Some(130));
    let ended = run(&["call", &url, "cancellations", "atLeast=1"]);
    assert_eq!(ended.stdout, "{\"cancellations\":1}\n");
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
    assert_ended!(run(&["call"]), @r#"
        exit: 2
        ----- stderr -----
        error: no server is named

        hint: name a URL, a configuration such as mcp.json, or a command after `--`: portolan list -- npx -y some-server
        "#);
    assert_ended!(run(&["call", "http://127.0.0.1:1/mcp"]), @r#"
        exit: 2
        ----- stderr -----
        error: no tool is named

        hint: portolan list shows what there is
        "#);
    assert_ended!(run(&["call", "http://127.0.0.1:1/mcp", "add", "a"]), @r#"
        exit: 2
        ----- stderr -----
        error: "a" is no argument

        hint: write name=value, name:='JSON' or name=@FILE
        "#);
    assert_ended!(run(&["call", "http://127.0.0.1:1/mcp", "add", "-H", "X-Key: ${env:PORTOLAN_TEST_UNSET}"]), @r#"
        exit: 2
        ----- stderr -----
        error: the environment variable PORTOLAN_TEST_UNSET is not set

        hint: set it; if it may be missing, write ${env:PORTOLAN_TEST_UNSET:-default}
        "#);
    assert_ended!(run(&["call", "ftp:/x", "add", "-H", "a: b"]), @r#"
        exit: 2
        ----- stderr -----
        error: headers are for servers at a URL

        hint: a process takes its secrets from the environment
        "#);
}
