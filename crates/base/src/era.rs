//! Two of a thing.

use mcp::version::Era;

/// One thing for each era.
#[derive(Debug, Clone, Default)]
pub struct PerEra<T> {
    /// For the modern era.
    pub modern: T,
    /// For the legacy era.
    pub legacy: T,
}

impl<T> PerEra<T> {
    /// That of an era.
    pub fn of(&self, era: Era) -> &T {
        match era {
            Era::Modern => &self.modern,
            Era::Legacy => &self.legacy,
        }
    }
}
