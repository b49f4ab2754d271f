//! The logs intake of Datadog (v2): at most 1,000 entries and 5 MB at once, and 1 MB each.

use base::plan::feed::PostPlan;
use ledger::line::Head;
use serde_json::json;

use crate::form::Form;
use crate::post::{Poster, Surroundings};
use crate::receiver::{Bounds, Delivery, Receiver, Taken};

/// The most bytes of an entry. What is longer it would cut, and say that all is well.
const MOST_ENTRY: usize = 1_000_000;
/// The most bytes of a request.
const MOST_REQUEST: usize = 5_000_000;

#[derive(Debug)]
pub(crate) struct Datadog {
    poster: Poster,
    service: String,
    form: Form,
}

impl Datadog {
    pub(crate) fn new(plan: &PostPlan, service: &str, form: Form, outside: &Surroundings) -> Self {
        Self { poster: Poster::new(plan, outside), service: service.to_owned(), form }
    }

    fn entry(&self, line: &str) -> String {
        let head = Head::read(line);
        let (replica, kind) = head.map_or(("", ""), |head| (head.replica, head.kind));
        json!({
            "ddsource": "portolan",
            "service": self.service,
            "hostname": replica,
            "ddtags": format!("type:{kind}"),
            "message": self.form.write(line),
        })
        .to_string()
    }
}

impl Receiver for Datadog {
    fn bounds(&self) -> Bounds {
        // As a text in JSON a record may be nearly twice as long.
        Bounds { records: 1000, bytes: 1_500_000 }
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(async move {
            let (mut taken, mut entries, mut bytes) = (Taken::default(), Vec::new(), 0);
            for (at, line) in lines.iter().enumerate() {
                let entry = self.entry(line);
                if entry.len() > MOST_ENTRY {
                    taken
                        .rejected
                        .push((at, format!("it has {} bytes, and Datadog cuts at 1 MB", entry.len())));
                    taken.unfit += 1;
                    continue;
                }
                bytes += entry.len() + 1;
                entries.push(entry);
            }
            if bytes > MOST_REQUEST {
                let why = format!("it would be {bytes} bytes, and Datadog takes 5 MB at once");
                return Err(crate::receiver::Undelivered::TooLarge { why });
            }
            if !entries.is_empty() {
                let body = format!("[{}]", entries.join(",")).into_bytes();
                self.poster.post(body, "application/json", &[]).await?.judge()?;
            }
            Ok(taken)
        })
    }
}
