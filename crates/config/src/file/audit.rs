//! Flat table: the ledger of what was done.

use super::{Sink, Texts};
use crate::read::{Entries, choice, table};
use crate::template::Template;
use crate::value::{Lasting, Size};

table! {
    /// The ledger: what was done is written down before anybody hears of it, in files that show what was altered, removed or cut off.
    /// Without this table, nothing is. `portolan audit` reads and verifies it.
    Audit {
        /// Its directory, with references, which is made if it is not there. In it each process has one of its own.
        path: Template = "audit",
        /// What an accepted record outlives.
        durability: Durability = "process",
        /// What becomes of calls while no record can be written, as on a full disk.
        on_full: OnFull = "refuse",
        /// How large a file of the ledger gets, about; then the next one is begun.
        segment_bytes: Size = "64MiB",
        /// How long records are kept. A file is deleted when all that is in it is older, and a signed record says so. Without it, for
        /// ever.
        keep: Lasting,
        /// Globs of `SERVER/TOOL`, by the server's own names: the arguments of calls of these tools are written down as they are. Of all
        /// others there is a digest, which only the holder of the ledger's key can compare.
        plain_arguments: Texts,
        /// JSON pointers such as `/password` or `/items/*/ssn`, into the arguments or the result: `*` is any one member or entry, `**` any
        /// number of them. What stands there is taken out of all that is kept of either.
        redact: Texts,
        /// Regular expressions: what they match in texts, names and numbers of arguments and results is taken out of all that is kept.
        redact_patterns: Texts,
        /// What is kept of calls beside that, encrypted.
        payloads: Payloads,
        /// A file in which the checkpoints of the ledger are kept as well, with references: on another disk, or where those who can
        /// write the ledger cannot. With it, a ledger of which the end was cut off is found out.
        witness: Template,
        /// Other systems that the records go to, each under a name: `[audit.sink.NAME]`.
        #[schemars(title = "tables")]
        sink: Entries<Sink>,
    }
}

table! {
    /// Arguments and results themselves, encrypted to a public key (HPKE, RFC 9180), in files apart. Records have their digests, so that they
    /// can be erased, and nothing of the ledger is missing. Up to 1 MiB each; longer ones are not kept, and the record says so.
    Payloads {
        /// Globs of `SERVER/TOOL`, by the server's own names: of calls of these tools.
        tools: Texts,
        /// Which: `arguments`, `result`. Without it, both.
        what: Texts,
        /// The public key, or the file with it, with references. `portolan audit payload-key new` makes one.
        recipient: Template,
        /// How long they are kept. A file is deleted when nothing was written into it for so long, and a record says so. Without it, for
        /// ever.
        keep: Lasting,
    }
}

choice! {
    /// What an accepted record outlives.
    Durability {
        /// The end of the process, however it ends.
        "process" => Process,
        /// The end of the machine's power: each record is on the disk. Calls that end at the same time share the wait.
        "disk" => Disk,
    }
}

choice! {
    /// What becomes of calls while no record can be written.
    OnFull {
        /// They are refused, with the reason `audit_unavailable`, and `/readyz` says so.
        "refuse" => Refuse,
        /// They go on, and when records can be written again one says how many are lacking.
        "drop" => Drop,
    }
}
