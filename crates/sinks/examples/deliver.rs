//! Delivers the lines of a file to a receiver, for `interop/receivers`, which has the real ones and wants each message by itself.
//!
//! ```text
//! deliver syslog FILE host=… port=… [ca=…] [certificate=… key=…] [framing=lf] [max=8000] [format=ocsf]
//! deliver otlp FILE url=…
//! deliver nothing FILE [format=ocsf]
//! ```
//!
//! `nothing` writes the lines as they would be delivered. Else each delivery is what the receiver takes at most. What became of each is a line of the output. A second `FILE` is delivered when a
//! line comes in at the standard input.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::plan::feed::{Format, Framing, SyslogPlan, SyslogTls};
use sinks::receiver::Receiver;
use sinks::syslog::Syslog;
use transport::net::SystemNetwork;

const WITHIN: Duration = Duration::from_secs(10);

type Options = HashMap<String, String>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (options, plain): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.contains('='));
    let options: Options = options
        .iter()
        .filter_map(|word| word.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let (kind, files) = plain.split_first().ok_or("which receiver?")?;
    if kind == "nothing" {
        for line in files
            .iter()
            .flat_map(std::fs::read_to_string)
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        {
            writeln!(
                io::stdout(),
                "{}",
                sinks::format::write(format(&options), &line).ok_or("that is no record")?
            )?;
        }
        return Ok(());
    }
    let mut receiver = receiver(kind, &options)?;
    for (at, file) in files.iter().enumerate() {
        if at > 0 {
            io::stdin().read_line(&mut String::new())?;
        }
        let lines: Vec<String> = std::fs::read_to_string(file)?.lines().map(str::to_owned).collect();
        for lines in lines.chunks(receiver.bounds().records) {
            writeln!(io::stdout(), "{:?}", receiver.deliver(lines).await)?;
        }
        io::stdout().flush()?;
    }
    Ok(())
}

fn receiver(kind: &str, options: &Options) -> Result<Box<dyn Receiver>, Box<dyn Error>> {
    let has = |name: &str| options.get(name).ok_or_else(|| format!("{name}=… is lacking"));
    match kind {
        "syslog" => {
            let path = |name: &str| options.get(name).map(PathBuf::from);
            let tls = options.contains_key("ca").then(|| SyslogTls {
                authorities: path("ca"),
                identity: path("certificate").zip(path("key")),
            });
            let plan = SyslogPlan {
                host: has("host")?.clone(),
                port: has("port")?.parse()?,
                tls,
                framing: if options.contains_key("framing") { Framing::Lf } else { Framing::Octet },
                most_bytes: options.get("max").map_or(Ok(8000), |max| max.parse())?,
                facility: 13,
                app_name: "portolan".to_owned(),
            };
            Ok(Box::new(Syslog::new(&plan, format(options), WITHIN, Arc::new(SystemNetwork))?))
        }
        #[cfg(feature = "otlp")]
        "otlp" => {
            use transport::http::client::{ClientSettings, Destination};
            let plan = base::plan::feed::PostPlan {
                destination: Destination::new(has("url")?.parse()?)?,
                headers: Vec::new(),
                client: ClientSettings::default(),
            };
            let outside = sinks::make::Surroundings {
                network: Arc::new(SystemNetwork),
                memory: transport::memory::Memory::new(1 << 24),
                clock: Arc::new(base::clock::SystemClock),
            };
            Ok(Box::new(sinks::otlp::Otlp::new(&plan, WITHIN, &outside)))
        }
        other => Err(format!("{other} is no receiver here").into()),
    }
}

fn format(options: &Options) -> Format {
    match options.get("format").map(String::as_str) {
        Some("ocsf") => Format::Ocsf,
        Some("cef") => Format::Cef,
        _ => Format::Json,
    }
}
