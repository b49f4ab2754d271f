//! What stands on the command line, read by the rules of the configuration file: one grammar of addresses, URLs,
//! headers and references, and one text for each mistake.

use base::plan::{Plan, UpstreamPlan};
use config::{Diagnostic, Severity, Source};
use mcp::json::quote;
use transport::net::Address;

use crate::fault::Fault;
use crate::outside;

/// What the only server is called where none has a name.
pub(crate) const SERVER: &str = "server";

/// Reads where to listen: `HOST:PORT` or `unix:PATH`.
pub(crate) fn address(text: &str) -> Result<Address, Fault> {
    // A configuration needs a server; this one is not used.
    let text = format!("[upstream.x]\nurl = \"http://127.0.0.1/\"\n[listener.x]\naddress = {}\n", toml(text));
    let mut plan = plan(text)?;
    let listener = plan.listeners.pop().ok_or_else(|| Fault::Bug("an address that is none".to_owned()))?;
    Ok(listener.address)
}

/// Makes a server of a URL and `Name: value` headers.
pub(crate) fn http_server(url: &str, headers: &[String]) -> Result<UpstreamPlan, Fault> {
    let mut text = format!("[upstream.{SERVER}]\nurl = {}\n[upstream.{SERVER}.headers]\n", toml(url));
    for header in headers {
        let Some((name, value)) = header.split_once(':') else {
            return Err(Fault::usage(format!("{header:?} is no header")).hint("write 'Name: value'"));
        };
        text.push_str(&format!("{} = {}\n", toml(name.trim()), toml(value.trim())));
    }
    let mut plan = plan(text)?;
    plan.upstreams.pop().ok_or_else(|| Fault::Bug("a server that is none".to_owned()))
}

/// JSON and TOML write strings alike, but for one character that TOML wants escaped.
fn toml(text: &str) -> String {
    quote(text).replace('\u{7f}', "\\u007F")
}

fn plan(text: String) -> Result<Plan, Fault> {
    let loaded = config::load_text(Source { path: "arguments".into(), text }, &outside::variable);
    loaded.plan.ok_or_else(|| {
        // Where it stands in the text above means nothing to anybody.
        let errors = loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error);
        let (messages, hints): (Vec<&str>, Vec<&str>) = errors
            .map(|Diagnostic { message, help, .. }| (message.as_str(), help.as_deref().unwrap_or("")))
            .unzip();
        let hint = hints.into_iter().find(|hint| !hint.is_empty()).map(str::to_owned);
        Fault::Usage { what: messages.join("; "), hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_said_as_in_a_file() {
        let said = |fault: Fault| match fault {
            Fault::Usage { what, hint } => format!("{what} | {}", hint.unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        assert_eq!(address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(
            said(address("8080").unwrap_err()),
            "the address has no host | write \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for every network"
        );
        assert_eq!(
            said(http_server("ftp://x", &[]).unwrap_err()),
            "the URL of an upstream begins with http:// or https:// | nothing else is spoken here"
        );
        let unset = ["X-Key: ${env:PORTOLAN_TEST_UNSET}".to_owned()];
        assert!(
            said(http_server("http://x/", &unset).unwrap_err())
                .starts_with("the environment variable PORTOLAN_TEST_UNSET is not set")
        );
        let server = http_server("http://x/mcp", &["X-Key: a \"b\"".to_owned()]).unwrap();
        let base::plan::Reach::Http(reach) = server.reach else { panic!() };
        assert!(reach.headers.iter().all(|(_, value)| value.is_sensitive()));
        assert_eq!(reach.headers[0].1, "a \"b\"");
    }
}
