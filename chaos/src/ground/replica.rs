//! One replica: a process of `portolan serve`, and what is done to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{Instant, timeout};

use super::configuration::Configuration;
use super::{Settings, program, write};
use crate::fault::Fault;
use crate::record::Record;

/// How long it may take to be ready.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end when it is asked to: its deadline for calls, and a little.
const END: Duration = Duration::from_secs(15);

/// One of them.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) number: usize,
    pub(crate) listen: SocketAddr,
    admin: SocketAddr,
    portolan: PathBuf,
    configuration: Configuration,
    generation: u32,
    path: PathBuf,
    log: PathBuf,
    state: PathBuf,
    child: Option<Child>,
}

impl Replica {
    pub(super) fn new(
        number: usize,
        settings: &Settings,
        configuration: Configuration,
        (listen, admin): (SocketAddr, SocketAddr),
    ) -> Self {
        let at = |name: String| settings.directory.join(name);
        Self {
            number,
            listen,
            admin,
            portolan: settings.portolan.clone(),
            configuration,
            generation: 0,
            path: at(format!("replica-{number}.toml")),
            log: at(format!("replica-{number}.log")),
            state: at(format!("state-{number}")),
            child: None,
        }
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(&mut self) -> Result<(), Fault> {
        write(&self.path, &self.configuration.text(self.listen, self.admin, self.generation))?;
        let (path, state) = (self.path.display().to_string(), self.state.display().to_string());
        let arguments = ["serve", "--log-format", "json", "--state-dir", &state, &path];
        let mut child = program::start(&self.portolan, &arguments, &self.log)?;
        let since = Instant::now();
        while !self.is_ready().await {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(Fault::new(format!(
                    "replica {} ended at its start: {status}; {}",
                    self.number,
                    self.log.display()
                )));
            }
            if since.elapsed() > START {
                return Err(Fault::new(format!(
                    "replica {} does not become ready; {}",
                    self.number,
                    self.log.display()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.child = Some(child);
        Ok(())
    }

    /// Whether it says that it is.
    pub(crate) async fn is_ready(&self) -> bool {
        let asked = timeout(Duration::from_secs(2), async {
            let mut stream = TcpStream::connect(self.admin).await?;
            let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await?;
            let mut said = String::new();
            stream.read_to_string(&mut said).await?;
            Ok::<_, std::io::Error>(said)
        });
        matches!(asked.await, Ok(Ok(said)) if said.starts_with("HTTP/1.1 200"))
    }

    fn signal(&self, signal: Signal) -> Result<(), Fault> {
        let id = self.pid().ok_or_else(|| Fault::new(format!("replica {} does not run", self.number)))?;
        kill(Pid::from_raw(id.cast_signed()), signal).map_err(Fault::of("a signal"))
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<(), Fault> {
        self.signal(Signal::SIGKILL)?;
        if let Some(mut child) = self.child.take() {
            child.wait().await.map_err(Fault::of("waiting"))?;
        }
        Ok(())
    }

    pub(crate) fn freeze(&self) -> Result<(), Fault> {
        self.signal(Signal::SIGSTOP)
    }

    pub(crate) fn thaw(&self) -> Result<(), Fault> {
        self.signal(Signal::SIGCONT)
    }

    pub(crate) fn term(&self) -> Result<(), Fault> {
        self.signal(Signal::SIGTERM)
    }

    /// Asks it to drain by the command, as another machine would.
    pub(crate) async fn drain(&self) -> Result<(), Fault> {
        let path = self.path.display().to_string();
        let listed = program::output(&self.portolan, &["replicas", &path]).await?;
        let pid = self.pid().unwrap_or(0);
        let ours = |line: &&str| line.contains(&format!(":{pid} "));
        let id = listed.lines().find(ours).and_then(|line| line.split_whitespace().next());
        let id = id.ok_or_else(|| Fault::new(format!("no replica of process {pid} in:\n{listed}")))?;
        program::output(&self.portolan, &["replicas", &path, "--drain", id]).await.map(drop)
    }

    /// Waits until it has ended in good order, as it was asked to.
    pub(crate) async fn ended(&mut self, record: &Record) -> Result<(), Fault> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match timeout(END, child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(status) => {
                record.wrong(format!("replica {} was to drain and ended with {status:?}", self.number));
            }
            Err(_) => {
                record.wrong(format!(
                    "replica {} has not ended {} s after it was asked to",
                    self.number,
                    END.as_secs()
                ));
                child.kill().await.map_err(Fault::of("killing"))?;
            }
        }
        Ok(())
    }

    /// Gives it a changed configuration, or one that is wrong; then its own stands in the file again.
    pub(crate) async fn reload(&mut self, is_wrong: bool, record: &Record) -> Result<(), Fault> {
        let expected = if is_wrong { "the old configuration goes on" } else { "\"message\":\"reloaded\"" };
        let text = if is_wrong {
            self.configuration.wrong(self.listen, self.admin)
        } else {
            self.generation += 1;
            self.configuration.text(self.listen, self.admin, self.generation)
        };
        let before = self.said(expected);
        write(&self.path, &text)?;
        self.signal(Signal::SIGHUP)?;
        let since = Instant::now();
        while self.said(expected) == before {
            if since.elapsed() > Duration::from_secs(10) {
                record.wrong(format!("replica {} has not said {expected:?} after SIGHUP", self.number));
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        write(&self.path, &self.configuration.text(self.listen, self.admin, self.generation))
    }

    /// How often it has said something in its log.
    fn said(&self, what: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap_or_default().matches(what).count()
    }
}
