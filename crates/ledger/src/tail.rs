//! What is written into a ledger, as it comes: each segment is followed by its bytes, so that nothing is passed over whatever the clocks
//! of replicas say.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::query::{Filter, Reading, merge};
use crate::{place, seek};

/// Who follows a ledger.
#[derive(Debug)]
pub struct Tail {
    ledger: PathBuf,
    /// Of each replica: behind which byte of which segment it has read all.
    at: BTreeMap<String, (u64, u64)>,
}

impl Tail {
    /// Behind all that is there.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn behind_all(ledger: &Path) -> io::Result<Self> {
        let mut at = BTreeMap::new();
        for replica in place::replicas(ledger)?.0 {
            let directory = ledger.join(&replica);
            let Some(last) = place::segments(&directory)?.0.pop() else { continue };
            let file = place::open(&place::segment(&directory, last))?;
            at.insert(replica, (last, seek::last(&file, file.metadata()?.len())?.1));
        }
        Ok(Self { ledger: ledger.to_owned(), at })
    }

    /// Hands on what is wanted of what it is behind of.
    ///
    /// # Errors
    /// When the ledger cannot be read, or whoever is told says so.
    pub fn before(&self, filter: &Filter, told: impl FnMut(&str) -> io::Result<bool>) -> io::Result<bool> {
        let all =
            self.at.iter().map(|(replica, end)| Reading::of(&self.ledger.join(replica), filter, Some(*end)));
        merge(&mut all.collect::<io::Result<Vec<_>>>()?, filter, told)
    }

    /// Hands on what is wanted of what has come since, in the order of time as far as it has come together. False where it was told to
    /// stop.
    ///
    /// # Errors
    /// When the ledger cannot be read, or whoever is told says so.
    pub fn next(&mut self, filter: &Filter, told: impl FnMut(&str) -> io::Result<bool>) -> io::Result<bool> {
        let (replicas, _) = place::replicas(&self.ledger)?;
        let begin = |replica: &String| {
            let at = self.at.get(replica).copied().unwrap_or((0, 0));
            Reading::behind(&self.ledger.join(replica), at)
        };
        let mut all = replicas.iter().map(begin).collect::<io::Result<Vec<_>>>()?;
        let goes_on = merge(&mut all, filter, told)?;
        self.at.extend(replicas.into_iter().zip(all.iter().map(Reading::at)));
        Ok(goes_on)
    }
}
