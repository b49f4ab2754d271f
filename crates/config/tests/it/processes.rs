//! Upstreams that are processes: their programs, arguments, directories and environments.

use std::time::Duration;

use base::plan::Reach;
use config::{Environment, Inherit};
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

/// An environment in which everything is set, and some variables are known by name.
struct Everything;

const NAMED: &[&str] = &[
    "AWS_SECRET_ACCESS_KEY",
    "NPM_CONFIG_REGISTRY",
    "UV_INDEX_URL",
    "UV_PUBLISH_TOKEN",
    "npm_config_cafile",
];

impl Environment for Everything {
    fn get(&self, name: &str) -> Option<String> {
        Some(name.to_owned()).filter(|_| name != "PORTOLAN_KEYS")
    }

    fn names(&self) -> Vec<String> {
        NAMED.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// The names of what a program gets of [`Everything`].
fn given(name: &str, text: &str, inherit: &Inherit) -> Vec<String> {
    let source = config::Source { path: name.into(), text: text.to_owned() };
    let plan = config::load_text_with(source, &Everything, inherit).plan.unwrap();
    child(&plan).env.keys().cloned().collect()
}

#[test]
fn the_documented_environment_is_the_one_that_is_inherited() {
    let program = "upstream.a.command = '/bin/sh'";
    let alone = format!("{program}\ndefaults.network_env = false");
    let names = given("c.toml", &alone, &Inherit::default());
    let (last, first) = names.split_last().unwrap();
    let sentence = format!("{} and {last}", first.join(", "));
    assert!(config::reference().contains(&sentence), "{sentence}");
    let reference = config::reference();
    let all = given("c.toml", program, &Inherit::default());
    for name in all.iter().filter(|name| !names.contains(name)) {
        let starts = ["npm_config_", "uv_"].iter().any(|start| name.to_lowercase().starts_with(start));
        let known = reference.contains(name.as_str()) || reference.contains(&name.to_uppercase());
        assert!(known || starts, "{name}");
    }
}

#[test]
fn programs_get_what_a_network_needs_unless_that_is_switched_off() {
    let program = "upstream.a.command = '/bin/sh'\n";
    let json = r#"{ "mcpServers": { "a": { "command": "/bin/sh" } } }"#;
    for (name, text) in [("c.toml", program), ("mcp.json", json)] {
        let names = given(name, text, &Inherit::default());
        for expected in [
            "HTTPS_PROXY",
            "https_proxy",
            "NO_PROXY",
            "NODE_EXTRA_CA_CERTS",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "REQUESTS_CA_BUNDLE",
            "UV_INDEX_URL",
            "npm_config_cafile",
            "NPM_CONFIG_REGISTRY",
        ] {
            assert!(names.iter().any(|name| name == expected), "{expected} of {names:?}");
        }
        for secret in ["AWS_SECRET_ACCESS_KEY", "UV_PUBLISH_TOKEN"] {
            assert!(!names.iter().any(|name| name == secret), "{secret}");
        }
        let off = given(name, text, &Inherit { network: false, ..Inherit::default() });
        assert!(!off.iter().any(|name| name.contains("PROXY") || name.starts_with("UV_")), "{off:?}");
        let more = Inherit { names: vec!["AWS_PROFILE".to_owned()], network: false };
        assert!(given(name, text, &more).contains(&"AWS_PROFILE".to_owned()));
    }
    let defaults = format!("{program}[defaults]\nnetwork_env = false\ninherit_env = [\"AWS_PROFILE\"]\n");
    let names = given("c.toml", &defaults, &Inherit::default());
    assert!(names.contains(&"AWS_PROFILE".to_owned()) && !names.contains(&"HTTPS_PROXY".to_owned()));
}

/// What a program gets anyway is not the last word: the file may set it.
#[test]
fn what_a_file_sets_comes_before_what_is_inherited() {
    let text = "upstream.a.command = '/bin/sh'\nupstream.a.env.HTTPS_PROXY = 'none'\n";
    let source = config::Source { path: "c.toml".into(), text: text.to_owned() };
    let plan = config::load_text_with(source, &Everything, &Inherit::default()).plan.unwrap();
    assert_eq!(child(&plan).env["HTTPS_PROXY"], "none");
}

#[test]
fn the_password_of_a_proxy_is_a_secret() {
    let text = "upstream.a.command = '/bin/sh'\n";
    let env = |name: &str| {
        (name == "HTTPS_PROXY").then(|| "http://me:pass-of-the-proxy@proxy.example.com:3128".to_owned())
    };
    let source = config::Source { path: "c.toml".into(), text: text.to_owned() };
    let plan = config::load_text(source, &env).plan.unwrap();
    let said =
        plan.upstreams[0].masks.mask("cannot reach me:pass-of-the-proxy@proxy.example.com").into_owned();
    assert_eq!(said, "cannot reach me:${env:HTTPS_PROXY}@proxy.example.com");
}

#[test]
fn defaults_are_checked() {
    let text =
        "[defaults]\ninherit_env = [\"AWS_*\", \"\"]\nnetwork_env = \"no\"\n[upstream.a]\ncommand = \"x\"\n";
    assert_snapshot!(crate::check(text), @r#"
    portolan.toml:2:16: error: this is no name of an environment variable
      |
    2 | inherit_env = ["AWS_*", ""]
      |                ^^^^^^^
      = help: each variable is named; patterns would let secrets through unseen

    portolan.toml:2:25: error: this is no name of an environment variable
      |
    2 | inherit_env = ["AWS_*", ""]
      |                         ^^

    portolan.toml:3:15: error: expected true or false, found text
      |
    3 | network_env = "no"
      |               ^^^^
    "#);
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
      = help: install it, or write where it is

    DIR/c.toml:6:13: error: there is no directory DIR/nowhere
      |
    6 | directory = "nowhere"
      |             ^^^^^^^^^
      = help: make it, or name another

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
      = help: put it in quotes

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
      = help: no shell splits it into words; write command = ["npx", "-y", "some-server"]

    portolan.toml:7:11: warning: /etc/passwd is no program
      |
    7 | command = "/etc/passwd"
      |           ^^^^^^^^^^^^^
      = help: name a file that may be executed: chmod +x makes it one

    portolan.toml:9:11: warning: there is no program "sh" in the PATH
      |
    9 | command = "sh"
      |           ^^^^
      = help: install it, or write its whole path
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
