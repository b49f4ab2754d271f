//! The closed pace: every caller sends its next request when it has its answer. It shows what a call costs, and how
//! many of them there can be.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::{Load, Outcome, caller};
use crate::fault::Fault;

/// What the callers share.
#[derive(Debug, Default)]
struct Shared {
    calls: Cell<u64>,
    stop: Cell<bool>,
    failed: RefCell<Option<Fault>>,
    failure: Notify,
}

/// Runs it.
pub(super) async fn run(load: &Load) -> Result<Outcome, Fault> {
    LocalSet::new().run_until(within(load)).await
}

async fn within(load: &Load) -> Result<Outcome, Fault> {
    let shared = Rc::new(Shared::default());
    let callers = caller::callers(load).await?;
    let mut tasks = Vec::new();
    for mut caller in callers {
        let shared = Rc::clone(&shared);
        tasks.push(tokio::task::spawn_local(async move {
            while !shared.stop.get() {
                if let Err(fault) = caller.call().await {
                    shared.failed.borrow_mut().get_or_insert(fault);
                    shared.failure.notify_one();
                    return;
                }
                shared.calls.set(shared.calls.get() + 1);
            }
        }));
    }
    let window = async {
        tokio::time::sleep(load.warm_up()).await;
        super::begin()?;
        let (began, before) = (Instant::now(), shared.calls.get());
        tokio::time::sleep(load.duration()).await;
        Ok((shared.calls.get() - before, began.elapsed().as_secs_f64()))
    };
    let (calls, seconds) = tokio::select! {
        counted = window => counted?,
        () = shared.failure.notified() => (0, 0.0),
    };
    shared.stop.set(true);
    if let Some(fault) = shared.failed.take() {
        return Err(fault);
    }
    if calls == 0 {
        return Err(Fault::new(format!("not one answer in {seconds:.1} s")));
    }
    Ok(Outcome { calls, seconds, latencies: Vec::new() })
}
