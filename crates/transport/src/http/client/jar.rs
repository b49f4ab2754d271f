//! The cookies of one conversation with a server: what stands between (a balancer, a firewall) knows by them where to send
//! the next request. Source: RFC 6265.
//!
//! A jar belongs to one origin, and is asked for no other. Cookies come from nowhere else and go nowhere else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{COOKIE, DATE, SET_COOKIE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use super::Destination;
use super::date;
use crate::net::Address;

/// The most cookies of a jar. Balancers set two.
const MOST_COOKIES: usize = 32;
/// The most bytes of one, name and value.
const MOST_BYTES: usize = 4096;
/// The longest that one is kept (RFC 6265bis §5.5).
const LONGEST: u64 = 400 * 24 * 3600;

/// The cookies that an origin has set in one conversation.
#[derive(Debug, Default)]
pub struct Jar {
    cookies: Mutex<Vec<Cookie>>,
    /// So that a server without cookies costs nothing.
    holds_any: AtomicBool,
}

#[derive(Debug, Clone)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    secure: bool,
    until: Option<Instant>,
}

impl Jar {
    /// Whether the origin has set none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.holds_any.load(Ordering::Relaxed)
    }

    /// Another one with the same cookies: what is kept in the one is not in the other.
    #[must_use]
    pub fn copy(&self) -> Self {
        if self.is_empty() {
            return Self::default();
        }
        Self { cookies: Mutex::new(self.lock().clone()), holds_any: AtomicBool::new(true) }
    }

    /// Adds the cookies that belong to a request, behind those that it has.
    pub(super) fn write(&self, to: &Destination, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        let (now, path) = (Instant::now(), to.url().path());
        let mut cookies = self.lock();
        cookies.retain(|cookie| cookie.until.is_none_or(|until| until > now));
        let mut fitting: Vec<&Cookie> = cookies
            .iter()
            .filter(|cookie| covers(&cookie.path, path) && (!cookie.secure || is_private(to)))
            .collect();
        // §5.4: the longer paths first.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let own = headers.get(COOKIE).and_then(|own| own.to_str().ok()).map(str::to_owned);
        let pairs = fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let all: Vec<String> = own.into_iter().chain(pairs).collect();
        if let Ok(mut value) = HeaderValue::from_str(&all.join("; "))
            && !all.is_empty()
        {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
    }

    /// Keeps what a response sets.
    pub fn keep(&self, of: &Destination, headers: &HeaderMap) {
        for set in headers.get_all(SET_COOKIE) {
            let read = set.to_str().ok().and_then(|text| read(text, of, headers.get(DATE)));
            let Some((cookie, is_over)) = read else {
                tracing::debug!(host = of.url().host(), "a cookie is left out");
                continue;
            };
            self.put(cookie, is_over);
        }
    }

    /// Keeps what another one of the same conversation has kept.
    pub fn absorb(&self, other: Self) {
        let cookies = other.cookies.into_inner().unwrap_or_else(PoisonError::into_inner);
        cookies.into_iter().for_each(|cookie| self.put(cookie, false));
    }

    fn put(&self, cookie: Cookie, is_over: bool) {
        let mut cookies = self.lock();
        cookies.retain(|other| (&other.name, &other.path) != (&cookie.name, &cookie.path));
        if !is_over {
            if cookies.len() >= MOST_COOKIES {
                cookies.remove(0);
            }
            cookies.push(cookie);
            self.holds_any.store(true, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `Set-Cookie`, and whether it takes the cookie away.
fn read(text: &str, of: &Destination, date: Option<&HeaderValue>) -> Option<(Cookie, bool)> {
    let mut parts = text.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || name.len() + value.len() > MOST_BYTES {
        return None;
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        path: default_path(of.url().path()),
        secure: false,
        until: None,
    };
    let (mut lasts, mut ends) = (None, None);
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match attribute.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "domain" if !value.is_empty() && !is_within(of.url().host()?, value) => return None,
            "secure" => cookie.secure = true,
            "max-age" => lasts = value.parse::<i64>().ok(),
            "expires" => ends = date::seconds(value),
            _ => {}
        }
    }
    if cookie.secure && !is_private(of) {
        return None;
    }
    // Max-Age wins (§5.3). `Expires` is a time of the server's own clock, so it is compared with that.
    let now = date.and_then(|date| date::seconds(date.to_str().ok()?));
    let left = lasts.or_else(|| match (ends, now) {
        (Some(ends), Some(now)) => Some(ends - now),
        // Without a clock: a time long ago is how a cookie is taken away.
        (Some(ends), None) if ends < LONG_AGO => Some(0),
        _ => None,
    });
    let is_over = left.is_some_and(|left| left <= 0);
    let left = left.and_then(|left| u64::try_from(left).ok()).map(|left| left.min(LONGEST));
    cookie.until = left.map(|left| Instant::now() + Duration::from_secs(left));
    Some((cookie, is_over))
}

/// 2020-01-01.
const LONG_AGO: i64 = 1_577_836_800;

/// §5.1.4.
fn default_path(path: &str) -> String {
    let end = path.rfind('/').filter(|end| *end > 0);
    end.and_then(|end| path.get(..end)).unwrap_or("/").to_owned()
}

/// §5.1.4: whether a cookie of `path` goes with a request to `requested`.
fn covers(path: &str, requested: &str) -> bool {
    let rest = requested.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

/// §5.1.3: whether a domain is the host, or one that the host is in.
fn is_within(host: &str, domain: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let is_name = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err();
    host == domain
        || (is_name && host.strip_suffix(&domain).is_some_and(|sub| sub.ends_with('.')) && !domain.is_empty())
}

/// Whether nobody else reads what goes there.
fn is_private(to: &Destination) -> bool {
    let host = to.url().host().unwrap_or_default().trim_matches(['[', ']']);
    to.url().scheme() == Some(&Scheme::HTTPS) || Address::Tcp(host.to_owned(), 0).is_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(url: &str) -> Destination {
        Destination::new(url.parse().unwrap()).unwrap()
    }

    fn set(jar: &Jar, url: &str, cookies: &[&str]) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        headers.insert(DATE, "Tue, 01 Dec 2026 10:00:00 GMT".parse().unwrap());
        jar.keep(&to(url), &headers);
    }

    fn sent(jar: &Jar, url: &str) -> String {
        let mut headers = HeaderMap::new();
        jar.write(&to(url), &mut headers);
        headers.get(COOKIE).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_set_comes_back_where_it_belongs() {
        let jar = Jar::default();
        assert_eq!(sent(&jar, "https://a.example/mcp"), "");
        set(
            &jar,
            "https://a.example/x/mcp",
            &["A=1; Path=/; HttpOnly; SameSite=Lax", "B=2==; Secure", "C=3; Path=/x/mcp"],
        );
        assert_eq!(sent(&jar, "https://a.example/x/mcp"), "C=3; B=2==; A=1");
        assert_eq!(sent(&jar, "https://a.example/x/other"), "B=2==; A=1");
        assert_eq!(sent(&jar, "https://a.example/xy"), "A=1");
        set(
            &jar,
            "https://a.example/x/mcp",
            &["A=9; Path=/", "B=; Max-Age=0", "C=; Path=/x/mcp; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
        );
        assert_eq!(sent(&jar, "https://a.example/x/mcp"), "A=9");
    }

    #[tokio::test(start_paused = true)]
    async fn they_end_in_time() {
        let jar = Jar::default();
        set(
            &jar,
            "http://a.example/",
            &[
                "A=1; Max-Age=10",
                "B=2; expires=Tue, 01-Dec-2026 10:00:20 GMT",
                "C=3; Max-Age=99; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            ],
        );
        assert_eq!(sent(&jar, "http://a.example/"), "A=1; B=2; C=3");
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(sent(&jar, "http://a.example/"), "B=2; C=3");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(sent(&jar, "http://a.example/"), "C=3");
    }

    #[test]
    fn what_is_not_the_origins_to_set_is_left_out() {
        let jar = Jar::default();
        set(
            &jar,
            "http://a.example/",
            &["A=1; Domain=other.example", "B=2; Domain=e", "C=3; Secure", "=4", "D"],
        );
        assert!(jar.is_empty());
        set(
            &jar,
            "http://a.example/",
            &["A=1; Domain=.a.example", "B=2; Domain=EXAMPLE", "C=3; Domain=a.example"],
        );
        assert_eq!(sent(&jar, "http://a.example/"), "A=1; B=2; C=3");
        let many: Vec<_> = (0..100).map(|n| format!("N{n}=1")).collect();
        set(&jar, "http://a.example/", &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(sent(&jar, "http://a.example/").split("; ").count(), MOST_COOKIES);
    }

    #[test]
    fn the_configured_ones_stay() {
        let jar = Jar::default();
        set(&jar, "http://127.0.0.1/", &["A=1; Secure"]);
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("own=1"));
        jar.write(&to("http://127.0.0.1/"), &mut headers);
        assert_eq!(headers.get(COOKIE).unwrap(), "own=1; A=1");
    }
}
