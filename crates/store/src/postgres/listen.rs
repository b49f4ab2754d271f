//! The connection that listens. It is made when the first subscriber comes, and made again whenever it breaks; each time it
//! begins to listen, subscribers hear that they may have missed something.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, broadcast, watch};
use tokio_postgres::AsyncMessage;

use super::{Driver, Server, fault};
use crate::fault::StoreFault;
use crate::notices::{CHANNEL, Notice};

/// How many notices may wait for a subscriber before it has missed some.
const NOTICES: usize = 1024;
/// How often a connection on which nothing comes is asked whether it is alive.
const PULSE: Duration = Duration::from_secs(10);
/// How long after a failure the connection is tried again.
const PAUSE: Duration = Duration::from_millis(250);

pub(crate) struct Listening {
    server: Arc<Server>,
    limit: Duration,
    notices: broadcast::Sender<Notice>,
    /// How often it has begun to listen.
    begun: watch::Sender<u64>,
    task: OnceCell<Driver>,
}

impl Listening {
    pub(super) fn new(server: Arc<Server>, limit: Duration) -> Self {
        let notices = broadcast::channel(NOTICES).0;
        Self { server, limit, notices, begun: watch::channel(0).0, task: OnceCell::new() }
    }

    /// What is heard from now on, and how often listening has begun.
    pub(crate) async fn join(&self) -> (broadcast::Receiver<Notice>, watch::Receiver<u64>) {
        let joined = (self.notices.subscribe(), self.begun.subscribe());
        self.task
            .get_or_init(|| async {
                let task = self.server.home.spawn(listen(
                    Arc::clone(&self.server),
                    self.limit,
                    self.notices.clone(),
                    self.begun.clone(),
                ));
                Driver(task.abort_handle())
            })
            .await;
        joined
    }

    pub(super) fn close(&self) {
        if let Some(task) = self.task.get() {
            task.0.abort();
        }
    }
}

async fn listen(
    server: Arc<Server>,
    limit: Duration,
    notices: broadcast::Sender<Notice>,
    begun: watch::Sender<u64>,
) {
    let mut is_told = false;
    loop {
        let why = match listen_once(&server, limit, &notices, &begun, &mut is_told).await {
            Ok(never) => match never {},
            Err(why) => why,
        };
        if !is_told {
            tracing::warn!("notices of other replicas are not heard: {why}");
            is_told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

enum Never {}

async fn listen_once(
    server: &Server,
    limit: Duration,
    notices: &broadcast::Sender<Notice>,
    begun: &watch::Sender<u64>,
    is_told: &mut bool,
) -> Result<Never, StoreFault> {
    let late = |_late| StoreFault::Away(format!("no answer within {limit:?}"));
    let connecting = tokio::time::timeout(limit, Box::pin(server.config.connect(server.tls.clone())));
    let (client, mut connection) = connecting.await.map_err(late)?.map_err(|error| fault(&error))?;
    let ours = notices.clone();
    let driver = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(said) = message
                && let Some(notice) = Notice::read(said.payload())
            {
                // Nobody may be there to hear it.
                drop(ours.send(notice));
            }
        }
    });
    let _driver = Driver(driver.abort_handle());
    let text = format!("LISTEN {CHANNEL}");
    let asked = tokio::time::timeout(limit, client.batch_execute(&text));
    asked.await.map_err(late)?.map_err(|error| fault(&error))?;
    begun.send_modify(|count| *count += 1);
    if std::mem::take(is_told) {
        tracing::info!("notices of other replicas are heard again");
    }
    tokio::pin!(driver);
    loop {
        tokio::select! {
            _ended = &mut driver => return Err(StoreFault::Away("the connection ended".to_owned())),
            () = tokio::time::sleep(PULSE) => {}
        }
        let asked = tokio::time::timeout(limit, client.batch_execute("SELECT 1"));
        asked.await.map_err(late)?.map_err(|error| fault(&error))?;
    }
}
