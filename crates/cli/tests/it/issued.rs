//! Tokens of an issuer whose key lies beside the configuration. They were signed once, by a key that is gone: good from 2026 to 2100.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{assert_ended, command, eventually, finish, finish_with_input};
use crate::revoking::{ask, serve, with};

pub(crate) const KEYS: &str = r#"{"keys":[{"crv":"Ed25519","x":"Sd19SYihOj_OGwixOmxG8rCoWC84ZuN4_6CUR2WZJo8","kty":"OKP","kid":"k","alg":"EdDSA"}]}"#;
pub(crate) const ALICE: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsiLCJ0eXAiOiJhdCtqd3QifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGU\
    uY29tIiwiYXVkIjoiaHR0cDovLzEyNy4wLjAuMS9tY3AiLCJzdWIiOiJhbGljZSIsImp0aSI6Im9mLWFsaWNlIiwia\
    WF0IjoxNzY3MjI1NjAwLCJleHAiOjQxMDI0NDQ4MDB9.qDNqdz9xqCv9XIy-6gMIbtkfquoSC5Pjy3CzfVpWaTq6rW\
    H1L-aP3pVcaj01dLpLtMrlQEJ15f48uTrACt8UCA";
const BOB: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsiLCJ0eXAiOiJhdCtqd3QifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGU\
    uY29tIiwiYXVkIjoiaHR0cDovLzEyNy4wLjAuMS9tY3AiLCJzdWIiOiJib2IiLCJqdGkiOiJvZi1ib2IiLCJpYXQiO\
    jE3NjcyMjU2MDAsImV4cCI6NDEwMjQ0NDgwMH0.nYhkDtOXMg0rUAyVE3UPxBrBhpUTV6f4igyx5QTvmN2auaGOiYT\
    O6KvUWNVZPgDenvpi_drWGClWuNLkkYXkAw";
/// Bound to a certificate.
const CAROL: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsiLCJ0eXAiOiJhdCtqd3QifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGU\
    uY29tIiwiYXVkIjoiaHR0cDovLzEyNy4wLjAuMS9tY3AiLCJzdWIiOiJjYXJvbCIsImp0aSI6Im9mLWNhcm9sIiwia\
    WF0IjoxNzY3MjI1NjAwLCJleHAiOjQxMDI0NDQ4MDAsImNuZiI6eyJ4NXQjUzI1NiI6IkFBQUFBQUFBQUFBQUFBQUF\
    BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUEifX0.zkU2VujPHmTRzPztRYu6fYpfpLRXq9adJtLVsqI3OHgKYEZKs\
    8MOzznmstTc3V1LfqH8xMToX02W6ywLXcoLAg";

/// A configuration with that above, and this in the tables of the issuer and of the route.
fn configured(above: &str, issuer: &str, route: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!(
        "{above}\n[issuer.company]\nurl = \"https://id.example.com\"\njwks_file = \"keys.json\"\n{issuer}\n\
         [route.main]\npublic_url = \"http://127.0.0.1/mcp\"\nissuers = [\"company\"]\n{route}\n\
         [upstream.local]\ncommand = [{:?}, \"reference-server\", \"--stdio\"]\n",
        crate::program::PORTOLAN
    );
    fs::write(&path, text).unwrap();
    fs::write(dir.path().join("keys.json"), KEYS).unwrap();
    (dir, path)
}

fn is_let_in(gateway: &crate::serving::Gateway, token: &str) -> bool {
    ask(gateway, token, "tools/list", "").next().unwrap().contains(" 200 ")
}

#[test]
fn all_tokens_of_a_subject_are_revoked() {
    let (_dir, path) = configured("store = \"sqlite:portolan.db\"", "", "");
    let gateway = serve(&path);
    assert!(is_let_in(&gateway, ALICE) && is_let_in(&gateway, BOB));
    let revoked = with(&path, &["token", "revoke", "--issuer", "company", "--sub", "alice"]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    eventually("a refusal", || !is_let_in(&gateway, ALICE));
    let refused: Vec<String> = ask(&gateway, ALICE, "tools/list", "").collect();
    assert!(refused.iter().any(|line| line.contains("the token was revoked")), "{refused:?}");
    assert!(is_let_in(&gateway, BOB));
    assert_eq!(with(&path, &["token", "allow", "--issuer", "company", "--sub", "alice"]).code, Some(0));
    eventually("her token", || is_let_in(&gateway, ALICE));
}

#[test]
fn nothing_is_revoked_without_a_store() {
    let (_dir, path) = configured("", "", "");
    for what in ["revoke", "allow"] {
        let refused = with(&path, &["token", what, "--issuer", "company", "--sub", "alice"]);
        assert_eq!(refused.code, Some(2), "{what}: {refused:?}");
    }
    assert_ended!(with(&path, &["token", "revoke", "--issuer", "company", "--jti", "t1"]), @r#"
    exit: 2
    ----- stderr -----
    error: what is revoked is kept in a store, and the configuration has none

    hint: such as store = "sqlite:portolan.db", above the first table; or not_before in [issuer.NAME]
    "#);
}

fn inspected(config: &Path, token: &str) -> (Option<i32>, String) {
    let mut inspect = command(&["token", "inspect"]);
    let ended = finish_with_input(inspect.arg(config), token);
    assert!(!ended.stdout.contains(token.rsplit('.').next().unwrap()), "the signature is not shown");
    (ended.code, ended.stdout.lines().next().unwrap().to_owned())
}

#[test]
fn a_token_is_said_to_be_taken_with_what_that_depends_on() {
    let route = "route main (http://127.0.0.1/mcp) ";
    let (_dir, path) = configured("", "", "");
    assert_eq!(inspected(&path, ALICE), (Some(0), format!("{route}takes it")));
    assert_eq!(inspected(&path, CAROL), (Some(1), format!("{route}refuses it")));
    let (_dir, path) =
        configured("", "token_header = \"X-Assertion\"\naudiences = [\"http://127.0.0.1/mcp\"]", "");
    let only = "takes it, only in the header x-assertion, as the proxy in front sends it";
    assert_eq!(inspected(&path, ALICE), (Some(0), format!("{route}{only}")));
    let scopes = "scopes = { use = { tools = [\"*\"], prompts = [\"*\"], resources = [\"*\"] } }";
    let (_dir, path) = configured("", "", scopes);
    let nothing = "takes it, but with no scope it may use nothing";
    assert_eq!(inspected(&path, ALICE), (Some(0), format!("{route}{nothing}")));
}

#[test]
fn an_issuer_whose_tokens_are_good_later_is_told() {
    let (_dir, path) = configured("", "not_before = \"2099-01-01T00:00:00Z\"", "");
    let ended = finish(command(&["check", "--connect"]).arg(&path));
    let told = ended.stdout.lines().any(|line| {
        line.starts_with("  issuer company  warning  its not_before lies ")
            && line.ends_with(" d ahead: until then all of its tokens are refused")
    });
    assert!(told, "{ended:?}");
    let (_dir, path) = configured("", "not_before = \"2026-01-01T00:00:00Z\"", "");
    let ended = finish(command(&["check", "--connect"]).arg(&path));
    assert!(ended.stdout.contains("  issuer company  up") && !ended.stdout.contains("warning"), "{ended:?}");
}

#[test]
fn an_authority_of_clients_that_has_ended_is_told() {
    let (dir, path) = configured(
        "[proxy.edge]\naddresses = [\"unix\"]\ncertificate_header = \"Client-Cert\"\ncertificates = [\"agents\"]\n\
         [certificates.agents]\nca = \"clients.pem\"\nprincipal = \"san-uri\"",
        "",
        "proxies = [\"edge\"]",
    );
    let [old, good] = [("old", (2020, 1, 1)), ("good", (2099, 1, 1))]
        .map(|(name, until)| testkit::authority::Authority::until(name, until).pem());
    fs::write(dir.path().join("clients.pem"), format!("{good}{old}")).unwrap();
    let ended = finish(command(&["check", "--connect"]).arg(&path));
    let told: Vec<_> = ended.stdout.lines().filter(|line| line.starts_with("  certificates ")).collect();
    let line = "  certificates agents  warning  the authority \"CN=old\" has expired, and vouches on: renew it in ca, or take it out";
    assert_eq!(told, [line], "{ended:?}");
}
