//! A gateway in front of the URLs and commands given as arguments (`name=URL` or `name=!command args`).
#![expect(clippy::print_stdout, reason = "it is a program")]
use gateway::live::{Gateway, child_places};
use gateway::plan::*;
use gateway::world::{SystemClock, World};
use std::sync::Arc;
use transport::net::Address;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut plan = Plan::default();
    for arg in std::env::args().skip(2) {
        let (name, at) = arg.split_once('=').ok_or("name=URL")?;
        let reach = match at.strip_prefix('!') {
            Some(command) => {
                let mut words = command.split(' ').map(str::to_owned);
                Reach::Stdio(StdioReach {
                    child: transport::child::ChildSpec {
                        program: words.next().unwrap_or_default(),
                        args: words.collect(),
                        env: std::env::vars().collect(),
                        directory: None,
                    },
                    idle_after: None,
                    grace: std::time::Duration::from_secs(2),
                })
            }
            None => Reach::Http(HttpReach {
                url: at.parse()?,
                headers: vec![],
                forward_headers: vec![],
                client: Default::default(),
            }),
        };
        plan.upstreams.push(UpstreamPlan::new(name, reach));
    }
    plan.routes.push(RoutePlan {
        name: "main".into(),
        listeners: vec![],
        path: "/mcp".into(),
        upstreams: plan.upstreams.iter().map(|u| u.name.clone()).collect(),
        naming: Naming::default(),
        page_size: None,
    });
    plan.listeners.push(ListenerPlan {
        name: "main".into(),
        address: Address::Tcp("127.0.0.1".into(), std::env::args().nth(1).ok_or("port")?.parse()?),
        tls: None,
        allowed_hosts: vec![],
        allowed_origins: vec![],
        limits: Default::default(),
    });
    let world = World {
        network: Arc::new(transport::net::SystemNetwork),
        spawn: Arc::new(transport::child::SystemSpawn::default()),
        clock: Arc::new(SystemClock),
        seal: Arc::new(store::seal::Seal::random()?),
        tap: None,
        identity: r#"{"name":"portolan","version":"0"}"#.into(),
        metrics: Arc::default(),
        children: child_places(&plan),
        tasks: Default::default(),
    };
    tracing_subscriber::fmt()
        .with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
        .init();
    let gateway = Gateway::new(plan, world);
    for bound in gateway.listen().await? {
        println!("listening {}", bound.urls().join(" "));
    }
    tokio::signal::ctrl_c().await?;
    gateway.stop().await;
    Ok(())
}
