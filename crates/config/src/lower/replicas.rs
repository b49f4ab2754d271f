//! Where other replicas reach this one.

use base::plan::ReplicasPlan;
use store::Place;
use transport::net::Address;

use super::Lowering;
use crate::file::{self, Config};
use crate::node::At;

impl Lowering<'_, '_> {
    /// What is to be durable needs somewhere to be.
    pub(super) fn durable_streams(&mut self, config: &Config) {
        let routes = config.route.iter().flat_map(|routes| &routes.value.0);
        let durable = routes.filter_map(|entry| entry.value.as_ref()?.value.durable_streams.as_ref());
        for at in durable.filter(|at| at.value && config.store.is_none()) {
            self.findings
                .error(at.span, "a durable stream needs a store")
                .help("write store = \"…\" above the first table");
        }
    }

    pub(super) fn replicas(
        &mut self,
        given: &At<file::Replicas>,
        store: Option<&Place>,
    ) -> Option<ReplicasPlan> {
        if store.is_none() {
            self.findings
                .error(given.span, "without a store there are no other replicas")
                .help("write store = \"postgres://…\" above the first table");
        }
        let Some(text) = &given.value.listen else {
            if given.value.written.key("listen").is_none() && !given.value.written.strange {
                let finding = self.findings.error(given.span, "[replicas] needs an address to listen at");
                finding.help("listen = \"10.0.0.5:7070\"");
            }
            return None;
        };
        let resolved = self.resolve_open(text)?;
        let listen = self.address(&resolved, text.span)?;
        let advertise = match &given.value.advertise {
            Some(text) => {
                let resolved = self.resolve_open(text)?;
                let address = self.address(&resolved, text.span)?;
                if is_everywhere(&address) || matches!(address, Address::Tcp(_, 0)) {
                    self.findings
                        .error(text.span, "other replicas cannot reach this address")
                        .help("write the host and port at which they reach this process");
                }
                Some(address.to_string())
            }
            None => None,
        };
        match &listen {
            Address::Unix(_) => {
                self.findings
                    .error(text.span, "replicas reach each other over TCP")
                    .help("write \"HOST:PORT\"; on one machine, \"127.0.0.1:0\" will do");
            }
            address if advertise.is_none() && is_everywhere(address) => {
                self.findings
                    .error(text.span, format!("other replicas cannot reach {address}"))
                    .help("say where they can: advertise = \"${env:POD_IP}:7070\"");
            }
            Address::Tcp(..) => {}
        }
        Some(ReplicasPlan { listen, advertise })
    }
}

/// An address that means all of a machine's, and none to another machine.
fn is_everywhere(address: &Address) -> bool {
    match address {
        Address::Tcp(host, _) => host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_unspecified()),
        Address::Unix(_) => false,
    }
}
