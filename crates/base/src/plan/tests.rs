use globset::Glob;
use mcp::version::Era;
use transport::http::client::Proxy;

use super::*;
use crate::masks::Secrets;

fn globs(pattern: &str) -> Option<Globs> {
    Some(Globs::new(vec![Glob::new(pattern).unwrap()]).unwrap())
}

fn over_http() -> UpstreamPlan {
    let secret = (HeaderName::from_static("authorization"), HeaderValue::from_static("Bearer one"));
    let proxy = Proxy::read("http://me:one@proxy.example:3128").unwrap();
    let reach = HttpReach {
        destination: Destination::new("https://mcp.example/one".parse().unwrap()).unwrap(),
        headers: vec![secret],
        forward_headers: Vec::new(),
        transport: TransportRule::Detect,
        client: ClientSettings { proxy: Some(proxy), ..ClientSettings::default() },
    };
    UpstreamPlan::new("one", Reach::Http(reach))
}

fn over_stdio() -> UpstreamPlan {
    let child = ChildSpec {
        program: "server".to_owned(),
        args: vec!["--token=one".to_owned()],
        env: BTreeMap::from([("TOKEN".to_owned(), "one".to_owned())]),
        directory: None,
    };
    let grace = Duration::from_secs(2);
    UpstreamPlan::new(
        "one",
        Reach::Stdio(StdioReach { child, idle_after: None, grace, withheld: Default::default() }),
    )
}

type Change<P> = fn(&mut P);

/// That each change alone makes another plan.
fn are_seen<P: Clone>(changes: &[Change<P>], to: impl Fn(Change<P>) -> (UpstreamPlan, UpstreamPlan)) {
    for (number, change) in changes.iter().enumerate() {
        let (before, after) = to(*change);
        assert_eq!(before, before.clone());
        assert_ne!(before, after, "change {number}");
    }
}

#[test]
fn whatever_is_changed_about_a_server_is_seen() {
    let changes: &[Change<UpstreamPlan>] = &[
        |plan| plan.name.push('2'),
        |plan| plan.reach = over_stdio().reach,
        |plan| plan.era = EraRule::Is(Era::Legacy),
        |plan| plan.prefix.clear(),
        |plan| plan.tools.include = globs("a*"),
        |plan| plan.tools.exclude = globs("a*"),
        |plan| drop(plan.tools.rename.insert("a".to_owned(), "b".to_owned())),
        |plan| drop(plan.tools.describe.insert("a".to_owned(), "b".to_owned())),
        |plan| plan.prompts.include = globs("a*"),
        |plan| plan.resources.exclude = globs("a*"),
        |plan| plan.deadlines.input += Duration::from_secs(1),
        |plan| plan.concurrent_calls += 1,
        |plan| plan.queued_calls += 1,
        |plan| plan.message_bytes += 1,
        |plan| plan.json_depth += 1,
        |plan| plan.list_ttl = Some(Duration::from_secs(1)),
        |plan| plan.schema = Some(SchemaRule::Drop),
        |plan| plan.sessions = SessionRule::PerClient,
        |plan| plan.processes += 1,
        |plan| plan.breaker.failures += 1,
        |plan| plan.retries += 1,
        |plan| plan.retry_tools = globs("a*"),
        |plan| plan.health_check = Some(Duration::from_secs(1)),
        |plan| plan.watched = false,
        |plan| plan.single = true,
    ];
    are_seen(changes, |change| {
        let mut plan = over_http();
        change(&mut plan);
        (over_http(), plan)
    });
}

/// None of this is ever shown.
#[test]
fn a_changed_secret_is_seen() {
    let over_http_changes: &[Change<HttpReach>] = &[
        |reach| reach.destination = Destination::new("https://mcp.example/two".parse().unwrap()).unwrap(),
        |reach| reach.headers[0].1 = HeaderValue::from_static("Bearer two"),
        |reach| reach.forward_headers.push(HeaderName::from_static("x-user")),
        |reach| reach.transport = TransportRule::Sse,
        |reach| reach.client.proxy = Some(Proxy::read("http://me:two@proxy.example:3128").unwrap()),
        |reach| reach.client.connect_timeout += Duration::from_secs(1),
        |reach| reach.client.authorities = Some("two.pem".into()),
    ];
    are_seen(over_http_changes, |change| {
        let mut plan = over_http();
        let Reach::Http(reach) = &mut plan.reach else { panic!("over HTTP") };
        change(reach);
        (over_http(), plan)
    });
    let over_stdio_changes: &[Change<StdioReach>] = &[
        |reach| reach.child.program.push('2'),
        |reach| reach.child.args[0] = "--token=two".to_owned(),
        |reach| drop(reach.child.env.insert("TOKEN".to_owned(), "two".to_owned())),
        |reach| reach.child.directory = Some("two".into()),
        |reach| reach.idle_after = Some(Duration::from_secs(1)),
        |reach| reach.grace += Duration::from_secs(1),
    ];
    are_seen(over_stdio_changes, |change| {
        let mut plan = over_stdio();
        let Reach::Stdio(reach) = &mut plan.reach else { panic!("over stdio") };
        change(reach);
        (over_stdio(), plan)
    });
}

/// The masks are those of the whole configuration.
#[test]
fn another_servers_secret_is_no_change_of_this_one() {
    let mut secrets = Secrets::default();
    secrets.add("another secret", "${env:OTHER}");
    assert_eq!(over_http(), UpstreamPlan { masks: secrets.masks(), ..over_http() });
}

#[test]
fn globs_are_the_same_whether_or_not_they_were_used() {
    let with = || UpstreamPlan { retry_tools: globs("{read,list}_[a-z]?*"), ..over_http() };
    let used = with();
    assert!(used.retry_tools.as_ref().unwrap().is_match("read_all"));
    assert_eq!(used, with());
    assert_ne!(used, UpstreamPlan { retry_tools: globs("{read,list}_[a-z]*"), ..over_http() });
}
