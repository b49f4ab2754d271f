//! The threads that carry connections: one runtime per thread, and a connection stays on the thread that it was given to.
//!
//! What a call needs (its client's connection, the connection to its server, its timers) then never crosses from one
//! thread to another, which costs a proxy a fifth of its time (bench/RESULTS.md, «Runtimes»). A new connection
//! goes to the thread that carries the fewest.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

thread_local! {
    static SEAT: Cell<usize> = const { Cell::new(0) };
}

/// The number of this thread among those that carry connections; 0 for every other thread.
pub(crate) fn seat() -> usize {
    SEAT.get()
}

/// The threads that carry connections, or none: then whoever accepts a connection carries it.
#[derive(Debug, Clone, Default)]
pub struct Workers {
    threads: Arc<[Thread]>,
    /// Ends the threads with the last of whoever holds them.
    end: Option<Arc<DropGuard>>,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    carries: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    /// When the system gives no threads, or no more file descriptors.
    pub fn start(count: usize) -> io::Result<Self> {
        Self::at(1..=count)
    }

    /// A thread that carries nothing of what these carry, so that nothing waits for them; none if the caller carries
    /// everything.
    ///
    /// # Errors
    /// As for [`Workers::start`].
    pub fn apart(&self) -> io::Result<Self> {
        // It has no place among those that are counted by their seats.
        if self.end.is_some() { Self::at(0..=0) } else { Ok(Self::default()) }
    }

    fn at(seats: RangeInclusive<usize>) -> io::Result<Self> {
        let end = CancellationToken::new();
        let threads: io::Result<Vec<_>> = seats.map(|seat| Thread::start(seat, end.clone())).collect();
        Ok(Self { threads: threads?.into(), end: Some(Arc::new(end.drop_guard())) })
    }

    /// How many places there are for what each thread has of its own: theirs, and one for all other threads.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.threads.len() + 1
    }

    /// Runs something on the first thread, whatever it carries; without threads, on the caller's.
    pub fn run<F>(&self, tasks: &TaskTracker, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self.threads.first() {
            Some(thread) => tasks.spawn_on(task, &thread.runtime),
            None => tasks.spawn(task),
        }
    }

    /// Carries something on the thread that carries the fewest: `begin` runs there.
    pub(crate) fn carry<F: Future<Output = ()> + Send + 'static>(
        &self,
        tasks: &TaskTracker,
        begin: impl FnOnce() -> F + Send + 'static,
    ) {
        let Some(thread) = self.threads.iter().min_by_key(|thread| thread.carries.load(Ordering::Relaxed))
        else {
            tasks.spawn(begin());
            return;
        };
        let carried = Carried::count(&thread.carries);
        let task = async move {
            begin().await;
            drop(carried);
        };
        tasks.spawn_on(task, &thread.runtime);
    }
}

impl Thread {
    fn start(seat: usize, end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name(format!("worker-{seat}")).spawn(move || {
            SEAT.set(seat);
            runtime.block_on(end.cancelled());
        })?;
        Ok(Self { runtime: handle, carries: Arc::default() })
    }
}

/// One connection that a thread carries.
struct Carried(Arc<AtomicUsize>);

impl Carried {
    fn count(carries: &Arc<AtomicUsize>) -> Self {
        carries.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(carries))
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn each_goes_where_the_fewest_are_and_stays_there() {
        let (workers, tasks) = (Workers::start(2).unwrap(), TaskTracker::new());
        let (said, mut says) = mpsc::unbounded_channel();
        let mut hold = Vec::new();
        for _ in 0..4 {
            let (said, stop) = (said.clone(), CancellationToken::new());
            hold.push(stop.clone().drop_guard());
            workers.carry(&tasks, move || async move {
                said.send(seat()).unwrap();
                stop.cancelled().await;
                said.send(seat()).unwrap();
            });
        }
        let mut seats = Vec::new();
        for _ in 0..4 {
            seats.push(says.recv().await.unwrap());
        }
        seats.sort_unstable();
        assert_eq!(seats, [1, 1, 2, 2]);
        drop(hold);
        tasks.close();
        tasks.wait().await;
        let mut ended = Vec::new();
        for _ in 0..4 {
            ended.push(says.recv().await.unwrap());
        }
        ended.sort_unstable();
        assert_eq!(ended, [1, 1, 2, 2]);
        assert_eq!((seat(), workers.seats()), (0, 3));
        let apart = workers.apart().unwrap();
        let tasks = TaskTracker::new();
        let thread = apart.run(&tasks, async { (std::thread::current().id(), seat()) }).await.unwrap();
        assert!(thread.0 != std::thread::current().id() && thread.1 == 0);
    }

    #[tokio::test]
    async fn without_threads_the_caller_carries() {
        let (workers, tasks) = (Workers::default(), TaskTracker::new());
        assert!(workers.apart().unwrap().threads.is_empty());
        let (said, mut says) = mpsc::unbounded_channel();
        workers.carry(&tasks, move || async move { said.send(std::thread::current().id()).unwrap() });
        assert_eq!(says.recv().await.unwrap(), std::thread::current().id());
    }
}
