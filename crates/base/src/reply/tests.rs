use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use auth::{Refusal, Why};
use http::StatusCode;
use mcp::json::Object;
use mcp::method::Kind;
use mcp::reject::Reject;
use mcp::version::Era;

use transport::memory::Full;

use super::wire;
use crate::error::{ApprovalNeeded, CallError};
use crate::fault::{Fault, Limited, Refused};

fn quarantined() -> CallError {
    CallError::Quarantined {
        upstream: "files".to_owned(),
        kind: Kind::Tool,
        name: "read_file".to_owned(),
        why: "it has changed since it was pinned".to_owned(),
    }
}

fn every() -> Vec<CallError> {
    rest().into_iter().chain(approvals()).collect()
}

/// Those about what is to be approved.
fn approvals() -> Vec<CallError> {
    vec![
        CallError::Refused(Refusal::Approval(Box::new(auth::Asked {
            binding: "b".into(),
            reason: "it cannot be undone".to_owned(),
            policies: vec!["drop".to_owned()],
            approvers: Vec::new(),
            lasts: Duration::from_secs(900),
        }))),
        CallError::ApprovalNeeded(Box::new(ApprovalNeeded {
            id: "3f2a7b1c9d8e4f50".to_owned(),
            reason: "it cannot be undone".to_owned(),
            who: "company/leads".to_owned(),
            url: Some("https://mcp.example.com/.portolan/approvals/3f2a7b1c9d8e4f50".to_owned()),
            open: Duration::from_secs(900),
        })),
        CallError::ApprovalDenied { reason: "it cannot be undone".to_owned() },
    ]
}

fn rest() -> Vec<CallError> {
    let upstream = || "files".to_owned();
    vec![
        CallError::Reject(Reject::UnknownMethod("x/y".to_owned())),
        CallError::Reject(Reject::UnsupportedVersion("2099-01-01".to_owned())),
        CallError::Reject(Reject::HeaderMismatch {
            header: "mcp-name".to_owned(),
            why: "it differs".to_owned(),
        }),
        CallError::Reject(Reject::NotARequest("this session is already open")),
        CallError::Refused(Refusal::Denied),
        CallError::Refused(Refusal::Policy(Some("only in office hours".into()))),
        CallError::Refused(Refusal::Arguments(
            "/to is against /properties/to/type of the tool's inputSchema".to_owned(),
        )),
        CallError::Refused(Refusal::Unauthenticated(Why::NoToken)),
        CallError::Refused(Refusal::Unauthenticated(Why::Token("the token has expired"))),
        CallError::Refused(Refusal::Malformed("there is more than one Authorization header")),
        CallError::Refused(Refusal::Scopes(vec!["mcp:write".to_owned()])),
        CallError::Refused(Refusal::Unavailable { retry_after: Duration::from_secs(5) }),
        CallError::UnknownName { kind: Kind::Tool, name: "add".to_owned() },
        CallError::UnknownName { kind: Kind::Resource, name: "file:///x".to_owned() },
        quarantined(),
        CallError::BadCursor,
        CallError::NotDeclared {
            required: r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#.to_owned(),
        },
        CallError::Task { why: "the task has expired".to_owned() },
        CallError::Unreachable {
            upstream: upstream(),
            why: "refused at 10.0.0.1".to_owned().into(),
            fault: None,
        },
        CallError::BreakerOpen {
            upstream: upstream(),
            refused: Box::new(Refused {
                since: Duration::from_secs(12),
                again: Duration::from_millis(3500),
                fault: Fault::Status(503),
            }),
        },
        CallError::BegunAnew { upstream: upstream() },
        CallError::WaitsToStart { upstream: "github".to_owned() },
        CallError::Starting {
            upstream: upstream(),
            so_far: Duration::from_secs(40),
            silence: Duration::from_secs(30),
        },
        CallError::Unauthorized { upstream: upstream(), status: 401, said: Some("expired".to_owned()) },
        CallError::BrokeOff { upstream: upstream(), why: "exit status 1".to_owned().into() },
        CallError::InvalidAnswer { upstream: upstream(), why: "not JSON".to_owned() },
        CallError::MissingCapability { upstream: upstream(), required: r#"{"sampling":{}}"#.to_owned() },
        CallError::RequestState("its time is over; what the call had done by then is done"),
        CallError::InputRefused { why: "the client did not answer roots/list within 600s".to_owned() },
        CallError::Deadline { upstream: upstream(), after: Duration::from_secs(5) },
        CallError::Overloaded { what: "calls".to_owned(), limit: 7 },
        CallError::RateLimited(Box::new(Limited {
            name: "each caller".to_owned(),
            by: "rate",
            allows: "60/min".to_owned(),
            retry_after: Duration::from_millis(2500),
            limit: Some(60),
            remaining: Some(0),
        })),
        CallError::NoRoom { upstream: upstream(), full: Full { wanted: 5_000_000, limit: 1_000_000 } },
        CallError::OutOfDescriptors { why: "cannot connect to 10.0.0.1: too many open files".to_owned() },
        CallError::Draining,
        CallError::AuditUnavailable { sent: false },
        CallError::AuditUnavailable { sent: true },
        CallError::NotBridged {
            what: "resources/subscribe".to_owned(),
            why: "upstream \"github\" does not tell of changes to this resource".to_owned(),
        },
        CallError::NotResumable { why: "that event is not kept any more".to_owned() },
        CallError::NoSession,
        CallError::StoreAway { what: "this change of a session", why: "refused at 10.0.0.1".to_owned() },
        CallError::ReplicaAway { replica: "7d1f40aa".to_owned(), why: "refused at 10.0.0.1".to_owned() },
        CallError::ReplicaLost,
        CallError::Internal("a secret".to_owned()),
    ]
}

/// docs/reference/errors.md is this table.
#[test]
fn the_reference_page_is_the_table() {
    let mut page = String::from(
        "# Errors\n\nGenerated from `crates/base/src/reply.rs` by its test (`UPDATE=1` rewrites it).\n\n\
         Errors of a server behind Portolan pass with their own code, data and status. These are Portolan's own; look\n\
         at `error.data.reason` rather than at the text. `notProcessed: true` means that the server did not get the\n\
         call, so that a retry is safe. Most have another status for a legacy client, because some of these end their\n\
         session at any but 200; in brackets is the one where there is no request to answer, as after a notification.\n\n\
         | outcome | HTTP | legacy | code | text (example) | data |\n|---|---|---|---|---|---|\n",
    );
    for error in every() {
        let row = wire(&error);
        let (answered, unasked) = (row.status_for(Era::Legacy, true), row.status_for(Era::Legacy, false));
        let legacy = match answered == unasked {
            true => answered.as_str().to_owned(),
            false => format!("{} ({})", answered.as_str(), unasked.as_str()),
        };
        let data = row.data.map_or_else(|| "–".to_owned(), |data| format!("`{data}`"));
        writeln!(
            page,
            "| `{}` | {} | {legacy} | {} | {} | {data} |",
            row.label,
            row.status.as_u16(),
            row.code,
            row.text
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/errors.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), page, "run with UPDATE=1");
}

/// What a legacy client is told of its request it must be able to read, and what is no request is told by its status.
#[test]
fn a_legacy_client_gets_200_but_where_it_must_know_by_the_status() {
    let others: Vec<_> = every()
        .iter()
        .map(wire)
        .filter(|row| row.status_for(Era::Legacy, true) != StatusCode::OK)
        .map(|row| (row.label, row.status_for(Era::Legacy, true).as_u16()))
        .collect();
    let expected = [
        ("rejected", 400),
        // RFC 6750 §3: a client logs in, or asks for more, by the status and the challenge.
        ("unauthenticated", 401),
        ("unauthenticated", 401),
        ("bad_credentials", 400),
        ("insufficient_scope", 403),
        ("identity_away", 503),
        ("draining", 503),
        ("not_resumable", 400),
        ("no_session", 404),
        ("store_away", 503),
        ("replica_away", 503),
    ];
    assert_eq!(others, expected);
    for error in every() {
        let row = wire(&error);
        assert_eq!(row.status_for(Era::Modern, true), row.status);
        assert_eq!(row.status_for(Era::Modern, false), row.status);
    }
}

#[test]
fn data_is_json_and_callers_do_not_read_what_is_for_operators() {
    for error in every() {
        let row = wire(&error);
        if let Some(data) = &row.data {
            assert!(Object::parse(data).is_ok(), "{data}");
        }
        for secret in ["10.0.0.1", "exit status", "a secret"] {
            assert!(!row.text.contains(secret), "{}", row.text);
        }
    }
}

/// MCP 2026-07-28 `basic` §Error Codes: nothing new in -32000…-32019, nothing undefined in -32020…-32099.
#[test]
fn own_codes_stay_out_of_reserved_ranges() {
    let allowed = BTreeSet::from([-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022]);
    for error in every() {
        let code = wire(&error).code;
        assert!(allowed.contains(&code) || !(-32768..=-32000).contains(&code), "{code}");
    }
}
