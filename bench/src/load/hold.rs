//! Opens what stays open, and keeps still: what do clients cost that say nothing?

use std::time::Duration;

use super::caller::Target;
use super::request::Template;
use super::{Load, Outcome, What};
use crate::fault::Fault;
use crate::wire::Wire;

/// How long everything stays open after the end.
const LOOK: Duration = Duration::from_millis(500);

/// Runs it.
pub(super) async fn run(load: &Load) -> Result<(), Fault> {
    if load.what != What::Listen {
        return Err(Fault::new("only subscriptions (--do listen) can be held"));
    }
    let target = Target::of(&load.url)?;
    let template = Template::of(load, None);
    let mut request = template.http1(&target.authority, &target.path);
    let mut open = Vec::new();
    for number in 0..load.connections {
        let mut wire = Wire::new(target.connect().await?);
        wire.write(request.with_id(number as u64).1).await.map_err(Fault::of("sending"))?;
        if let Err(error) = wire.until(b"notifications/subscriptions/acknowledged").await {
            let came = String::from_utf8_lossy(wire.pending()).into_owned();
            return Err(Fault::new(format!("subscription {number} was not accepted: {error}: {came}")));
        }
        open.push(wire);
    }
    tokio::time::sleep(load.warm_up()).await;
    super::begin()?;
    tokio::time::sleep(load.duration()).await;
    super::end(&Outcome { calls: open.len() as u64, seconds: load.seconds, latencies: Vec::new() })?;
    // Whoever reads that looks at the server now, and is to see it with all that is open.
    tokio::time::sleep(LOOK).await;
    drop(open);
    Ok(())
}
