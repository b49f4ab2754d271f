//! Serves the reference server until its input ends or it is interrupted.
//!
//! ```text
//! cargo run -p reference-server --example serve -- --http 127.0.0.1:3100 --era both
//! cargo run -p reference-server --example serve -- --stdio --era modern
//! ```

use std::io::{self, Write as _};
use std::process::ExitCode;

use reference_server::{Settings, serve_http, serve_stdio};
use tokio_util::sync::CancellationToken;
use transport::net::{Address, SystemNetwork};

const USAGE: &str = "usage: serve (--http HOST:PORT | --stdio) [--era both|modern|legacy] [--page-size N]";

enum Door {
    Http(Address),
    Stdio,
}

#[tokio::main]
async fn main() -> ExitCode {
    let served = match read_arguments(std::env::args().skip(1)) {
        Ok((Door::Http(address), settings)) => http(&address, settings).await,
        Ok((Door::Stdio, settings)) => serve_stdio(tokio::io::stdin(), tokio::io::stdout(), settings).await,
        Err(why) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{why}\n{USAGE}"))),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "serve: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn http(address: &Address, settings: Settings) -> io::Result<()> {
    let drain = CancellationToken::new();
    let (running, mut serving) = serve_http(&SystemNetwork, address, settings, drain.clone()).await?;
    // Whoever started this may connect as soon as the line is there, and knows the port from it.
    writeln!(io::stdout(), "listening {}", running.url())?;
    tokio::select! {
        () = &mut serving => return Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    drain.cancel();
    // Running calls may finish; who has no patience for that interrupts again.
    tokio::select! {
        () = serving => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Result<(Door, Settings), String> {
    let (mut door, mut settings) = (None, Settings::default());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--http" => door = Some(Door::Http(read_address(&value()?)?)),
            "--stdio" => door = Some(Door::Stdio),
            "--era" => settings.eras = value()?.parse().map_err(|unknown| format!("--era: {unknown}"))?,
            "--page-size" => {
                let size = value()?.parse().map_err(|fault| format!("--page-size: {fault}"))?;
                settings.page_size = Some(size);
            }
            other => return Err(format!("there is no argument {other:?}")),
        }
    }
    door.map(|door| (door, settings)).ok_or_else(|| "say where to serve".to_owned())
}

fn read_address(text: &str) -> Result<Address, String> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| format!("{text:?} is not HOST:PORT"))?;
    Ok(Address::Tcp(host.trim_matches(['[', ']']).to_owned(), port))
}
