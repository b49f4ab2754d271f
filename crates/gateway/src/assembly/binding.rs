//! How a gateway's listening sockets are bound, and what each may do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::descriptors::ADMIN_CONNECTIONS;
use base::plan::{ListenerPlan, Plan};
use transport::http::server::places::Places;
use transport::http::server::{Ending, Server as HttpServer, ServerLimits};
use transport::net::{Accept, Address, Spared};
use transport::tls;
use transport::workers::Workers;

use super::admin::Admin;
use super::{ADMIN, Gateway, StartFault};

use crate::listener::Listener;
use base::checks::HostCheck;

/// How long a request's head may take at the admin listener.
const ADMIN_HEAD: Duration = Duration::from_secs(5);

impl Gateway {
    pub(super) async fn bind(&self, plan: &ListenerPlan) -> Result<HttpServer<Listener>, StartFault> {
        let fault = |source| StartFault::Bind { address: plan.address.clone(), source };
        let tls = match &plan.tls {
            Some(files) => Some(
                tls::server(&files.certificate, &files.key, files.asks_clients)
                    .map_err(|source| StartFault::Tls { listener: plan.name.clone(), source })?,
            ),
            None => None,
        };
        let listener = self.socket(&plan.address, plan.reuse_port).await.map_err(fault)?;
        let service = self.listener(&plan.name, HostCheck::new(plan, &listener.local()));
        Ok(HttpServer {
            listener,
            tls,
            limits: plan.limits.clone(),
            places: self.places(&plan.name, plan.limits.connections),
            workers: self.world.workers.clone(),
            memory: self.world.memory.clone(),
            service: Arc::new(service),
        })
    }

    pub(super) fn places(&self, listener: &str, most: usize) -> Arc<Places> {
        let places = Places::new(listener, most);
        self.world.metrics.listener(&places);
        places
    }

    async fn socket(&self, address: &Address, shared: bool) -> io::Result<Box<dyn Accept>> {
        let network = &self.world.network;
        if shared { network.bind_shared(address).await } else { network.bind(address).await }
    }

    /// What answers those who ask how it goes depends on nothing that clients can use up: it has a thread of its own, places
    /// of its own, and descriptors of its own. Gives where it listens.
    pub(super) async fn serve_admin(&self, address: &Address, plan: &Plan) -> Result<Address, StartFault> {
        let fault = |source| StartFault::Bind { address: address.clone(), source };
        let workers = self.world.workers.apart().map_err(fault)?;
        let listener = self.socket_of(&workers, address, plan.shares_addresses()).await.map_err(fault)?;
        let local = listener.local();
        let service = Admin {
            keeper: HostCheck::of_admin(&local, &plan.listeners),
            live: Arc::clone(&self.live),
            metrics: Arc::clone(&self.world.metrics),
            leave: self.leave.clone(),
            replica: self.shares.replica.clone(),
            sinks: self.world.sinks.clone(),
            places: Arc::clone(&self.shares.places),
        };
        let limits = ServerLimits {
            connections: ADMIN_CONNECTIONS,
            header_timeout: ADMIN_HEAD,
            ..ServerLimits::default()
        };
        let server = HttpServer {
            listener: Spared::new(listener),
            tls: None,
            places: self.places(ADMIN, limits.connections),
            limits,
            workers: workers.clone(),
            memory: self.world.memory.clone(),
            service: Arc::new(service),
        };
        // It answers until the end: that is when someone wants to know. One that is shared is left to who takes over.
        let close = if plan.shares_addresses() { &self.leave } else { &self.end };
        let ending = Ending { leave: self.leave.clone(), close: close.clone() };
        workers.run(&self.world.tasks, server.run(ending));
        Ok(local)
    }

    /// A socket that is watched by a thread of those, and not by the one that asks for it.
    async fn socket_of(
        &self,
        workers: &Workers,
        address: &Address,
        shared: bool,
    ) -> io::Result<Box<dyn Accept>> {
        let (network, address) = (Arc::clone(&self.world.network), address.clone());
        let bound = workers.run(&self.world.tasks, async move {
            if shared { network.bind_shared(&address).await } else { network.bind(&address).await }
        });
        bound.await.map_err(io::Error::other)?
    }
}
