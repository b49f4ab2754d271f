//! Times on the command line.

use std::time::SystemTime;

use crate::shared;

/// Reads a time: a moment, or how long ago it was.
pub(crate) fn moment(text: &str) -> Result<SystemTime, String> {
    let ago = config::duration(text).and_then(|ago| shared::now().checked_sub(ago));
    ago.or_else(|| base::moment::read(text)).ok_or_else(|| {
        "this is no time, such as 2026-12-01T08:00:00Z, or 15m, 24h, 7d for so long ago".to_owned()
    })
}
