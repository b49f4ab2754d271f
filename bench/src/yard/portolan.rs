//! Portolan, with its own configuration and nothing set in it that has to do with speed.

use std::path::PathBuf;
use std::process::Command;

use super::{Ground, write};
use crate::cases::Case;
use crate::fault::Fault;
use crate::load::who::{ISSUER, RESOURCE, Signer};

/// A gateway in front of all servers of the case.
pub(super) fn serve(ground: &Ground, case: &Case, port: u16) -> Result<Command, Fault> {
    command(ground, "portolan.toml", &text(ground, case, port))
}

/// A gateway that asks who calls, and the file with the key that signs tokens for it.
pub(super) fn protect(ground: &Ground, case: &Case, port: u16) -> Result<(Command, PathBuf), Fault> {
    let key = ground.dir.join("signer.key");
    write(&ground.dir.join("keys.json"), &Signer::make(&key)?.key_set())?;
    let issuer = format!("[issuer.bench]\nurl = \"{ISSUER}\"\njwks_file = \"keys.json\"\n");
    let asks = format!("[route.main]\npublic_url = \"{RESOURCE}\"\nissuers = [\"bench\"]\n");
    let text = text(ground, case, port).replacen("[route.main]\n", &asks, 1);
    Ok((command(ground, "protected.toml", &(issuer + &text))?, key))
}

/// A gateway with this configuration.
pub(super) fn command(ground: &Ground, file: &str, text: &str) -> Result<Command, Fault> {
    let path = ground.dir.join(file);
    write(&path, text)?;
    let mut command = Command::new(&ground.portolan);
    command.arg("serve").arg(&path).args(&ground.portolan_args);
    Ok(command)
}

/// The configuration in front of all servers of the case.
pub(super) fn text(ground: &Ground, case: &Case, port: u16) -> String {
    let mut text = String::new();
    for number in 0..case.behind.servers {
        let path = case.behind.path(case.behind.era, number);
        text.push_str(&format!("[upstream.s{number}]\n"));
        if case.behind.stdio {
            let bench = ground.bench.display().to_string();
            text.push_str(&format!(
                "command = [{bench:?}, \"echo\", \"--stdio\", \"--persona\", \"{path}\"]\n"
            ));
        } else {
            text.push_str(&format!("url = \"http://{}{path}\"\n", ground.echo));
        }
    }
    // Every name has a prefix that must be taken off and put on again.
    text.push_str("[route.main]\npath = \"/mcp\"\nnaming = { prefix = \"always\" }\n");
    text.push_str(&format!("[listener.main]\naddress = \"127.0.0.1:{port}\"\n"));
    text.push_str("[limits]\nconnections = 20000\nstreams = 20000\n");
    if case.behind.quiet {
        text.push_str("keep_alive = \"10m\"\n");
    }
    text
}
