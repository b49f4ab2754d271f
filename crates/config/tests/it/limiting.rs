//! How much callers may take.

use std::time::Duration;

use base::plan::limit::{LoopAction, LoopPlan, Per, Rate};
use insta::assert_snapshot;

use crate::{check, usable};

const SERVER: &str = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n";

#[test]
fn limits_are_read() {
    let plan = usable(&format!(
        "{SERVER}
[limit.\"each tool\"]
per = [\"tool\", \"route\"]
rate = \"60/min\"
burst = 20
[limit.heavy]
servers = [\"a*\"]
tools = [\"export_*\"]
routes = [\"main\"]
concurrent = 4
result_bytes = \"100 MB/h\"
[limit.slow]
rate = \"5 / h\"
[loops]
calls = 5
within = \"30s\"
action = \"slow\"
"
    ));
    let [each, heavy, slow] = plan.limiting.limits.as_slice() else { panic!("{:?}", plan.limiting) };
    assert_eq!((each.name.as_str(), each.per.as_slice()), ("each tool", &[Per::Tool, Per::Route][..]));
    assert_eq!(each.rate, Some(Rate { times: 60, within: Duration::from_secs(60), burst: 20 }));
    assert!(each.needs_target() && each.is_of_tools());
    assert_eq!((heavy.concurrent, heavy.result_bytes), (Some(4), Some(100_000_000)));
    assert!(heavy.tools.as_ref().is_some_and(|globs| globs.is_match("export_all")));
    assert_eq!(slow.rate, Some(Rate { times: 5, within: Duration::from_secs(3600), burst: 5 }));
    assert!(!slow.needs_target());
    let loops = LoopPlan { calls: 5, within: Duration::from_secs(30), action: LoopAction::Slow };
    assert_eq!(plan.limiting.loops, Some(loops));
}

#[test]
fn without_any_nothing_is_counted_and_loops_have_defaults() {
    assert!(usable(SERVER).limiting.is_empty());
    let plan = usable(&format!("{SERVER}[loops]\n"));
    let loops = LoopPlan { calls: 10, within: Duration::from_secs(60), action: LoopAction::Refuse };
    assert_eq!(plan.limiting.loops, Some(loops));
}

#[test]
fn mistakes_say_what_to_do() {
    assert_snapshot!(check(&format!(
        "{SERVER}
[limit.nothing]
per = [\"principal\", \"user\"]
[limit.bursts]
burst = 5
concurrent = 0
[limit.rates]
rate = \"60\"
[limit.often]
rate = \"0/s\"
[limit.number]
rate = 60
[limit.bytes]
result_bytes = \"100MB\"
[limit.few]
result_bytes = \"1B/h\"
[limit.globs]
rate = \"1/s\"
servers = [\"b\"]
routes = []
tools = [\"[\"]
per = [\"tool\", \"tool\"]
[limits]
rate = \"1/s\"
[loops]
calls = 0
action = \"stop\"
"
    )));
}

#[test]
fn who_counts_by_callers_that_nobody_knows_is_told() {
    assert_snapshot!(check(&format!("{SERVER}[limit.each]\nper = [\"principal\"]\nrate = \"1/s\"\n")));
}

/// A refusal names what refuses, and must not name two things by one name.
#[test]
fn names_that_refusals_have_for_something_else_are_refused() {
    for name in ["loops", "\"policy trial\""] {
        let text = check(&format!("{SERVER}[limit.{name}]\nconcurrent = 1\n"));
        assert!(text.contains("is what refusals call something else"), "{text}");
    }
    usable(&format!("{SERVER}[limit.loop]\nconcurrent = 1\n"));
}
