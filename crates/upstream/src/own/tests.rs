use auth::{Action, Gate, Permitted};
use base::clock::SystemClock;
use base::metrics::Metrics;
use base::plan::UpstreamPlan;
use base::sink::Sinks;
use base::world::World;
use bytes::Bytes;
use mcp::call::Call;
use mcp::json::{self, Object};
use mcp::list::Page;
use mcp::meta::{ClientFacts, LogWish};
use store::seal::Seal;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant};
use tokio_util::task::TaskTracker;
use transport::child::SystemSpawn;
use transport::memory::Memory;
use transport::net::SystemNetwork;
use transport::workers::Workers;

use super::*;
use crate::arrival::Arrival;
use crate::link::Health;
use crate::upstream::Upstream;

/// Has tools on two pages, and one of them waits for ever.
#[derive(Debug)]
struct Tools;

impl Serve for Tools {
    fn discovered(&self) -> Arc<Discovered> {
        Arc::new(own_description(Capabilities { tools: true, ..Capabilities::default() }))
    }

    fn answer<'a>(&'a self, call: OwnCall<'a>) -> BoxFuture<'a, Result<String, CallError>> {
        Box::pin(async move {
            match (call.order.call.method_name(), call.subject()) {
                ("tools/list", _) => {
                    let params = call.order.call.params().unwrap_or("{}");
                    let params =
                        Object::parse(params).map_err(|fault| CallError::unreadable("own", fault))?;
                    let second = params.string("cursor").ok().flatten().is_some();
                    let (tool, next) = if second { ("b", "") } else { ("a", r#","nextCursor":"2""#) };
                    Ok(format!(r#"{{"resultType":"complete","tools":[{{"name":"{tool}"}}]{next}}}"#))
                }
                ("tools/call", Some("hang")) => std::future::pending().await,
                ("tools/call", Some("broken")) => Ok("{".to_owned()),
                ("tools/call", Some(name)) => {
                    let who = json::quote(&format!("{} for {}", name, call.principal));
                    Ok(format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":{who}}}]}}"#))
                }
                _ => Err(call.unknown_method()),
            }
        })
    }
}

fn own(tasks: &TaskTracker) -> Upstream {
    let metrics = Arc::new(Metrics::new());
    let world = World {
        network: Arc::new(SystemNetwork),
        spawn: Arc::new(SystemSpawn::default()),
        clock: Arc::new(SystemClock),
        seal: Arc::new(Seal::from_secret(&[7; 32]).unwrap()),
        tap: None,
        identity: r#"{"name":"portolan","version":"0"}"#.to_owned(),
        sinks: Sinks::counting(&metrics),
        metrics,
        memory: Memory::default(),
        workers: Workers::default(),
        children: Arc::new(Semaphore::new(0)),
        starts: base::start_places::StartPlaces::of_this_machine(),
        store: None,
        tasks: tasks.clone(),
    };
    Upstream::own(UpstreamPlan::own("own"), Arc::new(Tools), world)
}

fn call(method: &str, params: &str) -> Call {
    let client = ClientFacts { capabilities: Bytes::from_static(b"{}"), info: None, log: LogWish::Nothing };
    Call::own(method, params, client).unwrap()
}

fn permitted<'a>(upstream: &Upstream, call: &'a Call, within: Duration) -> Permitted<Order<'a>> {
    let gate = Gate::open();
    let action = Action::new(call.method_name(), upstream.label(), None);
    let permit = gate.permit(&Principal::anonymous(), &action).unwrap();
    permit.cover(Order::ours(call, Era::Modern, within))
}

/// The response to a call, which must be the call's.
async fn response(upstream: &Upstream, method: &str, params: &str) -> Result<Message, CallError> {
    let call = call(method, params);
    let mut answer = upstream.send(permitted(upstream, &call, Duration::from_secs(60))).await?;
    assert!(answer.is_here() && !answer.streams());
    assert_eq!((answer.era(), answer.transport(), answer.upstream()), (Era::Modern, Transport::Own, "own"));
    let id = answer.id();
    let Arrival::Response(response) = answer.next().await? else { panic!("not a response") };
    assert_eq!(response.message.response_id().and_then(Id::as_number), Some(id));
    Ok(response.message)
}

#[tokio::test]
async fn what_is_permitted_is_answered_under_the_calls_id() {
    let upstream = own(&TaskTracker::new());
    let message = response(&upstream, "tools/call", r#"{"name":"add"}"#).await.unwrap();
    let text = std::str::from_utf8(message.bytes()).unwrap();
    assert!(text.contains(r#""text":"add for anonymous""#), "{text}");
    let other = call("tools/call", r#"{"name":"add"}"#);
    let elsewhere: Arc<str> = "other".into();
    let action = Action::new("tools/call", &elsewhere, None);
    let permit = Gate::open().permit(&Principal::anonymous(), &action).unwrap();
    let order = permit.cover(Order::ours(&other, Era::Modern, Duration::from_secs(60)));
    assert!(matches!(upstream.send(order).await, Err(CallError::Internal(_))));
}

#[tokio::test]
async fn its_errors_are_those_of_the_table() {
    let upstream = own(&TaskTracker::new());
    let unknown = response(&upstream, "prompts/get", r#"{"name":"x"}"#).await.unwrap_err();
    assert_eq!(unknown, CallError::Reject(Reject::UnknownMethod("prompts/get".to_owned())));
    let broken = response(&upstream, "tools/call", r#"{"name":"broken"}"#).await.unwrap_err();
    assert!(matches!(broken, CallError::Internal(_)), "{broken}");
    assert!(upstream.is_well(), "a call that goes wrong says nothing of a server that is always there");
}

#[tokio::test(start_paused = true)]
async fn it_has_as_long_as_any_server_and_is_not_asked_again() {
    let upstream = own(&TaskTracker::new());
    let (call, within) = (call("tools/call", r#"{"name":"hang"}"#), Duration::from_secs(5));
    let began = Instant::now();
    let late = upstream.send(permitted(&upstream, &call, within)).await.unwrap_err();
    assert_eq!(late, CallError::Deadline { upstream: "own".to_owned(), after: within });
    assert_eq!(began.elapsed(), within);
    upstream.idle().await;
}

#[tokio::test]
async fn its_lists_are_read_page_by_page() {
    let upstream = own(&TaskTracker::new());
    let (mut names, mut params) = (Vec::new(), "{}".to_owned());
    loop {
        let message = response(&upstream, "tools/list", &params).await.unwrap();
        let page = Page::read(message, "tools").unwrap();
        names.extend(page.entries);
        let Some(next) = page.next_cursor.filter(|next| !next.is_empty()) else { break };
        params = format!(r#"{{"cursor":{}}}"#, json::quote(&next));
    }
    assert_eq!(names, [r#"{"name":"a"}"#, r#"{"name":"b"}"#]);
}

#[tokio::test]
async fn it_is_up_and_modern_for_everybody_from_the_start() {
    let tasks = TaskTracker::new();
    let upstream = own(&tasks);
    let up = Health::Up {
        era: Era::Modern,
        revision: version::newest(Era::Modern).name,
        transport: Transport::Own,
    };
    for client in [Era::Modern, Era::Legacy] {
        let (era, known) = upstream.known_link(client).unwrap();
        let found = upstream.discovered(&Principal::anonymous(), client, None).await.unwrap();
        assert_eq!((era, &known), (found.0, &found.1));
        assert!(era == Era::Modern && known.capabilities.tools);
        assert!(upstream.is_connected(&Principal::anonymous(), client).await);
        assert!(upstream.notification_stream(&Principal::anonymous(), client).await.unwrap().is_none());
    }
    let described = response(&upstream, "server/discover", "{}").await.unwrap();
    assert!(Discovered::read(&described).unwrap().capabilities.tools);
    upstream.stop().await;
    assert_eq!(upstream.health(), up);
    assert!(tasks.is_empty(), "nothing runs beside its calls");
}
