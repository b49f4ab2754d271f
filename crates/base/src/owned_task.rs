//! A task with an owner: it ends when what it works for is dropped.

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// Runs beside its owner, and is aborted when this is dropped: at its next await, so what it does without one is done whole.
///
/// For what waits for a time or looks after one thing. What must be waited for at the end belongs to `World::tasks`.
#[derive(Debug)]
pub struct OwnedTask {
    _handle: AbortOnDropHandle<()>,
}

impl OwnedTask {
    /// Begins it on the runtime of the thread.
    ///
    /// # Panics
    /// If the thread has none.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { _handle: AbortOnDropHandle::new(tokio::spawn(task)) }
    }

    /// Begins it, if the thread has a runtime.
    pub fn try_spawn(task: impl Future<Output = ()> + Send + 'static) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        Some(Self { _handle: AbortOnDropHandle::new(runtime.spawn(task)) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_ends_with_its_owner() {
        let (alive, gone) = oneshot::channel::<()>();
        let task = OwnedTask::spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(task);
        assert!(gone.await.is_err(), "what it held was dropped, not sent");
    }

    #[tokio::test]
    async fn it_runs_while_it_is_owned() {
        let (done, was_done) = oneshot::channel();
        let _task = OwnedTask::spawn(async move { done.send(1).unwrap() });
        assert_eq!(was_done.await, Ok(1));
    }

    #[test]
    fn without_a_runtime_nothing_begins() {
        assert!(OwnedTask::try_spawn(async {}).is_none());
    }
}
