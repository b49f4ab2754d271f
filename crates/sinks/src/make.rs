//! A receiver of what the configuration says.

use std::sync::Arc;

use base::plan::feed::{ReceiverPlan, SinkPlan};

use crate::bulk::Bulk;
use crate::datadog::Datadog;
use crate::files::{self, Files};
use crate::form::Form;
use crate::generic::Generic;
#[cfg(feature = "object-store")]
use crate::objects::Objects;
#[cfg(feature = "otlp")]
use crate::otlp::Otlp;
pub use crate::post::Surroundings;
use crate::receiver::Receiver;
use crate::splunk::Splunk;
use crate::syslog::Syslog;

/// Why there is no receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sink {name:?}: {why}")]
pub struct Unmade {
    /// The sink's name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Makes the receiver of a sink. Nothing is sent yet.
///
/// # Errors
/// When this program has no such receiver.
pub fn receiver(plan: &SinkPlan, outside: &Surroundings) -> Result<Box<dyn Receiver>, Unmade> {
    let unmade = |why: &str| Unmade { name: plan.name.clone(), why: why.to_owned() };
    let form = Form::of(plan.format);
    Ok(match &plan.receiver {
        ReceiverPlan::File(file) => Box::new(Files::new(file, form, Arc::clone(&outside.clock))),
        ReceiverPlan::Http(post, body) => Box::new(Generic::new(post, *body, form, outside)),
        ReceiverPlan::Splunk(post, splunk) => Box::new(Splunk::new(post, splunk, form, outside)),
        ReceiverPlan::Elasticsearch(post, index) => Box::new(Bulk::new(post, index, form, outside)),
        ReceiverPlan::Datadog(post, service) => Box::new(Datadog::new(post, service, form, outside)),
        #[cfg(feature = "object-store")]
        ReceiverPlan::S3(s3) => Box::new(Objects::new(s3, form, outside).map_err(|why| unmade(&why))?),
        #[cfg(not(feature = "object-store"))]
        ReceiverPlan::S3(_) => return Err(unmade("object storage is not in this program")),
        ReceiverPlan::Syslog(server) => {
            let syslog = Syslog::new(server, plan.format, plan.timeout, Arc::clone(&outside.network));
            Box::new(syslog.map_err(|fault| unmade(&fault.to_string()))?)
        }
        #[cfg(feature = "otlp")]
        ReceiverPlan::Otlp(post) => Box::new(Otlp::new(post, plan.timeout, outside)),
        #[cfg(not(feature = "otlp"))]
        ReceiverPlan::Otlp(_) => return Err(unmade("OTLP is not in this program")),
    })
}

/// The plan of a sink that is to be tried with one record: nothing is rotated over that. Nothing where the gateway, or somebody else,
/// writes its file now: then nobody else may, and it works.
#[must_use]
pub fn of_trial(plan: &SinkPlan) -> Option<SinkPlan> {
    let mut plan = plan.clone();
    if let ReceiverPlan::File(file) = &mut plan.receiver {
        if files::is_written(&file.path) {
            return None;
        }
        (file.rotate_bytes, file.rotate_after) = (u64::MAX, None);
    }
    Some(plan)
}
