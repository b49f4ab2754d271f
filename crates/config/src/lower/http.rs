//! Upstreams with a URL: the URL itself, and what goes to it in headers.

use base::plan::{HttpReach, TransportRule};
use http::{HeaderName, HeaderValue, Uri};
use transport::http::client::{ClientSettings, Destination, Proxy};
use transport::net::Address;

use super::{HOUR, LITERAL, Lowering, SECOND};
use crate::file;
use crate::node::{At, Span};
use crate::read::Entry;
use crate::secret;
use crate::template::Template;

/// Headers that are part of how a message is framed or of the protocol, and so Portolan's alone.
const OWN: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers in which a client says who it is. It says so to Portolan.
pub(super) const CREDENTIALS: &[&str] = &["authorization", "cookie", "dpop", "proxy-authorization"];

impl Lowering<'_, '_> {
    pub(super) fn http(&mut self, given: &file::Upstream) -> Option<HttpReach> {
        let url = given.url.as_ref().and_then(|url| self.url("an upstream", url));
        let headers = self.headers(given.headers.as_ref());
        let forward_headers = self.forward_headers(given);
        let mut client = ClientSettings::default();
        if let Some(connect) = given.timeouts.as_ref().and_then(|timeouts| timeouts.value.connect.as_ref()) {
            self.set(&mut client.connect_timeout, Some(connect), SECOND / 10..=HOUR);
        }
        client.socket = given.socket.as_ref().and_then(|socket| self.path(socket));
        client.authorities = given.ca.as_ref().and_then(|ca| self.authorities(ca));
        client.http2 = given.http2.as_ref().is_some_and(|http2| http2.value);
        let transport = self.transport(given);
        let url = url?;
        if client.socket.is_none() {
            client.proxy = self.proxy(&url, given);
            self.clear_text(&url, given);
        }
        // A URL that was read above names a host.
        let destination = Destination::new(url).ok()?;
        Some(HttpReach { destination, headers, forward_headers, transport, client })
    }

    /// The proxy that the file names, or else the environment.
    fn proxy(&mut self, url: &Uri, given: &file::Upstream) -> Option<Proxy> {
        let Some(written) = &given.proxy else {
            let found = Proxy::of_environment(url, &|name| self.outside.env(name));
            return found.unwrap_or_else(|(name, bad)| {
                let span = given.url.as_ref().map(|url| url.span)?;
                let help = match self.theirs {
                    None => "the server is reached without a proxy; proxy = \"none\" says that this is meant",
                    Some(_) => "the server is reached without a proxy",
                };
                self.findings
                    .warning(span, format!("the environment variable {name} is of no use: {bad}"))
                    .help(help);
                None
            });
        };
        let text = self.resolve(written)?;
        if text == "none" {
            return None;
        }
        match Proxy::read(&text) {
            Ok(proxy) => Some(proxy),
            Err(bad) => {
                let help = "write \"http://proxy.example.com:3128\", or \"none\"";
                self.findings.error(written.span, format!("this is no proxy: {bad}")).help(help);
                None
            }
        }
    }

    fn transport(&mut self, given: &file::Upstream) -> TransportRule {
        let Some(transport) = &given.transport else { return TransportRule::Detect };
        match transport.value {
            file::Transport::Auto => TransportRule::Detect,
            file::Transport::StreamableHttp => TransportRule::Streamable,
            file::Transport::Sse => {
                if let Some(era) = given.era.as_ref().filter(|era| era.value == file::Era::Modern) {
                    self.findings
                        .error(transport.span, "HTTP+SSE is of the legacy era")
                        .label(era.span, "this says that the server is modern")
                        .help("leave out one of them");
                }
                TransportRule::Sse
            }
        }
    }

    pub(super) fn url(&mut self, of: &str, text: &At<Template>) -> Option<Uri> {
        let resolved = self.resolve(text)?;
        let span = text.span;
        let (user_of_url, secret_of_query) = (self.user_of_url(), self.secret_of_query());
        let mut wrong = |message: &str, help: &str| {
            self.findings.error(span, message).help(help);
            None
        };
        let Some((scheme, rest)) = resolved.split_once("://") else {
            return wrong(
                "expected a URL",
                "it begins with http:// or https://, such as \"https://mcp.example.com/mcp\"",
            );
        };
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            let message = format!("the URL of {of} begins with http:// or https://");
            return wrong(&message, "nothing else is spoken here");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return wrong("a URL is no place for a user and a password", &user_of_url);
        }
        if resolved.contains('#') {
            return wrong(&format!("the URL of {of} has no fragment"), "leave out what begins with #");
        }
        let Some(uri) =
            resolved.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
        else {
            return wrong("this is no URL", "such as \"https://mcp.example.com/mcp\"");
        };
        if authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
            && uri.port_u16().is_none()
        {
            return wrong("the port of the URL is no port", "a port is a number from 0 to 65535");
        }
        if uri.query().is_some_and(secret::query_has_secret) && text.value.as_literal().is_some() {
            self.findings
                .warning(span, "a secret stands in the file, in the query of this URL")
                .help(secret_of_query);
        }
        Some(uri)
    }

    pub(super) fn authorities(&mut self, text: &At<Template>) -> Option<std::path::PathBuf> {
        let path = self.path(text)?;
        let pem = self.outside.text(&path, text.span, self.findings)?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            self.findings.error(text.span, format!("{} holds no certificate", path.display()));
        }
        Some(path)
    }

    pub(super) fn headers(&mut self, given: Option<&At<file::Templates>>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        let mut seen: Vec<(HeaderName, Span)> = Vec::new();
        for Entry { name, value } in given.into_iter().flat_map(|given| &given.value.0) {
            let Some(header) = self.header_name(name, "set") else { continue };
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == header) {
                let finding = self.findings.error(name.span, format!("the header {header} is set twice"));
                finding.label(*first, "the first is here").help("upper and lower case are the same here");
            }
            seen.push((header.clone(), name.span));
            let Some(value) = value else { continue };
            self.header_secret(&header, name, value);
            let Some(text) = self.resolve(value) else { continue };
            match HeaderValue::from_str(&text) {
                Ok(mut value) => {
                    // None of them is anybody's business, whatever its name.
                    value.set_sensitive(true);
                    headers.push((header, value));
                }
                Err(_invalid) => {
                    let finding =
                        self.findings.error(value.span, format!("this cannot be the value of {header}"));
                    finding.help("a header's value has no line breaks or other control characters");
                }
            }
        }
        headers
    }

    fn header_secret(&mut self, header: &HeaderName, name: &At<String>, value: &At<Template>) {
        let Some(text) = value.value.as_literal().filter(|text| !text.is_empty()) else { return };
        if !secret::is_credential_name(header.as_str()) && !secret::is_credential_text(text) {
            return;
        }
        self.outside.secrets.add(text, LITERAL);
        let scheme = ["Bearer ", "Basic "].into_iter().find(|scheme| text.starts_with(scheme)).unwrap_or("");
        let variable = header.as_str().to_ascii_uppercase().replace('-', "_");
        let help = self.place_of_secret("an environment variable", scheme, &variable);
        self.findings
            .warning(value.span, format!("the secret in {:?} stands in the file", name.value))
            .help(help);
    }

    fn forward_headers(&mut self, given: &file::Upstream) -> Vec<HeaderName> {
        let mut headers = Vec::new();
        for name in given.forward_headers.iter().flat_map(|names| &names.value) {
            let Some(header) = self.header_name(name, "forwarded") else { continue };
            if CREDENTIALS.contains(&header.as_str()) {
                self.findings
                    .error(
                        name.span,
                        format!("{header} is never forwarded: the client's credentials end here"),
                    )
                    .help(
                        "a token that a client got for Portolan is worth nothing to a server, or too much; \
                         set the server's own with headers = { … }",
                    );
                continue;
            }
            let set = given.headers.iter().flat_map(|headers| &headers.value.0);
            if let Some(set) =
                set.into_iter().find(|set| set.name.value.eq_ignore_ascii_case(header.as_str()))
            {
                let finding = self.findings.error(name.span, format!("{header} is set and forwarded"));
                finding.label(set.name.span, "it is set here");
            }
            if headers.contains(&header) {
                self.findings.warning(name.span, format!("{header} stands here twice"));
                continue;
            }
            headers.push(header);
        }
        headers
    }

    pub(super) fn header_name(&mut self, name: &At<String>, done: &str) -> Option<HeaderName> {
        let Ok(header) = name.value.parse::<HeaderName>() else {
            self.findings
                .error(name.span, format!("{:?} is no name of a header", name.value))
                .help("such a name is made of letters, digits and '-'");
            return None;
        };
        if OWN.contains(&header.as_str()) || header.as_str().starts_with("mcp-") {
            self.findings.error(
                name.span,
                format!("{header} cannot be {done}: it belongs to the message, which Portolan writes"),
            );
            return None;
        }
        Some(header)
    }

    fn clear_text(&mut self, url: &Uri, given: &file::Upstream) {
        let local = url
            .host()
            .is_some_and(|host| Address::Tcp(host.trim_matches(['[', ']']).to_owned(), 0).is_local());
        if local || url.scheme_str() != Some("http") {
            return;
        }
        let headers = given.headers.iter().flat_map(|headers| &headers.value.0);
        for header in headers.filter(|header| secret::is_credential_name(&header.name.value)) {
            self.findings
                .warning(
                    header.name.span,
                    format!("{} goes over the network in clear text", header.name.value),
                )
                .help("use an https:// URL");
        }
    }
}
