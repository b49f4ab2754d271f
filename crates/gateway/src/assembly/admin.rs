//! The admin listener: `/healthz` (are we alive), `/readyz` (can we serve, and which servers are down) and `/metrics`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base::bulkhead::Bulkhead;
use base::fault::BreakerState;
use base::metrics::{Metrics, Standing};
use base::plan::StoreAway;
use base::sink::Sinks;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use mcp::json;
use replica::Replica;
use tokio_util::sync::CancellationToken;
use transport::http::body::ReplyBody;
use transport::http::server::{Exchange, Service};
use upstream::Health;

use crate::listener::heads::{self, text};
use crate::live::Live;
use base::checks::HostCheck;

/// Answers on the admin listener.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) keeper: HostCheck,
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) leave: CancellationToken,
    /// Who knows how the store is, if there is one.
    pub(crate) replica: Option<Arc<Replica>>,
    /// Who knows whether what is done can be written down.
    pub(crate) sinks: Sinks,
    /// The places of all calls.
    pub(crate) places: Arc<Bulkhead>,
}

impl Service for Admin {
    async fn answer(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        if let Err(refused) = self.keeper.check(&exchange.uri, &exchange.headers) {
            return text(
                refused.status,
                "this Host is not one of the admin listener's: use an address or localhost\n",
            );
        }
        if !matches!(exchange.method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        match exchange.uri.path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/metrics" => {
                self.metrics.stands(&self.standing());
                let mut response = text(StatusCode::OK, &self.metrics.text());
                let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(openmetrics));
                response
            }
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz or /metrics\n"),
        }
    }
}

impl Admin {
    /// Ready means that a client would be served: not draining, every server tried, and at least one of them up. One
    /// that is down costs its own entries only, so it is named and no more. Without its store it can carry modern calls, so it
    /// is for the plan to say whether that is enough.
    fn readiness(&self, live: &Live, health: &[(String, Health)]) -> (bool, &'static str) {
        let up = health.iter().any(|(_, health)| matches!(health, Health::Up { .. }));
        let tried = health.iter().all(|(_, health)| *health != Health::Unknown);
        let is_away = self.replica.as_ref().is_some_and(|replica| replica.store_away().is_some());
        match (self.leave.is_cancelled(), up, tried) {
            (true, ..) => (false, "draining"),
            (false, ..) if self.sinks.amiss().is_some() => (false, "audit_unavailable"),
            (false, true, true) if is_away && live.plan.store_away == StoreAway::Unready => {
                (false, "the store is away")
            }
            (false, true, true) if is_away => (true, "degraded: the store is away"),
            (false, true, true) => (true, "ready"),
            (false, _, false) => (false, "starting"),
            (false, false, true) => (false, "no server can be reached"),
        }
    }

    fn standing(&self) -> Standing {
        let live = self.live.load_full();
        let upstreams = live.servers.values().map(|server| &server.upstream);
        Standing {
            ready: self.readiness(&live, &live.health()).0,
            calls: self.places.crowd(),
            upstreams: upstreams.map(|upstream| (Arc::clone(upstream.label()), upstream.crowd())).collect(),
            sessions: live.endpoints.iter().map(|(_, endpoint)| endpoint.sessions.count()).sum(),
        }
    }

    fn ready(&self) -> Response<ReplyBody> {
        let live = self.live.load_full();
        let health = live.health();
        let (ready, why) = self.readiness(&live, &health);
        let away = self.replica.as_ref().map(|replica| replica.store_away());
        let amiss = self.sinks.amiss();
        let store = match away {
            None => String::new(),
            Some(None) => r#""store":{"state":"up"},"#.to_owned(),
            Some(Some((since, fault))) => {
                let (seconds, why) = (since.as_secs(), json::quote(&fault.to_string()));
                format!(r#""store":{{"state":"away","seconds":{seconds},"why":{why}}},"#)
            }
        };
        let audit = amiss.map_or_else(String::new, |why| {
            format!(r#""audit":{{"state":"failing","why":{}}},"#, json::quote(&why))
        });
        let others = live.breakers().zip(live.both_eras());
        let each = health.iter().zip(others).map(|((name, health), (breaker, speaks_both))| {
            let state = match health {
                Health::Unknown => r#""state":"unknown""#.to_owned(),
                Health::Up { era, revision, transport } => {
                    let (era, transport) = (era.name(), transport.name());
                    format!(r#""state":"up","era":"{era}","revision":"{revision}","transport":"{transport}""#)
                }
                // What its program has said is for the log.
                Health::Down { why, .. } => format!(r#""state":"down","why":{}"#, json::quote(why)),
            };
            let breaker = match breaker {
                BreakerState::Closed => String::new(),
                other => format!(r#","breaker":"{}""#, other.name()),
            };
            let eras = if speaks_both { r#","eras":["modern","legacy"]"# } else { "" };
            format!(r#"{}:{{{state}{eras}{breaker}}}"#, json::quote(name))
        });
        // Those that cannot be used as they are configured, so that nobody looks for them in vain.
        let left_out = live.plan.left_out.iter().map(|left| {
            let (name, why) = (json::quote(&left.name), json::quote(&left.why));
            format!(r#"{name}:{{"state":"left out","why":{why}}}"#)
        });
        let servers: Vec<_> = each.chain(left_out).collect();
        let body = format!(
            r#"{{"ready":{ready},"why":"{why}",{store}{audit}"upstreams":{{{}}}}}"#,
            servers.join(",")
        );
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        heads::json(status, Bytes::from(body + "\n"))
    }
}
