//! How much callers may take.

use std::time::Duration;

use base::globs::Globs;
use base::plan::RoutePlan;
use base::plan::limit::{LimitPlan, LimitingPlan, LoopAction, LoopPlan, Per, Rate};

use super::route::entries;
use super::{HOUR, KIB, Lowering, MANY, SECOND};
use crate::file::{self, Config};
use crate::findings::quoted;
use crate::node::At;
use crate::read::Entry;
use crate::value::{Count, Frequency};

/// The least that is worth counting, and the most that can come.
const BYTES: std::ops::RangeInclusive<usize> = KIB..=1 << 44;

impl Lowering<'_, '_> {
    pub(super) fn limiting(&mut self, config: &Config, routes: &[RoutePlan]) -> LimitingPlan {
        let mut limits = Vec::new();
        for Entry { name, value } in config.limit.iter().flat_map(|given| &given.value.0) {
            self.name("a limit", name);
            if name.value == "loops" || name.value.starts_with("policy ") {
                let text = format!("{:?} is what refusals call something else", name.value);
                self.findings.error(name.span, text).help("call the limit something else");
            }
            let Some(At { value: given, .. }) = value else { continue };
            limits.extend(self.limit(name, given, config, routes));
        }
        LimitingPlan { limits, loops: config.loops.as_ref().map(|given| self.loops(&given.value)) }
    }

    fn limit(
        &mut self,
        name: &At<String>,
        given: &file::Limit,
        config: &Config,
        routes: &[RoutePlan],
    ) -> Option<LimitPlan> {
        let says =
            [given.written.key("rate"), given.written.key("concurrent"), given.written.key("result_bytes")];
        if says.iter().all(Option::is_none) && !given.written.strange {
            let finding = self.findings.error(name.span, format!("limit {:?} limits nothing", name.value));
            finding.help("write rate = \"60/min\", concurrent = 4 or result_bytes = \"100MB/h\"");
        }
        let rate = given.rate.as_ref().and_then(|rate| self.rate(rate, given.burst.as_ref()));
        if let Some(burst) = given.burst.as_ref().filter(|_| given.written.key("rate").is_none()) {
            let finding = self.findings.error(burst.span, "burst belongs to a rate, and there is none");
            finding.help("write rate = \"60/min\", or concurrent for how many may be under way at once");
        }
        let per = self.per(given.per.as_ref());
        let is_of_people = |per: &Per| matches!(per, Per::Principal | Per::Client);
        let concerned = self.globs(given.routes.as_ref());
        let is_concerned =
            |route: &&RoutePlan| concerned.as_ref().is_none_or(|globs| globs.is_match(&route.name));
        let mut asked = routes.iter().filter(is_concerned);
        if let Some(given) = given.per.as_ref().filter(|_| per.iter().any(is_of_people))
            && !routes.is_empty()
            && asked.all(|route| route.resource.is_none())
        {
            let text =
                format!("no route that limit {:?} concerns asks who calls: all callers are one", name.value);
            self.findings
                .warning(given.span, text)
                .help("give a route a public_url and issuers, or count per = [\"tool\"]");
        }
        let names: Vec<String> = routes.iter().map(|route| route.name.clone()).collect();
        self.globs_match("route", given.routes.as_ref(), concerned.as_ref(), &names);
        let servers = self.globs(given.servers.as_ref());
        let names: Vec<String> =
            entries(config.upstream.as_ref()).into_iter().map(|name| name.value.clone()).collect();
        self.globs_match("upstream", given.servers.as_ref(), servers.as_ref(), &names);
        let tools = self.globs(given.tools.as_ref());
        self.globs_match("tool", given.tools.as_ref(), None, &[]);
        Some(LimitPlan {
            name: name.value.clone(),
            per,
            routes: concerned,
            servers,
            tools,
            rate,
            concurrent: given.concurrent.as_ref().and_then(|most| self.bounded(most, 1..=MANY)),
            result_bytes: given.result_bytes.as_ref().and_then(|bytes| self.bounded(bytes, BYTES)),
        })
    }

    fn rate(&mut self, given: &At<Frequency>, burst: Option<&At<Count>>) -> Option<Rate> {
        let rate = given.value.0;
        let Some(burst) = burst else { return Some(rate) };
        let burst = u32::try_from(self.bounded(burst, 1..=MANY)?).unwrap_or(u32::MAX);
        Some(Rate { burst, ..rate })
    }

    fn per(&mut self, given: Option<&At<Vec<At<file::Per>>>>) -> Vec<Per> {
        let mut all = Vec::new();
        for At { value, span } in given.iter().flat_map(|given| &given.value) {
            let per = match value {
                file::Per::Principal => Per::Principal,
                file::Per::Client => Per::Client,
                file::Per::Server => Per::Server,
                file::Per::Tool => Per::Tool,
                file::Per::Route => Per::Route,
            };
            if all.contains(&per) {
                self.findings.error(*span, "this stands here twice");
            } else {
                all.push(per);
            }
        }
        all
    }

    /// Says which globs are for nothing.
    fn globs_match(
        &mut self,
        of: &str,
        given: Option<&At<file::Texts>>,
        globs: Option<&Globs>,
        names: &[String],
    ) {
        let Some(given) = given else { return };
        if given.value.is_empty() {
            let finding = self.findings.error(given.span, format!("without a {of} nothing would be counted"));
            finding.help("leave it out for all");
        }
        let idle: Vec<&str> = globs.into_iter().flat_map(|globs| globs.idle(names, &[])).collect();
        for glob in given.value.iter().filter(|glob| idle.contains(&glob.value.as_str())) {
            let finding = self.findings.warning(glob.span, format!("no {of} is called {:?}", glob.value));
            finding.help(format!("there is {}", quoted(names.iter().map(String::as_str), "and")));
        }
    }

    fn loops(&mut self, given: &file::Loops) -> LoopPlan {
        let (mut calls, mut within) = (10, Duration::from_secs(60));
        self.set(&mut calls, given.calls.as_ref(), 1..=10_000);
        self.set(&mut within, given.within.as_ref(), SECOND..=HOUR);
        let action = match given.action.as_ref().map(|given| given.value) {
            None | Some(file::LoopAction::Refuse) => LoopAction::Refuse,
            Some(file::LoopAction::Slow) => LoopAction::Slow,
        };
        LoopPlan { calls: u32::try_from(calls).unwrap_or(u32::MAX), within, action }
    }
}
