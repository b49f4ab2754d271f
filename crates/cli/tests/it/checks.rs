//! `portolan check`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::program::{PORTOLAN, Running, assert_ended, command, finish, reference_server};

fn check(text: &str, name: &str, args: &[&str]) -> crate::program::Ended {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), text).unwrap();
    finish(command(&[&["check", name], args].concat()).current_dir(dir.path()))
}

#[test]
fn every_mistake_is_said_at_once() {
    let text = "[upstream.a]\nurl = \"ftp://x\"\ntimouts = { call = \"5s\" }\n[route.r]\nupstreams = [\"a\", \"b\"]\n";
    assert_ended!(check(text, "bad.toml", &[]), @r#"
        exit: 3
        ----- stderr -----
        bad.toml:2:7: error: the URL of an upstream begins with http:// or https://
          |
        2 | url = "ftp://x"
          |       ^^^^^^^^^
          = help: nothing else is spoken here

        bad.toml:3:1: error: unknown key "timouts"
          |
        3 | timouts = { call = "5s" }
          | ^^^^^^^
          = help: did you mean "timeouts"?

        bad.toml:5:19: error: there is no upstream "b"
          |
        5 | upstreams = ["a", "b"]
          |                   ^^^
          = help: did you mean "a"?

        bad.toml cannot be used: 3 errors
        "#);
    let missing = finish(&mut command(&["check", "/does/not/exist.toml"]));
    assert_ended!(missing, @r#"
    exit: 3
    ----- stderr -----
    /does/not/exist.toml: error: cannot be read: no such file or directory
      = help: name a file that is there: portolan.toml, or the file of a client

    /does/not/exist.toml cannot be used: 1 error
    "#);
}

#[test]
fn warnings_are_allowed_unless_they_are_not() {
    let text = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n[listener.main]\naddress = \"0.0.0.0:1\"\nallowed_hosts = [\"x\"]\n";
    let fine = check(text, "c.toml", &[]);
    assert_ended!(fine, @r#"
        exit: 0
        ----- stdout -----
        c.toml can be used, with 1 warning: 1 server
        ----- stderr -----
        c.toml:4:11: warning: 0.0.0.0:1 is reachable from other machines, without authentication, and without TLS: whoever can connect to it can use every server behind it
          |
        4 | address = "0.0.0.0:1"
          |           ^^^^^^^^^^^
          = help: listen at 127.0.0.1, let nobody connect but a proxy that authenticates clients, or name who vouches for callers: public_url and issuers of each route
        "#);
    assert_eq!(check(text, "c.toml", &["--strict"]).code, Some(3));
}

#[test]
fn servers_are_reached_if_that_is_asked() {
    let (_server, url) = reference_server("modern");
    let good = format!(
        r#"{{"mcpServers":{{"web":{{"url":"{url}"}},"local":{{"command":"{PORTOLAN}","args":["reference-server","--stdio","--era","legacy"]}}}}}}"#
    );
    let ended = check(&good, "mcp.json", &["--connect"]);
    assert_ended!(ended, @r#"
        exit: 0
        ----- stdout -----
        mcp.json can be used: 2 servers
          web    up    modern, 2026-07-28, 39 tools
          local  up    legacy, 2025-11-25, 39 tools
        2 of 2 up
        "#);
    let ended =
        check(r#"{"mcpServers":{"gone":{"url":"http://127.0.0.1:1/mcp"}}}"#, "mcp.json", &["--connect"]);
    assert_ended!(ended, @r#"
        exit: 4
        ----- stdout -----
        mcp.json can be used: 1 server
          gone  down  upstream "gone" cannot be reached: Connection refused (os error 111)
        "#);
}

/// What clients would refuse is told of each server, and what becomes of it there.
#[test]
fn odd_entries_of_lists_are_told() {
    let result = |result: &str| {
        format!(r#"echo "{{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{}}}";;"#, result.replace('"', "\\\""))
    };
    let list = r#"{"tools":[{"name":"odd","description":null},null,{"name":"fine","inputSchema":{"type":"object"}}]}"#;
    let hello = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}"#;
    let error = r#"echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"no\"}}";;"#;
    let script = format!(
        "while read -r line; do id=$(echo \"$line\" | sed 's/.*\"id\":\\([^,]*\\),.*/\\1/'); case \"$line\" in *'\"initialize\"'*) {} *'\"tools/list\"'*) {} *'\"method\":\"notifications'*) ;; *) {error} esac; done",
        result(hello),
        result(list),
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("server.sh"), script).unwrap();
    let server =
        |name: &str, more: &str| format!("[upstream.{name}]\ncommand = [\"sh\", \"server.sh\"]\n{more}");
    let told = |text: &str| {
        std::fs::write(dir.path().join("c.toml"), text).unwrap();
        finish(command(&["check", "c.toml", "--connect"]).current_dir(dir.path()))
    };
    assert_ended!(told(&server("one", "")), @r#"
        exit: 0
        ----- stdout -----
        c.toml can be used: 1 server
          one  up    legacy, 2025-06-18, 2 tools
                     tool "odd": inputSchema: missing ({"type":"object"}): passed on as it is, though clients may refuse the whole list; schema = "repair" mends it
                     tool: it is null, not an object: left out
        "#);
    assert_ended!(told(&format!("{}{}", server("one", ""), server("two", "schema = \"drop\"\n"))), @r#"
        exit: 0
        ----- stdout -----
        c.toml can be used: 2 servers
          one  up    legacy, 2025-06-18, 2 tools
                     tool "odd": inputSchema: missing ({"type":"object"}): repaired
                     tool: it is null, not an object: left out
          two  up    legacy, 2025-06-18, 1 tool
                     tool "odd": inputSchema: missing ({"type":"object"}): left out
                     tool: it is null, not an object: left out
        2 of 2 up
        "#);
}

/// A program that tells what it was given tells nobody.
#[test]
fn secrets_are_masked_in_what_programs_say() {
    let text = r#"
[upstream.up]
command = ["sh", "-c", "echo no such key: $KEY >&2; exit 3"]
env = { KEY = "${env:SOME_KEY}" }
"#;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let mut check = command(&["check", "c.toml", "--connect", "--log", "info"]);
    let ended = finish(check.current_dir(dir.path()).env("SOME_KEY", "s3cret-of-the-environment"));
    assert!(ended.stdout.contains("it said: no such key: ${env:SOME_KEY}"), "{}", ended.stdout);
    assert!(ended.stderr.contains("no such key: ${env:SOME_KEY}"), "{}", ended.stderr);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("s3cret"), "{}", ended.stderr);
}

/// What does not wait for a question does not end for it, so it is not asked another one.
#[test]
fn a_program_that_ends_by_itself_is_started_once_and_its_last_words_are_told_wherever_it_said_them() {
    for (to, era) in [("&2", "auto"), ("&1", "auto"), ("&2", "legacy"), ("&1", "modern")] {
        let dir = tempfile::tempdir().unwrap();
        let era = if era == "auto" { String::new() } else { format!("era = \"{era}\"\n") };
        let text = format!(
            "[upstream.up]\ncommand = [\"sh\", \"-c\", \"echo x >> starts; echo KEY is required >{to}; exit 1\"]\n{era}"
        );
        std::fs::write(dir.path().join("c.toml"), text).unwrap();
        let ended = finish(command(&["check", "c.toml", "--connect"]).current_dir(dir.path()));
        let starts = std::fs::read_to_string(dir.path().join("starts")).unwrap();
        assert_eq!(starts, "x\n", "{to} {era}");
        assert!(
            ended.stdout.contains("the process ended (exit status: 1); it said: KEY is required"),
            "{}",
            ended.stdout
        );
    }
}

/// Some legacy servers end themselves at anything before `initialize`.
#[test]
fn a_program_that_has_read_the_question_is_asked_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[upstream.up]\ncommand = [\"sh\", \"-c\", \"echo x >> starts; read line; exit 1\"]\n";
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    assert_eq!(finish(command(&["check", "c.toml", "--connect"]).current_dir(dir.path())).code, Some(4));
    assert_eq!(std::fs::read_to_string(dir.path().join("starts")).unwrap(), "x\nx\n");
}

/// It may be that others are started before it.
#[test]
fn the_time_that_a_program_takes_to_start_is_none_that_its_lists_take() {
    let text = format!(
        "[upstream.up]\ncommand = [\"sh\", \"-c\", \"sleep 2; exec {PORTOLAN} reference-server --stdio\"]\ntimeouts = {{ list = \"1s\" }}\n"
    );
    let ended = check(&text, "c.toml", &["--connect"]);
    assert!(ended.stdout.contains("up    modern, 2026-07-28, 39 tools"), "{}", ended.stdout);
}

#[test]
fn the_last_words_of_a_program_that_is_still_starting_are_told() {
    let text = "[upstream.up]\ncommand = [\"sh\", \"-c\", \"echo Downloading 40 MB >&2; sleep 60\"]\ntimeouts = { connect = \"2s\" }\n";
    let ended = check(text, "c.toml", &["--connect"]);
    assert!(ended.stdout.contains("; it said: Downloading 40 MB"), "{}", ended.stdout);
}

/// What a program was not given, and names or is likely to want, is told with the key that gives it.
#[test]
fn a_variable_that_was_withheld_from_a_program_that_ends_is_named() {
    let text = "[defaults]\nnetwork_env = false\n\
        [upstream.keyless]\ncommand = [\"sh\", \"-c\", \"echo SOME_API_KEY is required >&2; exit 1\"]\n\
        [upstream.lost]\ncommand = [\"sh\", \"-c\", \"echo unable to get local issuer certificate >&2; exit 1\"]\n\
        [upstream.given]\ninherit_env = [\"SOME_API_KEY\"]\ncommand = [\"sh\", \"-c\", \"echo SOME_API_KEY is wrong >&2; exit 1\"]\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let mut check = command(&["check", "c.toml", "--connect"]);
    let check = check.current_dir(dir.path()).env("SOME_API_KEY", "k").env("NODE_EXTRA_CA_CERTS", "/ca.pem");
    let ended = finish(check);
    let line = |name: &str| {
        ended.stdout.lines().find(|line| line.starts_with(&format!("  {name} "))).unwrap().to_owned()
    };
    let key = "the environment variable SOME_API_KEY was withheld from it; inherit_env gives a program what it names";
    assert!(line("keyless").contains(key), "{}", ended.stdout);
    let ca = line("lost");
    assert!(
        ca.contains("NODE_EXTRA_CA_CERTS") && ca.contains("were withheld from it; inherit_env gives"),
        "{ca}"
    );
    assert!(!line("given").contains("withheld"), "{}", ended.stdout);
    let all = "0 of 3 up; down: given: SOME_API_KEY is wrong; keyless: SOME_API_KEY is required; \
               lost: unable to get local issuer certificate\n";
    assert!(ended.stdout.ends_with(all), "{}", ended.stdout);
}

const ONE_BAD: &str = r#"{ "mcpServers": {
  "good": { "command": "PROGRAM", "args": ["reference-server", "--stdio"] },
  "bad": { "command": "x", "env": { "KEY": "${PORTOLAN_TEST_NO_SUCH_KEY}" } }
} }"#;

/// One bad entry of another client's file leaves the others to be served, and is told of.
#[test]
fn a_bad_entry_is_left_out_unless_that_is_not_wanted() {
    let text = ONE_BAD.replace("PROGRAM", PORTOLAN);
    let text = text.as_str();
    assert_ended!(check(text, "mcp.json", &["--connect"]), @r#"
    exit: 0
    ----- stdout -----
    mcp.json can be used, with 2 warnings: 1 server; left out: "bad"
      bad   left out  the environment variable PORTOLAN_TEST_NO_SUCH_KEY is not set
      good  up    modern, 2026-07-28, 39 tools
    1 of 2 up; left out: bad
    ----- stderr -----
    mcp.json:3:23: warning: there is no program "x" in the PATH
      |
    3 |   "bad": { "command": "x", "env": { "KEY": "${PORTOLAN_TEST_NO_SUCH_KEY}" } }
      |                       ^^^
      = help: install it, or write its whole path

    mcp.json:3:45: warning: "bad" is left out: the environment variable PORTOLAN_TEST_NO_SUCH_KEY is not set
      |
    3 |   "bad": { "command": "x", "env": { "KEY": "${PORTOLAN_TEST_NO_SUCH_KEY}" } }
      |                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: set it; if it may be missing, write ${PORTOLAN_TEST_NO_SUCH_KEY:-default}
    "#);
    assert_eq!(check(text, "mcp.json", &["--strict"]).code, Some(3));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mcp.json"), text).unwrap();
    let strict = ["serve", "mcp.json", "--strict", "--log-format", "text", "--listen", "127.0.0.1:0"];
    let ended = finish(command(&strict).current_dir(dir.path()));
    assert_eq!(ended.code, Some(3));
    assert!(ended.stderr.contains("does not leave out \"bad\""), "{}", ended.stderr);
}

/// A client's file becomes one of Portolan's own, which can be used at once.
#[test]
fn a_file_is_converted_and_never_written_over() {
    let text = ONE_BAD.replace("PROGRAM", PORTOLAN);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mcp.json"), text).unwrap();
    let run =
        |args: &[&str]| finish(command(args).current_dir(dir.path()).env("PORTOLAN_TEST_NO_SUCH_KEY", "x"));
    let ended = run(&["convert", "mcp.json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        ended.stdout,
        "portolan.toml is written; portolan check portolan.toml --connect says whether its servers are there\n"
    );
    let made = std::fs::read_to_string(dir.path().join("portolan.toml")).unwrap();
    assert!(made.contains("env = { KEY = \"${env:PORTOLAN_TEST_NO_SUCH_KEY}\" }"), "{made}");
    let mode = std::fs::metadata(dir.path().join("portolan.toml")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    assert!(run(&["check", "portolan.toml", "--connect"]).stdout.contains("good  up"));
    assert_ended!(run(&["convert", "mcp.json"]), @r#"
    exit: 2
    ----- stderr -----
    error: portolan.toml is there already

    hint: --force writes over it, --output FILE writes elsewhere
    "#);
    assert_eq!(run(&["convert", "mcp.json", "--force"]).code, Some(0));
    assert_eq!(run(&["convert", "mcp.json", "--output", "-"]).stdout, made);
    assert_eq!(run(&["convert", "portolan.toml", "--output", "-"]).code, Some(3));
}

/// What the programs of another client's file get of this environment, is said beside that file.
#[test]
fn programs_get_what_the_command_line_says() {
    let text = r#"{ "mcpServers": { "a": { "command": "sh", "args": ["-c", "echo [$HTTPS_PROXY] [$MORE] [$OTHER] >&2; exit 1"] } } }"#;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mcp.json"), text).unwrap();
    let said = |options: &[&str]| {
        let mut check = command(&[&["check", "mcp.json", "--connect"], options].concat());
        check.env("HTTPS_PROXY", "http://127.0.0.1:9").env("MORE", "more").env("OTHER", "other");
        finish(check.current_dir(dir.path())).stdout
    };
    assert!(said(&[]).contains("[http://127.0.0.1:9] [] []"), "{}", said(&[]));
    let more = said(&["--inherit-env", "MORE,OTHER", "--no-network-env"]);
    assert!(more.contains("[] [more] [other]"), "{more}");
    assert_eq!(finish(&mut command(&["check", "mcp.json", "--inherit-env", "A*"])).code, Some(2));
}

/// As `npx` and `uvx` do when they download a program first. Who asks one thing and ends waits for it, however long it may be silent.
#[test]
fn a_program_that_writes_to_stderr_while_it_starts_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[upstream.up]\nera = \"modern\"\ntimeouts = {{ connect = \"2s\", list = \"2s\" }}\ncommand = [\"sh\", \"-c\", \"for i in 1 2 3 4 5 6 7 8 9 10; do \
         echo Downloading >&2; sleep 0.5; done; exec {PORTOLAN} reference-server --stdio\"]\n\
         [upstream.well]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n"
    );
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let commands: [(&[&str], &str); 5] = [
        (&["check", "c.toml", "--connect"], "  up    up    modern, 2026-07-28, 39 tools"),
        (&["list", "c.toml"], "up__add"),
        (&["list", "c.toml", "up", "tools"], "add"),
        (&["discover", "c.toml"], "up    modern, revision 2026-07-28"),
        (&["call", "c.toml", "up__add", "a=1", "b=2"], "3"),
    ];
    let running = commands.map(|(args, _)| Running::spawn(command(args).current_dir(dir.path())));
    for (mut running, (args, right)) in running.into_iter().zip(commands) {
        let mut said = Vec::from_iter(std::iter::from_fn(|| running.stdout.last()));
        said.extend(std::iter::from_fn(|| running.stderr.last()));
        assert!(said.iter().any(|line| line.contains(right)), "{args:?} {said:#?}");
        assert!(!said.iter().any(|line| line.contains("warning")), "{args:?} {said:#?}");
        assert_eq!(running.code(), Some(0), "{args:?}");
    }
}

/// The log of such a command is nobody's to read.
#[test]
fn a_broken_configuration_is_told_in_full_by_whichever_command_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), "[upstream.a]\ncomand = \"x\"\n").unwrap();
    for args in
        [&["api-keys", "list", "c.toml"][..], &["token", "inspect", "c.toml"], &["replicas", "c.toml"]]
    {
        let ended = finish(command(args).current_dir(dir.path()));
        assert_eq!(ended.code, Some(3), "{args:?}");
        assert!(
            ended.stderr.contains("c.toml:2:1: error: unknown key \"comand\""),
            "{args:?} {}",
            ended.stderr
        );
    }
}

/// As it is left out of the client's file, and for as long.
#[test]
fn what_a_file_is_converted_to_can_be_used_though_a_variable_is_not_set() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mcp.json"), ONE_BAD.replace("PROGRAM", PORTOLAN)).unwrap();
    let run = |args: &[&str]| finish(command(args).current_dir(dir.path()));
    let ended = run(&["convert", "mcp.json"]);
    let lacks = "\"bad\" is written with disabled = true: PORTOLAN_TEST_NO_SUCH_KEY is not set; when it is, take that line out";
    assert!(ended.code == Some(0) && ended.stderr.contains(lacks), "{}", ended.stderr);
    let checked = run(&["check", "portolan.toml", "--connect"]);
    assert!(
        checked.code == Some(0) && checked.stdout.contains("good  up"),
        "{}{}",
        checked.stdout,
        checked.stderr
    );
}

/// Those that are up, or starting, have something to put away.
#[test]
fn who_no_longer_reads_a_check_does_not_have_its_programs_killed() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[upstream.a]\ncommand = [\"sh\", \"-c\", \"while [ ! -e started ]; do sleep 0.05; done; exit 1\"]\n\
        [upstream.b]\nstop_grace = \"5s\"\ncommand = [\"sh\", \"-c\", \"trap 'echo x > asked; exit 0' TERM; echo x > started; \
        while :; do sleep 0.05; done\"]\n";
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let mut check = command(&["check", "c.toml", "--connect"]);
    let mut child = check.current_dir(dir.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("can be used"), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(dir.path().join("asked").exists());
}

/// A scope that nothing asks for is hardly meant.
#[test]
fn a_key_with_a_scope_that_no_route_asks_for_is_made_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let text = "store = \"sqlite:keys.db\"\n[route.main]\npath = \"/mcp\"\npublic_url = \"https://mcp.example.com/mcp\"\n\
        api_keys = true\nscopes = { \"mcp:read\" = { tools = [\"*\"] } }\n[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n";
    std::fs::write(dir.path().join("portolan.toml"), text).unwrap();
    let create = |scope: &str| {
        let args = ["api-keys", "create", "portolan.toml", "--principal", "p", "--scope", scope];
        finish(command(&args).current_dir(dir.path()))
    };
    let (right, wrong) = (create("mcp:read"), create("mcp:raed"));
    assert!(right.code == Some(0) && !right.stderr.contains("warning: no route"), "{}", right.stderr);
    let warning = "warning: no route of the key asks for the scope \"mcp:raed\"; did you mean \"mcp:read\"?";
    assert!(wrong.code == Some(0) && wrong.stderr.contains(warning), "{}", wrong.stderr);
}

/// As whoever starts it looks for it: by its own PATH.
#[test]
fn a_program_is_found_where_it_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("sub/run-it");
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(&run, format!("#!/bin/sh\nexec {PORTOLAN} reference-server --stdio\n")).unwrap();
    std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = dir.path().join("sub");
    let text = format!(
        "[upstream.a]\ncommand = [\"./sub/run-it\"]\ndirectory = \"sub\"\n[upstream.b]\ncommand = [\"run-it\"]\nenv = {{ PATH = {path:?} }}\n\
         [upstream.c]\ncommand = [\"run-it\"]\n[upstream.d]\ncommand = [\"./run-it\"]\n"
    );
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let ended = finish(command(&["check", "c.toml", "--connect"]).current_dir(dir.path()));
    let lost =
        "2 of 4 up; down: c: \"run-it\" cannot be started: there is no such program in the PATH; d: \"";
    assert!(ended.stdout.contains(lost), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.ends_with("run-it\" cannot be started: there is no such program\n"),
        "{}",
        ended.stdout
    );
}

/// A scope that gates nothing is perhaps a slip; that is known once it is known what there is.
#[test]
fn a_scope_that_gates_nothing_is_told() {
    let (_server, url) = reference_server("modern");
    let text = format!(
        "[issuer.id]\nurl = \"https://id.example.com\"\njwks_file = \"keys.json\"\n\
         [route.main]\npublic_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\n\
         [route.main.scopes.read]\ntools = [\"*\"]\nresources = [\"nowhere://*\"]\n\
         [route.main.scopes.write]\ntools = [\"a__ad?\", \"add\", \"delete_*\"]\nprompts = [\"*\"]\n\
         [upstream.a]\nurl = {url:?}\n"
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    std::fs::write(dir.path().join("keys.json"), keys).unwrap();
    let ended = finish(command(&["check", "c.toml", "--connect"]).current_dir(dir.path()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("needs the scope")).collect();
    let by: Vec<_> = told.iter().map(|line| line.split("needs the scope ").nth(1).unwrap()).collect();
    assert_eq!(by.len(), 3, "{ended:?}");
    for (line, begin) in
        by.iter().zip([r#""read" by "nowhere://*""#, r#""write" by "a__ad?""#, r#""write" by "delete_*""#])
    {
        assert!(line.starts_with(begin), "{line}");
    }
    // Of a server that is not there nobody knows what it lists.
    let text = std::fs::read_to_string(dir.path().join("c.toml")).unwrap();
    let down = "[upstream.down]\nurl = \"http://127.0.0.1:1/mcp\"\n";
    std::fs::write(dir.path().join("c.toml"), format!("{text}{down}")).unwrap();
    let ended = finish(command(&["check", "c.toml", "--connect"]).current_dir(dir.path()));
    assert!(!ended.stdout.contains("needs the scope"), "{}", ended.stdout);
}

#[test]
fn it_says_how_many_limits_there_are() {
    let server = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n";
    let text =
        format!("{server}[limit.all]\nrate = \"10/s\"\n[limit.tools]\nper = [\"tool\"]\nconcurrent = 4\n");
    assert_ended!(check(&text, "c.toml", &[]), @r#"
    exit: 0
    ----- stdout -----
    c.toml can be used: 1 server; 2 limits
    "#);
}
