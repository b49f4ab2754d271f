use std::path::PathBuf;
use std::sync::Mutex;

use base::plan::feed::Framing;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use transport::net::{Accept, BoxFuture};

use super::*;
use crate::format::testing::line;

/// A network where each connection comes out at the other side.
#[derive(Debug)]
struct Fake(mpsc::UnboundedSender<DuplexStream>);

impl Network for Fake {
    fn bind<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>> {
        Box::pin(async { Err(io::Error::other("nobody listens here")) })
    }

    fn connect<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async {
            let (ours, theirs) = duplex(4096);
            self.0.send(theirs).map_err(|_gone| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(ours) as BoxIo)
        })
    }
}

fn stand(change: impl FnOnce(&mut SyslogPlan)) -> (Syslog, mpsc::UnboundedReceiver<DuplexStream>) {
    stand_of(Format::Json, change)
}

fn stand_of(
    format: Format,
    change: impl FnOnce(&mut SyslogPlan),
) -> (Syslog, mpsc::UnboundedReceiver<DuplexStream>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut plan = SyslogPlan {
        host: "syslog.example".to_owned(),
        port: 6514,
        tls: None,
        framing: Framing::Octet,
        most_bytes: 8000,
        facility: 13,
        app_name: "portolan".to_owned(),
    };
    change(&mut plan);
    (Syslog::new(&plan, format, Duration::from_secs(30), Arc::new(Fake(sender))).unwrap(), receiver)
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| line("call", &json!({"method": "ping", "outcome": "ok", "n": n}))).collect()
}

/// One message with octet counting; nothing at the end.
async fn message(io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut length = 0;
    loop {
        match io.read_u8().await.ok()? {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut text = vec![0; length];
    io.read_exact(&mut text).await.ok()?;
    Some(String::from_utf8(text).unwrap())
}

/// The number that is in a message's record.
fn number(message: &str) -> u64 {
    let record: Value = serde_json::from_str(message.split_once("] ").unwrap().1).unwrap();
    record["n"].as_u64().unwrap()
}

/// A server that reads all connections, one after the other, and ends one behind a number that it does not take.
fn server(
    mut connections: mpsc::UnboundedReceiver<DuplexStream>,
    refuses: Option<u64>,
) -> (Arc<Mutex<Vec<u64>>>, base::owned_task::OwnedTask) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let task = base::owned_task::OwnedTask::spawn(async move {
        while let Some(mut io) = connections.recv().await {
            while let Some(text) = message(&mut io).await {
                if Some(number(&text)) == refuses {
                    break;
                }
                seeing.lock().unwrap().push(number(&text));
            }
        }
    });
    (seen, task)
}

/// Whatever is under way goes on until it waits.
async fn others_go_on() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn seen(of: &Arc<Mutex<Vec<u64>>>) -> Vec<u64> {
    std::mem::take(&mut *of.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_record_is_a_message_with_its_length() {
    let (mut syslog, mut connections) = stand(|_| {});
    let lines = [line("login", &json!({"outcome": "unauthenticated", "why": "ä\n"}))];
    let (taken, got) = tokio::join!(syslog.deliver(&lines), async {
        let mut io = connections.recv().await.unwrap();
        (message(&mut io).await.unwrap(), io)
    });
    assert_eq!(taken, Ok(Taken::default()));
    let head = "<108>1 2026-12-01T15:40:00.123456Z web-1 portolan - login \
                [portolan@32473 replica=\"web-1\" seq=\"17\" part=\"1/1\"] {\"v\":1,";
    assert!(got.0.starts_with(head), "{}", got.0);
    assert!(got.0.ends_with(r#""outcome":"unauthenticated","why":"\u00e4\n"}"#), "{}", got.0);
}

#[tokio::test(start_paused = true)]
async fn with_line_breaks_a_record_is_a_line() {
    let (mut syslog, mut connections) = stand(|plan| plan.framing = Framing::Lf);
    let lines = numbered(0..2);
    let (taken, got) = tokio::join!(syslog.deliver(&lines), async {
        let mut io = connections.recv().await.unwrap();
        let mut got = vec![0; 4096];
        let length = io.read(&mut got).await.unwrap();
        (String::from_utf8(got[..length].to_vec()).unwrap(), io)
    });
    assert_eq!(taken, Ok(Taken::default()));
    let each: Vec<&str> = got.0.split_terminator('\n').collect();
    assert_eq!(each.iter().map(|text| number(text)).collect::<Vec<_>>(), [0, 1]);
    assert!(each.iter().all(|text| text.starts_with("<110>1 ")));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_goes_on_in_another_part_and_no_message_is_too_long() {
    for (max, many) in [(8000, 2..9), (480, 2..9)] {
        let (mut syslog, connections) = stand(|plan| plan.most_bytes = max);
        let texts = Arc::new(Mutex::new(Vec::new()));
        let reading = Arc::clone(&texts);
        let mut connections = connections;
        let _server = base::owned_task::OwnedTask::spawn(async move {
            let mut io = connections.recv().await.unwrap();
            while let Some(text) = message(&mut io).await {
                reading.lock().unwrap().push(text);
            }
        });
        let groups: Vec<String> = (0..max / 120).map(|n| format!("group-{n}")).collect();
        let much = json!({"principal": {"id": "a", "groups": groups, "claims": {"x": "y".repeat(max * 3 / 4)}, "acr": "z".repeat(max / 3)},
            "arguments": {"digest": "hmac-sha256:ab", "json": "x".repeat(10_000)}, "outcome": "ok"});
        assert_eq!(syslog.deliver(&[line("call", &much)]).await, Ok(Taken::default()));
        let texts = texts.lock().unwrap();
        assert!(many.contains(&texts.len()), "{max} {}", texts.len());
        for (at, text) in texts.iter().enumerate() {
            assert!(text.len() <= max, "{max} {}", text.len());
            assert!(text.contains(&format!("part=\"{}/{}\"]", at + 1, texts.len())), "{text}");
        }
        assert!(texts.iter().any(|text| text.contains("\"left_out\":[\"arguments.json\"")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_fits_nowhere_is_rejected_and_the_others_are_not() {
    let (mut syslog, connections) = stand_of(Format::Ocsf, |_| {});
    let (seen, _server) = server(connections, None);
    let lines = ["{}".to_owned()];
    let taken = syslog.deliver(&lines).await.unwrap();
    assert_eq!(taken.rejected, [(0, "it is no record of the ledger".to_owned())]);
    assert_eq!(seen.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_records_are_sent_again_when_the_connection_was_closed() {
    let (mut syslog, mut connections) = stand(|_| {});
    let lines = numbered(0..3);
    let (taken, first) = tokio::join!(syslog.deliver(&lines), connections.recv());
    // All three were written, and none was read.
    assert_eq!(taken, Ok(Taken::default()));
    drop(first);
    let (seen_again, _server) = server(connections, None);
    assert_eq!(syslog.deliver(&numbered(3..5)).await, Ok(Taken::default()));
    assert_eq!(seen(&seen_again), [0, 1, 2, 3, 4]);
    assert_eq!(syslog.deliver(&numbered(5..6)).await, Ok(Taken::default()));
    others_go_on().await;
    assert_eq!(seen(&seen_again), [5], "on a connection that stands nothing is repeated");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_reading_is_left_and_tried_again() {
    let (mut syslog, mut connections) = stand(|_| {});
    let lines = numbered(0..60);
    let later = syslog.deliver(&lines).await.unwrap_err();
    assert!(matches!(&later, Undelivered::Later { why, .. } if why.contains("does not read")), "{later:?}");
    let mut first = connections.recv().await.unwrap();
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.is_empty(), "the connection was closed, with half a message in it");
    let (seen_again, _server) = server(connections, None);
    assert_eq!(syslog.deliver(&lines).await, Ok(Taken::default()));
    assert_eq!(seen(&seen_again), (0..60).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_outlives_a_server_that_reads_nothing_for_long() {
    let (mut syslog, mut connections) = stand(|_| {});
    let few = numbered(0..1);
    let (taken, first) = tokio::join!(syslog.deliver(&few), connections.recv());
    assert_eq!(taken, Ok(Taken::default()));
    drop(first);
    let lines = numbered(1..60);
    for _ in 0..10 {
        assert!(syslog.deliver(&lines).await.is_err());
    }
    while connections.try_recv().is_ok() {}
    let (seen_again, _server) = server(connections, None);
    assert_eq!(syslog.deliver(&lines).await, Ok(Taken::default()));
    assert_eq!(seen(&seen_again), (0..60).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_leaves_no_half_message() {
    let (mut syslog, mut connections) = stand(|_| {});
    let few = numbered(0..1);
    let (taken, mut io) = tokio::join!(syslog.deliver(&few), connections.recv());
    assert_eq!(taken, Ok(Taken::default()));
    let lines = numbered(1..60);
    assert!(timeout(Duration::from_secs(1), syslog.deliver(&lines)).await.is_err());
    let mut rest = Vec::new();
    io.as_mut().unwrap().read_to_end(&mut rest).await.unwrap();
    let (seen_again, _server) = server(connections, None);
    assert_eq!(syslog.deliver(&lines).await, Ok(Taken::default()));
    assert_eq!(seen(&seen_again), (0..60).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_record_at_that_the_server_closes_is_told_from_a_server_that_takes_none() {
    // It has never taken anything: whatever it is sent first is not to blame.
    let (mut syslog, connections) = stand(|_| {});
    let (_, _server) = server(connections, Some(7));
    for _ in 0..5 {
        let later = syslog.deliver(&numbered(7..8)).await.unwrap_err();
        assert!(matches!(&later, Undelivered::Later { why, .. } if why.contains("framing")), "{later:?}");
    }
    // It has: what ends each connection is refused in the end, once nothing else can be to blame.
    let (mut syslog, connections) = stand(|_| {});
    let (seen_there, _server) = server(connections, Some(7));
    assert_eq!(syslog.deliver(&numbered(0..1)).await, Ok(Taken::default()));
    // The connection stands, so that its end is only seen by the next.
    assert_eq!(syslog.deliver(&numbered(7..8)).await, Ok(Taken::default()));
    let mut answers = Vec::new();
    for _ in 0..5 {
        others_go_on().await;
        answers.push(syslog.deliver(&numbered(8..9)).await.ok().map(|taken| taken.lost));
    }
    assert_eq!(answers, [None, None, None, Some(2), Some(0)], "what was kept is not sent again for ever");
    others_go_on().await;
    assert_eq!(seen(&seen_there), [0, 0, 0, 0, 8, 8]);
    let mut refused = Vec::new();
    syslog.open = None;
    for _ in 0..3 {
        refused.push(syslog.deliver(&numbered(7..8)).await.unwrap_err());
    }
    assert!(matches!(
        &refused[..],
        [Undelivered::Later { .. }, Undelivered::Later { .. }, Undelivered::Refused { .. }]
    ));
}

struct Certificates {
    folder: TempDir,
    server: Arc<rustls::ServerConfig>,
}

fn pem(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A server that wants certificates of one authority, and a client's of that and of another.
fn certificates() -> Certificates {
    let folder = tempfile::tempdir().unwrap();
    let authority = |_: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, others) = (authority("ours"), authority("others"));
    pem(&folder, "ca.pem", &ours.pem());
    for (name, issuer) in [("client", &ours), ("stranger", &others), ("server", &ours)] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["syslog.example".to_owned()])
            .unwrap()
            .signed_by(&key, issuer)
            .unwrap();
        pem(&folder, &format!("{name}.pem"), &certificate.pem());
        pem(&folder, &format!("{name}.key"), &key.serialize_pem());
    }
    let mut roots = RootCertStore::empty();
    roots.add(ours.der().clone()).unwrap();
    let plain =
        tls::server(&folder.path().join("server.pem"), &folder.path().join("server.key"), false).unwrap();
    let provider = Arc::clone(plain.crypto_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(&plain.cert_resolver));
    Certificates { folder, server: Arc::new(server) }
}

#[tokio::test(start_paused = true)]
async fn over_tls_a_stranger_is_told_so_and_who_is_known_delivers() {
    let certificates = certificates();
    let path = |name: &str| certificates.folder.path().join(name);
    let with = |name: &str| SyslogTls {
        authorities: Some(path("ca.pem")),
        identity: Some((path(&format!("{name}.pem")), path(&format!("{name}.key")))),
    };
    for (name, is_let_in) in [("stranger", false), ("client", true)] {
        let (mut syslog, mut connections) = stand(|plan| plan.tls = Some(with(name)));
        let acceptor = TlsAcceptor::from(Arc::clone(&certificates.server));
        let lines = numbered(0..1);
        let (answer, got) = tokio::join!(syslog.deliver(&lines), async {
            let mut io = acceptor.accept(connections.recv().await.unwrap()).await.ok()?;
            Some((message(&mut io).await.unwrap(), io))
        });
        assert_eq!(answer.is_ok(), is_let_in, "{answer:?}");
        assert_eq!(got.is_some(), is_let_in);
        if let Err(Undelivered::Later { why, .. }) = answer {
            assert!(why.contains("before anything was sent"), "{why}");
        }
    }
    let (mut syslog, mut connections) = stand(|plan| {
        plan.tls = Some(with("client"));
        plan.host = "other.example".to_owned();
    });
    let acceptor = TlsAcceptor::from(Arc::clone(&certificates.server));
    let lines = numbered(0..1);
    let (answer, _) = tokio::join!(syslog.deliver(&lines), async {
        acceptor.accept(connections.recv().await.unwrap()).await.map(drop)
    });
    assert!(answer.unwrap_err().to_string().contains("a host name that the certificate has"));
}
