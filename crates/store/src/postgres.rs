//! PostgreSQL: a few connections, each shared by many operations, and one more that listens for notices.
//!
//! A statement that is sent needs no connection of its own, because it is alone a transaction: what many tasks ask is
//! pipelined. A connection that broke is made anew by the next who needs it; who comes while it cannot be made hears so at
//! once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Statement};

use crate::fault::StoreFault;
use crate::migrate;
use crate::place::Database;
use crate::sql::{Cell, Dialect, Row};
use crate::store::Settings;

mod fault;
pub(crate) mod listen;
mod tls;

use fault::fault;
use listen::Listening;
use tls::Tls;

/// For how long a connection that could not be made is not tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// All who migrate one database take this lock: one of them migrates, and the others find it done.
const MIGRATING: i64 = 0x706f_7274_6f6c_616e;

pub(crate) struct Postgres {
    server: Arc<Server>,
    slots: Vec<tokio::sync::Mutex<Option<Arc<Live>>>>,
    /// When a connection could last not be made, and why, if none was made since.
    failed: Mutex<Option<(Instant, StoreFault)>>,
    next: AtomicUsize,
    limit: Duration,
    pub(crate) listening: Listening,
}

/// How the server is reached.
pub(crate) struct Server {
    config: Config,
    tls: Tls,
    /// Where connections live, whoever asks for them: a caller's runtime may end before others are done with them.
    home: Handle,
    /// How long it may take to connect: less than an operation may, so that who waits behind it hears why.
    limit: Duration,
}

/// A connection. It ends when nobody has it any more.
struct Live {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
    _driver: Driver,
}

/// A task that ends with its owner.
pub(crate) struct Driver(pub(crate) AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Postgres {
    pub(crate) async fn open(database: &Database, settings: Settings) -> Result<Self, StoreFault> {
        let mut config = database.config.clone();
        // A machine that is gone without a word is noticed within the time limit of an operation, or a few of them.
        config.connect_timeout(settings.limit.mul_f32(0.75)).tcp_user_timeout(settings.limit);
        config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(5));
        let tls = Tls::new(database.authorities.as_deref())?;
        let server =
            Arc::new(Server { config, tls, home: Handle::current(), limit: settings.limit.mul_f32(0.75) });
        // More than one operation may take: it may wait for another replica that migrates.
        within(settings.limit * 10, migrate(&server)).await?;
        let slots = (0..settings.connections.max(1)).map(|_| tokio::sync::Mutex::default()).collect();
        let listening = Listening::new(Arc::clone(&server), settings.limit);
        let (next, limit, failed) = (AtomicUsize::new(0), settings.limit, Mutex::default());
        Ok(Self { server, slots, failed, next, limit, listening })
    }

    pub(crate) async fn query(
        &self,
        text: &'static str,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, StoreFault> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let Some(slot) = self.slots.get(at) else { return Err(StoreFault::Broken("no slot".to_owned())) };
        let mut used = None;
        let asked = async {
            let live = self.live(&mut *slot.lock().await).await?;
            used = Some(Arc::clone(&live));
            live.query(text, &parameters).await
        };
        let answer = within(self.limit, asked).await;
        if answer.as_ref().is_err_and(StoreFault::is_away)
            && let Some(used) = used
        {
            // Whatever is wrong with it, the next is not to wait for it, too.
            let mut slot = slot.lock().await;
            slot.take_if(|live| Arc::ptr_eq(live, &used));
        }
        answer
    }

    pub(crate) async fn close(&self) {
        self.listening.close();
        for slot in &self.slots {
            slot.lock().await.take();
        }
    }

    /// The connection of a slot, made if there is none.
    async fn live(&self, slot: &mut Option<Arc<Live>>) -> Result<Arc<Live>, StoreFault> {
        if let Some(live) = slot.as_ref().filter(|live| !live.client.is_closed()) {
            return Ok(Arc::clone(live));
        }
        let failed = || self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, why)) = failed().as_ref().filter(|(at, _)| at.elapsed() < PAUSE) {
            return Err(why.clone());
        }
        let connected = self.server.connect().await;
        *failed() = connected.as_ref().err().map(|why| (Instant::now(), why.clone()));
        let (client, driver) = connected?;
        let live = Arc::new(Live { client, statements: Mutex::default(), _driver: driver });
        *slot = Some(Arc::clone(&live));
        Ok(live)
    }
}

impl Server {
    /// A connection whose notices nobody hears.
    async fn connect(&self) -> Result<(Client, Driver), StoreFault> {
        let (config, tls, limit) = (self.config.clone(), self.tls.clone(), self.limit);
        let connecting = self.home.spawn(async move {
            // Also a server that takes the connection and then says nothing.
            let connected = async { config.connect(tls).await.map_err(|error| fault(&error)) };
            let (client, connection) = within(limit, connected).await?;
            // Why it ended, the next operation says.
            let driver = tokio::spawn(async move { drop(connection.await) });
            Ok((client, Driver(driver.abort_handle())))
        });
        connecting.await.unwrap_or_else(|gone| Err(StoreFault::Away(gone.to_string())))
    }
}

impl Live {
    async fn query(&self, text: &'static str, parameters: &[Cell]) -> Result<Vec<Row>, StoreFault> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let spelled = Dialect::Postgres.spell(text);
                let statement = self.client.prepare(&spelled).await.map_err(|error| fault(&error))?;
                let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
                statements.insert(text, statement.clone());
                statement
            }
        };
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|cell| cell as _).collect();
        let rows = self.client.query(&statement, &parameters).await.map_err(|error| fault(&error))?;
        rows.iter().map(row).collect()
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreFault> {
    let cells: Result<Vec<_>, tokio_postgres::Error> = row
        .columns()
        .iter()
        .enumerate()
        .map(|(at, column)| {
            Ok(match *column.type_() {
                Type::INT8 => row.try_get::<_, Option<i64>>(at)?.into(),
                Type::BYTEA => row.try_get::<_, Option<&[u8]>>(at)?.into(),
                _ => row.try_get::<_, Option<&str>>(at)?.into(),
            })
        })
        .collect();
    cells.map(Row::new).map_err(|error| fault(&error))
}

async fn migrate(server: &Server) -> Result<(), StoreFault> {
    let wrong = |error: tokio_postgres::Error| fault(&error);
    let (mut client, _driver) = server.connect().await?;
    let transaction = client.transaction().await.map_err(wrong)?;
    transaction.batch_execute(&format!("SELECT pg_advisory_xact_lock({MIGRATING})")).await.map_err(wrong)?;
    // Asked first, so that a role that may not make tables can be used once others have.
    let there = transaction.query_one("SELECT to_regclass('portolan_schema') IS NOT NULL", &[]).await;
    let is_there: bool = there.and_then(|row| row.try_get(0)).map_err(wrong)?;
    if !is_there {
        transaction.batch_execute(&Dialect::Postgres.spell(migrate::LEDGER)).await.map_err(wrong)?;
    }
    let last =
        transaction.query_one(migrate::LAST, &[]).await.and_then(|row| row.try_get(0)).map_err(wrong)?;
    for step in migrate::ahead(Dialect::Postgres, last)? {
        transaction.batch_execute(&step).await.map_err(wrong)?;
    }
    transaction.commit().await.map_err(wrong)
}

/// Gives up after a time.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreFault>>,
) -> Result<T, StoreFault> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_late| Err(StoreFault::Away(format!("no answer within {limit:?}"))))
}
