//! Where Portolan listens.

use insta::assert_snapshot;
use transport::net::Address;

use crate::{Files, check, usable};

const SERVER: &str = "upstream.a.command = 'x'\n";

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp(host.to_owned(), port)
}

#[test]
fn without_listeners_one_is_at_loopback() {
    let plan = usable(SERVER);
    assert_eq!(plan.listeners[0].address, tcp("127.0.0.1", 8808));
    assert_eq!(plan.admin, None);
}

#[test]
fn addresses_are_read() {
    let plan = usable(&format!(
        "{SERVER}
[listener.a]
address = \"[::1]:1\"
[listener.b]
address = \"localhost:${{env:PORT:-2}}\"
[listener.c]
address = \"unix:run/x.sock\"
[listener.d]
address = \"127.0.0.1:0\"
allowed_hosts = [\"MCP.example.com\", \"10.0.0.7\"]
allowed_origins = [\"https://App.example:8443\"]
[listener.e]
address = \"127.0.0.1:0\"
[admin]
address = \"unix:///run/admin.sock\"
"
    ));
    let addresses: Vec<_> = plan.listeners.iter().map(|listener| listener.address.clone()).collect();
    let socket = std::env::current_dir().unwrap().join("run/x.sock");
    let free = tcp("127.0.0.1", 0);
    assert_eq!(addresses, [tcp("::1", 1), tcp("localhost", 2), Address::Unix(socket), free.clone(), free]);
    assert_eq!(plan.admin, Some(Address::Unix("/run/admin.sock".into())));
    assert_eq!(plan.listeners[3].allowed_hosts, ["mcp.example.com", "10.0.0.7"]);
    assert_eq!(plan.listeners[3].allowed_origins, ["https://app.example:8443"]);
}

#[test]
fn addresses_are_checked() {
    let addresses = [
        "8808",
        ":8808",
        "localhost",
        "localhost:http",
        "::1:8808",
        "[::z]:1",
        "http://localhost:8808/mcp",
        "a b:1",
        "127.0.0.1:65536",
        "*:80",
    ];
    let listeners: String = addresses
        .iter()
        .enumerate()
        .map(|(n, at)| format!("[listener.l{n}]\naddress = \"{at}\"\n"))
        .collect();
    let long = format!("[listener.long]\naddress = \"unix:/{}\"\n[admin]\n", "x".repeat(120));
    assert_snapshot!(check(&format!("{SERVER}{listeners}{long}")), @r#"
    portolan.toml:3:11: error: the address has no host
      |
    3 | address = "8808"
      |           ^^^^^^
      = help: write "127.0.0.1:8808", or "0.0.0.0:8808" for every network

    portolan.toml:5:11: error: the address has no host
      |
    5 | address = ":8808"
      |           ^^^^^^^
      = help: write "127.0.0.1:8808", or "0.0.0.0:8808" for every network

    portolan.toml:7:11: error: the address has no port
      |
    7 | address = "localhost"
      |           ^^^^^^^^^^^
      = help: write "localhost:8808"

    portolan.toml:9:11: error: expected a port from 0 to 65535 after the last colon
      |
    9 | address = "localhost:http"
      |           ^^^^^^^^^^^^^^^^
      = help: such as "127.0.0.1:8808" or "[::1]:8808"

    portolan.toml:11:11: error: an IPv6 address stands in brackets
       |
    11 | address = "::1:8808"
       |           ^^^^^^^^^^
       = help: write "[::1]:8808"

    portolan.toml:13:11: error: this is no host name or IP address
       |
    13 | address = "[::z]:1"
       |           ^^^^^^^^^
       = help: such as "127.0.0.1:8808" or "[::1]:8808"

    portolan.toml:15:11: error: expected an address, found a URL
       |
    15 | address = "http://localhost:8808/mcp"
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: write "HOST:PORT", such as "127.0.0.1:8808"; paths belong to routes

    portolan.toml:17:11: error: this is no host name or IP address
       |
    17 | address = "a b:1"
       |           ^^^^^^^
       = help: such as "127.0.0.1:8808" or "[::1]:8808"

    portolan.toml:19:11: error: expected a port from 0 to 65535 after the last colon
       |
    19 | address = "127.0.0.1:65536"
       |           ^^^^^^^^^^^^^^^^^
       = help: such as "127.0.0.1:8808" or "[::1]:8808"

    portolan.toml:21:11: error: the address has no host
       |
    21 | address = "*:80"
       |           ^^^^^^
       = help: write "127.0.0.1:80", or "0.0.0.0:80" for every network

    portolan.toml:23:11: error: the path of a Unix socket has at most 107 bytes
       |
    23 | address = "unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: this one has 121

    portolan.toml:24:1: error: [admin] needs an address
       |
    24 | [admin]
       | ^^^^^^^
       = help: address = "127.0.0.1:8809"
    "#);
}

#[test]
fn beyond_loopback_is_a_loud_warning() {
    assert_snapshot!(check(&format!("{SERVER}
[listener.main]
address = \"0.0.0.0:8808\"
[listener.named]
address = \"10.1.2.3:80\"
[listener.star]
address = \"127.0.0.1:81\"
allowed_hosts = [\"*\"]
")), @r#"
    portolan.toml:4:11: warning: 0.0.0.0:8808 is reachable from other machines, without authentication, and without TLS: whoever can connect to it can use every server behind it
      |
    4 | address = "0.0.0.0:8808"
      |           ^^^^^^^^^^^^^^
      = help: listen at 127.0.0.1, let nobody connect but a proxy that authenticates clients, or name who vouches for callers: public_url and issuers of each route

    portolan.toml:4:11: warning: only requests that are addressed to this machine by a loopback name are let in
      |
    4 | address = "0.0.0.0:8808"
      |           ^^^^^^^^^^^^^^
      = help: name the hosts by which clients reach it: allowed_hosts = ["mcp.example.com"]

    portolan.toml:6:11: warning: 10.1.2.3:80 is reachable from other machines, without authentication, and without TLS: whoever can connect to it can use every server behind it
      |
    6 | address = "10.1.2.3:80"
      |           ^^^^^^^^^^^^^
      = help: listen at 127.0.0.1, let nobody connect but a proxy that authenticates clients, or name who vouches for callers: public_url and issuers of each route

    portolan.toml:9:17: warning: with "*", any web page can reach this listener by DNS rebinding
      |
    9 | allowed_hosts = ["*"]
      |                 ^^^^^
      = help: name the hosts, or leave allowed_hosts out: loopback names are always allowed
    "#);
}

#[test]
fn two_sockets_cannot_have_one_address() {
    assert_snapshot!(check(&format!("{SERVER}
[listener.a]
address = \"127.0.0.1:80\"
[listener.b]
address = \"[::1]:80\"
[listener.c]
[admin]
address = \"localhost:8808\"
[listener.d]
address = \"127.0.0.1:80\"
[listener.e]
address = \"unix:/a\"
[listener.f]
address = \"unix:/a\"
")), @r#"
    portolan.toml:9:11: error: 127.0.0.1:8808 is taken already
      |
    9 | address = "localhost:8808"
      |           ^^^^^^^^^^^^^^^^
      :
    7 | [listener.c]
      |           - by this

    portolan.toml:11:11: error: 127.0.0.1:80 is taken already
       |
    11 | address = "127.0.0.1:80"
       |           ^^^^^^^^^^^^^^
       :
     4 | address = "127.0.0.1:80"
       |           -------------- by this

    portolan.toml:15:11: error: unix:/a is taken already
       |
    15 | address = "unix:/a"
       |           ^^^^^^^^^
       :
    13 | address = "unix:/a"
       |           --------- by this
    "#);
    assert_snapshot!(check(&format!("{SERVER}admin.address = \"127.0.0.1:8808\"\n")), @r#"
    portolan.toml:2:17: error: 127.0.0.1:8808 is taken already
      |
    2 | admin.address = "127.0.0.1:8808"
      |                 ^^^^^^^^^^^^^^^^
      = help: this is where the default listener is; write a [listener.main] to move it
    "#);
}

#[test]
fn hosts_and_origins_are_checked() {
    assert_snapshot!(check(&format!("{SERVER}
[listener.main]
allowed_hosts = [\"https://mcp.example.com/x\", \"mcp.example.com:443\", \"a b\"]
allowed_origins = [\"https://app.example/\", \"app.example\", \"https://*.example\", \"https://a/b\"]
")), @r#"
    portolan.toml:4:18: error: expected a host name, without scheme, port or path
      |
    4 | allowed_hosts = ["https://mcp.example.com/x", "mcp.example.com:443", "a b"]
      |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write "mcp.example.com"

    portolan.toml:4:47: error: expected a host name, without scheme, port or path
      |
    4 | allowed_hosts = ["https://mcp.example.com/x", "mcp.example.com:443", "a b"]
      |                                               ^^^^^^^^^^^^^^^^^^^^^
      = help: write "mcp.example.com"

    portolan.toml:4:70: error: expected a host name, without scheme, port or path
      |
    4 | allowed_hosts = ["https://mcp.example.com/x", "mcp.example.com:443", "a b"]
      |                                                                      ^^^^^

    portolan.toml:5:20: error: expected an origin: scheme, host and port, nothing else
      |
    5 | allowed_origins = ["https://app.example/", "app.example", "https://*.example", "https://a/b"]
      |                    ^^^^^^^^^^^^^^^^^^^^^^
      = help: write "https://app.example"

    portolan.toml:5:44: error: expected an origin: scheme, host and port, nothing else
      |
    5 | allowed_origins = ["https://app.example/", "app.example", "https://*.example", "https://a/b"]
      |                                            ^^^^^^^^^^^^^
      = help: such as "https://app.example" or "http://10.0.0.7:3000"

    portolan.toml:5:59: error: expected an origin: scheme, host and port, nothing else
      |
    5 | allowed_origins = ["https://app.example/", "app.example", "https://*.example", "https://a/b"]
      |                                                           ^^^^^^^^^^^^^^^^^^^
      = help: such as "https://app.example" or "http://10.0.0.7:3000"

    portolan.toml:5:80: error: expected an origin: scheme, host and port, nothing else
      |
    5 | allowed_origins = ["https://app.example/", "app.example", "https://*.example", "https://a/b"]
      |                                                                                ^^^^^^^^^^^^^
      = help: such as "https://app.example" or "http://10.0.0.7:3000"
    "#);
}

#[test]
fn tls_files_are_read() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let listener =
        |name: &str, tls: &str| format!("[listener.{name}]\naddress = \"unix:{name}\"\ntls = {tls}\n");
    let text = [
        SERVER.to_owned(),
        listener("good", r#"{ certificate = "cert.pem", key = "key.pem" }"#),
        listener("gone", r#"{ certificate = "gone.pem", key = "gone.key" }"#),
        listener("swapped", r#"{ certificate = "key.pem", key = "cert.pem" }"#),
        listener("other", r#"{ certificate = "cert.pem", key = "other.pem" }"#),
        listener("half", r#"{ certificate = "cert.pem" }"#),
    ];
    let files = Files::new(&[
        ("c.toml", &text.concat()),
        ("good.toml", &text[..2].concat()),
        ("cert.pem", &key.cert.pem()),
        ("key.pem", &key.signing_key.serialize_pem()),
        ("other.pem", &other.signing_key.serialize_pem()),
    ]);
    files.mode("cert.pem", 0o644);
    assert_snapshot!(files.check("c.toml"), @r#"
    DIR/c.toml:7:23: error: DIR/gone.pem cannot be read: no such file or directory
      |
    7 | tls = { certificate = "gone.pem", key = "gone.key" }
      |                       ^^^^^^^^^^

    DIR/c.toml:7:41: error: DIR/gone.key cannot be read: no such file or directory
      |
    7 | tls = { certificate = "gone.pem", key = "gone.key" }
      |                                         ^^^^^^^^^^

    DIR/c.toml:10:23: error: DIR/key.pem: holds no certificate
       |
    10 | tls = { certificate = "key.pem", key = "cert.pem" }
       |                       ^^^^^^^^^

    DIR/c.toml:10:40: warning: every user of this machine can read DIR/cert.pem
       |
    10 | tls = { certificate = "key.pem", key = "cert.pem" }
       |                                        ^^^^^^^^^^
       = help: chmod o-r DIR/cert.pem

    DIR/c.toml:13:7: error: the certificate and the key do not serve together: keys may not be consistent: KeyMismatch
       |
    13 | tls = { certificate = "cert.pem", key = "other.pem" }
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    DIR/c.toml:16:7: error: tls needs a key
       |
    16 | tls = { certificate = "cert.pem" }
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = help: tls = { certificate = "cert.pem", key = "key.pem" }
    "#);
    let loaded = files.load("good.toml");
    assert_eq!(loaded.files, ["good.toml", "cert.pem", "key.pem"].map(|name| files.path(name)));
    assert_eq!(loaded.plan.unwrap().listeners[0].tls.as_ref().unwrap().key, files.path("key.pem"));
}

#[test]
fn paths_of_the_older_transport() {
    let plan = usable("[upstream.a]\ncommand = \"x\"\n[route.main]\nsse_path = \"/sse\"\n");
    assert_eq!(plan.routes[0].sse_path.as_deref(), Some("/sse"));
    assert_snapshot!(check(r#"
[upstream.a]
command = "x"
[route.main]
sse_path = "/mcp"
[route.other]
path = "/sse"
sse_path = "sse"
[route.third]
path = "/third"
sse_path = "/sse"
"#), @r#"
    portolan.toml:5:12: error: the path "/mcp" leads to route "main" already
      |
    5 | sse_path = "/mcp"
      |            ^^^^^^
      :
    4 | [route.main]
      |        ---- here
      = help: give it another path, or another listener

    portolan.toml:8:12: error: expected a path such as "/mcp"
      |
    8 | sse_path = "sse"
      |            ^^^^^
      = help: a path begins with '/', and has no query, no spaces and no empty parts

    portolan.toml:11:12: error: the path "/sse" leads to route "other" already
       |
    11 | sse_path = "/sse"
       |            ^^^^^^
       :
     7 | path = "/sse"
       |        ------ here
       = help: give it another path, or another listener
    "#);
}
