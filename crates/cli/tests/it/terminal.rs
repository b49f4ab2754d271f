//! What a person sees on a terminal.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::signal::Signal;

use crate::program::{Running, command, reference_server, run};
use crate::scripted;

/// What a command writes to a terminal, with its colours.
fn on_terminal(command: &mut Command) -> String {
    let pty = openpty(None, None).unwrap();
    let slave = File::from(pty.slave);
    command.stdin(Stdio::null()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    // The child alone has the other end from here on, so that there is one to what is read.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    let mut master = File::from(pty.master);
    // A terminal that nobody has open any more is an error to read, not an end.
    while let Ok(count @ 1..) = master.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
    }
    child.wait().unwrap();
    String::from_utf8(seen).unwrap().replace("\r\n", "\n")
}

#[test]
fn a_list_fits_and_is_coloured_if_that_is_wanted() {
    let (_server, url) = reference_server("both");
    let list = ["list", &url, "prompts"];
    let coloured = on_terminal(&mut command(&list));
    assert!(coloured.starts_with("\u{1b}[1mprompts (5)\u{1b}[0m\n"), "{coloured:?}");
    let plain = on_terminal(command(&list).env("NO_COLOR", "1"));
    insta::assert_snapshot!(plain, @r#"
        prompts (5)
          test_simple_prompt
              A prompt without arguments
          test_prompt_with_arguments arg1=<string> arg2=<string>
              A prompt that repeats its two arguments
          test_prompt_with_embedded_resource resourceUri=<string>
              A prompt that embeds a resource under the given URI
          test_prompt_with_image
              A prompt with a picture
          test_input_required_result_prompt
              A prompt that first asks the user for its context
        "#);
    assert_eq!(on_terminal(&mut command(&[&list[..], &["--color", "never"]].concat())), plain);
    let forced = on_terminal(command(&[&list[..], &["--color", "always"]].concat()).env("NO_COLOR", "1"));
    assert_eq!(forced, coloured);
    let all = on_terminal(command(&["list", &url]).env("NO_COLOR", "1"));
    let wide: Vec<_> = all.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty() && all.contains("resource templates (1)"), "{wide:#?}");
    let described = on_terminal(command(&["discover", &url]).env("NO_COLOR", "1"));
    assert!(described.contains("\ncapabilities  tools (tells of changes)"), "{described}");
}

/// A pipe has neither colours nor titles, unless it is said that it can do with colours.
#[test]
fn a_pipe_is_for_programs() {
    let (_server, url) = reference_server("both");
    let list = ["list", &url, "templates"];
    let records =
        "test://template/{id}/data\tresource template\t[application/json]\tJSON that names its own id\n";
    assert_eq!(run(&list).stdout, records);
    let forced =
        crate::program::finish(command(&["call", "ftp:/x", "a", "-H", "a: b"]).env("CLICOLOR_FORCE", "1"));
    assert!(forced.stderr.starts_with("\u{1b}[1;31merror"), "{}", forced.stderr);
    let never = run(&["call", "ftp:/x", "a", "-H", "a: b", "--color=never"]);
    assert!(never.stderr.starts_with("error"), "{}", never.stderr);
    assert!(run(&["lst", "--color", "always"]).stderr.contains("\u{1b}["));
}

/// What a server writes cannot move the cursor, and a tab or a new line of it is no new field or record.
#[test]
fn names_and_texts_of_servers_are_text() {
    let dir = tempfile::tempdir().unwrap();
    let tools = r#"{"tools":[{"name":"a__x","description":"one\u001b[2J\n\ttwo","inputSchema":{"type":"object"}},{"name":"b__y","inputSchema":{"type":"object"}}]}"#;
    let server = scripted::server(dir.path(), r#"{"tools":{}}"#, &[("tools/list", tools)]);
    let seen = on_terminal(command(&["list", &server, "tools"]).env("NO_COLOR", "1"));
    assert!(!seen.contains('\u{1b}') && seen.contains("  a (1)\n    a__x\n        one"), "{seen:?}");
    assert_eq!(run(&["list", &server, "tools"]).stdout, "a__x\ttool\t\tone\u{1b}[2J two\nb__y\ttool\n");
}

#[test]
fn a_list_of_nothing_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = scripted::server(dir.path(), r#"{"tools":{}}"#, &[("tools/list", r#"{"tools":[]}"#)]);
    let ended = run(&["list", &server]);
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "", "(empty)\n"));
}

/// However long that may take.
#[test]
fn a_person_is_told_what_is_waited_for() {
    let text = format!(
        "echo Downloading it >&2; sleep 4; exec {} reference-server --stdio",
        crate::program::PORTOLAN
    );
    let seen = on_terminal(&mut command(&["list", "tools", "--color", "never", "--", "sh", "-c", &text]));
    assert!(seen.starts_with("  ...   starting for ") && seen.contains(" s: Downloading it\n"), "{seen}");
    assert!(seen.contains("tools (39)"), "{seen}");
    let seen =
        on_terminal(&mut command(&["list", "--timeout", "4s", "--color", "never", "--", "sleep", "60"]));
    assert!(
        seen.starts_with("  ...   starting for ") && seen.contains(" s: it has said nothing yet\n"),
        "{seen}"
    );
}

#[test]
fn a_person_is_told_how_servers_come_up_that_a_reload_brings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let write = |names: &[&str]| {
        let program = crate::program::PORTOLAN;
        let each = names.iter().map(|name| {
            format!("[upstream.{name}]\ncommand = [{program:?}, \"reference-server\", \"--stdio\"]\n")
        });
        std::fs::write(&path, each.collect::<String>()).unwrap();
    };
    write(&["kept", "gone"]);
    let args =
        ["serve", path.to_str().unwrap(), "--listen", "127.0.0.1:0", "--log-format", "text", "--no-watch"];
    let mut serve = Running::start(&args);
    serve.stderr.find("2 of 2 up");
    write(&["kept", "fresh"]);
    serve.signal(Signal::SIGHUP);
    let line = serve.stderr.find("reloaded");
    assert!(line.contains("added=\"fresh\"") && line.contains("removed=\"gone\""), "{line}");
    assert!(!line.contains("kept") && !line.contains("changed="), "{line}");
    assert!(serve.stderr.find("  fresh  ").contains("up    in "));
    serve.stderr.find("1 of 1 up");
}
