//! What replicas are told. It is the same for all but for where each listens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{program, write};
use crate::servers::stdio;

/// The server over stdio that one client at a time asks for words: such a server does not say which call it asks for.
pub(crate) const ASKER: &str = "asker";

/// The file with the master key, beside the configurations.
pub(super) const MASTER: &str = "master.key";

/// The parts of a file.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    pub(super) store: String,
    /// Servers over HTTP.
    pub(super) servers: Vec<(&'static str, SocketAddr)>,
    pub(super) chaos: PathBuf,
    pub(super) effects: PathBuf,
    /// Whether replicas listen for each other.
    pub(super) forwards: bool,
}

impl Configuration {
    /// The file of one replica. A generation differs from the one before in what clients see of a server.
    pub(super) fn text(&self, listen: SocketAddr, admin: SocketAddr, generation: u32) -> String {
        let Self { store, servers, chaos, effects, forwards } = self;
        let mut text = format!("store = {store:?}\n[keys]\nmaster = \"${{file:{MASTER}}}\"\n");
        if *forwards {
            text.push_str("[replicas]\nlisten = \"127.0.0.1:0\"\n");
        }
        for (name, address) in servers {
            text.push_str(&format!("[upstream.{name}]\nurl = \"http://{address}/mcp\"\n"));
        }
        let (chaos, effects) = (chaos.display().to_string(), effects.display().to_string());
        for name in [stdio::NAME, ASKER] {
            text.push_str(&format!(
                "[upstream.{name}]\ncommand = [{chaos:?}, \"stdio\", \"--effects\", {effects:?}]\n"
            ));
        }
        // A call that nobody comes back to is in the way of those that come after it.
        text.push_str(&format!("[upstream.{ASKER}.timeouts]\ninput = \"20s\"\n"));
        text.push_str(&format!(
            "[upstream.{}.tools]\ndescribe = {{ log = \"{generation}\" }}\n",
            stdio::NAME
        ));
        text.push_str(&format!("[listener.main]\naddress = \"{listen}\"\n[admin]\naddress = \"{admin}\"\n"));
        text
    }

    /// A file that must be refused, and why it is.
    pub(super) fn wrong(&self, listen: SocketAddr, admin: SocketAddr) -> String {
        let text = self.text(listen, admin, 0);
        format!("{text}[route.bad]\npath = \"/bad\"\nupstreams = [\"nobody\"]\n")
    }

    /// Whether this version of Portolan takes it.
    pub(super) async fn is_good(&self, portolan: &Path, directory: &Path) -> bool {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let path = directory.join("trial.toml");
        if write(&path, &self.text(any, any, 0)).is_err() {
            return false;
        }
        let path = path.display().to_string();
        program::output(portolan, &["check", &path]).await.is_ok()
    }
}
