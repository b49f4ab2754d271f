//! A database for one test, of either kind.

use std::path::Path;
use std::str::FromStr as _;

use store::{Place, Settings, Store};
use tempfile::TempDir;
use testkit::postgres::Postgres;

/// A database that belongs to one test.
pub(crate) enum Stand {
    Sqlite(TempDir),
    Postgres(Postgres),
    /// A database of a server that was there: its URL, and that of the server.
    Foreign {
        url: String,
        server: String,
    },
}

impl Stand {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn postgres() -> Self {
        let Ok(server) = std::env::var("PORTOLAN_TEST_POSTGRES") else {
            return Self::Postgres(Postgres::start());
        };
        let name = format!("portolan_test_{}_{}", std::process::id(), number());
        admin(&server, &format!("CREATE DATABASE {name}")).await;
        let (before, options) = server.split_once('?').unwrap_or((&server, ""));
        let (authority, _database) = before.rsplit_once('/').unwrap();
        Self::Foreign { url: format!("{authority}/{name}?{options}"), server }
    }

    pub(crate) fn place(&self) -> Place {
        let url = match self {
            Self::Sqlite(dir) => format!("sqlite:{}", dir.path().join("store.db").display()),
            Self::Postgres(server) => server.url(),
            Self::Foreign { url, .. } => url.clone(),
        };
        Place::parse(&url, Path::new("/")).unwrap()
    }

    /// What one replica has of it.
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.place(), Settings { limit: testkit::PATIENCE, ..Settings::default() })
            .await
            .unwrap()
    }

    /// Puts revocations there, `t1` and so on, without asking a store for each.
    pub(crate) async fn fill_revocations(&self, issuer: &str, count: usize) {
        let text = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) \
             INSERT INTO portolan_revocation (issuer, kind, name, revoked_at, expires_at) \
             SELECT '{issuer}', 'token', 't' || n, 1, 9999999999999 FROM numbers"
        );
        match self {
            Self::Sqlite(dir) => {
                let database = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
                database.execute_batch(&text).unwrap();
            }
            Self::Postgres(server) => admin(&server.url(), &text).await,
            Self::Foreign { url, .. } => admin(url, &text).await,
        }
    }

    /// Leaves nothing behind.
    pub(crate) async fn finish(self) {
        if let Self::Foreign { url, server } = &self {
            let name = url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
            admin(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

fn number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

async fn admin(server: &str, text: &str) {
    let config = tokio_postgres::Config::from_str(server).unwrap();
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(text).await.unwrap();
    drop(client);
    drop(driver.await);
}

/// A test for both databases, of a function that takes the stand.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() {
                let stand = $crate::stand::Stand::sqlite();
                super::$name(&stand).await;
                stand.finish().await;
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() {
                let stand = $crate::stand::Stand::postgres().await;
                super::$name(&stand).await;
                stand.finish().await;
            })*
        }
    };
}
pub(crate) use on_both;
