//! The schema, step by step. One text for both databases. A step that has been released is never changed; a later one only
//! adds, so that replicas of the version before go on beside it.

use crate::fault::StoreFault;
use crate::sql::Dialect;

/// All steps, the first first.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001.sql"),
    include_str!("../migrations/0002.sql"),
    include_str!("../migrations/0003.sql"),
    include_str!("../migrations/0004.sql"),
    include_str!("../migrations/0005.sql"),
    include_str!("../migrations/0006.sql"),
    include_str!("../migrations/0007.sql"),
];

/// Notes which steps were taken.
pub(crate) const LEDGER: &str = "CREATE TABLE IF NOT EXISTS portolan_schema (step {integer} PRIMARY KEY NOT NULL, taken_at {integer} NOT NULL) {strict}";

/// The last step that was taken; 0 if none was.
pub(crate) const LAST: &str = "SELECT COALESCE(MAX(step), 0) FROM portolan_schema";

/// The steps that are yet to be taken after `last`, and the note of each.
///
/// # Errors
/// When a later version of this program has taken steps that are not known here.
pub(crate) fn ahead(dialect: Dialect, last: i64) -> Result<Vec<String>, StoreFault> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if last > known {
        return Err(StoreFault::Broken(format!(
            "its schema has step {last}, and this version of Portolan knows {known}: a later version was here"
        )));
    }
    let steps = (1..).zip(STEPS).filter(|(step, _)| *step > last);
    let text = |(step, text): (i64, &&str)| {
        dialect.spell(&format!(
            "{text};\nINSERT INTO portolan_schema (step, taken_at) VALUES ({step}, {{now}});"
        ))
    };
    Ok(steps.map(text).collect())
}
