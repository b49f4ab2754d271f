//! Work on what is large, beside the threads that carry connections: to read a list of 20 MB takes so long that every
//! other call of the same thread would wait for it.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use mcp::jsonrpc::{EnvelopeFault, Message, Unread};
use rustix::process;
use tokio::sync::oneshot;

/// From so many bytes on. To pass less on to another thread costs more than it spares others.
pub(crate) const LARGE: usize = 256 * 1024;

/// How much less these threads are worth to the system than those that carry connections (nice(2)): where processors are
/// few, who carries a small call must not wait until a slice of time is over.
const NICE: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

/// Takes work to the threads that do it.
static WORK: LazyLock<Sender<Work>> = LazyLock::new(|| {
    let (sender, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for number in 1..=places() {
        let queue = Arc::clone(&queue);
        // Where there is none, nobody takes the work, which is then done by whoever wants it.
        drop(thread::Builder::new().name(format!("large-{number}")).spawn(move || carry_out(&queue)));
    }
    sender
});

/// So many work at once; others wait. Half of the machine stays for all that is small.
fn places() -> usize {
    (thread::available_parallelism().map_or(1, usize::from) / 2).max(1)
}

fn carry_out(queue: &Mutex<Receiver<Work>>) {
    let less = process::getpriority_process(None)
        .and_then(|usual| process::setpriority_process(None, (usual + NICE).min(19)));
    if let Err(error) = less {
        tracing::debug!(%error, "a thread for large messages has the priority of all others");
    }
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(work) => work(),
            // The sender is never dropped.
            Err(_gone) => return,
        }
    }
}

/// What is worked on elsewhere, in a box: it is rare, and whoever waits for it must not grow by it.
pub(crate) type Aside<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Does something elsewhere. What nobody waits for any more when its turn comes is not done; what has begun is done to its
/// end.
pub(crate) fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    Box::pin(async move {
        let (reply, done) = oneshot::channel();
        let work: Work = Box::new(move || {
            if !reply.is_closed() {
                let done = panic::catch_unwind(AssertUnwindSafe(work));
                // Nobody waits any more.
                drop(reply.send(done));
            }
        });
        if let Err(mpsc::SendError(work)) = WORK.send(work) {
            work();
        }
        match done.await {
            Ok(Ok(done)) => done,
            // As if it had been done here.
            Ok(Err(panicked)) => panic::resume_unwind(panicked),
            // It is always sent while somebody waits.
            Err(_gone) => std::future::pending().await,
        }
    })
}

/// Reads what a client has sent; what is large elsewhere.
pub(crate) async fn client_message(text: &Bytes) -> Result<Message, Unread> {
    if text.len() < LARGE {
        return Message::of_client(text);
    }
    let text = text.clone();
    aside(move || Message::of_client(&text)).await
}

/// Reads what a server has sent; what is large elsewhere.
pub(crate) async fn server_message(text: Bytes) -> Result<Message, EnvelopeFault> {
    if text.len() < LARGE { Message::of_server(text) } else { aside(move || Message::of_server(text)).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> thread::ThreadId {
        thread::current().id()
    }

    #[tokio::test]
    async fn work_is_done_on_another_thread_of_less_priority() {
        let priority = || process::getpriority_process(None).unwrap();
        let ours = priority();
        let (thread, theirs) = aside(move || (here(), priority())).await;
        assert_ne!(thread, here());
        assert_eq!((theirs, priority()), ((ours + NICE).min(19), ours));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let (go, goes) = mpsc::channel::<()>();
        let goes = Arc::new(Mutex::new(goes));
        // All threads have something to do.
        let busy: Vec<_> = (0..places())
            .map(|_| {
                let goes = Arc::clone(&goes);
                tokio::spawn(aside(move || goes.lock().unwrap().recv().unwrap()))
            })
            .collect();
        tokio::task::yield_now().await;
        let begun = Arc::new(Mutex::new(false));
        let note = Arc::clone(&begun);
        let given_up = tokio::spawn(aside(move || *note.lock().unwrap() = true));
        tokio::task::yield_now().await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        for _ in &busy {
            go.send(()).unwrap();
        }
        // Whatever comes behind it is done.
        aside(|| ()).await;
        assert!(!*begun.lock().unwrap());
    }

    #[tokio::test]
    async fn others_go_on_meanwhile() {
        let (go, goes) = mpsc::channel();
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
        for _ in 0..2 * places() {
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
        assert!((1..=places()).contains(&most.load(Ordering::SeqCst)));
    }
}
