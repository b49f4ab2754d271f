//! Work on what is large, beside the threads that carry connections: to read a list of 20 MB takes so long that every
//! other call of the same thread would wait for it.

use std::cell::Cell;
use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::thread;

use bytes::Bytes;
use mcp::jsonrpc::{EnvelopeFault, Message, Unread};
use rustix::process;
use tokio::sync::Semaphore;

/// From so many bytes on. To pass less on to another thread costs more than it spares others.
pub const LARGE: usize = 256 * 1024;

/// Those who work at once on the same kind of thing; others wait.
type Places = LazyLock<Arc<Semaphore>>;
/// On what clients send.
static CLIENTS: Places = LazyLock::new(places);
/// On all else: what servers answer does not wait behind the bodies of clients who have nothing to do with it.
static SERVERS: Places = LazyLock::new(places);

/// Half of the machine stays for all that is small.
fn places() -> Arc<Semaphore> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((processors / 2).max(1)))
}

/// How much less a thread is worth to the system that works on what is large (nice(2)): where processors are few, who carries a
/// small call must not wait until a slice of time is over.
const NICE: i32 = 10;

thread_local! {
    static IS_NICE: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread less urgent than those that carry connections. It stays so, since only root may go back; whatever else
/// waits for a thread to block in, such as a look-up of a name, gets one that is as nice or a new one.
fn be_nice() {
    // Elsewhere it would be the whole process (setpriority(2), «C library/kernel differences»).
    if !cfg!(target_os = "linux") {
        return;
    }
    if IS_NICE.replace(true) {
        return;
    }
    let less = process::getpriority_process(None)
        .and_then(|usual| process::setpriority_process(None, (usual + NICE).min(19)));
    if let Err(error) = less {
        tracing::debug!(%error, "a thread for large messages has the priority of all others");
    }
}

/// What is worked on elsewhere, in a box: it is rare, and whoever waits for it must not grow by it.
pub type Aside<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Does something elsewhere. Who waits no longer only stops to wait; what has begun is done to its end.
pub fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    among(&SERVERS, work)
}

fn among<T: Send + 'static>(places: &'static Places, work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    Box::pin(async move {
        // It is never closed.
        let place = Arc::clone(places).acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            be_nice();
            let done = work();
            drop(place);
            done
        });
        match done.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(done) => done,
            // As if it had been done here.
            Err(Ok(panicked)) => panic::resume_unwind(panicked),
            // The runtime ends, and so does whoever waits.
            Err(Err(_ended)) => std::future::pending().await,
        }
    })
}

/// Reads what a client has sent; what is large elsewhere.
pub async fn client_message(text: &Bytes, most_depth: usize) -> Result<Message, Unread> {
    if text.len() < LARGE {
        return Message::of_client(text, most_depth);
    }
    let text = text.clone();
    among(&CLIENTS, move || Message::of_client(&text, most_depth)).await
}

/// Reads what a server has sent; what is large elsewhere.
pub async fn server_message(text: Bytes, most_depth: usize) -> Result<Message, EnvelopeFault> {
    if text.len() < LARGE {
        return Message::of_server(text, most_depth);
    }
    aside(move || Message::of_server(text, most_depth)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> thread::ThreadId {
        thread::current().id()
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_done_on_another_thread_and_time_stands_still() {
        let began = tokio::time::Instant::now();
        let slow = aside(|| {
            thread::sleep(std::time::Duration::from_millis(5));
            here()
        });
        let waited = tokio::time::timeout(std::time::Duration::from_millis(1), slow).await;
        assert_ne!(waited.unwrap(), here());
        assert_eq!(began.elapsed(), std::time::Duration::ZERO);
    }

    #[tokio::test]
    async fn it_is_done_with_less_priority() {
        let priority = || process::getpriority_process(None).unwrap();
        let ours = priority();
        for _ in 0..3 {
            assert_eq!(aside(priority).await, (ours + NICE).min(19));
        }
        assert_eq!(priority(), ours);
    }

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        let (go, goes) = std::sync::mpsc::channel();
        let waits = tokio::spawn(aside(move || goes.recv()));
        // On the one thread of this runtime.
        tokio::task::yield_now().await;
        go.send(7).unwrap();
        assert_eq!(waits.await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_whose_work_it_was() {
        let panicked = tokio::spawn(aside(|| panic!("odd"))).await;
        assert!(panicked.unwrap_err().is_panic());
        // And its place is free again.
        for _ in 0..2 * thread::available_parallelism().map_or(1, usize::from) {
            assert!(tokio::spawn(aside(|| panic!("odd"))).await.is_err());
        }
        assert_eq!(aside(|| 1).await, 1);
    }

    #[tokio::test]
    async fn no_more_work_at_once_than_there_are_places() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
            aside(move || {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                at_once.fetch_sub(1, Ordering::SeqCst);
            })
        };
        futures_util::future::join_all((0..50).map(|_| work())).await;
        let places = (thread::available_parallelism().map_or(1, usize::from) / 2).max(1);
        assert!((1..=places).contains(&most.load(Ordering::SeqCst)));
    }
}
