//! Opens what stays open, and keeps still: what do clients cost that say nothing?

use std::time::Duration;

use tokio::net::TcpStream;

use super::caller::{self, Target};
use super::request::Template;
use super::{Load, Outcome, What};
use crate::fault::Fault;
use crate::wire::Wire;

/// How long everything stays open after the end.
const LOOK: Duration = Duration::from_millis(500);

/// How many connections open sessions, of which each is used by one after the other.
const OPENERS: usize = 16;

/// Runs it.
pub(super) async fn run(load: &Load) -> Result<(), Fault> {
    let (wires, open) = match load.what {
        What::Listen => streams(load).await?,
        What::Session | What::SessionLevel | What::SessionWatch => sessions(load).await?,
        _ => return Err(Fault::new("only subscriptions and sessions can be held")),
    };
    tokio::time::sleep(load.warm_up()).await;
    super::begin()?;
    tokio::time::sleep(load.duration()).await;
    super::end(&Outcome { calls: open as u64, seconds: load.seconds, latencies: Vec::new() })?;
    // Whoever reads that looks at the server now, and is to see it with all that is open.
    tokio::time::sleep(LOOK).await;
    drop(wires);
    Ok(())
}

/// A subscription on each connection.
async fn streams(load: &Load) -> Result<(Vec<Wire<TcpStream>>, usize), Fault> {
    let target = Target::of(&load.url)?;
    let template = Template::of(load, None);
    let mut request = template.http1(&target.authority, &target.path);
    let mut open = Vec::new();
    for number in 0..load.connections {
        let mut wire = Wire::new(target.connect().await?);
        wire.write(request.with_id(number as u64).1).await.map_err(Fault::of("sending"))?;
        if let Err(error) = wire.until(b"notifications/subscriptions/acknowledged").await {
            let came = String::from_utf8_lossy(wire.pending()).into_owned();
            return Err(Fault::new(format!("subscription {number} was not accepted: {error}: {came}")));
        }
        open.push(wire);
    }
    let count = open.len();
    Ok((open, count))
}

/// Sessions, with what they are to remember.
async fn sessions(load: &Load) -> Result<(Vec<Wire<TcpStream>>, usize), Fault> {
    let target = Target::of(&load.url)?;
    let mut wires = Vec::new();
    for _ in 0..OPENERS {
        wires.push(Wire::new(target.connect().await?));
    }
    for number in 0..load.sessions {
        let wire = &mut wires[number % OPENERS];
        let session = caller::open_session(wire, &target).await?;
        let Some(told) = Template::remembered(load.what, session.as_deref()) else { continue };
        let mut request = told.http1(&target.authority, &target.path);
        wire.write(request.with_id(number as u64).1).await.map_err(Fault::of("sending"))?;
        let answer = wire.next().await.map_err(Fault::of("receiving"))?;
        let body = answer.map(|answer| String::from_utf8_lossy(answer.body).into_owned()).unwrap_or_default();
        if !body.contains("\"result\"") {
            return Err(Fault::new(format!("{}, session {number}: {body}", told.method)));
        }
    }
    Ok((wires, load.sessions))
}
