//! Traces and metrics of a process that serves. A build without the feature `otel` refuses a configuration that wants some: whoever
//! relies on them would find out too late that there are none.

use std::path::Path;

use base::plan::Plan;
use base::world::World;
use config::Diagnostic;

use crate::fault::Fault;

/// What is wrong with a configuration that this build knows nothing of.
#[cfg(not(feature = "otel"))]
pub(crate) fn unknown(plan: &Plan, config: &Path) -> Option<Diagnostic> {
    plan.telemetry.as_ref()?;
    let text = "[telemetry] wants traces and metrics for a collector, and this build of Portolan knows nothing of them";
    let help = "build it with them: cargo install --locked --path crates/cli --features otel";
    Some(Diagnostic::elsewhere(config, ("", None), text.to_owned(), Some(help.to_owned())))
}

/// The same where nothing is unknown.
#[cfg(feature = "otel")]
pub(crate) fn unknown(_: &Plan, _: &Path) -> Option<Diagnostic> {
    None
}

/// How long the last of them may take.
#[cfg(feature = "otel")]
const PARTING: std::time::Duration = std::time::Duration::from_secs(6);

/// What collects them, if anything does.
#[derive(Debug)]
pub(crate) struct Traced {
    #[cfg(feature = "otel")]
    telemetry: Option<std::sync::Arc<telemetry::Telemetry>>,
}

#[cfg(not(feature = "otel"))]
impl Traced {
    pub(crate) fn begin(_: &Plan, _: &mut World) -> Result<Self, Fault> {
        Ok(Self {})
    }

    pub(crate) async fn close(self) {}
}

#[cfg(feature = "otel")]
impl Traced {
    /// Begins to collect, if a plan wants that.
    pub(crate) fn begin(plan: &Plan, world: &mut World) -> Result<Self, Fault> {
        let Some(wanted) = &plan.telemetry else { return Ok(Self { telemetry: None }) };
        let instance = base::random::hex::<8>()
            .map_err(|_none| Fault::Outside("the system gives no random numbers".to_owned()))?;
        let who = telemetry::Who { version: env!("CARGO_PKG_VERSION"), instance: &instance };
        let outside = (std::sync::Arc::clone(&world.network), std::sync::Arc::clone(&world.metrics));
        let telemetry = telemetry::Telemetry::open(wanted, who, outside)
            .map_err(|fault| Fault::Outside(fault.to_string()))?;
        world.sinks = world.sinks.with(std::sync::Arc::clone(&telemetry) as _);
        let url =
            |to: &Option<transport::http::client::Destination>| to.as_ref().map(|to| to.url().to_string());
        tracing::info!(
            traces = url(&wanted.traces),
            metrics = url(&wanted.metrics),
            instance,
            "calls are followed for a collector"
        );
        Ok(Self { telemetry: Some(telemetry) })
    }

    /// Sends what is left, for some seconds at most. Others go on meanwhile.
    pub(crate) async fn close(self) {
        let Some(telemetry) = self.telemetry else { return };
        let closing = tokio::task::spawn_blocking(move || telemetry.close());
        if tokio::time::timeout(PARTING, closing).await.is_err() {
            tracing::warn!("what is left of traces and metrics could not be sent in time");
        }
    }
}
