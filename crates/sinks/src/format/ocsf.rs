//! Records as events of the Open Cybersecurity Schema Framework, 1.8.0.
//!
//! | Record | Class |
//! | --- | --- |
//! | `call` | 6003 API Activity |
//! | `login` | 3002 Authentication |
//! | `approval` | 3003 Authorize Session: what is approved is a privilege that is assigned. Asking, denying and using are none of its activities, so they are 99 with a name |
//! | `session` | 3002 Authentication: what opens is a logon, what closes a logoff; expiring and being lost are neither |
//! | `task` | 6003 API Activity |
//! | `configuration`, `key`, `pin` | 3004 Entity Management |
//! | `start`, `end` | 6002 Application Lifecycle |
//! | `checkpoint`, `deleted`, `erased`, `gap`, `sink` | 1008 Event Log Activity |
//! | what comes later | 0 Base Event |
//!
//! A decision is in its call's event, as one of `authorizations`. All that the schema has no place for is in `unmapped.mcp`: the record itself.

use super::Room;
use super::json::without_payload;
use super::out::{Out, ascii};
use super::record::{Ending, Record, Weight};

const VERSION: &str = "1.8.0";

/// The most groups and policies that are named, and where there is little room; the others are in the record.
const MOST_NAMED: usize = 32;
const MOST_OF_FEW: usize = 4;

/// The most bytes of one text: more than any record of ours has, and so that what has to be little is.
const MOST: usize = 8192;
const MOST_OF_LITTLE: usize = 128;

/// What kind of event a record is.
#[derive(Debug, Clone, Copy)]
struct Class {
    uid: u32,
    activity: u32,
    /// The activity's name where the class has none.
    named: &'static str,
}

/// A record as one event.
pub(super) fn write(record: &Record<'_>, room: Room) -> String {
    let class = class(record);
    let most = if room == Room::Little { MOST_OF_LITTLE } else { MOST };
    Out::object_of(most, |out| {
        out.raw("class_uid", class.uid).raw("category_uid", class.uid / 1000);
        out.raw("activity_id", class.activity).raw("type_uid", class.uid * 100 + class.activity);
        if class.activity == 99 {
            match class.named {
                "" => out.text("activity_name", &record.text("method").unwrap_or_else(|| "Other".to_owned())),
                named => out.text("activity_name", named),
            };
        }
        out.raw("time", record.millis());
        ended(out, record);
        out.text("message", &record.summary());
        metadata(out, record, room);
        match class.uid {
            6003 if record.head.kind == "task" => task(out, record),
            6003 => call(out, record, room),
            3002 => login(out, record),
            3003 => approval(out, record),
            3004 => entity(out, record),
            6002 => {
                out.object("app", |out| product(out, record));
            }
            1008 => {
                out.text("log_name", "audit").text("log_provider", "Portolan");
            }
            _ => {}
        }
        let own = match room {
            Room::Whole => ascii(record.line),
            Room::NoPayload => ascii(&without_payload(record)),
            Room::Little => Out::object_of(MOST_OF_LITTLE, |out| {
                out.raw("v", 1).text("type", record.head.kind).text("time", record.head.time);
                out.text("replica", record.head.replica).raw("seq", record.head.seq);
            }),
        };
        out.object("unmapped", |out| {
            out.raw("mcp", own);
        });
    })
}

fn class(record: &Record<'_>) -> Class {
    let outcome = record.outcome();
    let (uid, activity, named) = match (record.head.kind, outcome.as_str()) {
        ("call", _) => (6003, activity(record), ""),
        ("login", _) => (3002, 1, ""),
        ("session", "opened") => (3002, 1, ""),
        ("session", "closed") => (3002, 2, ""),
        ("session", "expired") => (3002, 99, "Expire"),
        ("session", _) => (3002, 99, "Lose"),
        ("task", "created") => (6003, 1, ""),
        ("task", _) => (6003, 3, ""),
        ("key", "made") => (3004, 1, ""),
        ("key", "revoked") => (3004, 4, ""),
        ("key", _) => (3004, 3, ""),
        ("pin", "approved") => (3004, 99, "Approve"),
        ("pin", "denied") => (3004, 99, "Deny"),
        ("pin", _) => (3004, 4, ""),
        ("approval", "approved") => (3003, 1, ""),
        ("approval", "asked") => (3003, 99, "Ask"),
        ("approval", "denied") => (3003, 99, "Deny"),
        ("approval", "used") => (3003, 99, "Use"),
        ("approval", _) => (3003, 99, ""),
        ("configuration", "read") => (3004, 2, ""),
        ("configuration", _) => (3004, 3, ""),
        ("start", _) => (6002, 3, ""),
        ("end", _) => (6002, 4, ""),
        ("deleted" | "erased", _) => (1008, 2, ""),
        ("checkpoint", _) => (1008, 99, "Checkpoint"),
        ("gap", _) => (1008, 99, "Gap"),
        ("sink", _) => (1008, 99, "Deliver"),
        _ => (0, 99, ""),
    };
    Class { uid, activity, named }
}

/// 2 Read, 4 Delete, 99 Other: what the method says, or the hints of the tool, of which a server may say anything.
fn activity(record: &Record<'_>) -> u32 {
    let method = record.text("method").unwrap_or_default();
    if method.ends_with("/list") || method.ends_with("/get") || method == "resources/read" {
        return 2;
    }
    match (record.hint("readOnlyHint"), record.hint("destructiveHint")) {
        (Some(true), _) => 2,
        (_, Some(true)) => 4,
        _ => 99,
    }
}

fn ended(out: &mut Out, record: &Record<'_>) {
    let (severity, name) = match record.weight() {
        Weight::Usual => (1, "Informational"),
        Weight::Notable => (2, "Low"),
        Weight::Amiss => (3, "Medium"),
        Weight::Grave => (4, "High"),
    };
    out.raw("severity_id", severity).text("severity", name);
    let (status, name) = match record.ending() {
        Ending::Done => (1, "Success"),
        Ending::Forbidden | Ending::Failed => (2, "Failure"),
        Ending::Open => (99, "Cancelled"),
    };
    out.raw("status_id", status).text("status", name);
    out.maybe("status_code", record.text("outcome").as_deref());
    let why = record.inner("decision", "why").filter(|why| !why.is_empty());
    out.maybe("status_detail", why.or_else(|| record.text("why")).as_deref());
    if let Some(micros) = record.number("durationUs") {
        out.raw("duration", micros / 1000);
    }
}

/// Whether it was allowed, of what is called security_control.
fn control(out: &mut Out, record: &Record<'_>) {
    let (action, name, disposition, what) = match record.ending() {
        Ending::Forbidden => (2, "Denied", 2, "Blocked"),
        // Policies that are only watched have not allowed it either.
        _ if record.flag("decision", "observed") == Some(true) => (3, "Observed", 17, "Logged"),
        _ => (1, "Allowed", 1, "Allowed"),
    };
    out.raw("action_id", action).text("action", name);
    out.raw("disposition_id", disposition).text("disposition", what);
}

fn metadata(out: &mut Out, record: &Record<'_>, room: Room) {
    let is_controlled = matches!(record.head.kind, "call" | "login" | "approval");
    let traced = record.head.kind == "call" && record.has("trace");
    let profiles = [("security_control", is_controlled), ("trace", traced)];
    out.object("metadata", |out| {
        out.text("version", VERSION);
        out.object("product", |out| product(out, record));
        out.texts("profiles", profiles.into_iter().filter(|(_, is)| *is).map(|(name, _)| name));
        let head = &record.head;
        out.text("uid", &format!("{}/{}", head.replica, head.seq)).raw("sequence", head.seq);
        out.text("event_code", head.kind).text("original_time", head.time);
        out.text("log_name", "audit").text("log_provider", head.replica);
        out.maybe("correlation_uid", record.text("trace").as_deref());
        if room != Room::Whole {
            out.raw("is_truncated", true).raw("untruncated_size", record.line.len());
        }
    });
    if is_controlled {
        control(out, record);
    }
    if traced {
        out.object("trace", |out| {
            out.maybe("uid", record.text("trace").as_deref());
        });
    }
}

fn product(out: &mut Out, record: &Record<'_>) {
    out.text("name", "Portolan").text("vendor_name", "Portolan");
    if record.head.kind == "start" {
        out.maybe("version", record.text("version").as_deref());
    }
}

/// Somebody, by what is known of them.
fn user(out: &mut Out, id: &str, name: Option<&str>, groups: Vec<String>) {
    out.object("user", |out| {
        out.text("uid", id).maybe("name", name);
        if !groups.is_empty() {
            out.objects("groups", groups, |out, group| {
                out.text("name", &group);
            });
        }
    });
}

fn source(out: &mut Out, record: &Record<'_>) {
    out.object("src_endpoint", |out| {
        match record.text("address") {
            Some(address) => out.text("ip", &address),
            // Over a pipe or a Unix socket.
            None => out.text("name", "unknown"),
        };
    });
}

fn call(out: &mut Out, record: &Record<'_>, room: Room) {
    let most = if room == Room::Little { MOST_OF_FEW } else { MOST_NAMED };
    let (server, method) = (record.text("server"), record.text("method").unwrap_or_default());
    out.object("actor", |out| {
        let id = record.inner("principal", "id").unwrap_or_else(|| "unknown".to_owned());
        let subject = record.inner("principal", "subject");
        user(out, &id, subject.as_deref(), record.texts("principal", "groups", most));
        if let Some(issuer) = record.inner("principal", "issuer") {
            out.object("idp", |out| {
                out.text("name", &issuer);
            });
        }
        out.maybe("app_uid", record.inner("principal", "client").as_deref());
    });
    out.object("api", |out| {
        out.text("operation", &method).maybe("version", record.text("revision").as_deref());
        if let Some(server) = &server {
            out.object("service", |out| {
                out.text("name", server);
            });
        }
        if let Some(id) = record.spelled("id") {
            out.object("request", |out| {
                out.text("uid", &id);
            });
        }
        if record.ending() != Ending::Done {
            out.object("response", |out| {
                out.text("error", &record.outcome());
            });
        }
    });
    source(out, record);
    if let Some(server) = &server {
        out.object("dst_endpoint", |out| {
            out.text("svc_name", server);
        });
    }
    if let Some(name) = record.inner("thing", "name") {
        out.objects("resources", [name], |out, name| {
            out.text("name", &name).maybe("type", record.inner("thing", "kind").as_deref());
            out.maybe("namespace", server.as_deref());
        });
    }
    decision(out, record, most);
}

fn decision(out: &mut Out, record: &Record<'_>, most: usize) {
    let Some(allowed) = record.flag("decision", "allowed") else { return };
    let policies = record.texts("decision", "by", most);
    let version = record.inner("decision", "version");
    let decision = if allowed { "allow" } else { "deny" };
    // One that names no policy is a decision all the same: that nothing allows it.
    let each = if policies.is_empty() { vec![None] } else { policies.into_iter().map(Some).collect() };
    out.objects("authorizations", each, |out, policy| {
        out.text("decision", decision);
        if let Some(policy) = policy {
            out.object("policy", |out| {
                out.text("uid", &policy).maybe("version", version.as_deref());
            });
        }
    });
}

/// Of who is not let in nobody knows who it is; of who has a session, somebody does.
fn login(out: &mut Out, record: &Record<'_>) {
    let id = record.text("principal").or_else(|| record.inner("principal", "id"));
    user(out, id.as_deref().unwrap_or("unknown"), None, Vec::new());
    out.object("service", |out| {
        out.text("name", record.text("route").as_deref().unwrap_or("unknown"));
    });
    source(out, record);
    out.raw("is_remote", true);
    if let Some(session) = record.text("session") {
        out.object("session", |out| {
            out.text("uid", &session);
        });
    }
}

fn task(out: &mut Out, record: &Record<'_>) {
    out.object("actor", |out| {
        user(out, record.text("principal").as_deref().unwrap_or("unknown"), None, Vec::new());
    });
    out.object("api", |out| {
        out.text("operation", "task");
        if let Some(server) = record.text("server") {
            out.object("service", |out| {
                out.text("name", &server);
            });
        }
        if record.ending() != Ending::Done {
            out.object("response", |out| {
                out.text("error", &record.outcome());
            });
        }
    });
    source(out, record);
    if let Some(task) = record.text("task") {
        out.objects("resources", [task], |out, task| {
            out.text("uid", &task).text("type", "task").maybe("name", record.text("tool").as_deref());
        });
    }
}

fn approval(out: &mut Out, record: &Record<'_>) {
    let by = record.text("by").or_else(|| record.text("principal"));
    user(out, by.as_deref().unwrap_or("unknown"), None, Vec::new());
    let id = record.text("approval").unwrap_or_default();
    let what = [record.text("server"), record.text("name")].map(Option::unwrap_or_default);
    let of = if what.iter().all(String::is_empty) { String::new() } else { format!(" {}", what.join("/")) };
    out.texts("privileges", [format!("approval {id}{of}").as_str()]);
}

/// What was changed, or what somebody has decided about.
fn entity(out: &mut Out, record: &Record<'_>) {
    let (name, kind) = match record.head.kind {
        "key" => (record.text("key"), record.text("of")),
        "pin" => (record.text("name").or_else(|| record.text("server")), Some("pin".to_owned())),
        _ => (record.text("path"), Some("configuration".to_owned())),
    };
    out.object("entity", |out| {
        out.text("name", name.as_deref().unwrap_or("unknown")).maybe("type", kind.as_deref());
        out.maybe("version", record.text("digest").as_deref());
    });
}
