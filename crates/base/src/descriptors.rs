//! Who may have how many of the file descriptors that the system gives us. Clients come unasked and stay as long as they like,
//! so it is they who are counted: what they may not have is there for servers, for the admin listener and for all else.

use transport::http::server::places::Places;

use crate::plan::{Plan, Reach};

/// The most connections of the admin listener. Who watches us are few, and ask little.
pub const ADMIN_CONNECTIONS: usize = 8;
/// For what comes and goes: looking up hosts, reading files, the listening sockets themselves.
const REST: usize = 16;
/// What a child process takes: its three streams, and one more of each while it is started.
const PER_CHILD: usize = 6;

/// What would be open if everything that the configuration allows were used at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// By clients of the listeners.
    pub clients: usize,
    /// By servers, processes and connections.
    pub servers: usize,
    /// By the admin listener, by other replicas, and by all else.
    pub rest: usize,
}

impl Need {
    /// What a plan allows.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let clients = plan.listeners.iter().map(|listener| with_doorstep(listener.limits.connections));
        let (mut servers, mut processes) = (0usize, 0usize);
        for upstream in &plan.upstreams {
            match &upstream.reach {
                // As many as there may be calls, and what it is listened to by.
                Reach::Http(_) => {
                    let calls = upstream.concurrent_calls.min(plan.limits.concurrent_calls);
                    servers = servers.saturating_add(calls).saturating_add(2);
                }
                Reach::Own => {}
                Reach::Stdio(_) => processes = processes.saturating_add(upstream.processes),
            }
        }
        let processes = processes.min(plan.limits.children).saturating_mul(PER_CHILD);
        let admin = if plan.admin.is_some() { with_doorstep(ADMIN_CONNECTIONS) } else { 0 };
        Self {
            clients: clients.fold(0, usize::saturating_add),
            servers: servers.saturating_add(processes),
            rest: admin + REST,
        }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> usize {
        self.clients.saturating_add(self.servers).saturating_add(self.rest)
    }
}

/// Takes from the listeners what is not there: with so many descriptors left, servers get what they may need, or at least as
/// many as clients. What a listener may have then, if it is less than the plan says.
pub fn fit(plan: &mut Plan, left: usize) -> Option<usize> {
    let need = Need::of(plan);
    let listeners = plan.listeners.len();
    if need.total() <= left || listeners == 0 {
        return None;
    }
    let left = left.saturating_sub(need.rest);
    let clients = left - need.servers.min(left / 2);
    let most = without_doorstep(clients / listeners);
    for listener in &mut plan.listeners {
        listener.limits.connections = listener.limits.connections.min(most);
    }
    Some(most)
}

fn with_doorstep(connections: usize) -> usize {
    connections.saturating_add(Places::doorstep(connections))
}

/// How many connections fit into so many descriptors. There must be one, or nobody is served.
fn without_doorstep(descriptors: usize) -> usize {
    descriptors.saturating_sub(Places::doorstep(descriptors)).max(1)
}

#[cfg(test)]
mod tests {
    use transport::http::server::ServerLimits;
    use transport::net::Address;

    use super::*;
    use crate::plan::ListenerPlan;

    fn plan(connections: &[usize]) -> Plan {
        let listener = |connections: &usize| ListenerPlan {
            name: "main".to_owned(),
            address: Address::Tcp("127.0.0.1".to_owned(), 0),
            tls: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            limits: ServerLimits { connections: *connections, ..ServerLimits::default() },
            reuse_port: false,
        };
        Plan { listeners: connections.iter().map(listener).collect(), ..Plan::default() }
    }

    fn allowed(plan: &Plan) -> Vec<usize> {
        plan.listeners.iter().map(|listener| listener.limits.connections).collect()
    }

    #[test]
    fn what_is_there_is_not_taken() {
        let mut plan = plan(&[1000]);
        let need = Need::of(&plan);
        assert_eq!((need.clients, need.servers, need.rest), (1125, 0, REST));
        assert_eq!((fit(&mut plan, 1125 + REST), allowed(&plan)), (None, vec![1000]));
        assert_eq!((fit(&mut plan, 1124 + REST), allowed(&plan)), (Some(984), vec![984]));
        assert!(Need::of(&plan).total() <= 1124 + REST);
    }

    #[test]
    fn each_listener_gets_its_share_and_none_more_than_it_is_given() {
        let mut plan = plan(&[10_000, 20]);
        fit(&mut plan, 1000 + REST);
        assert_eq!(allowed(&plan), [438, 20]);
        fit(&mut plan, 0);
        assert_eq!(allowed(&plan), [1, 1], "somebody is served even so");
    }
}
