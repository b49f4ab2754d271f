//! `portolan demo`.

use insta::assert_debug_snapshot;

use crate::program::{Running, run, settings};

#[test]
fn the_demo_calls_through_to_every_server_and_says_so() {
    let mut settings = settings();
    settings.add_filter(r"\d+ \+ \d+ = \d+", "A + B = SUM");
    settings.add_filter(r"port 8808 is taken; this demo takes a free one\n", "");
    settings.add_filter(r"----- stderr -----\n$", "");
    settings.bind(|| {
        assert_debug_snapshot!(run(&["demo", "--once"]), @r#"
        exit: 0
        ----- stdout -----
        Portolan serves three MCP servers at http://127.0.0.1:PORT/mcp

          new    modern, over HTTP
          old    legacy, over HTTP with sessions
          local  legacy, a child process over stdio

        Each adds two numbers, for a modern and for a legacy client:

          modern client, new    A + B = SUM  ok
          modern client, old    A + B = SUM  ok
          modern client, local  A + B = SUM  ok
          legacy client, new    A + B = SUM  ok
          legacy client, old    A + B = SUM  ok
          legacy client, local  A + B = SUM  ok
        "#);
    });
}

#[test]
fn the_demo_serves_until_it_is_interrupted() {
    let mut demo = Running::start(&["demo"]);
    let first = demo.stdout.next();
    let url = first.split_whitespace().last().unwrap().to_owned();
    demo.stdout.find("until Ctrl-C");
    let called = run(&["call", &url, "local__add", "a=1", "b=2"]);
    assert_eq!((called.code, called.stdout.as_str()), (Some(0), "3\n"));
    demo.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(demo.code(), Some(0));
}
