//! What a decision costs, by the number of policies and by what they look at: `cargo bench -p policy --bench decisions`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must end")]

use std::hint::black_box;
use std::sync::Arc;

use auth::definition::{Definition, Sort};
use auth::{Action, Claims, Decide as _, Known, Principal};
use base::clock::SystemClock;
use base::define::define;
use base::plan::policy::{PolicyPlan, PolicySource, ServerFacts};
use divan::Bencher;
use policy::{Ground, Policies, RoutePolicies};

const ARGUMENTS: &str = r#"{"path":"/srv/data/report.txt","amount":42,"to":["a@example.com"],"dry":true,"text":"twenty words or so that no policy looks at, as most arguments are"}"#;
const SERVERS: usize = 10;

fn main() {
    divan::main();
}

/// So many policies, as companies have them: by group, server, tag and annotation. Those that read arguments look at four.
fn texts(policies: usize, reading: usize) -> String {
    let mut text = String::new();
    for number in 0..policies - reading {
        let (server, group) = (number % SERVERS, number % 7);
        text += &match number % 4 {
            0 => format!(
                "permit (principal in Mcp::Group::\"company/g{group}\", action in Mcp::Action::\"use\", resource in Mcp::Server::\"s{server}\");\n"
            ),
            1 => format!(
                "forbid (principal, action == Mcp::Action::\"call\", resource in Mcp::Server::\"s{server}\") when {{ resource.destructive && !(principal in Mcp::Group::\"company/g{group}\") }};\n"
            ),
            2 => format!(
                "permit (principal, action == Mcp::Action::\"call\", resource == Mcp::Tool::\"s{server}/t{number}\") when {{ context.scopes.contains(\"s{group}\") }};\n"
            ),
            _ => format!(
                "forbid (principal in Mcp::Group::\"company/x{group}\", action, resource in Mcp::Tag::\"danger{server}\");\n"
            ),
        };
    }
    for _ in 0..reading {
        text += r#"forbid (principal, action == Mcp::Action::"call", resource in Mcp::Server::"s0") unless {
            context.arguments.hasTag("/path") && context.arguments.getTag("/path") has clean && context.arguments.getTag("/path").clean
            && context.arguments.hasTag("/amount") && context.arguments.getTag("/amount") has integer && context.arguments.getTag("/amount").integer <= 100
            && context.arguments.hasTag("/to") && context.arguments.getTag("/to") has size && context.arguments.getTag("/to").size < 5
            && context.arguments.hasTag("/dry") && context.arguments.getTag("/dry") has flag };
        "#;
    }
    text
}

struct Stand {
    route: RoutePolicies,
    principal: Principal,
    claims: Arc<Claims>,
    server: Arc<str>,
    definition: Arc<Definition>,
}

impl Stand {
    fn new(policies: usize, reading: usize) -> Self {
        let text = texts(policies, reading);
        let sources = vec![PolicySource { name: "bench.cedar".to_owned(), text: text.into() }];
        let plan = PolicyPlan { sources, enforce: true, explain: false };
        let of = |number: usize| ServerFacts {
            name: format!("s{number}"),
            trusted: true,
            ..ServerFacts::default()
        };
        let servers: Vec<_> = (0..SERVERS).map(of).collect();
        let issuers = [("https://id.example".to_owned(), "company".to_owned())];
        let ground = Ground { route: "main", servers: &servers, issuers: &issuers };
        let policies = Policies::new(&plan, ground, Arc::new(SystemClock)).unwrap();
        let issuer = "https://id.example".to_owned();
        let principal = Principal::of(&issuer, "ann", None);
        let groups = ["g0", "g1", "g4", "staff"].map(str::to_owned).to_vec();
        let claims = Claims { issuer, subject: "ann".to_owned(), groups, ..Claims::default() };
        let entry = r#"{"name":"t0","annotations":{"destructiveHint":false},"inputSchema":{"type":"object","properties":{"path":{"type":"string"},"amount":{"type":"integer"},"to":{"type":"array","items":{"type":"string"}},"dry":{"type":"boolean"}}}}"#;
        let route = RoutePolicies(Arc::new(policies));
        Self {
            route,
            principal,
            claims: claims.into(),
            server: "s0".into(),
            definition: define(entry).into(),
        }
    }

    fn call(&self) -> bool {
        let known = Known {
            claims: Some(&self.claims),
            sort: Some(Sort::Tool),
            definition: Some(&self.definition),
            arguments: Some(ARGUMENTS),
            ..Known::default()
        };
        let action = Action { method: "tools/call", upstream: &self.server, name: Some("t0"), known };
        self.route.decide(&self.principal, &action).is_ok()
    }
}

/// A call that was decided before.
#[divan::bench(args = [50, 500])]
fn a_call(bencher: Bencher<'_, '_>, policies: usize) {
    let stand = Stand::new(policies, 0);
    assert!(stand.call());
    bencher.bench_local(|| black_box(stand.call()));
}

/// A call whose arguments three of the policies read.
#[divan::bench(args = [50, 500])]
fn a_call_that_is_read(bencher: Bencher<'_, '_>, policies: usize) {
    let stand = Stand::new(policies, 3);
    assert!(stand.call());
    bencher.bench_local(|| black_box(stand.call()));
}

/// 10,000 tools of ten servers as somebody sees them: for the first time, and again.
#[divan::bench(args = [(50, true), (50, false), (500, true)], sample_count = 20)]
fn ten_thousand_tools(bencher: Bencher<'_, '_>, (policies, is_first): (usize, bool)) {
    let names: Vec<_> =
        (0..10_000).map(|number| (format!("s{}", number % SERVERS).into(), format!("t{number}"))).collect();
    let hints =
        [r#","annotations":{"readOnlyHint":true}"#, r#","annotations":{"destructiveHint":false}"#, ""];
    let definitions = hints.map(|hints| Arc::new(define(&format!(r#"{{"name":"t"{hints}}}"#))));
    let look = |stand: &Stand| {
        let view = stand.route.view(&stand.principal, Some(&stand.claims)).unwrap();
        let shows = |(number, (server, name)): (usize, &(Arc<str>, String))| {
            let known =
                Known { sort: Some(Sort::Tool), definition: definitions.get(number % 3), ..Known::default() };
            view.shows(&Action { method: Sort::Tool.method(), upstream: server, name: Some(name), known })
        };
        names.iter().enumerate().filter(|each| shows(*each)).count()
    };
    if is_first {
        bencher.with_inputs(|| Stand::new(policies, 0)).bench_local_values(|stand| black_box(look(&stand)));
    } else {
        let stand = Stand::new(policies, 0);
        assert!(look(&stand) > 0);
        bencher.bench_local(|| black_box(look(&stand)));
    }
}

/// Reading and checking them.
#[divan::bench(args = [50, 500], sample_count = 10)]
fn loading(bencher: Bencher<'_, '_>, policies: usize) {
    bencher.bench_local(|| black_box(Stand::new(policies, 3)));
}
