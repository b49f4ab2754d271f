//! Programs that take long to start, as those do that are downloaded first: as long as they write to stderr they are given time, and
//! nobody waits for them.

use std::sync::Arc;
use std::time::Duration;

use base::plan::UpstreamPlan;
use base::start_places::StartPlaces;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use testkit::spawn::{Event, MemorySpawn, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::{Instant, sleep_until};
use upstream::Health;

use crate::ask;
use crate::failures::{call, reason};
use crate::stand::{Over, Running, Stand};

/// What there is no waiting for.
const AT_ONCE: Duration = Duration::from_millis(200);

/// When a program does what.
#[derive(Debug, Clone, Copy)]
struct Course {
    /// Until when it writes to stderr, every five seconds.
    writes: Duration,
    /// When it answers; never, if it does not.
    answers: Option<Duration>,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A legacy server with one tool.
async fn program(stdio: Stdio, begun: Instant, course: Course) -> i32 {
    let Stdio { stdin, mut stdout, mut stderr, .. } = stdio;
    let mut at = seconds(5);
    while at <= course.writes {
        sleep_until(begun + at).await;
        // A progress bar ends no line.
        stderr.write_all(b"fetching\r").await.unwrap();
        at += seconds(5);
    }
    let Some(answers) = course.answers else { return std::future::pending().await };
    sleep_until(begun + answers).await;
    let mut lines = BufReader::new(stdin).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Some(id) = json::at(&line, &["id"]) else { continue };
        let outcome = match json::at(&line, &["method"]).map_or("", json::plain) {
            "server/discover" => r#""error":{"code":-32601,"message":"m"}"#,
            "initialize" => {
                r#""result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#
            }
            "tools/list" => r#""result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}"#,
            _ => r#""result":{"content":[]}"#,
        };
        let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{outcome}}}\n");
        stdout.write_all(answer.as_bytes()).await.unwrap();
    }
    0
}

/// Such a program, behind a route beside another server or alone; and when it was started.
async fn starts(course: Course, beside: bool) -> (Running, MemorySpawn, Instant) {
    starts_with(course, beside, |_| {}).await
}

/// What the commands change that ask one thing and end.
fn one_thing(plan: &mut UpstreamPlan) {
    let ever = seconds(24 * 3600);
    plan.watched = false;
    (plan.deadlines.call, plan.deadlines.call_max) = (ever, ever);
    (plan.deadlines.grace, plan.deadlines.starting) = (ever, ever);
}

/// The same with something changed in what is planned for each of them.
async fn starts_with(
    course: Course,
    beside: bool,
    change: fn(&mut UpstreamPlan),
) -> (Running, MemorySpawn, Instant) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    if beside {
        drop(stand.add("a", Over::Http, Persona::modern().tools(&["t"])).await);
    }
    drop(stand.add("up", Over::Stdio, Persona::legacy()).await);
    stand.plan.upstreams.iter_mut().for_each(change);
    let begun = Instant::now();
    stand.spawn.program("up", move |stdio: Stdio| program(stdio, begun, course));
    let spawn = stand.spawn.clone();
    (stand.start().await, spawn, begun)
}

async fn health(running: &Running) -> String {
    testkit::idle().await;
    format!("{:?}", running.gateway.health().last().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_program_that_writes_to_stderr_while_it_starts_is_given_more_time() {
    let course = Course { writes: seconds(60), answers: Some(seconds(60)) };
    let (running, spawn, begun) = starts(course, true).await;
    let listen = r#""notifications":{"toolsListChanged":true}"#;
    let mut stream = ask::modern(&running.client, "subscriptions/listen", listen).await;
    stream.event().await.unwrap();
    // A call waits no longer than the program may be silent, and from then on not at all.
    let text = call(&running, "up__t").await.unwrap();
    assert_eq!(reason(&text), Some("upstream_starting"), "{text}");
    assert_eq!(begun.elapsed(), seconds(30));
    sleep_until(begun + seconds(40)).await;
    let text = call(&running, "up__t").await.unwrap();
    assert!(text.contains("has been starting for 40s") && text.contains("timeouts.connect"), "{text}");
    assert_eq!(json::at(&text, &["error", "data", "notProcessed"]), Some("true"));
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    let degraded = json::at(&list, &["result", "_meta", "dev.portolan/degraded"]).unwrap_or_default();
    assert!(list.contains("\"a__t\"") && degraded.contains("has been starting for 40s"), "{list}");
    assert!(begun.elapsed() <= seconds(40) + AT_ONCE, "{:?}", begun.elapsed());
    assert!(health(&running).await.contains("still starting"));
    while !stream.event().await.unwrap().contains("tools/list_changed") {}
    assert!(begun.elapsed() >= seconds(60));
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    assert!(list.contains("\"up__t\"") && !list.contains("degraded"), "{list}");
    assert!(call(&running, "up__t").await.unwrap().contains("content"));
    assert!(matches!(running.gateway.health()[1].1, Health::Up { .. }));
    assert!(!spawn.log().iter().any(|event| matches!(event, Event::Terminated(1) | Event::Killed(1))));
    assert_eq!(spawn.live(), 1, "{:?}", spawn.log());
}

/// As the commands do that ask one thing and end: nobody stays to whom it could be told later that the program is there.
#[tokio::test(start_paused = true)]
async fn who_asks_one_thing_and_ends_waits_for_a_program_that_takes_long_to_start() {
    for beside in [true, false] {
        let (tool, server) = if beside { ("up__t", "\"a__t\"") } else { ("t", "\"t\"") };
        for method in ["tools/list", "server/discover", "tools/call"] {
            let course = Course { writes: seconds(60), answers: Some(seconds(60)) };
            let (running, spawn, begun) = starts_with(course, beside, one_thing).await;
            let text = match method {
                "tools/call" => call(&running, tool).await.unwrap(),
                _ => ask::modern(&running.client, method, "").await.response().await,
            };
            assert_eq!(begun.elapsed(), seconds(60), "{method} {text}");
            assert!(text.contains("\"result\"") && !text.contains("degraded"), "{method} {text}");
            assert!(method != "tools/list" || text.contains(tool) && text.contains(server), "{text}");
            assert!(
                !spawn.log().iter().any(|event| matches!(event, Event::Terminated(1) | Event::Killed(1)))
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_one_thing_and_ends_hears_when_a_program_is_given_up() {
    for (writes, given_up, why) in
        [(20, 50, "it said nothing within 30s (timeouts.connect)"), (3600, 300, "not started within 300s")]
    {
        let course = Course { writes: seconds(writes), answers: None };
        let (running, _spawn, begun) = starts_with(course, false, one_thing).await;
        let text = call(&running, "t").await.unwrap();
        assert_eq!(
            (reason(&text), begun.elapsed()),
            (Some("upstream_unreachable"), seconds(given_up)),
            "{text}"
        );
        assert!(health(&running).await.contains(why), "{}", health(&running).await);
    }
}

/// There is nothing else to show, and so it is an error that says why.
#[tokio::test(start_paused = true)]
async fn a_lone_program_that_takes_long_to_start_is_said_to_be_starting() {
    let course = Course { writes: seconds(60), answers: Some(seconds(60)) };
    let (running, _spawn, begun) = starts(course, false).await;
    sleep_until(begun + seconds(40)).await;
    for method in ["tools/list", "server/discover"] {
        let text = ask::modern(&running.client, method, "").await.response().await;
        assert_eq!(reason(&text), Some("upstream_starting"), "{method} {text}");
    }
    assert_eq!(reason(&call(&running, "t").await.unwrap()), Some("upstream_starting"));
    assert!(begun.elapsed() <= seconds(40) + AT_ONCE, "{:?}", begun.elapsed());
    sleep_until(begun + seconds(61)).await;
    for method in ["tools/list", "server/discover"] {
        let text = ask::modern(&running.client, method, "").await.response().await;
        assert!(text.contains("result"), "{method} {text}");
    }
    assert!(call(&running, "t").await.unwrap().contains("content"));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_silent_for_too_long_is_given_up() {
    for (writes, given_up) in [(0, 30), (20, 50), (60, 90)] {
        let course = Course { writes: seconds(writes), answers: None };
        let (running, spawn, begun) = starts(course, false).await;
        sleep_until(begun + seconds(given_up) - Duration::from_millis(1)).await;
        assert!(!spawn.log().iter().any(|event| matches!(event, Event::Terminated(_))), "{writes}");
        sleep_until(begun + seconds(given_up)).await;
        let health = health(&running).await;
        assert!(health.contains("it said nothing within 30s (timeouts.connect)"), "{writes} {health}");
        sleep_until(begun + seconds(given_up + 20)).await;
        assert!(spawn.log().contains(&Event::Terminated(1)), "{writes} {:?}", spawn.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_only_ever_writes_to_stderr_is_given_up_after_five_minutes() {
    let (running, spawn, begun) = starts(Course { writes: seconds(3600), answers: None }, false).await;
    sleep_until(begun + seconds(299)).await;
    assert!(!spawn.log().iter().any(|event| matches!(event, Event::Terminated(_))));
    sleep_until(begun + seconds(300)).await;
    let health = health(&running).await;
    assert!(health.contains("not started within 300s") && health.contains("timeouts.connect"), "{health}");
}

/// Programs of which each answers after so long, in a gateway that may start two at a time.
async fn two_at_a_time(courses: &[(&str, Course)]) -> (Running, MemorySpawn, Instant) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.starts = StartPlaces::new(2);
    for (name, course) in courses {
        drop(stand.add(name, Over::Stdio, Persona::legacy()).await);
        let course = *course;
        stand.spawn.program(name, move |stdio: Stdio| program(stdio, Instant::now(), course));
    }
    let (spawn, begun) = (stand.spawn.clone(), Instant::now());
    (stand.start().await, spawn, begun)
}

#[tokio::test(start_paused = true)]
async fn programs_are_started_a_few_at_a_time_and_their_time_begins_when_they_are() {
    let slow = Course { writes: seconds(0), answers: Some(seconds(4)) };
    let (running, spawn, begun) = two_at_a_time(&[("a", slow), ("b", slow), ("c", slow), ("d", slow)]).await;
    sleep_until(begun + seconds(3)).await;
    assert_eq!(spawn.started(), 2);
    let list = ask::modern(&running.client, "tools/list", "").await.response().await;
    let degraded = json::at(&list, &["result", "_meta", "dev.portolan/degraded"]).unwrap_or_default();
    assert!(degraded.contains("upstream \\\"c\\\" waits to be started"), "{list}");
    sleep_until(begun + seconds(5)).await;
    assert_eq!(spawn.started(), 4);
    sleep_until(begun + seconds(9)).await;
    testkit::idle().await;
    let health = running.gateway.health();
    assert!(health.iter().all(|(_, health)| matches!(health, Health::Up { .. })), "{health:?}");
    assert_eq!(spawn.live(), 4, "{:?}", spawn.log());
}

/// It is given up as late as if it had been the first.
#[tokio::test(start_paused = true)]
async fn programs_that_hang_hold_up_the_others_for_a_moment_only() {
    let (hangs, well) = (
        Course { writes: seconds(0), answers: None },
        Course { writes: seconds(0), answers: Some(seconds(1)) },
    );
    let (running, _spawn, begun) =
        two_at_a_time(&[("a", hangs), ("b", hangs), ("c", hangs), ("d", well)]).await;
    sleep_until(begun + seconds(12)).await;
    testkit::idle().await;
    assert!(matches!(running.gateway.health()[3].1, Health::Up { .. }), "{:?}", running.gateway.health());
    sleep_until(begun + seconds(39)).await;
    testkit::idle().await;
    assert!(matches!(running.gateway.health()[2].1, Health::Unknown), "{:?}", running.gateway.health());
}

/// A program that ends after so long if it is started at the very first, and otherwise goes on: perhaps something else was not up yet.
async fn ends_at_first(stdio: Stdio, first: Instant, lives: Duration) -> i32 {
    let begun = Instant::now();
    let well = program(stdio, begun, Course { writes: seconds(0), answers: Some(seconds(0)) });
    if begun >= first + AT_ONCE {
        return well.await;
    }
    tokio::select! {
        biased;
        () = sleep_until(begun + lives) => 1,
        code = well => code,
    }
}

/// A gateway that may start two at a time, with one program that ends after so long and others that hang.
async fn one_ends_and_others_hang(
    lives: Duration,
    hang: &[&str],
    change: fn(&mut UpstreamPlan),
) -> (Running, Instant) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    stand.starts = StartPlaces::new(2);
    for name in [&["a"], hang].concat() {
        drop(stand.add(name, Over::Stdio, Persona::legacy()).await);
        let course = Course { writes: seconds(0), answers: None };
        stand.spawn.program(name, move |stdio: Stdio| program(stdio, Instant::now(), course));
    }
    let begun = Instant::now();
    stand.spawn.program("a", move |stdio: Stdio| ends_at_first(stdio, begun, lives));
    change(stand.upstream("a"));
    (stand.start().await, begun)
}

async fn first_health(running: &Running) -> String {
    testkit::idle().await;
    format!("{:?}", running.gateway.health()[0].1)
}

#[tokio::test(start_paused = true)]
async fn a_program_that_waits_for_its_turn_loses_no_time_when_it_is_asked_how_it_is() {
    let short = |plan: &mut UpstreamPlan| plan.deadlines.connect = seconds(5);
    let (running, begun) = one_ends_and_others_hang(Duration::ZERO, &["b", "c", "d", "e", "f"], short).await;
    sleep_until(begun + seconds(9)).await;
    let health = first_health(&running).await;
    assert!(health.contains("the process ended") && !health.contains("no answer within"), "{health}");
    sleep_until(begun + seconds(31)).await;
    let health = first_health(&running).await;
    assert!(health.contains("Up"), "{health}");
}

/// Clients miss what they had, and it is known to start.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_up_is_started_before_those_that_never_were() {
    let (running, begun) =
        one_ends_and_others_hang(seconds(5), &["b", "c", "d", "e", "f", "g"], |_| {}).await;
    sleep_until(begun + seconds(3)).await;
    assert!(first_health(&running).await.contains("Up"));
    sleep_until(begun + seconds(7)).await;
    let health = first_health(&running).await;
    assert!(health.contains("the process ended"), "{health}");
    sleep_until(begun + seconds(12)).await;
    let health = first_health(&running).await;
    assert!(health.contains("Up"), "{health}");
}
