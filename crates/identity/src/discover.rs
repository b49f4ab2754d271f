//! Where an issuer's keys are, by its metadata.

use mcp::json::Object;

use crate::fetch::{FetchFault, Fetcher, shown};
use transport::http::client::Destination;

/// Where an issuer's metadata may be, in the order in which to look (MCP 2026-07-28
/// `basic/authorization/authorization-server-discovery`; RFC 8414 §3.1, OpenID Connect Discovery §4).
pub(crate) fn places(issuer: &str) -> Vec<String> {
    let (scheme, rest) = issuer.split_once("://").unwrap_or(("https", issuer));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // A terminating slash goes before anything is inserted or appended.
    let path = path.trim_end_matches('/');
    let origin = format!("{scheme}://{authority}");
    let (oauth, openid) = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration");
    if path.is_empty() {
        return vec![format!("{origin}{oauth}"), format!("{origin}{openid}")];
    }
    vec![
        format!("{origin}{oauth}/{path}"),
        format!("{origin}{openid}/{path}"),
        format!("{origin}/{path}{openid}"),
    ]
}

/// Where the issuer says that its keys are.
///
/// # Errors
/// When it cannot be asked, or says nothing that may be used.
pub(crate) async fn keys(fetcher: &Fetcher, issuer: &str) -> Result<Destination, FetchFault> {
    let url = find(fetcher, issuer, |body| read(body, issuer)).await?;
    fetcher.destination(&url)
}

/// What the issuer says of itself, as it says it.
///
/// # Errors
/// The same.
pub(crate) async fn metadata(fetcher: &Fetcher, issuer: &str) -> Result<String, FetchFault> {
    let text = |body: &[u8]| {
        read(body, issuer)?;
        String::from_utf8(body.to_vec()).map_err(|_bytes| "it is no text")
    };
    find(fetcher, issuer, text).await
}

/// The first of its metadata that can be used.
async fn find(
    fetcher: &Fetcher,
    issuer: &str,
    read: impl Fn(&[u8]) -> Result<String, &'static str>,
) -> Result<String, FetchFault> {
    let mut first = None;
    for place in places(issuer) {
        let place = fetcher.destination(&place)?;
        let answered = fetcher.get(&place).await?;
        let found = match answered.status {
            200 => read(&answered.body).map_err(|why| FetchFault(format!("{}: {why}", shown(&place)))),
            status => Err(FetchFault(format!("{} answers with HTTP {status}", shown(&place)))),
        };
        match found {
            Ok(found) => return Ok(found),
            // What another place says must name the same issuer, too, so that it does no harm to look there.
            Err(fault) => drop(first.get_or_insert(fault)),
        }
    }
    Err(first.unwrap_or_else(|| FetchFault("there is nowhere to look".to_owned())))
}

fn read(body: &[u8], issuer: &str) -> Result<String, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_bytes| "it is no text")?;
    let document = Object::parse(text).map_err(|_fault| "it is no JSON object")?;
    // RFC 8414 §3.3: identical, or nothing in it may be used.
    match document.string("issuer") {
        Ok(Some(named)) if named == issuer => {}
        _ => return Err("its issuer is not exactly the one that is configured"),
    }
    let keys = document.string("jwks_uri").ok().flatten();
    keys.map(|keys| keys.into_owned()).ok_or("it has no jwks_uri")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_inserted_and_then_appended_to() {
        assert_eq!(
            places("https://id.example"),
            [
                "https://id.example/.well-known/oauth-authorization-server",
                "https://id.example/.well-known/openid-configuration"
            ]
        );
        assert_eq!(places("https://id.example/"), places("https://id.example"));
        let with_path = [
            "https://id.example:8443/.well-known/oauth-authorization-server/realms/a",
            "https://id.example:8443/.well-known/openid-configuration/realms/a",
            "https://id.example:8443/realms/a/.well-known/openid-configuration",
        ];
        assert_eq!(places("https://id.example:8443/realms/a"), with_path);
        assert_eq!(places("https://id.example:8443/realms/a/"), with_path);
    }

    #[test]
    fn metadata_of_another_issuer_is_not_used() {
        let of = |issuer: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://id.example/keys"}}"#);
        assert_eq!(
            read(of("https://id.example").as_bytes(), "https://id.example").unwrap(),
            "https://id.example/keys"
        );
        for other in
            ["https://id.example/", "https://ID.example", "https://id.example:443", "http://id.example", ""]
        {
            assert!(read(of(other).as_bytes(), "https://id.example").is_err(), "{other}");
        }
        assert!(read(br#"{"issuer":"https://id.example"}"#, "https://id.example").is_err());
        let twice = br#"{"issuer":"https://id.example","issuer":"https://id.example","jwks_uri":"x"}"#;
        assert!(read(twice, "https://id.example").is_err());
    }
}
