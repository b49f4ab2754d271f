//! Upstreams: how they are reached, what they get, what of them is shown.

use std::time::Duration;

use base::plan::{BreakerPlan, EraRule, SessionRule, TransportRule};
use insta::assert_snapshot;

use crate::{Files, check, http, in_crate, load, said, usable};

#[test]
fn a_server_has_a_url_or_a_command() {
    assert_snapshot!(check(r#"
[upstream.neither]
[upstream.both]
url = "ftp://x"
command = ""
[upstream.web]
url = "http://localhost/mcp"
args = ["x"]
idle_after = "1m"
[upstream.process]
command = "x"
headers = { A = "b" }
http2 = true
"#), @r#"
    portolan.toml:2:11: error: upstream "neither" has neither a url nor a command
      |
    2 | [upstream.neither]
      |           ^^^^^^^
      = help: url = "https://mcp.example.com/mcp", or command = ["program", "argument"]

    portolan.toml:4:7: error: the URL of an upstream begins with http:// or https://
      |
    4 | url = "ftp://x"
      |       ^^^^^^^^^
      = help: nothing else is spoken here

    portolan.toml:5:1: error: upstream "both" has both a url and a command
      |
    5 | command = ""
      | ^^^^^^^
      :
    4 | url = "ftp://x"
      | --- the other is here
      = help: keep the one by which it is reached

    portolan.toml:5:11: error: the command is empty
      |
    5 | command = ""
      |           ^^
      = help: command = ["program", "argument"]

    portolan.toml:8:1: error: "args" is only for upstreams with a command
      |
    8 | args = ["x"]
      | ^^^^

    portolan.toml:9:1: error: "idle_after" is only for upstreams with a command
      |
    9 | idle_after = "1m"
      | ^^^^^^^^^^

    portolan.toml:12:1: error: "headers" is only for upstreams with a url
       |
    12 | headers = { A = "•" }
       | ^^^^^^^

    portolan.toml:13:1: error: "http2" is only for upstreams with a url
       |
    13 | http2 = true
       | ^^^^^
    "#);
}

#[test]
fn urls_are_checked() {
    assert_snapshot!(check(r#"
[upstream.a]
url = "example.com/mcp"
[upstream.b]
url = "wss://example.com/mcp"
[upstream.c]
url = "https://user:hunter2@example.com/mcp"
[upstream.d]
url = "https://example.com/mcp#part"
[upstream.e]
url = "https:///mcp"
[upstream.f]
url = "https://example.com:99999/mcp"
[upstream.g]
url = "https://exa mple.com"
[upstream.h]
url = ""
[upstream.i]
url = "https://example.com:/mcp"
"#), @r#"
    portolan.toml:3:7: error: expected a URL
      |
    3 | url = "example.com/mcp"
      |       ^^^^^^^^^^^^^^^^^
      = help: it begins with http:// or https://, such as "https://mcp.example.com/mcp"

    portolan.toml:5:7: error: the URL of an upstream begins with http:// or https://
      |
    5 | url = "wss://example.com/mcp"
      |       ^^^^^^^^^^^^^^^^^^^^^^^
      = help: nothing else is spoken here

    portolan.toml:7:7: error: a URL is no place for a user and a password
      |
    7 | url = "https://••••••••••••••••••••••••••••"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write headers = { Authorization = "Basic ${env:NAME}" }

    portolan.toml:9:7: error: the URL of an upstream has no fragment
      |
    9 | url = "https://example.com/mcp#part"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: leave out what begins with #

    portolan.toml:11:7: error: this is no URL
       |
    11 | url = "https:///mcp"
       |       ^^^^^^^^^^^^^^
       = help: such as "https://mcp.example.com/mcp"

    portolan.toml:13:7: error: the port of the URL is no port
       |
    13 | url = "https://example.com:99999/mcp"
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: a port is a number from 0 to 65535

    portolan.toml:15:7: error: this is no URL
       |
    15 | url = "https://exa mple.com"
       |       ^^^^^^^^^^^^^^^^^^^^^^
       = help: such as "https://mcp.example.com/mcp"

    portolan.toml:17:7: error: expected a URL
       |
    17 | url = ""
       |       ^^
       = help: it begins with http:// or https://, such as "https://mcp.example.com/mcp"

    portolan.toml:19:7: error: the port of the URL is no port
       |
    19 | url = "https://example.com:/mcp"
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: a port is a number from 0 to 65535
    "#);
}

#[test]
fn headers_are_checked() {
    assert_snapshot!(check(r#"
[upstream.a]
url = "https://example.com/mcp"
headers = { Host = "x", "Mcp-Session-Id" = "x", "a b" = "x", X-Line = "a\nb", x-twice = "1", X-Twice = "2", X-Number = 5 }
"#), @r#"
    portolan.toml:4:13: error: host cannot be set: it belongs to the message, which Portolan writes
      |
    4 | headers = { Host = "•", "Mcp-Session-Id" = "•", "a b" = "•", X-Line = ••••••, x-twice = "•", X-Twice = "•", X-Number = •…
      |             ^^^^

    portolan.toml:4:25: error: mcp-session-id cannot be set: it belongs to the message, which Portolan writes
      |
    4 | headers = { Host = "•", "Mcp-Session-Id" = "•", "a b" = "•", X-Line = ••••••, x-twice = "•", X-Twice = "•", X-Number = •…
      |                         ^^^^^^^^^^^^^^^^

    portolan.toml:4:49: error: "a b" is no name of a header
      |
    4 | …aders = { Host = "•", "Mcp-Session-Id" = "•", "a b" = "•", X-Line = ••••••, x-twice = "•", X-Twice = "•", X-Number = • }
      |                                                ^^^^^
      = help: such a name is made of letters, digits and '-'

    portolan.toml:4:71: error: this cannot be the value of x-line
      |
    4 | …aders = { Host = "•", "Mcp-Session-Id" = "•", "a b" = "•", X-Line = ••••••, x-twice = "•", X-Twice = "•", X-Number = • }
      |                                                                      ^^^^^^
      = help: a header's value has no line breaks or other control characters

    portolan.toml:4:94: error: the header x-twice is set twice
      |
    4 | …aders = { Host = "•", "Mcp-Session-Id" = "•", "a b" = "•", X-Line = ••••••, x-twice = "•", X-Twice = "•", X-Number = • }
      |                                                                                             ^^^^^^^
      :
    4 | …aders = { Host = "•", "Mcp-Session-Id" = "•", "a b" = "•", X-Line = ••••••, x-twice = "•", X-Twice = "•", X-Number = • }
      |                                                                              ------- the first is here
      = help: upper and lower case are the same here

    portolan.toml:4:120: error: expected text in quotes, found a whole number
      |
    4 | …aders = { Host = "•", "Mcp-Session-Id" = "•", "a b" = "•", X-Line = ••••••, x-twice = "•", X-Twice = "•", X-Number = • }
      |                                                                                                                       ^
      = help: put it in quotes
    "#);
}

#[test]
fn a_clients_credentials_are_never_forwarded() {
    assert_snapshot!(check(r#"
[upstream.a]
url = "https://example.com/mcp"
headers = { X-Both = "1" }
forward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"]
"#), @r#"
    portolan.toml:5:32: error: authorization is never forwarded: the client's credentials end here
      |
    5 | forward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"…
      |                                ^^^^^^^^^^^^^^^
      = help: a token that a client got for Portolan is worth nothing to a server, or too much; set the server's own with headers = { … }

    portolan.toml:5:49: error: cookie is never forwarded: the client's credentials end here
      |
    5 | …orward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"]
      |                                                 ^^^^^^^^
      = help: a token that a client got for Portolan is worth nothing to a server, or too much; set the server's own with headers = { … }

    portolan.toml:5:59: error: content-length cannot be forwarded: it belongs to the message, which Portolan writes
      |
    5 | …orward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"]
      |                                                           ^^^^^^^^^^^^^^^^

    portolan.toml:5:77: error: mcp-method cannot be forwarded: it belongs to the message, which Portolan writes
      |
    5 | …orward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"]
      |                                                                             ^^^^^^^^^^^^

    portolan.toml:5:91: error: "x both" is no name of a header
      |
    5 | …orward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"]
      |                                                                                           ^^^^^^^^
      = help: such a name is made of letters, digits and '-'

    portolan.toml:5:101: error: x-both is set and forwarded
      |
    5 | …orward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"]
      |                                                                                                     ^^^^^^^^
      :
    4 | headers = { X-Both = "•" }
      |             ------ it is set here

    portolan.toml:5:111: warning: x-tenant stands here twice
      |
    5 | …orward_headers = ["x-tenant", "Authorization", "cookie", "content-length", "mcp-method", "x both", "x-both", "X-Tenant"]
      |                                                                                                               ^^^^^^^^^^
    "#);
}

#[test]
fn headers_are_set_and_are_nobodys_business() {
    let plan = usable(
        r#"
[upstream.a]
url = "https://example.com/mcp?tenant=1"
headers = { Authorization = "Bearer ${env:TOKEN}", X-Env = "dev" }
forward_headers = ["X-Tenant", "traceparent"]
timeouts = { connect = "1s" }
"#,
    );
    let http = http(&plan);
    assert_eq!(http.destination.url().to_string(), "https://example.com/mcp?tenant=1");
    assert_eq!(http.headers[0].1, "Bearer t0ken");
    assert!(http.headers.iter().all(|(_, value)| value.is_sensitive()));
    assert!(!format!("{plan:?}").contains("t0ken"));
    assert_eq!(http.forward_headers, ["x-tenant", "traceparent"]);
    assert_eq!(http.client.connect_timeout, Duration::from_secs(1));
    assert_eq!(plan.upstreams[0].deadlines.connect, Duration::from_secs(1));
}

#[test]
fn authorities_are_certificates() {
    let files = Files::new(&[
        (
            "c.toml",
            "[upstream.a]\nurl = \"https://localhost\"\nca = \"ca.pem\"\n[upstream.b]\nurl = \"https://localhost\"\nca = \"gone.pem\"\n",
        ),
        ("ca.pem", "nothing\n"),
    ]);
    assert_snapshot!(files.check("c.toml"), @r#"
    DIR/c.toml:3:6: error: DIR/ca.pem holds no certificate
      |
    3 | ca = "ca.pem"
      |      ^^^^^^^^

    DIR/c.toml:6:6: error: DIR/gone.pem cannot be read: no such file or directory
      |
    6 | ca = "gone.pem"
      |      ^^^^^^^^^^
    "#);
}

#[test]
fn values_beyond_reason_are_told() {
    assert_snapshot!(check(r#"
[upstream.a]
command = "x"
concurrent_calls = 0
queued_calls = 99999999999999999999
message_bytes = 1
timeouts = { connect = "0s", call = "2h", call_max = "1h" }
idle_after = "1ms"
"#), @r#"
    portolan.toml:4:20: error: must be from 1 to 1000000
      |
    4 | concurrent_calls = 0
      |                    ^

    portolan.toml:5:16: error: must be from 0 to 1000000
      |
    5 | queued_calls = 99999999999999999999
      |                ^^^^^^^^^^^^^^^^^^^^

    portolan.toml:6:17: error: must be from 1KiB to 1GiB
      |
    6 | message_bytes = 1
      |                 ^

    portolan.toml:7:24: error: must be from 100ms to 1h
      |
    7 | timeouts = { connect = "0s", call = "2h", call_max = "1h" }
      |                        ^^^^

    portolan.toml:7:37: error: a call may not be silent for longer than it may take as a whole
      |
    7 | timeouts = { connect = "0s", call = "2h", call_max = "1h" }
      |                                     ^^^^
      :
    7 | timeouts = { connect = "0s", call = "2h", call_max = "1h" }
      |                                                      ---- the whole

    portolan.toml:8:14: error: must be from 1s to 30d
      |
    8 | idle_after = "1ms"
      |              ^^^^^
    "#);
}

#[test]
fn a_longer_silence_makes_the_whole_longer() {
    let plan = usable(
        "[upstream.a]\ncommand = \"x\"\ntimeouts = { call = \"2h\" }\n[upstream.b]\ncommand = \"x\"\ntimeouts = { call_max = \"1m\" }\n",
    );
    let hours = Duration::from_secs(7200);
    assert_eq!((plan.upstreams[0].deadlines.call, plan.upstreams[0].deadlines.call_max), (hours, hours));
    let minute = Duration::from_secs(60);
    assert_eq!((plan.upstreams[1].deadlines.call, plan.upstreams[1].deadlines.call_max), (minute, minute));
}

#[test]
fn what_keeps_a_bad_server_away_has_defaults_and_can_be_told() {
    let plan = usable(
        "[upstream.a]\nurl = \"http://localhost\"\nbreaker = { failures = 0, longest_pause = \"500ms\" }\nretries = 0\nretry_tools = [\"search_*\"]\nhealth_check = \"30s\"\n[upstream.b]\nurl = \"http://localhost\"\n[upstream.c]\nurl = \"http://localhost\"\nbreaker = { pause = \"1m\" }\n",
    );
    let [a, b, c] = &plan.upstreams[..] else { panic!("three servers") };
    let half = Duration::from_millis(500);
    assert_eq!(a.breaker, BreakerPlan { failures: 0, pause: half, longest_pause: half });
    assert_eq!((a.retries, a.health_check), (0, Some(Duration::from_secs(30))));
    let marked = a.retry_tools.as_ref().unwrap();
    assert!(marked.is_match("search_web") && !marked.is_match("pay"));
    assert_eq!((b.breaker, b.retries), (BreakerPlan::default(), 2));
    assert!(b.retry_tools.is_none() && b.health_check.is_none());
    let minute = Duration::from_secs(60);
    assert_eq!((c.breaker.failures, c.breaker.pause, c.breaker.longest_pause), (5, minute, minute));
}

#[test]
fn what_keeps_a_bad_server_away_is_checked() {
    assert_snapshot!(check(r#"
[upstream.a]
url = "http://localhost"
breaker = { failures = -1, pause = "5s", longest_pause = "1s" }
retries = 11
retry_tools = ["a[b"]
health_check = "1ms"
[upstream.b]
command = "x"
breaker = { failures = 1 }
health_check = "30s"
retry_tools = ["search_*"]
"#), @r#"
    portolan.toml:4:24: error: expected a whole number that is not negative
      |
    4 | breaker = { failures = -1, pause = "5s", longest_pause = "1s" }
      |                        ^^

    portolan.toml:4:36: error: the first pause may not be longer than the longest
      |
    4 | breaker = { failures = -1, pause = "5s", longest_pause = "1s" }
      |                                    ^^^^
      :
    4 | breaker = { failures = -1, pause = "5s", longest_pause = "1s" }
      |                                                          ---- the longest

    portolan.toml:5:11: error: must be from 0 to 10
      |
    5 | retries = 11
      |           ^^

    portolan.toml:6:16: error: this is no glob: unclosed character class; missing ']'
      |
    6 | retry_tools = ["a[b"]
      |                ^^^^^

    portolan.toml:7:16: error: must be from 1s to 1d
      |
    7 | health_check = "1ms"
      |                ^^^^^

    portolan.toml:10:1: error: "breaker" is only for upstreams with a url
       |
    10 | breaker = { failures = 1 }
       | ^^^^^^^

    portolan.toml:11:1: error: "health_check" is only for upstreams with a url
       |
    11 | health_check = "30s"
       | ^^^^^^^^^^^^
    "#);
}

#[test]
fn globs_and_names_are_checked() {
    assert_snapshot!(check(r#"
[upstream.a]
command = "x"
tools = { include = ["a_*", "search", "[z"], exclude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, describe = { one = "The first." } }
resources = { include = ["file:///srv/*"], rename = {} }
"#), @r#"
    portolan.toml:4:39: error: this is no glob: unclosed character class; missing ']'
      |
    4 | tools = { include = ["a_*", "search", "[z"], exclude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search"…
      |                                       ^^^^

    portolan.toml:4:57: error: this is no glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
      |
    4 | …e = ["a_*", "search", "[z"], exclude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, desc…
      |                                          ^^^^

    portolan.toml:4:90: error: two tools would be named "one"
      |
    4 | …clude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, describe = { one = "The first." } }
      |                                            ^^^^^
      :
    4 | …h", "[z"], exclude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, describe = { one = "Th…
      |                                          - this is the other

    portolan.toml:4:101: error: this cannot be the name of a tool
      |
    4 | …clude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, describe = { one = "The first." } }
      |                                                       ^^^
      = help: a name has 1 to 128 letters, digits, '_', '-' and '.'

    portolan.toml:4:113: warning: if the server has a tool "search", two have that name
      |
    4 | …clude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, describe = { one = "The first." } }
      |                                                                   ^^^^^^^^
      :
    4 | tools = { include = ["a_*", "search", "[z"], exclude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search"…
      |                             -------- it is mentioned here
      = help: rename "search" too, or exclude it

    portolan.toml:4:127: error: this cannot be the name of a tool
      |
    4 | …clude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, describe = { one = "The first." } }
      |                                                                                 ^^
      = help: a name has 1 to 128 letters, digits, '_', '-' and '.'

    portolan.toml:4:146: warning: descriptions go by the server's own names
      |
    4 | …clude = ["{a"], rename = { x = "one", y = "one", z = "ü", find = "search", s = "" }, describe = { one = "The first." } }
      |                                                                                                    ^^^
      = help: write "x"

    portolan.toml:5:44: error: unknown key "rename"
      |
    5 | resources = { include = ["file:///srv/*"], rename = {} }
      |                                            ^^^^^^
      = help: known here: "include" and "exclude"
    "#);
}

#[test]
fn what_is_selected_is_shown() {
    let plan = usable(
        r#"
[upstream.a]
command = "x"
era = "legacy"
sessions = "per-client"
list_ttl = "0s"
tools = { include = ["repo_*", "search"], exclude = ["*_delete"], rename = { search = "find", find = "search" }, describe = { search = "Finds." } }
resources = { exclude = ["file:///srv/private/*"] }
"#,
    );
    let upstream = &plan.upstreams[0];
    assert!(upstream.tools.shows("repo_list") && upstream.tools.shows("search"));
    assert!(!upstream.tools.shows("repo_delete") && !upstream.tools.shows("other"));
    assert_eq!(
        (upstream.tools.rename["search"].as_str(), upstream.tools.rename["find"].as_str()),
        ("find", "search")
    );
    assert_eq!(upstream.tools.describe["search"], "Finds.");
    assert!(
        upstream.resources.shows("file:///srv/a") && !upstream.resources.shows("file:///srv/private/b/c")
    );
    assert!(upstream.prompts.shows("anything"));
    assert_eq!(upstream.era, EraRule::Is(mcp::version::Era::Legacy));
    assert_eq!(upstream.sessions, SessionRule::PerClient);
    assert_eq!(upstream.list_ttl, Some(Duration::ZERO));
}

#[test]
fn a_disabled_server_is_left_out_and_needs_nothing() {
    let plan = usable(
        "[upstream.a]\nurl = \"${env:NOPE}\"\ndisabled = true\n[upstream.b]\ncommand = \"x\"\n[route.r]\nupstreams = [\"a\", \"b\"]\n",
    );
    assert_eq!(crate::names(&plan), ["b"]);
    assert_eq!(plan.routes[0].upstreams, ["b"]);
}

#[test]
fn the_example_is_right() {
    let text = std::fs::read_to_string(in_crate("example.toml")).unwrap();
    let env = |name: &str| {
        Some(format!("{name} of the test")).filter(|_| !["PATH", "PORTOLAN_KEYS"].contains(&name))
    };
    let source = config::Source { path: "portolan.toml".into(), text };
    let loaded = config::load_text(source, &env);
    assert_eq!(said(&loaded), "");
    let plan = loaded.plan.unwrap();
    assert_eq!(crate::names(&plan), ["github", "files"]);
    assert_eq!(plan.routes.iter().map(|route| route.path.as_str()).collect::<Vec<_>>(), ["/mcp", "/files"]);
    assert_eq!(load("").plan.map(|_| ()), None);
}

#[test]
fn the_http_transport() {
    for (written, rule) in [
        ("", TransportRule::Detect),
        ("transport = \"auto\"", TransportRule::Detect),
        ("transport = \"streamable-http\"", TransportRule::Streamable),
        ("transport = \"sse\"\nera = \"legacy\"", TransportRule::Sse),
    ] {
        let plan = usable(&format!("[upstream.a]\nurl = \"http://localhost/sse\"\n{written}\n"));
        assert_eq!(http(&plan).transport, rule, "{written}");
    }
    assert_snapshot!(check(r#"
[upstream.a]
url = "http://localhost/sse"
transport = "sse"
era = "modern"
[upstream.b]
url = "http://localhost/sse"
transport = "websocket"
[upstream.c]
command = "x"
transport = "sse"
"#), @r#"
    portolan.toml:4:13: error: HTTP+SSE is of the legacy era
      |
    4 | transport = "sse"
      |             ^^^^^
      :
    5 | era = "modern"
      |       -------- this says that the server is modern
      = help: leave out one of them

    portolan.toml:8:13: error: expected "auto", "streamable-http" or "sse", found "websocket"
      |
    8 | transport = "websocket"
      |             ^^^^^^^^^^^

    portolan.toml:11:1: error: "transport" is only for upstreams with a url
       |
    11 | transport = "sse"
       | ^^^^^^^^^
    "#);
}
