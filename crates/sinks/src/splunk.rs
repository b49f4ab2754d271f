//! The HTTP Event Collector of Splunk. What counts is the code in the body of its answer.

use std::time::SystemTime;

use base::plan::feed::{PostPlan, SplunkPlan};
use ledger::line::{Head, moment_of};
use serde_json::{Value, json};

use crate::form::Form;
use crate::post::{Answer, Poster, Surroundings, later};
use crate::receiver::{Bounds, Delivery, Receiver, Taken, Undelivered};

/// Where indexers acknowledge, a request names a channel; elsewhere it does no harm. Each process may have the same: we do not ask for
/// acknowledgements.
const CHANNEL: (&str, &str) = ("x-splunk-request-channel", "706f7274-6f6c-616e-8000-617564697400");

#[derive(Debug)]
pub(crate) struct Splunk {
    poster: Poster,
    plan: SplunkPlan,
    form: Form,
}

impl Splunk {
    pub(crate) fn new(post: &PostPlan, plan: &SplunkPlan, form: Form, outside: &Surroundings) -> Self {
        Self { poster: Poster::new(post, outside), plan: plan.clone(), form }
    }

    fn event(&self, line: &str) -> String {
        let head = Head::read(line);
        let record = self.form.write(line);
        let event = if self.form.is_json() { record } else { Value::from(record).to_string() };
        let mut meta = json!({ "source": "portolan", "sourcetype": self.plan.source_type });
        if let (Some(index), Some(meta)) = (&self.plan.index, meta.as_object_mut()) {
            meta.insert("index".to_owned(), Value::from(index.as_str()));
        }
        let mut text = String::from("{");
        if let Some(head) = &head {
            let since = moment_of(head.time).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            if let Some(since) = since {
                text.push_str(&format!("\"time\":{}.{:06},", since.as_secs(), since.subsec_micros()));
            }
            text.push_str(&format!("\"host\":\"{}\",", head.replica));
        }
        let meta = meta.to_string();
        text.push_str(meta.trim_start_matches('{').trim_end_matches('}'));
        text.push_str(",\"event\":");
        text.push_str(&event);
        text.push_str("}\n");
        text
    }
}

impl Receiver for Splunk {
    fn bounds(&self) -> Bounds {
        // Its own bound is 1 MB in old versions, and hundreds in newer ones.
        Bounds { records: 512, bytes: 512 * 1024 }
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(async move {
            let body: String = lines.iter().map(|line| self.event(line)).collect();
            let answer = self.poster.post(body.into_bytes(), "application/json", &[CHANNEL]).await?;
            judge(&answer)
        })
    }
}

fn judge(answer: &Answer) -> Result<Taken, Undelivered> {
    let code = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| body.get("code")?.as_i64());
    let why = || format!("it answers {}{}", answer.status, answer.shown());
    match code {
        Some(0) if (200..300).contains(&answer.status) => Ok(Taken::default()),
        // What is wrong is in an event: bad data, no event, an empty one, indexed fields.
        Some(5 | 6 | 12 | 13 | 15) => Err(Undelivered::Refused { why: why() }),
        // What is wrong is how we are set up: the token, the index, the channel. Or it is busy.
        Some(_) => Err(later(why(), answer.after)),
        None => {
            answer.judge()?;
            Err(later(format!("this is no event collector: {}", why()), None))
        }
    }
}
