//! `portolan top`: what a gateway is doing now, from its admin listener.

use std::io::{IsTerminal as _, Stdin, Stdout, Write as _, stdin, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::plan::Plan;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Uri};
use mcp::json::{self, Object};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::time::{Instant, timeout};
use transport::http::client::{ClientSettings, Destination, HttpClient, SendFault};
use transport::memory::Memory;
use transport::net::{Address, SystemNetwork};
use transport::workers::Workers;
use views::exposition;
use views::page::{Order, Page};
use views::sample::{Sample, Scrape};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::log::Voice;
use crate::serve::configuration::Configuration;
use crate::signals::Ends;
use crate::{print, shared};

/// How long one replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes that it may answer with.
const MOST: usize = 32 * 1024 * 1024;
/// How often somebody looks for a key.
const KEYS: Duration = Duration::from_millis(100);

/// Show what a gateway is doing now: calls, servers, failures, what waits
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys: q ends it; c, e, l, n order servers by calls, errors, latency, name.

Examples:
  portolan top portolan.toml
  portolan top replica-1:8809 replica-2:8809
  portolan top portolan.toml --once")]
pub(crate) struct Top {
    /// The configuration that the gateway serves, which names its admin listener; or admin listeners, as HOST:PORT or URL
    #[arg(value_name = "CONFIG|ADDRESS", default_value = "portolan.toml")]
    targets: Vec<String>,
    /// How many seconds are between two looks
    #[arg(long, short = 'n', value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=3600))]
    interval: u16,
    /// Look twice, show what was between, and end
    #[arg(long)]
    once: bool,
    /// By what servers are ordered
    #[arg(long, value_name = "WHAT", default_value = "calls", value_parser = order_named())]
    order: Order,
}

/// One admin listener.
#[derive(Debug)]
struct AdminTarget {
    shown: String,
    metrics: Destination,
    ready: Destination,
    client: HttpClient,
}

impl Top {
    /// Does it.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        let targets = self.targets(voice)?;
        let names: Vec<_> = targets.iter().map(|target| target.shown.clone()).collect();
        let every = Duration::from_secs(self.interval.into());
        let mut looked = Instant::now();
        let mut looks = look(&targets).await;
        if looks.iter().all(|look| look.numbers.is_none()) {
            let each = names.iter().zip(&looks).map(|(name, look)| format!("{name}: {}", look.state));
            return Err(Fault::Outside(each.collect::<Vec<_>>().join("; "))
                .hint("is the gateway running, and does it serve [admin] there?"));
        }
        let mut ends = Ends::listen()?;
        let screen = if self.once { None } else { Some(Screen::take()?) };
        let (mut order, mut sample) = (self.order, Sample::between(None, &looks));
        loop {
            if let Some(screen) = &screen {
                let (order, size) = (order, screen.size());
                screen.show(&page(&names, &looks, &sample, (order, size)))?;
            }
            let next = looked + every;
            loop {
                tokio::select! {
                    () = ends.asked() => return Ok(Exit::Ok),
                    () = tokio::time::sleep_until(next.min(Instant::now() + KEYS)) => {}
                }
                let before = order;
                for key in screen.as_ref().map(Screen::keys).unwrap_or_default() {
                    match key {
                        b'q' | b'Q' | 3 => return Ok(Exit::Ok),
                        b'c' => order = Order::Calls,
                        b'e' => order = Order::Errors,
                        b'l' => order = Order::Latency,
                        b'n' => order = Order::Name,
                        _ => {}
                    }
                }
                if Instant::now() >= next || order != before {
                    break;
                }
            }
            if Instant::now() < next {
                continue;
            }
            let (then, before) = (looked, std::mem::take(&mut looks));
            looked = Instant::now();
            looks = tokio::select! {
                () = ends.asked() => return Ok(Exit::Ok),
                looks = look(&targets) => looks,
            };
            sample = Sample::between(Some((&before, looked - then)), &looks);
            if self.once {
                print::out(page(&names, &looks, &sample, (order, None)))?;
                return Ok(Exit::Ok);
            }
        }
    }

    fn targets(&self, voice: Voice) -> Result<Vec<AdminTarget>, Fault> {
        let network = Arc::new(SystemNetwork);
        let mut targets = Vec::new();
        for given in &self.targets {
            let (shown, url, socket) = if Path::new(given).is_file() {
                match admin_of(given, &Configuration::at(Path::new(given)).load(voice)?)? {
                    Address::Tcp(host, port) => {
                        let address = Address::Tcp(reachable(&host).to_owned(), port).to_string();
                        (address.clone(), format!("http://{address}"), None)
                    }
                    Address::Unix(path) => {
                        (path.display().to_string(), "http://localhost".to_owned(), Some(path))
                    }
                }
            } else {
                let url = if given.contains("://") { given.clone() } else { format!("http://{given}") };
                (given.clone(), url.trim_end_matches('/').to_owned(), None)
            };
            let at = |path: &str| {
                let bad = || {
                    Fault::usage(format!("{given:?} is no file, no address and no URL"))
                        .hint("name a configuration, or an admin listener such as localhost:8809")
                };
                let url: Uri = format!("{url}{path}").parse().map_err(|_unreadable| bad())?;
                let is_web = matches!(url.scheme_str(), Some("http" | "https"));
                let has_port = url.port_u16().is_some() || given.contains("://") || socket.is_some();
                if !is_web || !has_port {
                    return Err(bad());
                }
                Destination::new(url).map_err(|_nowhere| bad())
            };
            let (metrics, ready) = (at("/metrics")?, at("/readyz")?);
            let settings = ClientSettings { connect_timeout: PATIENCE, socket, ..ClientSettings::default() };
            let client = HttpClient::new(Arc::clone(&network) as _, settings, None, &Workers::default());
            targets.push(AdminTarget { shown, metrics, ready, client });
        }
        Ok(targets)
    }
}

fn order_named() -> impl TypedValueParser<Value = Order> {
    PossibleValuesParser::new(["calls", "errors", "latency", "name"]).map(|name| match &*name {
        "errors" => Order::Errors,
        "latency" => Order::Latency,
        "name" => Order::Name,
        _ => Order::Calls,
    })
}

/// The admin listener of a configuration.
fn admin_of(given: &str, plan: &Plan) -> Result<Address, Fault> {
    plan.admin.clone().ok_or_else(|| {
        Fault::usage(format!("{given} has no admin listener"))
            .hint("write [admin] address = \"127.0.0.1:8809\" into it, or name the address that `serve --admin` was given")
    })
}

/// Where a listener of all addresses can be reached from here.
fn reachable(host: &str) -> &str {
    match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        other => other,
    }
}

fn page(
    names: &[String],
    looks: &[Scrape],
    sample: &Sample,
    (order, size): (Order, Option<(usize, usize)>),
) -> String {
    let now = base::moment::write(shared::now());
    let time = now.get(11..19).unwrap_or_default();
    Page { targets: names, looks, sample, order, time: &format!("{time} UTC"), size }.text()
}

/// Looks at all of them at once.
async fn look(targets: &[AdminTarget]) -> Vec<Scrape> {
    futures_util::future::join_all(targets.iter().map(|target| async {
        match timeout(PATIENCE, target.look()).await {
            Ok(Ok(look)) => look,
            Ok(Err(fault)) => Scrape { state: fault.to_string(), ..Scrape::default() },
            Err(_late) => Scrape { state: "does not answer".to_owned(), ..Scrape::default() },
        }
    }))
    .await
}

impl AdminTarget {
    async fn look(&self) -> Result<Scrape, SendFault> {
        let (status, ready) = self.get(&self.ready).await?;
        let (answered, text) = self.get(&self.metrics).await?;
        let why = Object::parse(&ready)
            .ok()
            .and_then(|object| Some(json::string(object.get("why").ok()??).ok()?.into_owned()));
        let numbers = (answered == 200).then(|| exposition::read(&text));
        let state = match (why, &numbers) {
            (Some(why), Some(_)) => why,
            _ => "what answers there is no admin listener of Portolan".to_owned(),
        };
        Ok(Scrape { ready: status == 200 && numbers.is_some(), state, numbers })
    }

    async fn get(&self, at: &Destination) -> Result<(u16, String), SendFault> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let mut reply = self.client.send(Method::GET, at, headers, bytes::Bytes::new()).await?;
        let body = reply.whole(MOST, &Memory::default().share()).await?;
        Ok((reply.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }
}

/// The terminal, as long as this shows something there. It is given back as it was.
struct Screen {
    input: Stdin,
    output: Stdout,
    before: Termios,
}

impl Screen {
    fn take() -> Result<Self, Fault> {
        if !print::out_is_seen() || !stdin().is_terminal() {
            return Err(Fault::usage("this is no terminal").hint("--once shows one page and ends"));
        }
        let terminal = |error| Fault::outside("cannot use the terminal", &std::io::Error::from(error));
        let before = termios::tcgetattr(stdin()).map_err(terminal)?;
        let mut raw = before.clone();
        // Keys come at once and are not shown. Ctrl-C is still the signal.
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(terminal)?;
        let screen = Self { input: stdin(), output: stdout(), before };
        // The other screen, without a cursor.
        print::out("\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    fn size(&self) -> Option<(usize, usize)> {
        let size = termios::tcgetwinsize(&self.output).ok()?;
        // A line less, so that the last line break scrolls nothing.
        let lines = usize::from(size.ws_row).checked_sub(1).filter(|lines| *lines > 0)?;
        Some((usize::from(size.ws_col), lines))
    }

    fn show(&self, page: &str) -> Result<(), Fault> {
        // From the top, each line to its end, and what was below.
        let text = format!("\x1b[H{}\x1b[J", page.replace('\n', "\x1b[K\r\n"));
        let mut out = self.output.lock();
        // A terminal that has gone takes nothing, and then there is nobody to show it to.
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_gone| Fault::Unread)
    }

    /// The keys that were typed since.
    fn keys(&self) -> Vec<u8> {
        let mut keys = [0; 64];
        let count = rustix::io::read(&self.input, &mut keys).unwrap_or_default();
        keys.get(..count).unwrap_or_default().to_vec()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = self.output.lock();
        drop(out.write_all(b"\x1b[?25h\x1b[?1049l").and_then(|()| out.flush()));
        let _gone = termios::tcsetattr(&self.input, OptionalActions::Now, &self.before);
    }
}
