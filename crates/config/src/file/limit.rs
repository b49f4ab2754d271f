//! Flat table: how much callers may take.

use super::Texts;
use crate::node::At;
use crate::read::{choice, table};
use crate::value::{Count, Frequency, Hourly, Lasting};

table! {
    /// How much callers may take. It has at least one of `rate`, `concurrent` and `result_bytes`. A call has to be within each limit
    /// that concerns it.
    #[schemars(extend("anyOf" = [{ "required": ["rate"] }, { "required": ["concurrent"] }, { "required": ["result_bytes"] }]))]
    Limit {
        /// By what it is counted, each by itself. Without any, all calls together.
        per: Vec<At<Per>>,
        /// Globs of names of routes. Only calls on these are counted.
        routes: Texts,
        /// Globs of names of servers, as their tables are called. Only calls that go to these are counted.
        servers: Texts,
        /// Globs of the servers' own names of tools. Only calls of these are counted.
        tools: Texts,
        /// How many calls in a second, a minute or an hour: `"10/s"`, `"60/min"`, `"500/h"`.
        rate: Frequency,
        /// How many calls of the rate may come at once after a pause. Without it, as many as `rate` says, for its whole time.
        burst: Count,
        /// How many calls may be under way at once. One that a modern client was asked something in is not, until that comes back.
        concurrent: Count,
        /// How many bytes of results in an hour: `"100MB/h"`. They are counted when they have come, and then it is the next call that is
        /// refused.
        result_bytes: Hourly,
    }
}

choice! {
    /// By what calls are counted.
    Per {
        /// Who calls. On a route that asks nobody who it is, all callers are one.
        "principal" => Principal,
        /// The client that acts, as its token says (`claims.client` of an issuer). Callers whose token names none are one.
        "client" => Client,
        /// The server.
        "server" => Server,
        /// The tool, of one server. Then only calls of tools are counted.
        "tool" => Tool,
        /// The route.
        "route" => Route,
    }
}

table! {
    /// When calls are taken for a loop: of the same tool with the same arguments, by one client. That is a legacy session, and else all
    /// modern clients of one principal.
    Loops {
        /// So many are no loop.
        calls: Count = 10,
        /// In this time.
        within: Lasting = "1m",
        /// What becomes of more.
        action: LoopAction = "refuse",
    }
}

choice! {
    /// What becomes of calls that are taken for a loop.
    LoopAction {
        /// They are refused, until so much time has passed as the calls before may take.
        "refuse" => Refuse,
        /// Each waits until so much time has passed, up to half a minute. More are refused.
        "slow" => Slow,
    }
}
