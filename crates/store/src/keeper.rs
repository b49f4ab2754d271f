//! Where the keys of a seal come from, and how a running process follows them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::keys::{Master, SharedKeysFault, TOPIC};
use crate::notices::{Heard, Notices};
use crate::seal::Seal;
use crate::seal::kept::{self, KeyFileFault};
use crate::seal::key::Key;
use crate::seal::turns::{self, Millis, REFRESH, Rotation, Turn};
use crate::store::Store;

/// Where keys come from.
#[derive(Debug)]
pub enum Keys {
    /// They are given; the first seals. Who gives them rotates them.
    Given(Vec<Key>),
    /// A file of this machine.
    Kept(PathBuf),
    /// The store, where the master key seals them.
    Shared(Arc<Store>, Master),
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// The file.
    #[error(transparent)]
    Kept(#[from] KeyFileFault),
    /// The store.
    #[error(transparent)]
    Shared(#[from] SharedKeysFault),
    /// There are none.
    #[error("there are no keys")]
    None,
    /// They are given, so they cannot be rotated here.
    #[error("the keys are given by the configuration or the environment")]
    Given,
}

impl Keys {
    /// The turns, and the time by which they go. If keys are made here and there are none, the first is made.
    ///
    /// # Errors
    /// When the file or the store cannot be used.
    pub async fn read(&self, now: SystemTime) -> Result<(Vec<Turn>, Millis), KeysFault> {
        match self {
            Self::Given(keys) => Ok((given(keys), kept::millis(now))),
            Self::Kept(path) => Ok((kept::read_or_make(path, now)?, kept::millis(now))),
            Self::Shared(store, master) => Ok(store.keys(master).await?),
        }
    }

    /// Adds a key.
    ///
    /// # Errors
    /// When the file or the store cannot be used, or the keys are given.
    pub async fn rotate(
        &self,
        rotation: Rotation,
        now: SystemTime,
    ) -> Result<(Vec<Turn>, Millis), KeysFault> {
        match self {
            Self::Given(_) => Err(KeysFault::Given),
            Self::Kept(path) => Ok((kept::rotate(path, rotation, now)?, kept::millis(now))),
            Self::Shared(store, master) => Ok(store.rotate_keys(master, rotation).await?),
        }
    }

    /// A seal with them.
    ///
    /// # Errors
    /// When the file or the store cannot be used.
    pub async fn seal(&self, now: SystemTime) -> Result<Seal, KeysFault> {
        let (turns, now) = self.read(now).await?;
        turns::ring(&turns, now).map(Seal::new).ok_or(KeysFault::None)
    }

    /// Keeps a seal up to date for ever. While the keys cannot be read, it goes on with those that it has.
    pub async fn follow(&self, seal: &Seal, now: impl Fn() -> SystemTime) {
        let mut notices = match self {
            Self::Given(_) => return std::future::pending().await,
            Self::Kept(_) => None,
            Self::Shared(store, _) => Some(store.subscribe().await),
        };
        let mut is_told = false;
        loop {
            drop(tokio::time::timeout(REFRESH, changed(&mut notices)).await);
            let read = self.read(now()).await;
            let ring = read.and_then(|(turns, now)| turns::ring(&turns, now).ok_or(KeysFault::None));
            match ring {
                Ok(ring) => {
                    is_told = false;
                    seal.turn_to(ring);
                }
                Err(fault) if !is_told => {
                    is_told = true;
                    tracing::warn!("new keys are not heard of: {fault}");
                }
                Err(_) => {}
            }
        }
    }
}

/// Waits until keys may have changed.
async fn changed(notices: &mut Option<Notices>) {
    while let Some(from) = notices {
        match from.next().await {
            Some(Heard::Notice(notice)) if notice.topic != TOPIC => {}
            Some(_) => return,
            None => *notices = None,
        }
    }
    std::future::pending::<()>().await;
}

/// The first seals now and for ever, and the others open for ever.
fn given(keys: &[Key]) -> Vec<Turn> {
    let turn = |(number, key): (i64, &Key)| Turn {
        number,
        key: key.clone(),
        made_at: None,
        seals_from: 0,
        earlier_until: Millis::MAX,
    };
    (1..).zip(keys.iter().rev()).map(turn).collect()
}
