//! The open pace: each call has its time, and how long it took is counted from then, not from when it could be sent at
//! last. So a server that is slow for a while is slow for all calls of that while (no «coordinated omission»).

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::caller::{self, Caller};
use super::{Load, Outcome};
use crate::fault::Fault;

/// Callers that take turns. A call that takes longer than so many intervals delays the next one of its caller.
const CALLERS: usize = 8;
/// How long before its time a thread wakes and spins: the kernel's timers are not exact.
const SPIN: Duration = Duration::from_micros(200);

/// Runs it.
pub(super) fn run(load: &Load) -> Result<Outcome, Fault> {
    let interval = Duration::from_secs(1) / load.rate;
    let calls = |duration: Duration| (duration.as_secs_f64() * f64::from(load.rate)).round() as usize;
    let (warm_up, counted) = (calls(load.warm_up()).max(CALLERS), calls(load.duration()).max(1));
    let ready = Barrier::new(CALLERS + 1);
    let done = std::thread::scope(|scope| {
        let caller = |at: usize| {
            let ready = &ready;
            move || -> Result<Vec<f64>, Fault> {
                let connected = connect(load, at);
                ready.wait();
                let (runtime, mut caller) = connected?;
                let first = Instant::now() + interval * u32::try_from(at).unwrap_or(0);
                let mut latencies = Vec::new();
                for number in (at..warm_up + counted).step_by(CALLERS) {
                    let turn = u32::try_from(number / CALLERS).unwrap_or(u32::MAX);
                    let due = first + interval * (turn * CALLERS as u32);
                    wait_until(due);
                    runtime.block_on(caller.call())?;
                    if number >= warm_up {
                        latencies.push(due.elapsed().as_secs_f64() * 1e6);
                    }
                }
                Ok(latencies)
            }
        };
        let threads: Vec<_> = (0..CALLERS).map(|at| scope.spawn(caller(at))).collect();
        ready.wait();
        let began = super::begin();
        let joined = threads.into_iter().map(|thread| thread.join());
        let joined = joined.map(|ended| ended.unwrap_or_else(|_| Err(Fault::new("a caller panicked"))));
        began.and_then(|()| joined.collect::<Result<Vec<_>, _>>())
    })?;
    let latencies = done.concat();
    Ok(Outcome { calls: latencies.len() as u64, seconds: load.seconds, latencies })
}

/// A caller with a runtime of its own, so that threads do not wait for each other.
fn connect(load: &Load, at: usize) -> Result<(tokio::runtime::Runtime, Caller), Fault> {
    let runtime = crate::runtime()?;
    let alone = Load { connections: 1, http2: load.http2, ..load.clone() };
    let mut callers = runtime.block_on(caller::callers(&alone))?;
    let mut caller = callers.pop().ok_or_else(|| Fault::new("no caller"))?;
    caller.number(at as u64, CALLERS as u64);
    Ok((runtime, caller))
}

fn wait_until(due: Instant) {
    if let Some(early) = due.checked_duration_since(Instant::now()).and_then(|left| left.checked_sub(SPIN)) {
        std::thread::sleep(early);
    }
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}
