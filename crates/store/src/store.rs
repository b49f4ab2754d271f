//! The store: one interface, two databases.

use std::fmt;
use std::time::Duration;

use crate::fault::StoreFault;
use crate::place::Place;
use crate::postgres::Postgres;
use crate::sql::{Cell, Row};
use crate::sqlite::Sqlite;

/// How a store is used.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long one operation may take; after that the store is away.
    pub limit: Duration,
    /// The most connections to PostgreSQL, beside the one that listens.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limit: Duration::from_secs(2), connections: 4 }
    }
}

/// Durable facts. Each operation answers within a time limit, is done whole or not at all, and once it is answered the
/// change outlives the process and the machine's power.
pub struct Store {
    pub(crate) backend: Backend,
}

pub(crate) enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Opens a store and brings its schema up to date.
    ///
    /// # Errors
    /// When it is away, does not let us in, or has a schema of a later version.
    pub async fn open(place: &Place, settings: Settings) -> Result<Self, StoreFault> {
        let backend = match place {
            Place::Sqlite(path) => Backend::Sqlite(Sqlite::open(path, settings).await?),
            Place::Postgres(database) => Backend::Postgres(Postgres::open(database, settings).await?),
        };
        Ok(Self { backend })
    }

    /// Does what is under way and closes. Without it nothing is lost, either.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
            Backend::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Whether processes on several machines may have it open.
    #[must_use]
    pub fn is_for_many(&self) -> bool {
        matches!(self.backend, Backend::Postgres(_))
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ping(&self) -> Result<(), StoreFault> {
        self.query("SELECT CAST(1 AS {integer})", Vec::new()).await.map(drop)
    }

    /// One statement.
    pub(crate) async fn query(
        &self,
        text: &'static str,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, StoreFault> {
        // Whoever asks something of the store now and then is not to carry room for that all the time.
        match &self.backend {
            Backend::Sqlite(sqlite) => Box::pin(sqlite.query(text, parameters)).await,
            Backend::Postgres(postgres) => Box::pin(postgres.query(text, parameters)).await,
        }
    }

    /// One statement that gives at most one row.
    pub(crate) async fn one(
        &self,
        text: &'static str,
        parameters: Vec<Cell>,
    ) -> Result<Option<Row>, StoreFault> {
        Ok(self.query(text, parameters).await?.into_iter().next())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.backend {
            Backend::Sqlite(_) => "SQLite",
            Backend::Postgres(_) => "PostgreSQL",
        };
        f.debug_tuple("Store").field(&kind).finish()
    }
}
