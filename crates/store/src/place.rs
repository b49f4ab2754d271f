//! Where a store is, as it is written: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use tokio_postgres::config::{Host, SslMode};

/// Where a store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A file of this machine.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<Database>),
}

/// A PostgreSQL database and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    pub(crate) config: tokio_postgres::Config,
    /// A PEM file of certificate authorities to trust beside the system's.
    pub(crate) authorities: Option<PathBuf>,
}

/// Why a text is no place. It never shows the text, in which a password may stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct PlaceFault {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub help: &'static str,
}

const FORMS: &str = "write \"sqlite:PATH\" or \"postgres://USER:PASSWORD@HOST:PORT/DATABASE\"";

impl Place {
    /// Reads a place. Relative paths begin at `base`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, base: &Path) -> Result<Self, PlaceFault> {
        let fault = |what: &str, help| Err(PlaceFault { what: what.to_owned(), help });
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => fault("the path of the file is missing", "write \"sqlite:portolan.db\""),
                ":memory:" => fault(
                    "a store in memory keeps nothing",
                    "name a file, or leave the store out: then nothing is kept, either",
                ),
                _ if path.contains(['?', '\0']) => {
                    fault("a path has no options", "write \"sqlite:portolan.db\"")
                }
                _ => Ok(Self::Sqlite(base.join(path).components().collect())),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Database::parse(text, base).map(|database| Self::Postgres(Box::new(database)));
        }
        match text.split_once(':') {
            Some((scheme, _)) if scheme.len() < 16 && scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
                fault(&format!("there is no store of the kind {scheme:?}"), FORMS)
            }
            _ => fault("this is no store", FORMS),
        }
    }
}

impl Database {
    fn parse(text: &str, base: &Path) -> Result<Self, PlaceFault> {
        let fault = |what: String, help| Err(PlaceFault { what, help });
        let (url, options) = text.split_once('?').unwrap_or((text, ""));
        let (mut kept, mut authorities, mut verified) = (Vec::new(), None, false);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslrootcert", path)) if !path.is_empty() => authorities = Some(base.join(path)),
                // Certificates are always checked, and names in them.
                Some(("sslmode", "verify-full" | "verify-ca" | "require")) => verified = true,
                _ => kept.push(option),
            }
        }
        let url = if kept.is_empty() { url.to_owned() } else { format!("{url}?{}", kept.join("&")) };
        let mut config = match tokio_postgres::Config::from_str(&url) {
            Ok(config) => config,
            Err(error) => {
                // The text of the source names the option or part that is wrong, not its value.
                let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                return fault(format!("this is no PostgreSQL URL: {why}"), FORMS);
            }
        };
        if verified {
            config.ssl_mode(SslMode::Require);
        }
        if config.get_hosts().is_empty() {
            return fault("the URL names no host".to_owned(), FORMS);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return fault("the URL names no database".to_owned(), FORMS);
        }
        if config.get_user().is_none() {
            return fault("the URL names no user".to_owned(), FORMS);
        }
        config.application_name("portolan");
        Ok(Self { config, authorities })
    }

    fn hosts(&self) -> String {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        self.config.get_hosts().iter().map(name).collect::<Vec<_>>().join(",")
    }
}

/// As people may see it: without user and password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(database) => {
                let name = database.config.get_dbname().unwrap_or_default();
                write!(f, "postgres://{}/{name}", database.hosts())
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("hosts", &self.hosts()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<String, String> {
        Place::parse(text, Path::new("/base")).map(|place| place.to_string()).map_err(|fault| fault.what)
    }

    #[test]
    fn places_are_read() {
        for (text, shown) in [
            ("sqlite:portolan.db", "sqlite:/base/portolan.db"),
            ("sqlite:///var/lib/p.db", "sqlite:/var/lib/p.db"),
            ("postgres://me:hunter2@db.example:5433/portolan", "postgres://db.example/portolan"),
            ("postgresql://me@a,b/p?sslmode=verify-full&sslrootcert=ca.pem", "postgres://a,b/p"),
            ("postgres://me@%2Frun%2Fpg/p?connect_timeout=3", "postgres:///run/pg/p"),
        ] {
            assert_eq!(place(text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_and_no_password_is_shown() {
        for text in [
            "",
            "portolan.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:p.db?mode=ro",
            "mysql://me:hunter2@db/p",
            "postgres://me:hunter2@/p",
            "postgres://me:hunter2@db",
            "postgres://db/p",
            "postgres://me:hunter2@db:port/p",
            "postgres://me:hunter2@db/p?sslmode=hunter2",
            "postgres://me:hunter2@db/p?nonsense=hunter2",
        ] {
            let fault = place(text).unwrap_err();
            assert!(!fault.is_empty() && !fault.contains("hunter2"), "{text}: {fault}");
        }
        let shown = format!("{:?}", Place::parse("postgres://me:hunter2@db/p", Path::new("/")).unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("me"), "{shown}");
    }
}
