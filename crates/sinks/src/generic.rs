//! Anything that takes batches by HTTP POST: a line for each record, or an array of all. Any status of 2xx says that it has them.

use base::plan::feed::{HttpBody, PostPlan};

use crate::form::Form;
use crate::post::{Poster, Surroundings};
use crate::receiver::{Bounds, Delivery, Receiver, Taken};

#[derive(Debug)]
pub(crate) struct Generic {
    poster: Poster,
    body: HttpBody,
    form: Form,
}

impl Generic {
    pub(crate) fn new(plan: &PostPlan, body: HttpBody, form: Form, outside: &Surroundings) -> Self {
        Self { poster: Poster::new(plan, outside), body, form }
    }
}

impl Receiver for Generic {
    fn bounds(&self) -> Bounds {
        Bounds { records: 512, bytes: 1024 * 1024 }
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(async move {
            let records = lines.iter().map(|line| self.form.write(line));
            let (body, kind) = match self.body {
                HttpBody::Lines => {
                    let kind = if self.form.is_json() {
                        "application/x-ndjson"
                    } else {
                        "text/plain; charset=utf-8"
                    };
                    (records.map(|record| record + "\n").collect::<String>(), kind)
                }
                HttpBody::Array => {
                    let records = records.collect::<Vec<_>>().join(",\n");
                    (format!("[{records}]\n"), "application/json")
                }
            };
            self.poster.post(body.into_bytes(), kind, &[]).await?.judge()?;
            Ok(Taken::default())
        })
    }
}
