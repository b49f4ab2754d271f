//! Who may ask about a task: whoever may call its tool, unless that is forbidden by itself.

use std::sync::Arc;

use base::plan::Plan;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Persona, ScriptedServer};

use super::decider;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

const EXTENSION: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const WITH_EXTENSION: &str =
    r#"{"tools":{"listChanged":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const WITH_CORE: &str =
    r#"{"tools":{"listChanged":true},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
const TOOLS: &str = r#"[{"name":"pay","inputSchema":{"type":"object","properties":{"amount":{"type":"integer"}}},"execution":{"taskSupport":"optional"}}]"#;

/// What begins a task depends on arguments; what is asked about it does not have any.
const SMALL: &str = r#"permit (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"a/pay")
when { context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer
       && context.arguments.getTag("/amount").integer <= 100 };"#;

fn persona(is_modern: bool) -> Persona {
    let of =
        if is_modern { Persona::modern().able(WITH_EXTENSION) } else { Persona::legacy().able(WITH_CORE) };
    of.listing("tools/list", TOOLS)
}

/// Begins a task, and says how it is.
async fn serve(asked: Asked, is_modern: bool) {
    let method = json::at(asked.seen.text(), &["method"]).map(json::unescaped).unwrap_or_default();
    let core = r#"{"taskId":"own","status":"working","createdAt":"c","lastUpdatedAt":"l","ttl":60000}"#;
    let flat = r#"{"resultType":"complete","taskId":"own","status":"working","createdAt":"c","lastUpdatedAt":"l","ttlMs":60000}"#;
    let result = match (method.as_str(), is_modern) {
        ("tools/call", true) => flat.replace("complete", "task"),
        ("tools/call", false) => format!(r#"{{"task":{core}}}"#),
        ("tasks/get", true) => flat.to_owned(),
        ("tasks/get", false) => core.to_owned(),
        (_, true) => r#"{"resultType":"complete"}"#.to_owned(),
        (_, false) => core.replace("working", "cancelled"),
    };
    asked.result(&result).await;
}

async fn planned(is_modern: bool, text: &str) -> (Running, ScriptedServer, Plan) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.plan.routes[0].decides = Some(decider(text, (true, false)));
    let (server, desk) = stand.add("a", Over::Http, persona(is_modern)).await;
    server.answer_all(desk, move |asked| serve(asked, is_modern));
    let plan = stand.plan.clone();
    (stand.start().await, server, plan)
}

async fn door(kind: Kind, running: &Running) -> Door {
    let core = r#"{"tasks":{}}"#;
    Door::open_with(kind, running, if kind.is_modern() { EXTENSION } else { core }).await
}

/// Begins a task: its id.
async fn begin(door: &mut Door) -> String {
    let wants = if door.kind.is_modern() { "" } else { r#","task":{"ttl":60000}"# };
    let params = format!(r#""name":"pay","arguments":{{"amount":7}}{wants}"#);
    let text = super::answer(door, "tools/call", &params).await;
    let path: &[&str] =
        if door.kind.is_modern() { &["result", "taskId"] } else { &["result", "task", "taskId"] };
    let id = json::at(&text, path).unwrap_or_else(|| panic!("no task in {text}"));
    json::plain(id).to_owned()
}

async fn about(door: &mut Door, method: &str, id: &str) -> String {
    super::answer(door, method, &format!(r#""taskId":"{id}""#)).await
}

fn passed(text: &str) -> bool {
    json::at(text, &["result"]).is_some()
}

/// What there is beside the id.
fn unnamed(text: &str, id: &str) -> String {
    text.replace(id, "ID")
}

#[tokio::test(start_paused = true)]
async fn a_task_goes_with_its_tool() {
    let forbidden = format!(
        "{SMALL} forbid (principal, action == Mcp::Action::\"task\", resource == Mcp::Tool::\"a/pay\");"
    );
    for (server_is_modern, kind) in [
        (true, Kind::ModernHttp),
        (true, Kind::ModernStdio),
        (true, Kind::LegacyHttp),
        (false, Kind::LegacyHttp),
        (false, Kind::LegacyStdio),
    ] {
        let case = format!("{server_is_modern} {kind:?}");
        let (running, server, mut plan) = planned(server_is_modern, SMALL).await;
        let mut door = door(kind, &running).await;
        assert!(kind.is_modern() || !door.opened.contains(r#""list":{}"#), "{case}: {}", door.opened);
        let id = begin(&mut door).await;
        assert_ne!(id, "own", "{case}: the id says which tool its task runs");
        let open = about(&mut door, "tasks/get", &id).await;
        assert!(passed(&open), "{case}: {open}");
        let unknown = about(&mut door, "tasks/get", "made-up").await;
        // The call is denied, the task is forbidden by itself, or somebody else may call: nobody tells them apart from what is not there.
        for text in ["permit (principal, action == Mcp::Action::\"get\", resource);", forbidden.as_str()] {
            plan.routes[0].decides = Some(decider(text, (true, false)));
            running.gateway.reload(plan.clone());
            let sent = server.seen().len();
            for method in ["tasks/get", "tasks/cancel", "tasks/update", "tasks/result"] {
                let text = about(&mut door, method, &id).await;
                assert!(!passed(&text), "{case} {method}: {text}");
                if method == "tasks/get" {
                    assert_eq!(unnamed(&text, &id), unnamed(&unknown, "made-up"), "{case}");
                }
            }
            let methods: Vec<_> =
                server.seen().iter().skip(sent).map(|seen| seen.text().to_owned()).collect();
            assert!(!methods.iter().any(|text| text.contains("tasks/")), "{case}: {methods:?}");
        }
        plan.routes[0].decides = Some(decider(&forbidden, (true, true)));
        running.gateway.reload(plan.clone());
        let told = about(&mut door, "tasks/get", &id).await;
        assert!(told.contains("a policy does not allow this"), "{case}: {told}");
        plan.routes[0].decides = Some(decider(SMALL, (true, false)));
        running.gateway.reload(plan.clone());
        let again = about(&mut door, "tasks/cancel", &id).await;
        assert!(passed(&again), "{case}: {again}");
    }
}

/// Where policies only observe, ids pass as they did without.
#[tokio::test(start_paused = true)]
async fn what_is_only_observed_has_the_ids_of_its_server() {
    for (server_is_modern, kind) in [(true, Kind::ModernHttp), (false, Kind::LegacyHttp)] {
        let (running, _server, mut plan) = planned(server_is_modern, SMALL).await;
        plan.routes[0].decides =
            Some(decider("permit (principal, action == Mcp::Action::\"get\", resource);", (false, false)));
        running.gateway.reload(plan);
        let mut door = door(kind, &running).await;
        let id = begin(&mut door).await;
        assert_eq!(id, "own", "{kind:?}");
        let open = about(&mut door, "tasks/get", "own").await;
        assert!(passed(&open), "{kind:?}: {open}");
    }
}

/// Nobody is asked again about the task of a call that was to be approved, and an approval that is asked for forbids no task.
#[tokio::test(start_paused = true)]
async fn what_is_to_be_approved_is_the_call() {
    let text = r#"permit (principal, action, resource);
        @approval("money") forbid (principal, action, resource == Mcp::Tool::"a/pay")
        when { resource.trusted && context.route == "elsewhere" };"#;
    let (running, _server, mut plan) = planned(true, text).await;
    let mut door = door(Kind::ModernHttp, &running).await;
    let id = begin(&mut door).await;
    plan.routes[0].decides = Some(decider(&text.replace("elsewhere", "main"), (true, false)));
    running.gateway.reload(plan);
    let open = about(&mut door, "tasks/get", &id).await;
    assert!(passed(&open), "{open}");
}
