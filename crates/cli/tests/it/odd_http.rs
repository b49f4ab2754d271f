//! What is said of servers over HTTP that are none, or not quite.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use crate::program::{command, finish, run};

/// A server that answers each POST with what this says to its JSON: a head without its length, and a body. Gives its URL.
fn server(answer: impl Fn(&Value) -> (String, String) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || while serve(&stream, &answer).is_some() {});
        }
    });
    url
}

/// One request, if another comes.
fn serve(mut stream: &TcpStream, answer: &impl Fn(&Value) -> (String, String)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line, mut is_post) = (0, String::new(), false);
    while line != "\r\n" {
        is_post |= line.starts_with("POST");
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(given) = line.to_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (head, body) = match serde_json::from_slice(&body) {
        Ok(message) if is_post => answer(&message),
        _ => ("405 Method Not Allowed\r\n".to_owned(), String::new()),
    };
    write!(stream, "HTTP/1.1 {head}content-length: {}\r\n\r\n{body}", body.len()).ok()
}

fn result(asked: &Value, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, asked["id"])
}

const HELLO: &str =
    r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}"#;

/// A legacy server whose lists are as this says.
fn lists_are(head: &'static str, body: &'static str) -> String {
    server(move |asked| match asked["method"].as_str().unwrap() {
        "initialize" => ("200 OK\r\ncontent-type: application/json\r\n".to_owned(), result(asked, HELLO)),
        "tools/list" => (head.to_owned(), body.replace("ID", &asked["id"].to_string())),
        "server/discover" => ("400 Bad Request\r\n".to_owned(), String::new()),
        _ => ("202 Accepted\r\n".to_owned(), String::new()),
    })
}

#[test]
fn what_is_no_endpoint_is_told_with_what_it_said() {
    for (head, body, said) in [
        ("200 OK\r\ncontent-type: text/html\r\n", "<html>", "HTTP 200 with text/html to initialize"),
        ("200 OK\r\n", "hello", "HTTP 200 with no Content-Type to initialize"),
        ("404 Not Found\r\n", "", "look at the path of its URL: most servers are at /mcp"),
        ("500 Oops\r\n", "", "the server does not serve now: it answers HTTP 500"),
        ("429 Slowly\r\n", "", "the server does not serve now: it answers HTTP 429"),
        (
            "200 OK\r\ncontent-type: text/event-stream\r\n",
            "data: {\"ok\":true}\n\n",
            r#"an event on it is no message: "jsonrpc" must be "2.0": "{\"ok\":true}""#,
        ),
    ] {
        let url = server(move |_| (head.to_owned(), body.to_owned()));
        let ended = run(&["list", &url, "tools"]);
        assert_eq!(ended.code, Some(4), "{head}");
        assert!(ended.stderr.contains(said), "{head}{}", ended.stderr);
        assert!(!ended.stderr.contains("cannot be reached"), "{head}{}", ended.stderr);
    }
}

#[test]
fn why_a_server_refuses_credentials_is_told_with_what_to_do() {
    let head = "401 Unauthorized\r\nwww-authenticate: Bearer realm=\"x\", error=\"invalid_token\", error_description=\"It expired, get another\"\r\n";
    let url = server(move |_| (head.to_owned(), String::new()));
    let given = ["--header", "Authorization: Bearer s3cret"];
    for args in [&["list", &url][..], &["call", &url, "add"], &["discover", &url]] {
        let ended = run(args);
        let why = "error: the server refuses our credentials (HTTP 401); it said: It expired, get another\n";
        let hint = "hint: give it some: --header 'Authorization: Bearer ${env:TOKEN}'";
        assert_eq!(ended.code, Some(4), "{args:?}");
        assert!(ended.stderr.contains(why) && ended.stderr.contains(hint), "{args:?} {}", ended.stderr);
        let ended = run(&[args, &given].concat());
        let hint = "hint: look at the token in the header Authorization that it was given";
        assert!(ended.stderr.contains(why) && ended.stderr.contains(hint), "{args:?} {}", ended.stderr);
    }
}

/// Whatever it says of our credentials, they are not shown; nor is a part of them, where its words are cut.
#[test]
fn a_reason_that_repeats_the_token_does_not_show_it() {
    for filler in [0, 290] {
        let token = "s3cret-s3cret-s3cret";
        let head = format!(
            "401 Unauthorized\r\nwww-authenticate: Bearer error_description=\"{} {token} is wrong\"\r\n",
            "x".repeat(filler)
        );
        let url = server(move |_| (head.clone(), String::new()));
        let ended = run(&["list", &url, "--header", &format!("Authorization: Bearer {token}")]);
        assert!(ended.stderr.contains("it said: "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("s3c"), "{}", ended.stderr);
    }
}

/// So it is where the server says who it is to everybody, and refuses what needs somebody.
#[test]
fn a_server_that_refuses_only_what_matters_is_told_with_what_to_do() {
    let head = "401 Unauthorized\r\nwww-authenticate: Bearer error=\"invalid_token\"\r\n";
    let url = server(move |asked| match asked["method"].as_str().unwrap() {
        "initialize" => ("200 OK\r\ncontent-type: application/json\r\n".to_owned(), result(asked, HELLO)),
        "tools/list" | "tools/call" => (head.to_owned(), String::new()),
        "server/discover" => ("404 Not Found\r\n".to_owned(), String::new()),
        _ => ("202 Accepted\r\n".to_owned(), String::new()),
    });
    for args in [&["list", &url][..], &["call", &url, "add"]] {
        let ended = run(args);
        let hint = "hint: give it some: --header 'Authorization: Bearer ${env:TOKEN}'";
        assert!(ended.code != Some(0) && ended.stderr.contains(hint), "{args:?} {}", ended.stderr);
    }
}

/// The keys that would cure it.
#[test]
fn what_can_be_said_of_a_server_instead_of_found_out_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let silent = server(|asked| {
        if asked["method"] == "server/discover" {
            // The connection stays open as long as the test.
            loop {
                thread::park();
            }
        }
        ("200 OK\r\ncontent-type: application/json\r\n".to_owned(), result(asked, HELLO))
    });
    let text = format!("[upstream.a]\nurl = {silent:?}\ntimeouts = {{ connect = \"500ms\" }}\n");
    std::fs::write(dir.path().join("c.toml"), text).unwrap();
    let ended = finish(command(&["discover", "c.toml"]).current_dir(dir.path()));
    let said = "did not open within 500ms (timeouts.connect); if it leaves server/discover unanswered, era = \"legacy\"";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let page = server(|_| ("200 OK\r\ncontent-type: text/html\r\n".to_owned(), "<html>".to_owned()));
    let ended = run(&["discover", &page.replace("/mcp", "/sse")]);
    assert!(ended.stderr.contains("transport = \"sse\" says so"), "{}", ended.stderr);
    assert!(!run(&["discover", &page]).stderr.contains("transport"));
}

#[test]
fn an_answer_that_is_none_is_named() {
    for (head, body, said) in [
        ("200 OK\r\n", "hello", "HTTP 200 with no Content-Type, and a body that is no JSON-RPC message"),
        ("404 Not Found\r\n", "nothing here", "HTTP 404 with no Content-Type"),
        (
            "200 OK\r\ncontent-type: text/event-stream\r\n",
            "data: hello\n\n",
            "error: the server broke off before it answered; it may have done what was asked (-31520)",
        ),
    ] {
        let url = lists_are(head, body);
        let ended = run(&["list", &url, "tools"]);
        assert!(ended.stderr.contains(said), "{head}{}", ended.stderr);
        assert!(
            !ended.stderr.contains("(-31520)") || ended.stderr.contains("hint: -v shows what it has sent")
        );
    }
}

/// RFC 8259 §8.1. Windows programs write one before a text.
#[test]
fn a_byte_order_mark_is_skipped_wherever_it_stands() {
    let list = "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\"}}]}}";
    let url = lists_are("200 OK\r\ncontent-type: application/json\r\n", list);
    assert_eq!(run(&["list", &url, "tools"]).stdout, "a\ttool\n");
    // On our own stdin as on theirs.
    let mut child = command(&["stdio", "--url", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
    writeln!(child.stdin.take().unwrap(), "\u{feff}{hello}").unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["result"]["serverInfo"]["name"], "x", "{answer}");
}
