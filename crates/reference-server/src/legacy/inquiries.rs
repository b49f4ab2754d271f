//! Requests of the server to a client, in the middle of a call and on its stream.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp::answer::{error_view, request_message};
use mcp::jsonrpc::{Id, Message, MessageKind};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::calls::locked;
use crate::live::{Line, Said};
use crate::question::Question;

/// How long a user may think.
const PATIENCE: Duration = Duration::from_secs(120);

/// The requests of one session that wait for the client's answer.
#[derive(Debug, Default)]
pub(crate) struct Inquiries {
    asked: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<String, String>>>>,
}

impl Inquiries {
    /// Asks on `line`, and gives the JSON text of the client's result, or why there is none.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        line: &Line,
        drain: &CancellationToken,
    ) -> Result<String, String> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = locked(&self.waiting);
            // Of calls that were cancelled meanwhile.
            waiting.retain(|_, answer| !answer.is_closed());
            waiting.insert(number, answer);
        }
        let request = request_message(&Id::number(number), question.method(), Some(&question.params()));
        line.send(Said::Message(request)).await.map_err(|_gone| "the client is gone".to_owned())?;
        let answer = tokio::select! {
            answer = tokio::time::timeout(PATIENCE, answered) => answer,
            // No answer can come any more.
            () = drain.cancelled() => return Err("the server is shutting down".to_owned()),
        };
        match answer {
            Ok(Ok(Ok(result))) if question.is_answered_by(&result) => Ok(result),
            Ok(Ok(Ok(_))) => Err(format!("the client's result for {} is malformed", question.method())),
            Ok(Ok(Err(error))) => Err(format!("the client answered {}: {error}", question.method())),
            Ok(Err(_)) | Err(_) => Err(format!("the client did not answer {}", question.method())),
        }
    }

    /// Hands a response of the client to whoever waits for it; others are nobody's.
    pub(crate) fn settle(&self, message: &Message) {
        let answer = match message.kind() {
            MessageKind::Result(parts) => Ok(message.at(parts.result).to_owned()),
            MessageKind::Error(parts) => Err(error_view(message, parts).message.into_owned()),
            MessageKind::Notification(_) | MessageKind::Request(_) => return,
        };
        let number = message.response_id().and_then(Id::as_number);
        if let Some(waiting) = number.and_then(|number| locked(&self.waiting).remove(&number)) {
            // The call may have been cancelled meanwhile.
            drop(waiting.send(answer));
        }
    }
}
