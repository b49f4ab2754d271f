//! A session's own stream (GET): who reads it, and what it means when the server has none.
//!
//! Servers say there what belongs to no request, ask there when their tools do not know which request they serve, and some
//! answer there. A refusal of the GET says that there is no such stream, and nothing of the session.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::error::CallError;
use base::sync::lock;
use http::{HeaderValue, Method, StatusCode};
use mcp::headers;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::HttpWire;
use super::get_stream::OpenGetStream;
use super::refusal::Refusal;
use super::session::Session;
use super::stream::HttpStream;
use crate::link::Whose;

/// The first pause before a session's stream that ended is opened again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a server may take to open a session's stream before calls do not wait for it any more.
const STREAM_OPENS: Duration = Duration::from_secs(1);
/// How often the stream may be refused with a status that does not say that there is none.
const MOST_REFUSED: u32 = 8;

/// Whether the sessions of `whose` are listened to by whoever watches the server for all.
pub(super) fn is_watched(whose: &Whose) -> bool {
    whose.is_bare() && whose.is_shared()
}

/// Whether a status says that there is no stream, and there will be none.
fn says_never(status: StatusCode) -> bool {
    let none = [
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_ACCEPTABLE,
        StatusCode::GONE,
        StatusCode::NOT_IMPLEMENTED,
    ];
    // A page about itself, for one.
    status.is_success() || status.is_redirection() || none.contains(&status)
}

/// Whether it may be otherwise at any time.
fn is_passing(status: StatusCode) -> bool {
    let passing = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    passing.contains(&status)
}

impl Session {
    /// Opens the session's own stream; none from a server that has no such stream.
    pub(crate) async fn open_get_stream(
        self: &Arc<Self>,
        wire: &Arc<HttpWire>,
    ) -> Result<Option<HttpStream>, CallError> {
        let state = &self.get_stream;
        if state.never.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut wanted = self.headers();
        // It is not asked for again from where it was once it was refused from there.
        let newest = lock(&state.newest).take();
        if let Some(newest) = newest.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            wanted.insert(headers::LAST_EVENT_ID.clone(), newest);
        }
        let reply = match wire.plain(Method::GET, wanted).await {
            Ok(reply) => reply,
            Err(error) => {
                *lock(&state.newest) = newest;
                return Err(error);
            }
        };
        let (status, media) = (reply.status(), reply.media_type());
        if status.is_success() && media.as_deref() == Some("text/event-stream") {
            state.was_open.store(true, Ordering::Relaxed);
            state.refused.store(0, Ordering::Relaxed);
            let open = (OpenGetStream::new(state), newest);
            return Ok(Some(HttpStream::listening(Arc::clone(wire), reply, open, self)));
        }
        let error = wire.status_fault(status, media.as_deref());
        drop(reply);
        if state.was_open.swap(false, Ordering::Relaxed) {
            // There was one, so the session may have gone with it, as in a restart.
            wire.doubt(self, Refusal::bare(status, None)).await;
            if self.is_lost() {
                return Err(error);
            }
        }
        let refused = state.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if says_never(status) || (refused >= MOST_REFUSED && !is_passing(status)) {
            state.never.store(true, Ordering::Relaxed);
            tracing::debug!(upstream = wire.shared.plan.name, %status, "it has no stream of its own");
            return Ok(None);
        }
        Err(error)
    }

    /// Makes sure that the session's own stream is read, because the server answers there.
    pub(crate) async fn ensure_get_stream(self: &Arc<Self>, wire: &Arc<HttpWire>) -> Result<(), CallError> {
        if self.get_stream.is_open() {
            return Ok(());
        }
        let _one = self.get_stream.opening.lock().await;
        if self.get_stream.is_open() {
            return Ok(());
        }
        // It may have it now that there is something to say.
        self.get_stream.never.store(false, Ordering::Relaxed);
        let Some(mut stream) = self.open_get_stream(wire).await? else {
            return Err(
                wire.invalid("it takes a request without answering it, and has no stream to answer on")
            );
        };
        let session = Arc::clone(self);
        wire.shared.world.tasks.spawn(async move {
            let read = async { while stream.next().await.is_ok() {} };
            tokio::select! {
                () = read => {}
                () = session.gone() => {}
            }
        });
        Ok(())
    }
}

/// Listens to a session's own stream as long as the session lasts. Returns once it listens, because what a server asks before
/// is lost.
pub(super) async fn listen(wire: &Arc<HttpWire>, session: &Arc<Session>) {
    let within = STREAM_OPENS.min(wire.shared.plan.deadlines.connect / 2);
    let (opening, opened) = oneshot::channel::<()>();
    let listening: Pin<Box<dyn Future<Output = ()> + Send>> =
        Box::pin(keep_listening(Arc::clone(wire), Arc::clone(session), opening));
    wire.shared.world.tasks.spawn(listening);
    // It ends when the other end is dropped, whatever came of it.
    drop(timeout(within, opened).await);
}

async fn keep_listening(wire: Arc<HttpWire>, session: Arc<Session>, opening: oneshot::Sender<()>) {
    let listening = async {
        let mut pause = FIRST_PAUSE;
        let mut opening = Some(opening);
        loop {
            let stream = session.open_get_stream(&wire).await;
            drop(opening.take());
            match stream {
                Ok(None) => return,
                Ok(Some(mut stream)) => {
                    let began = Instant::now();
                    while stream.next().await.is_ok() {}
                    if began.elapsed() >= LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot listen to a session"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    tokio::select! {
        () = listening => {}
        () = session.gone() => {}
    }
}
