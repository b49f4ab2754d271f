//! Being asked to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::fault::Fault;

/// The signals by which a process is asked to end. While it lives they do not end the process by themselves.
#[derive(Debug)]
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    /// Begins to listen for them.
    pub(crate) fn listen() -> Result<Self, Fault> {
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Begins to listen for a signal.
pub(crate) fn hear(kind: SignalKind) -> Result<Signal, Fault> {
    signal(kind).map_err(|error| Fault::outside("cannot listen for signals", &error))
}
