//! Questions to people whose time is over. It is said once of each, by whoever notices first: a call that waits, one that asks anew, or
//! whoever sweeps the store.

use store::approvals::Approval;
use store::{Store, StoreFault};

use crate::metrics::Metrics;

/// So many are noticed at a time.
const MOST: usize = 500;

/// Says of which questions the time is over; with a binding, of those alone that have it. How many.
///
/// # Errors
/// When the store is away. Then somebody else says it later.
pub async fn tell(store: &Store, metrics: &Metrics, binding: Option<&str>) -> Result<usize, StoreFault> {
    let over = store.expire_approvals(binding, MOST).await?;
    for Approval { question, decided_by, .. } in &over {
        metrics.approval("expired");
        let [route, server, method, name] = &question.what;
        let (principal, id) = (&question.principal, &question.id);
        // Who has approved it, if what was approved was not used in time.
        tracing::info!(
            target: "portolan::audit",
            approval = id, principal, route, server, method, name, decided_by, "an approval is expired"
        );
    }
    Ok(over.len())
}
