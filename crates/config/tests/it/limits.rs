//! Bounds, and the defaults that are documented.

use insta::assert_snapshot;
use serde_json::Value;

use crate::{check, usable};

#[test]
fn bounds_are_taken() {
    let plan = usable(
        "upstream.a.command = 'x'\n[limits]\nrequest_bytes = 2048\ndrain = \"0s\"\nheader_bytes = \"16KiB\"\nhttp2_streams = 5\nconnections = 7\nheader_count = 200\n",
    );
    assert_eq!(plan.limits.request_bytes, 2048);
    assert!(plan.limits.drain.is_zero());
    let limits = &plan.listeners[0].limits;
    assert_eq!((limits.header_bytes, limits.http2_streams, limits.connections), (16 * 1024, 5, 7));
    assert_eq!(limits.headers, 200);
}

#[test]
fn a_route_may_take_json_of_another_depth_and_its_servers_too() {
    let plan = usable(
        "[upstream.a]\ncommand = 'x'\n[upstream.b]\ncommand = 'x'\n[upstream.c]\ncommand = 'x'\n[limits]\njson_depth = 100\n\
         [route.ab]\npath = '/ab'\nupstreams = ['a', 'b']\njson_depth = 1000\n\
         [route.bc]\npath = '/bc'\nupstreams = ['b', 'c']\n\
         [route.c]\npath = '/c'\nupstreams = ['c']\njson_depth = 16\n",
    );
    assert_eq!(plan.limits.json_depth, 100);
    assert_eq!(plan.routes.iter().map(|route| route.json_depth).collect::<Vec<_>>(), [1000, 100, 16]);
    assert_eq!(plan.upstreams.iter().map(|server| server.json_depth).collect::<Vec<_>>(), [1000, 1000, 100]);
    // Without a route of that name.
    let plan = usable("upstream.a.command = 'x'\nlimits.json_depth = 100\n");
    assert_eq!((plan.routes[0].json_depth, plan.upstreams[0].json_depth), (100, 100));
}

#[test]
fn a_depth_that_cannot_be_is_told() {
    assert_snapshot!(check("upstream.a.command = 'x'\n[limits]\njson_depth = 3\n[route.r]\njson_depth = 1000000\n"), @r#"
    portolan.toml:3:14: error: must be from 16 to 100000
      |
    3 | json_depth = 3
      |              ^

    portolan.toml:5:14: error: must be from 16 to 100000
      |
    5 | json_depth = 1000000
      |              ^^^^^^^
    "#);
}

/// A key that sounds like those that hold secrets, and holds a number.
#[test]
fn a_number_of_headers_that_cannot_be_is_shown() {
    assert_snapshot!(check("upstream.a.command = 'x'\n[limits]\nheader_count = 1\n"), @r#"
    portolan.toml:3:16: error: must be from 10 to 10000
      |
    3 | header_count = 1
      |                ^
    "#);
}

#[test]
fn bounds_beyond_reason_are_told() {
    assert_snapshot!(check("upstream.a.command = 'x'\n[limits]\nrequest_bytes = 0\nstreams = 0\nkeep_alive = \"1ms\"\nheader_bytes = \"1GiB\"\ndrain = \"9d\"\n"), @r#"
    portolan.toml:3:17: error: must be from 1KiB to 1GiB
      |
    3 | request_bytes = 0
      |                 ^

    portolan.toml:4:11: error: must be from 1 to 1000000
      |
    4 | streams = 0
      |           ^

    portolan.toml:5:14: error: must be from 1s to 10m
      |
    5 | keep_alive = "1ms"
      |              ^^^^^

    portolan.toml:6:16: error: must be from 8KiB to 16MiB
      |
    6 | header_bytes = "1GiB"
      |                ^^^^^^

    portolan.toml:7:9: error: must be from 0s to 1h
      |
    7 | drain = "9d"
      |         ^^^^
    "#);
}

/// Writes every default that the schema documents into a file: it must make the plan of a file that has none.
#[test]
fn the_documented_defaults_are_the_defaults() {
    let schema: Value = serde_json::from_str(&config::schema()).unwrap();
    let defaults = |table: &str| -> String {
        let properties = schema["$defs"][table]["properties"].as_object().unwrap();
        let of = |(key, property): (&String, &Value)| Some(format!("{key} = {}\n", property.get("default")?));
        properties.iter().filter_map(of).collect()
    };
    let not_of_urls = ["http2 = false\n", "transport = \"auto\"\n"]
        .into_iter()
        .fold(defaults("Upstream"), |all, of_urls| all.replace(of_urls, ""));
    let written = format!(
        "[upstream.a]\ncommand = 'x'\n{not_of_urls}[upstream.a.timeouts]\n{}[upstream.b]\nurl = 'http://localhost'\nhttp2 = false\ntransport = 'auto'\n\
         [listener.main]\n{}[route.main]\n{}[route.main.naming]\n{}[limits]\n{}",
        defaults("Timeouts"),
        defaults("Listener"),
        defaults("Route"),
        defaults("Naming"),
        defaults("Limits"),
    );
    let unwritten = "[upstream.a]\ncommand = 'x'\n[upstream.b]\nurl = 'http://localhost'\n";
    assert!(written.lines().count() > 35, "{written}");
    assert_eq!(format!("{:#?}", usable(&written)), format!("{:#?}", usable(unwritten)));
}
