//! Counts what is allocated (feature `count-allocations`), so that `bench/allocations` can tell from outside how many
//! allocations a call takes. It counts the whole process: what a call takes is a difference.

use std::alloc::System;

use base::metrics::Metrics;
use stats_alloc::StatsAlloc;

#[global_allocator]
static COUNTED: StatsAlloc<System> = StatsAlloc::system();

/// Shows the counts since the start among the metrics.
pub(crate) fn show(metrics: &mut Metrics) {
    metrics.show("allocations", "Allocations since the start", || whole(COUNTED.stats().allocations));
    metrics.show("reallocations", "Reallocations since the start", || whole(COUNTED.stats().reallocations));
    metrics.show(
        "allocated_bytes",
        "Bytes allocated since the start, what was given back not taken off",
        || whole(COUNTED.stats().bytes_allocated),
    );
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
