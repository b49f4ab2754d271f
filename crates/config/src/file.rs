//! Flat table: the configuration file, exactly as it is written. One entry per key; the schema and the reference are
//! made of these comments.

use crate::node::At;
use crate::read::{Entries, choice, table};
use crate::template::Template;
use crate::value::{Command, Count, Lasting, Moment, Policies, Size};

mod audit;
pub(crate) use self::audit::{Audit, Durability, OnFull, Payloads};

mod sink;
pub(crate) use self::sink::{
    Compression, FeedFrom, HttpBody, Sink, SinkFormat, SinkFull, SinkType, SyslogFraming,
};
mod tokens;

pub(crate) use self::tokens::{ClaimNames, Dpop, Introspection, TokenTypes};

mod telemetry;

pub(crate) use self::telemetry::Telemetry;

mod scopes;
pub(crate) use self::scopes::{Scope, WithoutScope};

mod certificates;
pub(crate) use self::certificates::{CertificateForm, CertificateName, Certificates, Proxy};

mod limit;
pub(crate) use self::limit::{Limit, LoopAction, Loops, Per};

mod route;
pub(crate) use self::route::{Alphabet, Denials, Naming, PolicyMode, Prefix, Route};

/// A list of plain texts.
pub(crate) type Texts = Vec<At<String>>;
/// Name → plain text.
pub(crate) type Names = Entries<String>;
/// Name → text with references.
pub(crate) type Templates = Entries<Template>;

table! {
    /// The configuration of Portolan.
    ///
    /// Tables point at each other by name. Relative paths begin at the directory of the file. Durations are texts such
    /// as `"250ms"`, `"30s"`, `"5m"`, `"1h30m"`; sizes are texts such as `"64KiB"`, `"4MiB"`, or numbers of bytes.
    ///
    /// Where a key says *with references*, `${env:NAME}` in its text stands for an environment variable,
    /// `${env:NAME:-default}` for one that need not be set, and `${file:PATH}` for the content of a file without the
    /// line break at its end. `$${` stands for the characters `${`.
    #[schemars(extend("required" = ["upstream"]))]
    Config {
        /// Where facts are kept that outlive a request and are shared by replicas, with references: `"sqlite:PATH"` for one
        /// machine, `"postgres://USER:PASSWORD@HOST:PORT/DATABASE"` for many. Without it, nothing is. It stands above the
        /// first table.
        store: Template,
        /// Which policies say who may do what on routes that name none: the name of one that is built in, `"allow-all"`,
        /// `"annotated"` or `"read-only"` (`portolan policy show` shows them); the path of a `.cedar` file, or of a directory, whose
        /// `.cedar` files are read in the order of their names; or a list of these. With references. Without it, everybody who is let in
        /// may use everything that a route shows. It stands above the first table, as the next two do.
        policy: Policies,
        /// What becomes of what policies deny.
        policy_mode: PolicyMode = "enforce",
        /// What callers are told of what policies deny.
        denials: Denials = "hide",
        /// The lock file that says what the tools and prompts of servers with `pins` were approved as, with references; such as
        /// `"portolan.lock"`. Without it, the store has that. It stands above the first table. `portolan pins lock` writes it.
        pins_file: Template,
        /// The keys that seal what is handed out.
        keys: Keys,
        /// Where the other processes that share the store reach this one.
        replicas: Replicas,
        /// Who vouches for callers, each under a name. Routes name them in `issuers`.
        issuer: Entries<Issuer>,
        /// Whose client certificates say who calls, each under a name. Routes name them in `certificates`.
        certificates: Entries<Certificates>,
        /// Who stands in front and says who calls, each under a name. Routes name them in `proxies`.
        proxy: Entries<Proxy>,
        /// The MCP servers, each under a name. Lists show them in this order.
        upstream: Entries<Upstream>,
        /// Which path leads to which servers. Without any, `/mcp` of every listener leads to every server.
        route: Entries<Route>,
        /// What holds for every upstream.
        defaults: Defaults,
        /// Where clients come in. Without any, one named `main` at `127.0.0.1:8808`.
        listener: Entries<Listener>,
        /// Health and metrics.
        admin: Admin,
        /// The ledger of what was done.
        audit: Audit,
        /// Traces and metrics for a collector.
        telemetry: Telemetry,
        /// How much callers may take, each limit under a name.
        limit: Entries<Limit>,
        /// When the same call again and again is taken for a loop. Without it, never.
        loops: Loops,
        /// Bounds on what clients may do.
        limits: Limits,
    }
}

table! {
    /// What holds for every upstream.
    Defaults {
        /// Names of environment variables that every program gets from Portolan's own environment, beside those that its
        /// `inherit_env` names.
        inherit_env: Texts,
        /// Whether every program gets, as far as they are set, the environment variables by which it gets out of a network
        /// that has a proxy or certificate authorities of its own: ALL_PROXY, HTTPS_PROXY, HTTP_PROXY and NO_PROXY, also in
        /// lower case; CURL_CA_BUNDLE, NODE_EXTRA_CA_CERTS, NODE_USE_ENV_PROXY, NODE_USE_SYSTEM_CA, REQUESTS_CA_BUNDLE,
        /// SSL_CERT_DIR and SSL_CERT_FILE; and all that begin with `npm_config_` or `UV_`, but for `UV_PUBLISH_`.
        network_env: bool = true,
        /// `pins` of each upstream that does not say it.
        pins: Pins = "off",
        /// `quarantined` of each upstream that does not say it.
        quarantined: Quarantined = "withheld",
        /// `suspicious` of each upstream that does not say it.
        suspicious: Suspicious = "report",
    }
}

table! {
    /// An MCP server. It has either a `url` or a `command`.
    #[schemars(extend("oneOf" = [{ "required": ["url"] }, { "required": ["command"] }]))]
    Upstream {
        /// The endpoint of a server that speaks HTTP, with references. No user and password in it.
        url: Template,
        /// Which of the HTTP transports the server speaks.
        transport: Transport = "auto",
        /// The program of a server that speaks over stdin and stdout: its name or path, or a list of that and its
        /// arguments. With references. It is started as it is, by no shell.
        command: Command,
        /// Arguments after those of `command`, with references.
        args: Vec<At<Template>>,
        /// Environment variables of the program, with references.
        env: Templates,
        /// Names of environment variables that the program gets from Portolan's own environment. Beside these it gets
        /// HOME, LANG, LC_ALL, LC_CTYPE, LOGNAME, PATH, SHELL, TERM, TMPDIR, TZ and USER, what `[defaults]` say, and nothing else.
        inherit_env: Texts,
        /// Where the program starts, with references. Without it, in the directory of this file.
        directory: Template,
        /// When to end a program that nobody uses. Without it, never; of several processes of it, all but the one that was used
        /// last end after five minutes.
        idle_after: Lasting,
        /// The most processes of a program at once. A program is told what its clients can be asked, so there may be one for
        /// each kind of client; where it makes no difference to the program, there are fewer.
        processes: Count = 4,
        /// How long a program may take to end after its stdin was closed, and again after SIGTERM.
        stop_grace: Lasting = "2s",
        /// Headers that every request to the server carries, with references.
        headers: Templates,
        /// Names of headers that are passed on from the client's request. No others are, and credentials never:
        /// a client's token is meant for Portolan.
        forward_headers: Texts,
        /// Connect to this Unix socket instead of the host of `url`, with references.
        socket: Template,
        /// The proxy to reach the server through, with references: `"http://USER:PASSWORD@HOST:PORT"`, or `"none"` for none.
        /// Without it, the one that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY name, unless NO_PROXY says otherwise; none to
        /// this machine.
        proxy: Template,
        /// A PEM file of certificate authorities to trust beside the system's, with references.
        ca: Template,
        /// Whether to speak HTTP/2 without TLS. With TLS it is negotiated.
        http2: bool = false,
        /// Which era of the protocol the server speaks.
        era: Era = "auto",
        /// What the names of its tools and prompts begin with where a route tells servers apart. Without it, the
        /// server's name in lower case, in which `-` replaces everything but letters, digits, `_` and `-`.
        prefix: String,
        /// Which of its tools are shown, and how.
        tools: Selection,
        /// Which of its prompts are shown, and how.
        prompts: Selection,
        /// Which of its resources and resource templates are shown, by their URI.
        resources: Filter,
        /// How long it may take.
        timeouts: Timeouts,
        /// The most calls that may be under way at once. More wait.
        concurrent_calls: Count = 256,
        /// The most calls that may wait. More are refused.
        queued_calls: Count = 1024,
        /// The most bytes that one message of it may have.
        message_bytes: Size = "64MiB",
        /// How long its lists count as fresh where it does not say so itself; servers of the legacy era cannot.
        list_ttl: Lasting,
        /// What becomes of entries of its lists that clients would refuse, and the whole list with them: a tool without
        /// `inputSchema`, for one. Without it, `"repair"` where a route leads to several servers, and `"pass"` where it leads
        /// to this one alone.
        schema: Schema,
        /// Who shares its legacy sessions, or its process.
        sessions: Sessions = "shared",
        /// When it is left alone for a while because it fails again and again. Only with `url`: a program that does not
        /// start has pauses of its own.
        breaker: Breaker,
        /// How often at most something is sent again that may be: what certainly was not sent; requests that only read; and
        /// calls of `retry_tools`. With 0, nothing is.
        retries: Count = 2,
        /// Globs of the server's own names of tools. Calls of these, and of no other tools, are sent again when the server broke
        /// off before it answered: they must do no harm when the server carries them out twice.
        retry_tools: Texts,
        /// How often the server is asked how it is while nobody calls it. Without it, only while it is down. Only with `url`.
        health_check: Lasting,
        /// At which replicas a server that is a program serves clients, where several share a store.
        replicas: Where = "each",
        /// Whether policies may believe what it says of its tools in their annotations: that one only reads, for example. Without it,
        /// they take each tool for one that may destroy something.
        trusted: bool = false,
        /// Words for all that it has, by which policies can speak of it.
        tags: Texts,
        /// What becomes of its tools, prompts and resource templates when they are not what was pinned: changed, new, renamed or gone. Without it, what
        /// `[defaults]` say.
        pins: Pins = "off",
        /// What becomes of what is quarantined. Without it, what `[defaults]` say.
        quarantined: Quarantined = "withheld",
        /// What becomes of a tool, prompt or resource template that is odd when it is first seen. Without it, what `[defaults]` say.
        suspicious: Suspicious = "report",
        /// Leave the server out.
        disabled: bool = false,
    }
}

choice! {
    /// What becomes of tools, prompts and resource templates that are not what was pinned.
    Pins {
        /// Nobody looks.
        "off" => Off,
        /// Lists, the log and the metrics say so; they are shown as they are.
        "warn" => Warn,
        /// They are held until somebody approves them (`portolan pins approve`), also if the server takes it back.
        "quarantine" => Quarantine,
    }
}

choice! {
    /// What becomes of what is quarantined.
    Quarantined {
        /// It is not shown, and calls of it are refused.
        "withheld" => Withheld,
        /// It is shown as it was pinned, and may be called so. What was never pinned is withheld.
        "as-pinned" => AsPinned,
    }
}

choice! {
    /// What becomes of tools, prompts and resource templates that look like an attack when they are first seen: by characters that cannot be seen, orders
    /// to a model, parameters for secrets.
    Suspicious {
        /// `portolan check --connect`, `portolan pins` and the log say so, and they are pinned as they are.
        "report" => Report,
        /// They are not pinned: they are quarantined until somebody approves them.
        "withhold" => Withhold,
    }
}

table! {
    /// Which entries of a server's lists are shown, and how. Names are the server's own, before any prefix.
    Selection {
        /// Globs of names. Only these are shown.
        include: Texts,
        /// Globs of names. These are not shown, even if they are included.
        exclude: Texts,
        /// The server's own name → the name that is shown.
        rename: Names,
        /// The server's own name → the description that is shown.
        describe: Names,
        /// Only of tools: a word → globs of the names of those that have it, so that policies can speak of them.
        tags: Entries<Texts>,
    }
}

table! {
    /// Which resources are shown.
    Filter {
        /// Globs of URIs. Only these are shown. `*` also stands for `/`.
        include: Texts,
        /// Globs of URIs. These are not shown, even if they are included.
        exclude: Texts,
    }
}

table! {
    /// How long a server may take.
    Timeouts {
        /// To be reached and to say what it is: connecting, starting, the handshake. A program that goes on writing to stderr while it
        /// starts, as one that is downloaded first, is given more time: as long as it is not silent for this long, up to five
        /// minutes.
        connect: Lasting = "30s",
        /// To give one list.
        list: Lasting = "15s",
        /// How long a list over several servers waits for this one. Then it is given without it, says so, and whoever listens
        /// for changes is told when the rest has come. Nobody waits for a server that is known to be down or to hang.
        grace: Lasting = "1s",
        /// The same for a program that is being started for the first time: some clients list once and never hear of a change.
        starting: Lasting = "3s",
        /// Between two signs of life in a call. Progress counts as one.
        call: Lasting = "5m",
        /// For a whole call, whatever its progress.
        call_max: Lasting = "1h",
        /// For a client to answer what the server asks it in mid-call: a form, a model's answer.
        input: Lasting = "10m",
    }
}

table! {
    /// When a server is left alone for a while.
    Breaker {
        /// After so many faults in a row: it cannot be reached, breaks off, or answers with a status from 500 on and no MCP
        /// message. With 0, never.
        failures: Count = 5,
        /// For how long at first. Then one call is let through; each time that it fails, too, the next pause is twice as long.
        pause: Lasting = "1s",
        /// For how long at most.
        longest_pause: Lasting = "30s",
    }
}

choice! {
    /// Which era of the protocol a server speaks.
    Era {
        /// It is found out.
        "auto" => Auto,
        /// 2026-07-28 and later.
        "modern" => Modern,
        /// The revisions with a handshake, up to 2025-11-25.
        "legacy" => Legacy,
    }
}

choice! {
    /// Which HTTP transport a server speaks.
    Transport {
        /// Streamable HTTP; HTTP+SSE if the server refuses that.
        "auto" => Auto,
        /// Streamable HTTP.
        "streamable-http" => StreamableHttp,
        /// HTTP+SSE of 2024-11-05.
        "sse" => Sse,
    }
}

choice! {
    /// What becomes of entries of lists that clients would refuse.
    Schema {
        /// They are mended where what they mean is not in doubt, else left out. The list says so.
        "repair" => Repair,
        /// They are passed on as they came; the log says so.
        "pass" => Pass,
        /// They are left out. The list says so.
        "drop" => Drop,
    }
}

choice! {
    /// Who shares a server's legacy sessions, or its process.
    Sessions {
        /// All clients of one principal.
        "shared" => Shared,
        /// Each downstream session has its own. Modern clients, who have none, share one.
        "per-client" => PerClient,
    }
}

choice! {
    /// At which replicas a server that is a program serves clients.
    Where {
        /// Each has a process of its own.
        "each" => Each,
        /// One replica's process serves the clients of all, for servers that remember something. The others forward to it what
        /// concerns it, and one of them takes over when it is gone. All servers of this kind are at the same replica.
        "one" => One,
    }
}

table! {
    /// An authorization server, or another maker of signed tokens.
    #[schemars(extend("required" = ["url"]))]
    Issuer {
        /// What its tokens have as `iss`, to the letter, with references. Its metadata are found by it (RFC 8414, OpenID Connect
        /// Discovery), and its keys by these. Or a trust domain of SPIFFE, `"spiffe://example.org"`: then the keys are its bundle, and a
        /// token is known by its subject.
        url: Template,
        /// Where its keys are, if it has no metadata, with references.
        jwks_url: Template,
        /// A file with its keys, a JWK Set, if it publishes none, with references.
        jwks_file: Template,
        /// What it may sign with, of ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384 and RS512. Without it, ES256, EdDSA, PS256 and
        /// RS256; of a trust domain all but EdDSA. A token's own word counts for nothing.
        algorithms: Texts,
        /// What its tokens have as `aud`, where it cannot be told the URL of a route.
        audiences: Texts,
        /// By how much its clock may be wrong.
        leeway: Lasting = "30s",
        /// When the first of its tokens was issued that are still good, such as `"2026-11-30T12:00:00Z"`: those before, and those that
        /// do not say when (`iat`), are refused.
        not_before: Moment,
        /// What its tokens have as `typ`.
        types: TokenTypes = "usual",
        /// The header in which a proxy in front sends its tokens, such as `"Cf-Access-Jwt-Assertion"`. They are good there, and not
        /// in `Authorization`.
        token_header: String,
        /// The ARN of the AWS load balancer that signs its tokens, in `token_header`. Then `jwks_url` is where its keys are, each under
        /// its name.
        signer: String,
        /// Which of its claims mean what.
        claims: ClaimNames,
        /// Claim → values, of which its tokens must have one. `a.b` is the claim `b` in the claim `a`.
        require: Entries<Texts>,
        /// Whether one subject is another principal by another client.
        principal_by_client: bool = false,
        /// How it is asked about tokens that say nothing themselves (RFC 7662).
        introspection: Introspection,
        /// Whether people can log in there, so that clients are told of it. Without it, yes, unless `jwks_file` has its keys, a
        /// proxy sends its tokens, or it is a trust domain. Not so where it makes tokens for programs only.
        sign_in: bool,
        /// Whether it may be asked over plain HTTP, at an address of this machine: for trying things out.
        allow_http: bool = false,
        /// A PEM file of certificate authorities to trust beside the system's when it is asked, with references.
        ca: Template,
    }
}

table! {
    /// A socket for clients.
    Listener {
        /// Where it listens, with references: `"HOST:PORT"`, `"[::1]:PORT"` or `"unix:PATH"`.
        address: Template = "127.0.0.1:8808",
        /// What it presents over TLS. Without it, it speaks plain HTTP.
        tls: Tls,
        /// The host names that requests may be addressed to beside the loopback names and the listener's own address.
        /// `*` allows all.
        allowed_hosts: Texts,
        /// The origins of web pages that may make requests, beside pages of this machine: `"https://app.example"`.
        /// `*` allows all.
        allowed_origins: Texts,
        /// Whether a second process, of the same user, may listen at the same address, so that it can take over before this
        /// one ends. Connections go to either of them. The admin address follows.
        reuse_port: bool = false,
    }
}

table! {
    /// PEM files.
    #[schemars(extend("required" = ["certificate", "key"]))]
    Tls {
        /// The certificate chain, with references.
        certificate: Template,
        /// Its private key, with references.
        key: Template,
        /// Whether clients are asked for certificates. Any is taken, and none: what one is good for is for each route to say.
        client_certificates: bool = false,
    }
}

table! {
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    #[schemars(extend("required" = ["address"]))]
    Admin {
        /// Where it listens, with references: `"HOST:PORT"`, `"[::1]:PORT"` or `"unix:PATH"`.
        address: Template,
        /// What `/readyz` says while the store is away.
        store_away: StoreAway = "unready",
    }
}

choice! {
    /// What `/readyz` says while the store is away.
    StoreAway {
        /// 503: clients are to be sent to others, since what is stateful cannot be done here.
        "unready" => Unready,
        /// 200, and that it is away: modern calls need no store, and all replicas may have lost the same one.
        "degraded" => Degraded,
    }
}

table! {
    /// The keys that seal what is handed out: session ids, and the like. Without this table, those of `PORTOLAN_KEYS`, if
    /// that environment variable is set; else, without a store, one that is made at the first start and kept in the state
    /// directory, which with `sqlite:` is the master key.
    Keys {
        /// The keys themselves, with references: 64 hexadecimal digits each. The first seals; all of them open.
        secrets: Vec<At<Template>>,
        /// The key that seals the keys that are made and kept in the store, with references. All replicas have the same.
        master: Template,
    }
}

table! {
    /// Where the other processes that share the store reach this one, for what it holds: the legacy sessions that it opened,
    /// and calls that wait for their client. Nobody else needs to reach it, and what is sent there is not encrypted.
    #[schemars(extend("required" = ["listen"]))]
    Replicas {
        /// Where it listens, with references: `"HOST:PORT"` or `"[::1]:PORT"`.
        listen: Template,
        /// What the others are told, with references: `"HOST:PORT"`. Without it, where it listens.
        advertise: Template,
    }
}

table! {
    /// Bounds on what clients may do.
    Limits {
        /// The most bytes of a request.
        request_bytes: Size = "4MiB",
        /// How many objects and arrays of a JSON message may lie in each other. A client's message that goes deeper is refused, and
        /// so is a server's. Routes may have numbers of their own; a server may go as deep as any route that leads to it. From 16 to
        /// 100000.
        json_depth: Count = 512,
        /// How long a request's body may take to come.
        request_timeout: Lasting = "30s",
        /// The most bytes of a request's head.
        header_bytes: Size = "64KiB",
        /// The most headers of a request. With another number than that each request over HTTP/1 costs an allocation more.
        header_count: Count = 100,
        /// How long a request's head and a TLS handshake may take.
        header_timeout: Lasting = "30s",
        /// The most connections of one listener at once. Past it the one that idled longest is closed for a new one; where
        /// none idles, the new one is refused.
        connections: Count = 10000,
        /// The most streams that one HTTP/2 connection may have open.
        http2_streams: Count = 1000,
        /// How long a client may take nothing of what it is sent. Then its connection is ended, and its calls are cancelled.
        write_stall: Lasting = "30s",
        /// The most bytes of requests and answers that are held at once, for all clients and servers. Past it, who wants more
        /// waits for a moment, and is refused. Without it, half of what the machine has, or the control group may use.
        memory: Size,
        /// The most calls at once over all servers. More are refused.
        concurrent_calls: Count = 10000,
        /// The most subscription and notification streams at once. More are refused.
        streams: Count = 20000,
        /// How often an idle stream says that it is alive.
        keep_alive: Lasting = "15s",
        /// How long a legacy session may go on.
        session_ttl: Lasting = "24h",
        /// The most calls at once that wait for a modern client to answer a legacy server. More are refused. As many again may
        /// wait for the end of a task.
        suspended_calls: Count = 1000,
        /// The most events of one stream of a legacy session that are kept for a client whose connection breaks.
        replay_events: Count = 1000,
        /// The most bytes of such events that are kept for one session. Larger answers cannot be resumed.
        replay_bytes: Size = "8MiB",
        /// The most bytes of such events that are kept for all sessions together.
        replay_total: Size = "256MiB",
        /// How long such events are kept.
        replay_for: Lasting = "5m",
        /// The most child processes at once.
        children: Count = 100,
        /// How long calls may take to finish when Portolan is asked to end.
        drain: Lasting = "10s",
        /// How long Portolan still accepts connections when it is asked to end, and only says that it is not ready: as long as
        /// those who send clients here need to notice.
        drain_delay: Lasting = "0s",
    }
}
