//! SQLite: a file of this machine, and one thread that reads and writes it.
//!
//! - *WAL*, so that another process (`portolan keys rotate`, say) can read while this one writes, and a commit is one append.
//! - *synchronous = FULL*: a commit is on the disk before it is acknowledged. In WAL mode NORMAL would keep the file sound,
//!   but a power failure could take back the last commits, and «this session was ended» must not be taken back. What that
//!   costs is shared: everything that waits when a commit begins goes into it.
//! - *One writer*: SQLite has only one at a time anyway, and so nobody here waits for another's lock.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, TransactionBehavior};
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};

use crate::fault::StoreFault;
use crate::migrate;
use crate::notices::Notice;
use crate::sql::{Cell, Dialect, Row, is_read};
use crate::store::Settings;

/// How many operations may wait for the thread.
const QUEUE: usize = 1024;
/// The most operations of one commit.
const BATCH: usize = 256;
/// How many notices may wait for a subscriber before it has missed some.
const NOTICES: usize = 1024;

/// Between two tries to open a file that another process is opening.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Sqlite {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    limit: Duration,
    /// This process is the only one, so its notices need not leave it.
    pub(crate) notices: broadcast::Sender<Notice>,
}

struct Job {
    text: &'static str,
    parameters: Vec<Cell>,
    reply: oneshot::Sender<Result<Vec<Row>, StoreFault>>,
}

impl Sqlite {
    pub(crate) async fn open(path: &Path, settings: Settings) -> Result<Self, StoreFault> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        let path = path.to_owned();
        // Below the limit of an operation, so that who waits for another process hears why.
        let patience = settings.limit.mul_f32(0.75);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || match open(&path, patience) {
                Ok(connection) => {
                    if ready.send(Ok(())).is_ok() {
                        work(connection, queue);
                    }
                }
                Err(fault) => drop(ready.send(Err(fault))),
            })
            .map_err(|error| StoreFault::Away(format!("no thread can be started: {error}")))?;
        opened.await.map_err(|_gone| StoreFault::Broken("its thread has died".to_owned()))??;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            limit: settings.limit,
            notices: broadcast::channel(NOTICES).0,
        })
    }

    pub(crate) async fn query(
        &self,
        text: &'static str,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, StoreFault> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let jobs = self.jobs.lock().await.clone();
            let jobs = jobs.ok_or_else(|| StoreFault::Away("it is closed".to_owned()))?;
            let gone = |what: &str| StoreFault::Broken(format!("its thread has died{what}"));
            jobs.send(Job { text, parameters, reply }).await.map_err(|_gone| gone(""))?;
            answer.await.map_err(|_gone| gone(" over this"))?
        };
        let answered = tokio::time::timeout(self.limit, asked).await;
        answered.unwrap_or_else(|_late| Err(StoreFault::Away(format!("no answer within {:?}", self.limit))))
    }

    pub(crate) async fn close(&self) {
        drop(self.jobs.lock().await.take());
        if let Some(thread) = self.thread.lock().await.take() {
            // It ends as soon as it has done what was asked for.
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}

fn open(path: &PathBuf, patience: Duration) -> Result<Connection, StoreFault> {
    let at = |fault: StoreFault| match fault {
        StoreFault::Away(why) => StoreFault::Away(format!("{}: {why}", path.display())),
        StoreFault::Refused(why) => StoreFault::Refused(format!("{}: {why}", path.display())),
        StoreFault::Broken(why) => StoreFault::Broken(format!("{}: {why}", path.display())),
    };
    // SQLite would let others read it. Its two side files take their rights from it.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|error| at(StoreFault::Refused(error.to_string())))?;
    let opened = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(patience)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    let mut connection = patiently(patience, opened).map_err(|error| at(fault(&error)))?;
    migrate(&mut connection).map_err(at)?;
    Ok(connection)
}

/// Tries again while somebody else has the file. To become a WAL database a file is locked for reading and then for writing; of
/// two that do this at once SQLite refuses one without asking its busy handler, since to wait could wait for ever (sqlite.org, C
/// interface, `sqlite3_busy_handler`).
fn patiently(
    patience: Duration,
    opened: impl Fn() -> Result<Connection, rusqlite::Error>,
) -> Result<Connection, rusqlite::Error> {
    let until = Instant::now() + patience;
    loop {
        match opened() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until =>
            {
                thread::sleep(PAUSE);
            }
            settled => return settled,
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreFault> {
    let wrong = |error: rusqlite::Error| fault(&error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
    transaction.execute_batch(&Dialect::Sqlite.spell(migrate::LEDGER)).map_err(wrong)?;
    let last = transaction.query_row(migrate::LAST, [], |row| row.get(0)).map_err(wrong)?;
    for step in migrate::ahead(Dialect::Sqlite, last)? {
        transaction.execute_batch(&step).map_err(wrong)?;
    }
    transaction.commit().map_err(wrong)
}

/// What the thread does until nobody can ask any more.
fn work(mut connection: Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        // Nobody waits any more: what was given up is better not done.
        jobs.retain(|job| !job.reply.is_closed());
        commit(&mut connection, jobs);
    }
}

/// Does all of it in one commit, and says so only after that.
fn commit(connection: &mut Connection, jobs: Vec<Job>) {
    if jobs.iter().all(|job| is_read(job.text)) {
        for job in jobs {
            let answer = run(connection, job.text, &job.parameters);
            drop(job.reply.send(answer));
        }
        return;
    }
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => return fail(jobs.into_iter().map(|job| job.reply), &fault(&error)),
    };
    let answers: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let answer = run(&transaction, job.text, &job.parameters);
            (job.reply, answer)
        })
        .collect();
    // Some errors, such as a full disk, undo the whole transaction: then nothing of it is there.
    let undone = transaction.is_autocommit();
    let committed =
        if undone { Err(undone_by(&answers)) } else { transaction.commit().map_err(|error| fault(&error)) };
    match committed {
        Ok(()) => answers.into_iter().for_each(|(reply, answer)| drop(reply.send(answer))),
        Err(fault) => fail(answers.into_iter().map(|(reply, _)| reply), &fault),
    }
}

type Answer = (oneshot::Sender<Result<Vec<Row>, StoreFault>>, Result<Vec<Row>, StoreFault>);

fn undone_by(answers: &[Answer]) -> StoreFault {
    let first = answers.iter().find_map(|(_, answer)| answer.as_ref().err().cloned());
    first.unwrap_or_else(|| StoreFault::Away("the change was undone".to_owned()))
}

fn fail(replies: impl Iterator<Item = oneshot::Sender<Result<Vec<Row>, StoreFault>>>, fault: &StoreFault) {
    replies.for_each(|reply| drop(reply.send(Err(fault.clone()))));
}

fn run(connection: &Connection, text: &str, parameters: &[Cell]) -> Result<Vec<Row>, StoreFault> {
    let done = || -> Result<Vec<Row>, rusqlite::Error> {
        let mut statement = connection.prepare_cached(&Dialect::Sqlite.spell(text))?;
        let width = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells: Result<Vec<_>, _> = (0..width).map(|at| row.get_ref(at).map(cell)).collect();
            found.push(Row::new(cells?));
        }
        Ok(found)
    };
    done().map_err(|error| fault(&error))
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Text(value) => Cell::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Cell::Bytes(value.to_vec()),
        // No column holds fractions.
        ValueRef::Null | ValueRef::Real(_) => Cell::Null,
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
        })
    }
}

fn fault(error: &rusqlite::Error) -> StoreFault {
    let why = error.to_string();
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted
            | ErrorCode::OutOfMemory,
        ) => StoreFault::Away(why),
        Some(
            ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied,
        ) => StoreFault::Refused(why),
        _ => StoreFault::Broken(why),
    }
}
