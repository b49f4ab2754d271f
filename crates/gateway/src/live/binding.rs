//! How a gateway's listening sockets are bound, and what each may do.

use std::io;
use std::sync::Arc;

use transport::http::server::places::Places;
use transport::http::server::{Server as HttpServer, ServerLimits};
use transport::net::{Accept, Address};
use transport::tls;
use transport::workers::Workers;

use super::{ADMIN, Gateway, StartFault};
use crate::admin::Admin;
use crate::listener::{Doorkeeper, Listener};
use crate::plan::{ListenerPlan, Plan};

impl Gateway {
    pub(super) async fn bind(&self, plan: &ListenerPlan) -> Result<HttpServer<Listener>, StartFault> {
        let fault = |source| StartFault::Bind { address: plan.address.clone(), source };
        let tls = match &plan.tls {
            Some(files) => Some(
                tls::server(&files.certificate, &files.key)
                    .map_err(|source| StartFault::Tls { listener: plan.name.clone(), source })?,
            ),
            None => None,
        };
        let listener = self.socket(&plan.address, plan.reuse_port).await.map_err(fault)?;
        let service = self.listener(&plan.name, Doorkeeper::new(plan, &listener.local()));
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

    pub(super) async fn bind_admin(
        &self,
        address: &Address,
        plan: &Plan,
    ) -> Result<HttpServer<Admin>, StartFault> {
        let listener = self.socket(address, plan.shares_addresses()).await;
        let listener = listener.map_err(|source| StartFault::Bind { address: address.clone(), source })?;
        let service = Admin {
            keeper: Doorkeeper::of_admin(&listener.local(), &plan.listeners),
            live: Arc::clone(&self.live),
            metrics: Arc::clone(&self.world.metrics),
            leave: self.leave.clone(),
        };
        let limits = ServerLimits { connections: 64, ..Default::default() };
        Ok(HttpServer {
            listener,
            tls: None,
            places: self.places(ADMIN, limits.connections),
            limits,
            workers: Workers::default(),
            memory: self.world.memory.clone(),
            service: Arc::new(service),
        })
    }
}
