//! A route that knows its callers: what one principal holds is worth nothing to another, and a token is good for what its
//! scopes say, by whichever of a thing's names. Tokens are signed here, by the one issuer, whose keys the plan has.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base::globs::Globs;
use base::plan::Reach;
use base::plan::identity::{IssuerPlan, KeySource, Peers, ProxyPlan, ResourcePlan, ScopeRule};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use globset::Glob;
use http::HeaderName;
use mcp::method::Kind;
use testkit::clock::WallClock;
use testkit::http::{Client, Reply};
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};

use crate::ask;
use crate::stand::{Over, Running, Stand};

pub(crate) const ISSUER: &str = "https://id.example";
const URL: &str = "https://gw.example/mcp";
/// `_meta` of a client that knows tasks.
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}},"elicitation":{}}}"#;
const ABLE: &str =
    r#"{"tools":{},"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

/// Who signs tokens.
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    url: &'static str,
}

impl Issuer {
    pub(crate) fn new(url: &'static str) -> Self {
        Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), url }
    }

    pub(crate) fn plan(&self, name: &str) -> IssuerPlan {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let keys = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k","x":"{x}","y":"{y}"}}]}}"#
        );
        IssuerPlan { keys: KeySource::Given(keys.into_bytes().into()), ..IssuerPlan::new(name, self.url) }
    }

    /// A token of somebody, good for an hour by that clock.
    pub(crate) fn token(&self, subject: &str, scope: &str, now: SystemTime) -> String {
        self.token_for(URL, (subject, &format!("of-{subject}")), scope, now)
    }

    fn token_for(&self, audience: &str, (subject, id): (&str, &str), scope: &str, now: SystemTime) -> String {
        let url = self.url;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#);
        let claims = format!(
            r#"{{"iss":"{url}","aud":"{audience}","sub":"{subject}","jti":"{id}","scope":"{scope}","iat":{now},"exp":{}}}"#,
            now + 3600
        );
        let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

impl Stand {
    /// What its route asks of callers.
    pub(crate) fn resource(&mut self) -> &mut ResourcePlan {
        self.plan.routes[0].resource.as_mut().unwrap()
    }
}

/// A route for tokens of these issuers.
pub(crate) fn resource(issuers: &[&str]) -> ResourcePlan {
    ResourcePlan { hides: false, ..ResourcePlan::new("main", URL, "/mcp", issuers) }
}

/// A gateway whose route asks who calls, its servers, and who signs.
pub(crate) struct Protected {
    pub(crate) running: Running,
    pub(crate) servers: Vec<(ScriptedServer, Desk)>,
    issuer: Issuer,
    pub(crate) clock: WallClock,
}

pub(crate) fn rule(kind: Kind, glob: &str, scope: &str) -> ScopeRule {
    let names = Globs::new(vec![Glob::new(glob).unwrap()]).unwrap();
    ScopeRule { kind, names, scopes: vec![scope.to_owned()] }
}

impl Protected {
    async fn new(names: &[&str], scopes: Vec<ScopeRule>) -> Self {
        let persona = Persona::modern()
            .able(ABLE)
            .tools(&["t", "delete.repo"])
            .listing("resources/list", r#"[{"uri":"file:///secret/x","name":"x"}]"#);
        Self::with(names, persona, |stand| stand.resource().scopes = scopes).await
    }

    /// Servers of these names that are like that.
    pub(crate) async fn with(names: &[&str], persona: Persona, change: impl FnOnce(&mut Stand)) -> Self {
        let (issuer, mut stand) = (Issuer::new(ISSUER), Stand::new(Arc::new(MemoryNetwork::default())));
        let clock = stand.clock.clone();
        let mut servers = Vec::new();
        for name in names {
            servers.push(stand.add(name, Over::Http, persona.clone()).await);
        }
        stand.plan.issuers = vec![issuer.plan("id")];
        stand.plan.routes[0].resource = Some(resource(&["id"]));
        change(&mut stand);
        let running = stand.start().await;
        running.gateway.settled().await;
        Self { running, servers, issuer, clock }
    }

    pub(crate) fn token(&self, subject: &str, scope: &str) -> String {
        self.issuer.token(subject, scope, self.clock.now())
    }

    /// Another token of somebody, of that name.
    pub(crate) fn renewed(&self, subject: &str, id: &str) -> String {
        self.issuer.token_for(URL, (subject, id), "", self.clock.now())
    }
}

pub(crate) async fn send(client: &Client, token: &str, method: &str, params: &str) -> Reply {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},{META}}}}}"#);
    let mut headers = ask::mirrored(&body);
    headers.push(("authorization", format!("Bearer {token}")));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.post(&headers, body.as_bytes()).await
}

pub(crate) fn member(text: &str, path: &[&str]) -> String {
    json::unescaped(json::at(text, path).unwrap_or_else(|| panic!("{text}")))
}

/// A modern server gives a task to whoever knows its id, and Portolan is one client to it.
#[tokio::test(start_paused = true)]
async fn a_task_of_one_principal_is_nothing_to_another() {
    let mut stand = Protected::new(&["a"], Vec::new()).await;
    let (alice, bob) = (stand.token("alice", ""), stand.token("bob", ""));
    let created = r#"{"resultType":"task","taskId":"own","status":"working","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z","ttlMs":null}"#;
    let client = &stand.running.client;
    let desk = &mut stand.servers[0].1;
    let (reply, ()) = tokio::join!(send(client, &alice, "tools/call", r#""name":"t""#), async {
        desk.asked("tools/call").await.result(created).await;
    });
    let id = member(&reply.response().await, &["result", "taskId"]);
    assert_ne!(id, "own", "the server's own id would be good for everybody");
    for (whose, about) in [(&bob, &*id), (&bob, "own"), (&alice, "own")] {
        for method in ["tasks/get", "tasks/cancel"] {
            let text = send(client, whose, method, &format!(r#""taskId":"{about}""#)).await.response().await;
            assert!(text.contains(r#""error""#) && text.contains("-32602"), "{method} {about}: {text}");
        }
    }
    let about = format!(r#""taskId":"{id}""#);
    let (reply, ()) = tokio::join!(send(client, &alice, "tasks/get", &about), async {
        desk.asked("tasks/get").await.result(created).await;
    });
    assert_eq!(member(&reply.response().await, &["result", "taskId"]), id);
    assert_eq!(stand.servers[0].0.seen_of("tasks/get").len(), 1, "nothing of the others came to the server");
    assert!(stand.servers[0].0.seen_of("tasks/cancel").is_empty());
}

/// So it is with the state of a call that has asked for something.
#[tokio::test(start_paused = true)]
async fn a_state_of_one_principal_is_nothing_to_another() {
    let mut stand = Protected::new(&["a"], Vec::new()).await;
    let (alice, bob) = (stand.token("alice", ""), stand.token("bob", ""));
    let wants = r#"{"resultType":"input_required","requestState":"own","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{}}}}}}"#;
    let client = &stand.running.client;
    let desk = &mut stand.servers[0].1;
    let (reply, ()) = tokio::join!(send(client, &alice, "tools/call", r#""name":"t""#), async {
        desk.asked("tools/call").await.result(wants).await;
    });
    let state = member(&reply.response().await, &["result", "requestState"]);
    assert_ne!(state, "own");
    let again = |state: &str| {
        format!(r#""name":"t","requestState":"{state}","inputResponses":{{"k":{{"action":"accept"}}}}"#)
    };
    for (whose, state) in [(&bob, &*state), (&bob, "own"), (&alice, "own")] {
        let text = send(client, whose, "tools/call", &again(state)).await.response().await;
        assert!(text.contains(r#""error""#), "{state}: {text}");
    }
    let again = again(&state);
    let (reply, ()) = tokio::join!(send(client, &alice, "tools/call", &again), async {
        let asked = desk.asked("tools/call").await;
        assert_eq!(asked.seen.param("requestState"), Some("\"own\""));
        asked.result(r#"{"resultType":"complete","content":[]}"#).await;
    });
    assert_eq!(reply.status, 200);
    assert_eq!(stand.servers[0].0.seen_of("tools/call").len(), 2);
}

/// Also of a call that is too large to be kept for that.
#[tokio::test(start_paused = true)]
async fn a_state_is_good_for_the_very_params_it_was_given_for() {
    let wants = r#"{"resultType":"input_required","requestState":"own","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{}}}}}}"#;
    for size in [10, 20_000] {
        let mut stand = Protected::new(&["a"], Vec::new()).await;
        let alice = stand.token("alice", "");
        let (client, desk) = (&stand.running.client, &mut stand.servers[0].1);
        let params = |letter: &str| format!(r#""name":"t","arguments":{{"text":"{}"}}"#, letter.repeat(size));
        let first = params("a");
        let (reply, ()) = tokio::join!(send(client, &alice, "tools/call", &first), async {
            desk.asked("tools/call").await.result(wants).await;
        });
        let state = member(&reply.response().await, &["result", "requestState"]);
        let again = |letter: &str| {
            let answers = r#""inputResponses":{"k":{"action":"accept"}}"#;
            format!(r#"{},"requestState":"{state}",{answers}"#, params(letter))
        };
        let text = send(client, &alice, "tools/call", &again("b")).await.response().await;
        assert!(text.contains("request_state"), "{size}: {text}");
        let again = again("a");
        let (reply, ()) = tokio::join!(send(client, &alice, "tools/call", &again), async {
            desk.asked("tools/call").await.result(r#"{"resultType":"complete","content":[]}"#).await;
        });
        assert_eq!(reply.status, 200);
        assert_eq!(stand.servers[0].0.seen_of("tools/call").len(), 2, "{size}");
    }
}

/// A tool with odd letters has several names that lead to it; a rule on one of them holds for all.
#[tokio::test(start_paused = true)]
async fn a_scope_holds_by_every_name() {
    for glob in ["a__delete.repo", "a__delete_*"] {
        let stand = Protected::new(&["a", "b"], vec![rule(Kind::Tool, glob, "write")]).await;
        let client = &stand.running.client;
        let (none, some) = (stand.token("alice", "read"), stand.token("alice", "read write"));
        let list = send(client, &none, "tools/list", r#""x":1"#).await.response().await;
        let listed = json::elements(json::at(&list, &["result", "tools"]).unwrap());
        let listed: Vec<_> = listed.iter().map(|tool| member(tool, &["name"])).collect();
        let cut = listed.iter().find(|name| name.starts_with("a__delete_repo_")).unwrap().clone();
        for name in ["a__delete.repo", &cut] {
            let call = format!(r#""name":"{name}""#);
            let reply = send(client, &none, "tools/call", &call).await;
            assert_eq!(reply.status, 403, "{name} by {glob}");
            let challenge = reply.header("www-authenticate").unwrap().to_owned();
            assert!(challenge.contains(r#"error="insufficient_scope", scope="write""#), "{challenge}");
        }
        assert!(stand.servers[0].0.seen_of("tools/call").is_empty());
        let mut servers = stand.servers;
        let desk = &mut servers[0].1;
        let call = format!(r#""name":"{cut}""#);
        let (reply, ()) = tokio::join!(send(client, &some, "tools/call", &call), async {
            desk.asked("tools/call").await.result(r#"{"resultType":"complete","content":[]}"#).await;
        });
        assert_eq!(reply.status, 200);
    }
}

/// A resource is guarded however it is spelled, and whoever watches it must have its scope, too.
#[tokio::test(start_paused = true)]
async fn a_scope_guards_a_resource_however_it_is_asked_for() {
    let stand = Protected::new(&["a"], vec![rule(Kind::Resource, "file:///secret/*", "secrets")]).await;
    let client = &stand.running.client;
    let token = stand.token("alice", "read");
    for uri in ["file:///secret/x", "FILE:///secret/x", "file:///./secret/x", "file:///%73ecret/x"] {
        let reply = send(client, &token, "resources/read", &format!(r#""uri":"{uri}""#)).await;
        assert_eq!(reply.status, 403, "{uri}");
        let wanted = format!(r#""notifications":{{"resourceSubscriptions":["{uri}"]}}"#);
        let reply = send(client, &token, "subscriptions/listen", &wanted).await;
        assert_eq!(reply.status, 403, "{uri}");
    }
    assert!(stand.servers[0].0.seen_of("resources/read").is_empty());
}

/// A stream ends when its token does, in good order, however much there is to say.
#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_its_token() {
    let stand = Protected::new(&["a"], Vec::new()).await;
    let client = &stand.running.client;
    let token = stand.token("alice", "");
    let mut reply =
        send(client, &token, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#).await;
    let first = reply.event().await.unwrap();
    assert!(first.contains("acknowledged"), "{first}");
    let began = tokio::time::Instant::now();
    let last = loop {
        let event = reply.event().await.expect("an end in good order");
        if event.contains(r#""result""#) {
            break event;
        }
    };
    assert!(last.contains(r#""resultType":"complete""#), "{last}");
    let lasted = began.elapsed();
    assert!(lasted >= Duration::from_secs(3590) && lasted <= Duration::from_secs(3700), "{lasted:?}");
    assert!(reply.event().await.is_none());
}

/// Nothing is answered before it is known who asks, and what is said to whom is refused.
#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_answered() {
    let stand = Protected::new(&["a"], Vec::new()).await;
    let client = &stand.running.client;
    let reply = ask::modern(client, "server/discover", "").await;
    assert_eq!(reply.status, 401);
    let place = "https://gw.example/.well-known/oauth-protected-resource/mcp";
    let challenge = format!(r#"Bearer resource_metadata="{place}""#);
    assert_eq!(reply.header("www-authenticate"), Some(challenge.as_str()));
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let get = client.request(&format!("GET {path}"), &[], b"");
        let mut reply = client.send(&get).await;
        assert_eq!(reply.status, 200, "{path}");
        let metadata = reply.body().await;
        assert_eq!(json::at(&metadata, &["resource"]), Some(format!("\"{URL}\"").as_str()), "{metadata}");
        assert_eq!(json::at(&metadata, &["authorization_servers"]), Some(format!("[\"{ISSUER}\"]").as_str()));
    }
    let reply = ask::modern(client, "tools/call", r#""name":"t""#).await;
    assert_eq!(reply.status, 401);
    let expired = stand.token("alice", "");
    stand.clock.advance(Duration::from_secs(2 * 3600));
    let reply = send(client, &expired, "tools/list", r#""x":1"#).await;
    assert_eq!(reply.status, 401);
    assert!(reply.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
}

/// Who was given the URL of the HTTP+SSE streams takes that for the resource, and logs in for it.
#[tokio::test(start_paused = true)]
async fn streams_at_a_path_of_their_own_are_a_resource_of_their_own() {
    let persona = Persona::modern().tools(&["t"]);
    let stand = Protected::with(&["a"], persona, |stand| {
        stand.plan.routes[0].sse_path = Some("/sse".to_owned());
        stand.resource().sse = Some(("/sse".to_owned(), "https://gw.example/sse".to_owned()));
    })
    .await;
    let client = &stand.running.client;
    for (path, resource) in [("/sse", "https://gw.example/sse"), ("/mcp", URL)] {
        let reply = client.send(&client.request(&format!("GET {path}"), &[], b"")).await;
        assert_eq!(reply.status, 401);
        let place = format!("/.well-known/oauth-protected-resource{path}");
        let challenge = reply.header("www-authenticate").unwrap();
        assert_eq!(challenge, format!(r#"Bearer resource_metadata="https://gw.example{place}""#));
        let metadata = client.send(&client.request(&format!("GET {place}"), &[], b"")).await.body().await;
        assert_eq!(member(&metadata, &["resource"]), resource);
    }
    let now = stand.clock.now();
    for (audience, status) in [
        ("https://gw.example/sse", 200),
        (URL, 200),
        ("https://gw.example/sse/", 401),
        ("https://gw.example", 401),
    ] {
        let bearer = format!("Bearer {}", stand.issuer.token_for(audience, ("alice", "of-alice"), "", now));
        let headers = [("accept", "text/event-stream"), ("authorization", &*bearer)];
        let reply = client.send(&client.request("GET /sse", &headers, b"")).await;
        assert_eq!(reply.status, status, "{audience}");
    }
}

/// What a proxy in front says counts from its address, and goes no further, whatever is passed on besides.
#[tokio::test(start_paused = true)]
async fn the_word_of_a_proxy_goes_no_further() {
    for (address, status) in [("127.0.0.1", 200), ("10.0.0.1", 401)] {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, mut desk) = stand.add("a", Over::Http, Persona::modern().able(ABLE).tools(&["t"])).await;
        if let Reach::Http(reach) = &mut stand.upstream("a").reach {
            reach.forward_headers = ["x-user", "x-other"].map(HeaderName::from_static).to_vec();
        }
        let front = ProxyPlan {
            name: "front".to_owned(),
            peers: vec![Peers::parse(address).unwrap()],
            user: Some(HeaderName::from_static("x-user")),
            groups: None,
            certificate: None,
        };
        let resource = ResourcePlan { issuers: Vec::new(), proxies: vec![front], ..resource(&[]) };
        stand.plan.routes[0].resource = Some(resource);
        let running = stand.start().await;
        running.gateway.settled().await;
        let body = ask::body("1", "tools/call", r#""name":"t""#);
        let mut headers = ask::mirrored(&body);
        headers.extend([("x-user", "alice".to_owned()), ("x-other", "1".to_owned())]);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let posted = running.client.post(&headers, body.as_bytes());
        let reply = if status == 200 {
            tokio::join!(posted, async {
                let asked = desk.asked("tools/call").await;
                assert_eq!((asked.seen.header("x-user"), asked.seen.header("x-other")), (None, Some("1")));
                asked.result(r#"{"resultType":"complete","content":[]}"#).await;
            })
            .0
        } else {
            posted.await
        };
        assert_eq!(reply.status, status, "{address}");
        assert_eq!(server.seen_of("tools/call").len(), usize::from(status == 200));
    }
}
