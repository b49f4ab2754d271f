//! Upstreams that are processes: their programs, arguments, directories and environments.

use std::time::Duration;

use base::plan::Reach;
use insta::assert_snapshot;

use crate::{Files, child, env, said, usable};

#[test]
fn a_process_gets_an_allow_list_of_the_environment() {
    let plan = usable(
        r#"
[upstream.a]
command = ["sh", "-c", "true"]
args = ["more"]
env = { KEY = "${env:TOKEN}", LANG = "de" }
inherit_env = ["OTHER", "NOT_THERE"]
idle_after = "10m"
processes = 2
"#,
    );
    let child = child(&plan);
    assert_eq!(
        (child.program.as_str(), child.args.as_slice()),
        ("sh", &["-c", "true", "more"].map(str::to_owned)[..])
    );
    let env: Vec<_> = child.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["HOME=/home/me", "KEY=t0ken", "LANG=de", "OTHER=x"]);
    assert!(!format!("{plan:?}").contains("t0ken"));
    let Reach::Stdio(stdio) = &plan.upstreams[0].reach else { panic!() };
    assert_eq!(plan.upstreams[0].processes, 2);
    assert_eq!((stdio.idle_after, stdio.grace), (Some(Duration::from_secs(600)), Duration::from_secs(2)));
    assert_eq!(child.directory.as_deref(), Some(std::env::current_dir().unwrap().as_path()));
}

#[test]
fn the_documented_environment_is_the_one_that_is_inherited() {
    let all = |name: &str| Some(name.to_owned()).filter(|_| name != "PORTOLAN_KEYS");
    let source = config::Source { path: "c.toml".into(), text: "upstream.a.command = '/bin/sh'".to_owned() };
    let plan = config::load_text(source, &all).plan.unwrap();
    let names: Vec<_> = child(&plan).env.keys().map(String::as_str).collect();
    let (last, first) = names.split_last().unwrap();
    let sentence = format!("{} and {last}", first.join(", "));
    assert!(config::reference().contains(&sentence), "{sentence}");
}

#[test]
fn processes_are_checked() {
    let files = Files::new(&[(
        "c.toml",
        r#"
[upstream.a]
command = []
[upstream.b]
command = "./gone"
directory = "nowhere"
[upstream.c]
command = "x"
env = { "A=B" = "1", "" = "2", OK = 1 }
inherit_env = ["AWS_*"]
directory = "~/x"
stop_grace = "1h"
"#,
    )]);
    assert_snapshot!(files.check("c.toml"), @r#"
    DIR/c.toml:3:11: error: the command is empty
      |
    3 | command = []
      |           ^^
      = help: command = ["program", "argument"]

    DIR/c.toml:5:11: warning: DIR/gone does not exist
      |
    5 | command = "./gone"
      |           ^^^^^^^^

    DIR/c.toml:6:13: error: there is no directory DIR/nowhere
      |
    6 | directory = "nowhere"
      |             ^^^^^^^^^

    DIR/c.toml:9:9: error: this is no name of an environment variable
      |
    9 | env = { "A=B" = "•", "" = "•", OK = • }
      |         ^^^^^

    DIR/c.toml:9:22: error: this is no name of an environment variable
      |
    9 | env = { "A=B" = "•", "" = "•", OK = • }
      |                      ^^

    DIR/c.toml:9:37: error: expected text in quotes, found a whole number
      |
    9 | env = { "A=B" = "•", "" = "•", OK = • }
      |                                     ^

    DIR/c.toml:10:16: error: this is no name of an environment variable
       |
    10 | inherit_env = ["AWS_*"]
       |                ^^^^^^^
       = help: each variable is named; patterns would let secrets through unseen

    DIR/c.toml:11:13: error: there is no directory DIR/~/x
       |
    11 | directory = "~/x"
       |             ^^^^^
       = help: ~ is not replaced here; write ${env:HOME}

    DIR/c.toml:12:14: error: must be from 10ms to 5m
       |
    12 | stop_grace = "1h"
       |              ^^^^
    "#);
}

#[test]
fn programs_are_looked_for() {
    let text = r#"
[upstream.a]
command = "sh"
[upstream.b]
command = "npx -y some-server"
[upstream.c]
command = "/etc/passwd"
[upstream.d]
command = "sh"
env = { PATH = "/nowhere" }
"#;
    let env = |name: &str| if name == "PATH" { Some("/usr/bin:/bin".to_owned()) } else { env(name) };
    let source = config::Source { path: "portolan.toml".into(), text: text.to_owned() };
    assert_snapshot!(said(&config::load_text(source, &env)), @r#"
    portolan.toml:5:11: warning: there is no program "npx -y some-server" in the PATH
      |
    5 | command = "npx -y some-server"
      |           ^^^^^^^^^^^^^^^^^^^^
      = help: no shell splits it into words; write ["npx", "-y", "some-server"]

    portolan.toml:7:11: warning: /etc/passwd is no program
      |
    7 | command = "/etc/passwd"
      |           ^^^^^^^^^^^^^

    portolan.toml:9:11: warning: there is no program "sh" in the PATH
      |
    9 | command = "sh"
      |           ^^^^
    "#);
}

#[test]
fn programs_and_directories_begin_at_the_file() {
    let files =
        Files::new(&[("sub/c.toml", "[upstream.a]\ncommand = \"../run\"\ndirectory = \".\"\n"), ("run", "")]);
    files.mode("run", 0o755);
    let plan = files.load("sub/c.toml").plan.unwrap();
    assert_eq!(files.named(&child(&plan).program), "DIR/sub/../run");
    assert_eq!(child(&plan).directory, Some(files.path("sub")));
}
