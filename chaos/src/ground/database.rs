//! PostgreSQL, on a thread of its own: it ends with the thread that started it.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use testkit::postgres::Postgres;
use tokio::sync::oneshot;

use super::program;
use crate::fault::Fault;

/// What is done to it, and who waits until it is done.
type Order = (Do, oneshot::Sender<()>);

#[derive(Debug, Clone, Copy)]
enum Do {
    Stop,
    GoOn,
}

/// A running PostgreSQL.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Database {
    pub(crate) async fn start() -> Result<Self, Fault> {
        let (orders, ordered) = mpsc::channel::<Order>();
        let (tell, told) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut postgres = Postgres::start();
            tell.send(postgres.url()).ok();
            for (order, done) in ordered {
                match order {
                    Do::Stop => postgres.stop(),
                    Do::GoOn => postgres.go_on(),
                }
                done.send(()).ok();
            }
        });
        let url = told.await.map_err(Fault::of("PostgreSQL does not start"))?;
        Ok(Self { url, orders: Some(orders), thread: Some(thread) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as an operator would who cannot wait.
    pub(crate) async fn stop(&self) -> Result<(), Fault> {
        self.order(Do::Stop).await
    }

    /// Starts it again, and waits until it answers.
    pub(crate) async fn go_on(&self) -> Result<(), Fault> {
        self.order(Do::GoOn).await
    }

    async fn order(&self, order: Do) -> Result<(), Fault> {
        let (done, is_done) = oneshot::channel();
        if let Some(orders) = &self.orders {
            orders.send((order, done)).ok();
        }
        is_done.await.map_err(Fault::of("PostgreSQL is gone"))
    }

    /// How many sessions of clients it has, beside the one that asks.
    pub(crate) async fn sessions(&self) -> Result<u64, Fault> {
        let query = "select count(*) from pg_stat_activity \
                     where backend_type = 'client backend' and pid <> pg_backend_pid()";
        let said = program::output(Path::new("psql"), &[&self.url, "-tAc", query]).await?;
        said.trim().parse().map_err(Fault::of("counting sessions"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so.
            thread.join().ok();
        }
    }
}
