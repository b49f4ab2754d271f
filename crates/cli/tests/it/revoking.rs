//! Tokens that are revoked, and keys that are taken back while what they opened goes on.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::program::{DEADLINE, Ended, PORTOLAN, assert_ended, command, eventually, finish};
use crate::serving::Gateway;

fn configured() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!(
        "store = \"sqlite:portolan.db\"\n\
         [issuer.company]\nurl = \"https://id.example.com\"\n\
         [route.main]\npublic_url = \"http://127.0.0.1/mcp\"\nissuers = [\"company\"]\napi_keys = true\n\
         [upstream.local]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n"
    );
    fs::write(&path, text).unwrap();
    (dir, path)
}

pub(crate) fn with(config: &Path, args: &[&str]) -> Ended {
    finish(command(args).arg(config).env("STATE_DIRECTORY", config.parent().unwrap()))
}

#[test]
fn tokens_are_revoked_and_allowed() {
    let (_dir, path) = configured();
    let revoke = ["token", "revoke", "--issuer", "company"];
    assert_ended!(with(&path, &[&revoke[..], &["--jti", "t1"]].concat()), @r#"
    exit: 0
    ----- stdout -----
    a token with the jti "t1" is good nowhere any more
    ----- stderr -----
    It is forgotten in 30 d: --for for tokens that are good for longer
    "#);
    let subject = with(&path, &["tokens", "revoke", "--issuer", "company", "--sub", "alice", "--for", "12h"]);
    assert!(subject.code == Some(0) && subject.stderr.contains("in 12 h"), "{subject:?}");
    let list = with(&path, &["token", "list"]).stdout;
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ISSUER", "WHAT", "WHICH", "REVOKED", "FORGOTTEN"]);
    assert_eq!(rows[1][..3], ["company", "jti", "t1"]);
    assert_eq!(rows[2][..3], ["company", "subject", "alice"]);
    let allow = ["token", "allow", "--issuer", "company", "--jti", "t1"];
    assert_ended!(with(&path, &allow), @r"
    exit: 0
    ----- stdout -----
    it is not revoked any more
    ");
    assert_ended!(with(&path, &allow), @r"
    exit: 2
    ----- stderr -----
    error: that jti is not revoked

    hint: `portolan token list` shows what is revoked
    ");
    assert_ended!(with(&path, &["token", "revoke", "--issuer", "compny", "--jti", "t1"]), @r#"
    exit: 2
    ----- stderr -----
    error: the configuration has no issuer "compny"

    hint: those that there are: company
    "#);
    let both = with(&path, &[&revoke[..], &["--jti", "t1", "--sub", "alice"]].concat());
    assert!(both.code == Some(2) && both.stderr.contains("cannot be used with"), "{both:?}");
    assert_eq!(with(&path, &revoke).code, Some(2));
    assert_eq!(with(&path, &[&revoke[..], &["--jti", ""]].concat()).code, Some(2));
}

/// A gateway that serves it, and writes all that it can.
pub(crate) fn serve(config: &Path) -> Gateway {
    let mut serving = command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    serving.arg(config).env("STATE_DIRECTORY", config.parent().unwrap()).env("PORTOLAN_LOG", "trace");
    Gateway::spawn(&mut serving)
}

/// The lines of the answer to a modern request, as they come.
pub(crate) fn ask(
    gateway: &Gateway,
    token: &str,
    method: &str,
    params: &str,
) -> impl Iterator<Item = String> {
    let address = gateway.url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let name = params.strip_prefix(r#""name":""#).and_then(|rest| rest.split('"').next());
    let named = name.map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{named}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    BufReader::new(stream).lines().map(|line| line.unwrap())
}

/// A key of that principal, and its id.
pub(crate) fn key(config: &Path, principal: &str) -> (String, String) {
    let made = with(config, &["api-keys", "create", "--principal", principal]);
    (made.stdout.trim().to_owned(), made.stderr.split(' ').next().unwrap().to_owned())
}

/// Two processes, one store: what the one takes back ends what the other has open.
#[test]
fn a_stream_ends_when_its_key_is_taken_back() {
    let (_dir, path) = configured();
    let (key, id) = key(&path, "job");
    let gateway = serve(&path);
    let wants = r#""notifications":{"toolsListChanged":true},"#;
    let mut open = ask(&gateway, &key, "subscriptions/listen", wants);
    assert!(open.any(|line| line.contains("acknowledged")));
    assert_eq!(with(&path, &["api-keys", "revoke", &id]).code, Some(0));
    // The end of the response, which is in good order.
    assert!(open.any(|line| line.contains(r#""resultType":"complete""#)));
    eventually("a refusal", || ask(&gateway, &key, "tools/list", "").next().unwrap().contains(" 401 "));
}

/// Whatever is asked to be written, and whatever anybody may ask for.
#[test]
fn nothing_of_what_callers_show_is_written() {
    let (_dir, path) = configured();
    let (key, _) = key(&path, "job");
    let gateway = serve(&path);
    let claims = "eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwic3ViIjoiYWxpY2Utb2YtYWxsIn0";
    let signed =
        format!("eyJhbGciOiJFUzI1NiIsImtpZCI6Inh5enp5LWtleSJ9.{claims}.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg");
    let foreign = format!("ptln_{}", "5eed".repeat(18));
    let shown = [&*key, &signed, "opaque-0123456789abcdef", &foreign, "eyJh.eyJpc3M.c2ln.bW9yZQ.cGFydHM"];
    let mut written = String::new();
    for token in shown {
        let answer: Vec<String> = ask(&gateway, token, "tools/list", "").collect();
        assert_eq!(answer[0].contains(" 200 "), token == key, "{answer:?}");
        written.extend(answer);
        written.extend(ask(&gateway, token, "tools/call", r#""name":"nowhere","#));
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        written.push_str(&gateway.ask_admin(path));
    }
    let mut running = gateway.running;
    running.signal(Signal::SIGTERM);
    while let Some(line) = running.stderr.last() {
        written.push_str(&line);
    }
    while let Some(line) = running.stdout.last() {
        written.push_str(&line);
    }
    assert!(written.contains("DEBUG") || written.contains("TRACE"), "all is written: {written}");
    for part in shown.iter().flat_map(|token| token.split(['.', '_', '-'])).filter(|part| part.len() > 8) {
        assert!(!written.contains(part), "{part} is written");
    }
    for name in ["alice-of-all", "xyzzy-key"] {
        assert!(!written.contains(name), "{name} is written");
    }
}
