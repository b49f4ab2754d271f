//! What PostgreSQL's errors mean for who asked.

use std::error::Error as _;

use crate::fault::StoreFault;

/// Away, refused or broken, by the class of the error's SQLSTATE; what has none is a matter of the connection.
pub(super) fn fault(error: &tokio_postgres::Error) -> StoreFault {
    let why = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    let Some(code) = error.code().map(|code| code.code().to_owned()) else {
        // What cannot be converted was sent by no network.
        let ours = why.contains("serializing") || why.contains("deserializing");
        return if ours { StoreFault::Broken(why) } else { StoreFault::Away(why) };
    };
    match code.get(..2).unwrap_or_default() {
        // Connections; resources; an operator (shutting down, starting up); serialization and deadlocks; the system.
        "08" | "53" | "57" | "40" | "58" => StoreFault::Away(why),
        // A standby, while another becomes the primary.
        "25" => StoreFault::Away(why),
        // Who we are, and which database.
        "28" | "3D" => StoreFault::Refused(why),
        _ if code == "42501" => StoreFault::Refused(why),
        _ => StoreFault::Broken(why),
    }
}
