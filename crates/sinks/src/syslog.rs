//! A syslog server: RFC 5424 messages over TCP (RFC 6587) or TLS (RFC 5425).
//!
//! Syslog has no acknowledgement: what was written to a connection that then broke may be lost, and nobody says so. So the last
//! records are kept, and sent again on the next connection; replica and sequence number say which are repeats. Some servers close
//! the connection at a message that they do not take, after it was written with success: so for a moment behind what is first
//! written to a connection we listen whether it is closed.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::plan::feed::{Format, SyslogPlan, SyslogTls};
use rustls::ClientConfig;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use transport::net::{Address, BoxIo, Network};
use transport::tls::{self, TlsFault};

use crate::receiver::{Bounds, Delivery, Receiver, Taken, Undelivered};

mod frame;
mod kept;

use self::kept::Kept;

/// Fewer than are kept to be sent again, so that none that was written is not.
const BOUNDS: Bounds = Bounds { records: 256, bytes: kept::MOST_BYTES };

/// So often the same records may end a connection before they are taken to be the cause.
const SUSPECT: u32 = 3;

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// How long we listen whether what was first written to a connection ends it, where a delivery may last that long.
const SETTLE: Duration = Duration::from_millis(500);

/// Why not all was written.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error("the connection broke: {0}")]
    Broke(String),
    #[error("it does not read: nothing more was taken within {0:?}")]
    Late(Duration),
}

/// A syslog server.
pub struct Syslog {
    plan: SyslogPlan,
    format: Format,
    address: Address,
    /// How long a delivery may take to be written, and how long we listen behind it.
    within: Duration,
    settle: Duration,
    network: Arc<dyn Network>,
    open: Option<BoxIo>,
    kept: Kept,
    /// Whether it has ever taken anything: before that, nothing that it does says anything of one record.
    has_taken: bool,
    /// The first of the records that have ended a connection, and how often.
    suspect: Option<(String, u32)>,
}

// What it awaits has it as `&mut`: a connection is for one thread at a time.
impl Syslog {
    /// A server that is not connected yet.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub fn new(
        plan: &SyslogPlan,
        format: Format,
        within: Duration,
        network: Arc<dyn Network>,
    ) -> Result<Self, TlsFault> {
        // What is wrong with its files is to be heard at once.
        drop(plan.tls.as_ref().map(client).transpose()?);
        Ok(Self {
            plan: plan.clone(),
            format,
            address: Address::Tcp(plan.host.clone(), plan.port),
            within,
            settle: SETTLE.min(within / 8),
            network,
            open: None,
            kept: Kept::default(),
            has_taken: false,
            suspect: None,
        })
    }

    async fn send(&mut self, lines: &[String]) -> Result<Taken, Undelivered> {
        let mut taken = Taken::default();
        let mut messages = Vec::with_capacity(lines.len());
        for (at, line) in lines.iter().enumerate() {
            match frame::messages(line, self.format, &self.plan) {
                Ok(written) => messages.push(written),
                Err(why) => {
                    taken.rejected.push((at, why));
                    taken.unfit += 1;
                }
            }
        }
        if messages.is_empty() {
            return Ok(taken);
        }
        // Whether the server has ended the connection in the meantime is only known to who has asked the system since.
        tokio::task::yield_now().await;
        // It is taken out until all is written: whoever drops this leaves no connection with half a message in it.
        let open = self.open.take().and_then(|mut io| match ended(&mut io) {
            Some(why) => {
                tracing::debug!(server = %self.address, why, "the syslog server has closed the connection");
                None
            }
            None => Some(io),
        });
        let io = match open {
            Some(mut io) => {
                let written = self.write(&mut io, &messages.concat()).await;
                written.map_err(|why| self.later(&why.to_string()))?;
                io
            }
            None => self.begin(&messages.concat(), lines).await?,
        };
        taken.lost = self.kept.take_given_up();
        for message in messages {
            self.kept.keep(message);
        }
        (self.has_taken, self.suspect, self.open) = (true, None, Some(io));
        Ok(taken)
    }

    /// Writes to a new connection: what was kept, then this.
    async fn begin(&mut self, messages: &[u8], lines: &[String]) -> Result<BoxIo, Undelivered> {
        let within = CONNECT.min(self.within / 2);
        let mut io = match timeout(within, self.connect()).await {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => return Err(self.later(&format!("cannot connect: {error}"))),
            Err(_elapsed) => return Err(self.later(&format!("cannot connect: nothing within {within:?}"))),
        };
        // Whoever is not let in hears so only now: in TLS 1.3 a client's certificate is looked at when it believes to be done.
        if let Some(why) = self.closes(&mut io).await {
            return Err(self.later(&format!("it closes the connection before anything was sent: {why}")));
        }
        let again = self.kept.all();
        if !again.is_empty() {
            let written = self.write(&mut io, &again).await;
            if matches!(written, Err(Unwritten::Broke(_))) {
                self.kept.blame();
            }
            written.map_err(|why| self.later(&why.to_string()))?;
            if let Some(why) = self.closes(&mut io).await {
                self.kept.blame();
                return Err(self.later(&format!("it closes the connection: {why}")));
            }
        }
        match self.write(&mut io, messages).await {
            Ok(()) => {}
            Err(Unwritten::Broke(why)) => return Err(self.ended_by(lines, &why)),
            Err(late) => return Err(self.later(&late.to_string())),
        }
        match self.closes(&mut io).await {
            Some(why) => Err(self.ended_by(lines, &why)),
            None => Ok(io),
        }
    }

    async fn connect(&mut self) -> io::Result<BoxIo> {
        let io = self.network.connect(&self.address).await?;
        let Some(wanted) = &self.plan.tls else { return Ok(io) };
        // Read anew for each connection: certificates are renewed.
        let config = client(wanted).map_err(io::Error::other)?;
        tls::begin(config, &self.plan.host, io).await
    }

    async fn write(&mut self, io: &mut BoxIo, messages: &[u8]) -> Result<(), Unwritten> {
        let written = timeout(self.within, async {
            io.write_all(messages).await?;
            io.flush().await
        });
        match written.await {
            Ok(written) => written.map_err(|error| Unwritten::Broke(error.to_string())),
            Err(_elapsed) => Err(Unwritten::Late(self.within)),
        }
    }

    /// Why a server closes a connection within a moment, if it does.
    async fn closes(&mut self, io: &mut BoxIo) -> Option<String> {
        let until = Instant::now() + self.settle;
        let mut unread = [0; 512];
        loop {
            match timeout_at(until, io.read(&mut unread)).await {
                Err(_elapsed) => return None,
                Ok(Ok(0)) => return Some("it ends it".to_owned()),
                // A syslog server has nothing to say.
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Some(error.to_string()),
            }
        }
    }

    /// What it means that a connection ended behind these records.
    fn ended_by(&mut self, lines: &[String], why: &str) -> Undelivered {
        let first = lines.first().cloned().unwrap_or_default();
        let times = match self.suspect.take() {
            Some((before, times)) if before == first => times + 1,
            _ => 1,
        };
        let why = format!(
            "it closes the connection at what it is sent ({why}): do its framing and the longest message that it takes fit ours?"
        );
        if self.has_taken && times >= SUSPECT {
            return Undelivered::Refused { why: format!("{}: {why}", self.address) };
        }
        self.suspect = Some((first, times));
        self.later(&why)
    }

    fn later(&self, why: &str) -> Undelivered {
        Undelivered::Later { why: format!("{}: {why}", self.address), after: None }
    }
}

impl Receiver for Syslog {
    fn bounds(&self) -> Bounds {
        BOUNDS
    }

    fn acknowledges(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a mut self, lines: &'a [String]) -> Delivery<'a> {
        Box::pin(self.send(lines))
    }
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog").field("address", &self.address).finish_non_exhaustive()
    }
}

fn client(wanted: &SyslogTls) -> Result<Arc<ClientConfig>, TlsFault> {
    let presents = wanted.identity.as_ref().map(|(certificate, key)| (&**certificate, &**key));
    Ok(Arc::new(tls::client_with(wanted.authorities.as_deref(), presents)?))
}

/// Whether a connection has ended, as far as is known without waiting.
fn ended(io: &mut BoxIo) -> Option<String> {
    let mut context = Context::from_waker(Waker::noop());
    // A server that says more than that has not ended it.
    for _ in 0..64 {
        let mut unread = [0; 512];
        let mut read = ReadBuf::new(&mut unread);
        match Pin::new(&mut *io).poll_read(&mut context, &mut read) {
            Poll::Pending => return None,
            Poll::Ready(Ok(())) if read.filled().is_empty() => return Some("it has ended it".to_owned()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Some(error.to_string()),
        }
    }
    None
}

#[cfg(test)]
mod tests;
