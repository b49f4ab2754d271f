//! How long a server may take, in the unit of whoever wrote the file.

use std::time::Duration;

use super::client::Unit;
use super::server::Server;
use crate::file::Timeouts;
use crate::node::{At, Node, Span, Value};
use crate::value::Lasting;

/// No client waits for hours, and none says its milliseconds in less.
const MILLISECONDS_FROM: f64 = 10_000.0;
/// Less is no time in which a server could answer: seconds were meant, or nothing.
const SHORTEST: Duration = Duration::from_millis(100);
/// What the plan takes at most for a connection or a list, and for a call.
const LONGEST: Duration = Duration::from_secs(3600);
const LONGEST_CALL: Duration = Duration::from_secs(30 * 24 * 3600);
/// The default for a start. A client that waits for less has its servers' packages at hand.
const START: Duration = Duration::from_secs(30);

/// What may take so long.
#[derive(Clone, Copy)]
enum What {
    Start,
    Call,
    List,
}

impl Server<'_, '_, '_> {
    /// Reads a member that says how long something may take; whether it is one.
    pub(super) fn time(&mut self, key: &str, node: &Node) -> bool {
        let unit = self.client.unit;
        let (what, unit) = match key {
            "timeout" if unit == Unit::ListMilliseconds => (What::List, Unit::Milliseconds),
            "timeout" => (What::Call, unit),
            "tool_timeout_sec" => (What::Call, Unit::Seconds),
            "requestTimeoutMs" | "toolTimeoutMs" => (What::Call, Unit::Milliseconds),
            "startup_timeout_sec" => (What::Start, Unit::Seconds),
            "startup_timeout_ms" | "connectionTimeout" => (What::Start, Unit::Milliseconds),
            "initTimeout" => (What::Start, unit),
            _ => return false,
        };
        let number = match node.value {
            // What is lost of a whole number that large is lost on nobody.
            #[expect(clippy::cast_precision_loss, reason = "a time of more than 2^53 is cut anyway")]
            Value::Whole(number) => number as f64,
            Value::Fraction(number) => number,
            _ => {
                self.wrong_kind(node, "a number");
                return true;
            }
        };
        if !(0.0..).contains(&number) {
            self.findings.error(node.span, "expected a number that is not negative");
            return true;
        }
        self.set_time(what, number, unit, node.span);
        true
    }

    fn set_time(&mut self, what: What, number: f64, unit: Unit, span: Span) {
        let is_ms = match unit {
            Unit::Milliseconds | Unit::ListMilliseconds => true,
            Unit::Seconds => false,
            Unit::ByItsSize => {
                if (1_000.0..MILLISECONDS_FROM).contains(&number) {
                    let message = format!("{number} is taken for seconds, as Cline and Roo do");
                    self.findings
                        .warning(span, message)
                        .help("from 10000 on, and in a file of Claude or Gemini, it counts milliseconds");
                }
                number >= MILLISECONDS_FROM
            }
        };
        let seconds = if is_ms { number / 1000.0 } else { number };
        let time = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_CALL);
        if time < SHORTEST {
            let unit = if is_ms { "milliseconds" } else { "seconds" };
            self.findings
                .warning(span, format!("{number} {unit} is no time to wait, so the default is used"))
                .help(format!("the unit is {unit} here; leave it out for the default"));
            return;
        }
        let lasting = |time| Some(At { value: Lasting(time), span });
        let times = &mut self.upstream.timeouts;
        let times = &mut times.get_or_insert_with(|| At { value: Timeouts::default(), span }).value;
        match what {
            What::Start => times.connect = lasting(time.min(LONGEST)),
            What::Call => times.call = lasting(time.min(LONGEST_CALL)),
            What::List => {
                times.list = lasting(time.min(LONGEST));
                times.connect = lasting(time.clamp(START, LONGEST));
            }
        }
    }
}
