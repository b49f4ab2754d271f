//! Clients that show a certificate: who they are is known by the connection, also one that goes on with what an earlier one
//! had agreed on.

use std::sync::Arc;

use base::plan::TlsFiles;
use base::plan::identity::{CertificateName, CertificatesPlan, ResourcePlan};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use testkit::authority::{Authority, Certificate, Signed};
use testkit::http::{Connection, Reply};
use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use tokio_rustls::TlsConnector;
use transport::net::{Address, Network as _};

use crate::ask;
use crate::stand::{Over, Running, Stand};

const AGENT: &str = "spiffe://example.com/agents/planner";
const LISTS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// A gateway that speaks TLS, whose route lets in by certificates of one authority.
pub(crate) struct Guarded {
    network: MemoryNetwork,
    pub(crate) running: Running,
    pub(crate) clients: Authority,
    server: Authority,
    /// The listener of the same route that asks nobody for a certificate.
    other: Address,
    _files: tempfile::TempDir,
}

impl Guarded {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Stand)) -> Self {
        let network = MemoryNetwork::default();
        let (clients, server) = (Authority::new("clients"), Authority::new("server"));
        let mut stand = Stand::new(Arc::new(network.clone()));
        let (up, desk) = stand.add("a", Over::Http, Persona::modern().tools(&["t", "pay"])).await;
        up.answer_all(desk, |asked| async move {
            asked.result(r#"{"resultType":"complete","content":[{"type":"text","text":"paid"}]}"#).await;
        });
        let own = server.sign(&Certificate::default().dns("gw.example").of_a_server().for_long());
        let files = tempfile::tempdir().unwrap();
        let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&certificate, own.pem()).unwrap();
        std::fs::write(&key, own.key_pem()).unwrap();
        let files_of = |asks_clients| {
            Some(TlsFiles { certificate: certificate.clone(), key: key.clone(), asks_clients })
        };
        stand.plan.listeners[0].tls = files_of(true);
        let other = Address::Tcp("127.0.0.1".to_owned(), 9443);
        let mut second = stand.plan.listeners[0].clone();
        (second.name, second.address, second.tls) = ("other".to_owned(), other.clone(), files_of(false));
        stand.plan.listeners.push(second);
        stand.plan.routes[0].resource = Some(ResourcePlan {
            hides: false,
            certificates: vec![CertificatesPlan {
                name: "agents".to_owned(),
                authorities: clients.pem().into_bytes().into(),
                principal: CertificateName::SanUri,
                allow: None,
                scopes: Vec::new(),
            }],
            certificate_bound: true,
            ..ResourcePlan::new("main", "https://gw.example/mcp", "/mcp", &[])
        });
        change(&mut stand);
        let running = stand.start().await;
        running.gateway.settled().await;
        Self { network, running, clients, server, other, _files: files }
    }

    /// How a client connects that has this certificate, or none.
    pub(crate) fn client(
        &self,
        own: Option<&Signed>,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.server.der())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.clone()).unwrap();
                builder.with_client_auth_cert(vec![CertificateDer::from(own.der.clone())], key).unwrap()
            }
        };
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }

    async fn lists(&self, client: &Arc<ClientConfig>) -> (Reply, HandshakeKind) {
        self.send_lists(client).await.unwrap()
    }

    /// Asks for the tools over a new connection; nothing where it is not taken.
    async fn send_lists(&self, client: &Arc<ClientConfig>) -> Option<(Reply, HandshakeKind)> {
        self.send_to(self.running.client.address(), client).await
    }

    async fn send_to(&self, address: &Address, client: &Arc<ClientConfig>) -> Option<(Reply, HandshakeKind)> {
        let headers = ask::mirrored(LISTS);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = self.running.client.request("POST /mcp", &headers, LISTS.as_bytes());
        self.over(address, client, &request).await
    }

    /// Sends a request over a new connection; nothing where that is not taken.
    pub(crate) async fn send(
        &self,
        client: &Arc<ClientConfig>,
        request: &[u8],
    ) -> Option<(Reply, HandshakeKind)> {
        self.over(self.running.client.address(), client, request).await
    }

    async fn over(
        &self,
        address: &Address,
        client: &Arc<ClientConfig>,
        request: &[u8],
    ) -> Option<(Reply, HandshakeKind)> {
        let io = self.network.connect(address).await.unwrap();
        let name = ServerName::try_from("gw.example").unwrap();
        let io = TlsConnector::from(Arc::clone(client)).connect(name, io).await.ok()?;
        let kind = io.get_ref().1.handshake_kind().unwrap();
        let mut connection = Connection::over(Box::new(io));
        connection.write(request).await;
        Some((connection.reply().await?, kind))
    }
}

#[tokio::test]
async fn a_certificate_opens_the_route_also_when_a_session_is_resumed() {
    let stand = Guarded::new().await;
    let own = stand.clients.sign(&Certificate::of_uri(AGENT));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = stand.client(Some(&own), version);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (reply, was) = stand.lists(&client).await;
            assert_eq!((reply.status, was), (200, kind), "{:?}", version.version);
            assert!(reply.response().await.contains(r#""name":"t""#));
        }
    }
}

#[tokio::test]
async fn without_a_certificate_that_counts_nothing_is_answered() {
    let stand = Guarded::new().await;
    let other = Authority::new("clients").sign(&Certificate::of_uri(AGENT));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for own in [None, Some(&other)] {
            let (reply, _) = stand.lists(&stand.client(own, version)).await;
            assert_eq!(reply.status, 401, "{:?}", version.version);
            let challenge = reply.header("www-authenticate").unwrap().to_owned();
            assert_eq!(
                challenge.contains("error_description=\"the certificate "),
                own.is_some(),
                "{challenge}"
            );
        }
    }
}

/// A certificate is public: who has not its key cannot show it.
#[tokio::test]
async fn a_certificate_of_somebody_else_opens_nothing() {
    let stand = Guarded::new().await;
    let own = stand.clients.sign(&Certificate::of_uri(AGENT));
    let other = stand.clients.sign(&Certificate::of_uri(AGENT));
    let key = PrivateKeyDer::try_from(other.key).unwrap();
    let key = rustls::crypto::aws_lc_rs::default_provider().key_provider.load_private_key(key).unwrap();
    let stolen = CertifiedKey::new(vec![CertificateDer::from(own.der.clone())], key);
    let right = PrivateKeyDer::try_from(own.key).unwrap();
    let right = rustls::crypto::aws_lc_rs::default_provider().key_provider.load_private_key(right).unwrap();
    let right = CertifiedKey::new(vec![CertificateDer::from(own.der)], right);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (shown, is_its_own) in [(&right, true), (&stolen, false)] {
            let mut client = (*stand.client(None, version)).clone();
            client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown.clone()));
            let reply = stand.send_lists(&Arc::new(client)).await;
            assert_eq!(
                reply.map(|(reply, _)| reply.status),
                is_its_own.then_some(200),
                "{:?}",
                version.version
            );
        }
    }
}

/// A way to an authority is sought among all that is presented, and it is held as long as the connection is.
#[tokio::test]
async fn more_than_a_few_certificates_are_not_taken() {
    let stand = Guarded::new().await;
    let own = stand.clients.sign(&Certificate::of_uri(AGENT));
    let large = stand.clients.sign(&Certificate::of_uri(&format!("{AGENT}/{}", "x".repeat(17 * 1024))));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (shown, others, is_taken) in [(&own, 3, true), (&own, 4, false), (&large, 0, false)] {
            let mut chain = vec![CertificateDer::from(shown.der.clone())];
            chain.extend((0..others).map(|_| CertificateDer::from(stand.clients.der())));
            let key = PrivateKeyDer::try_from(shown.key.clone()).unwrap();
            let key =
                rustls::crypto::aws_lc_rs::default_provider().key_provider.load_private_key(key).unwrap();
            let mut client = (*stand.client(None, version)).clone();
            client.client_auth_cert_resolver =
                Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
            let reply = stand.send_lists(&Arc::new(client)).await;
            assert_eq!(reply.map(|(reply, _)| reply.status), is_taken.then_some(200), "{others}");
        }
    }
}

/// A route at two listeners, of which one asks: at the other nobody can show a certificate, and none is let in without.
#[tokio::test]
async fn where_nobody_is_asked_for_a_certificate_none_counts() {
    let stand = Guarded::new().await;
    let own = stand.clients.sign(&Certificate::of_uri(AGENT));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = stand.client(Some(&own), version);
        for (address, status) in [(stand.running.client.address(), 200), (&stand.other, 401)] {
            let (reply, _) = stand.send_to(address, &client).await.unwrap();
            assert_eq!(reply.status, status, "{:?} {address}", version.version);
            if status == 401 {
                let challenge = reply.header("www-authenticate").unwrap();
                assert_eq!(challenge, "Bearer error_description=\"this needs a client certificate\"");
            }
        }
        // What was agreed on where nobody was asked opens nothing where everybody is.
        let (reply, kind) = stand.send_to(&stand.other, &client).await.unwrap();
        assert_eq!((reply.status, kind), (401, HandshakeKind::Resumed), "{:?}", version.version);
        let (reply, _) = stand.lists(&client).await;
        assert_eq!(reply.status, 200, "{:?}", version.version);
    }
}
