//! The table of what records say.

use super::{Member, Shape, Type};

const DIGEST: &str = "^sha256:[0-9a-f]{64}$";
const KEYED: &str = "^hmac-sha256:[0-9a-f]{64}$";
const KEY: &str = "^ed25519:[0-9a-f]{64}$";
const SIGNATURE: &str = "^[0-9a-f]{128}$";
const PAYLOAD_ID: &str = "^[0-9a-f]{32}$";
const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$";

const fn needs(name: &'static str, shape: Shape, says: &'static str) -> Member {
    Member { name, shape, optional: false, says }
}

const fn may(name: &'static str, shape: Shape, says: &'static str) -> Member {
    Member { name, shape, optional: true, says }
}

pub(super) const HEAD: &[Member] = &[
    needs("v", Shape::Is("1"), "1"),
    needs("type", Shape::Like("^[a-z0-9._-]+$"), "what it is a record of: one of those below"),
    needs("time", Shape::Like(TIME), "UTC, to the microsecond"),
    needs(
        "replica",
        Shape::Like("^[a-z0-9._-]+$"),
        "whose chain it is in: the name of the directory, of `a-z 0-9 - . _`",
    ),
    needs("seq", Shape::Number, "its place in the chain, from 0"),
    needs(
        "prev",
        Shape::Like(DIGEST),
        "SHA-256 of the line before it, without its line break, over all files; 64 zeros for the first. In lower case",
    ),
];

const PRINCIPAL: &[Member] = &[
    needs("id", Shape::Text, "what sessions and limits know it by"),
    needs("anonymous", Shape::Flag, "nobody was asked who it is"),
    may(
        "credential",
        Shape::Like(KEYED),
        "stands for the one token (its `jti`) or API key that it came with; never the token",
    ),
    may(
        "issuer",
        Shape::Text,
        "for API keys `api-key`, for certificates and proxies what they are called in policies",
    ),
    may("subject", Shape::Text, "whom the issuer means"),
    may("client", Shape::Text, "the OAuth client"),
    needs("groups", Shape::Texts, "by the issuer's word"),
    needs("scopes", Shape::Texts, "what the token is good for"),
    may("acr", Shape::Text, "how well it was authenticated"),
    needs("amr", Shape::Texts, "by what means"),
    may("claims", Shape::Claims, "what else policies look at (`claims.policy`)"),
];

const HINTS: &[Member] = &[
    may("readOnlyHint", Shape::Flag, "it reads only"),
    may("destructiveHint", Shape::Flag, "it may destroy"),
    may("idempotentHint", Shape::Flag, "twice is once"),
    may("openWorldHint", Shape::Flag, "it reaches others"),
];

const PAYLOAD: Member = may(
    "payload",
    Shape::Object(&[
        may("id", Shape::Like(PAYLOAD_ID), "its name"),
        may("digest", Shape::Like(DIGEST), "SHA-256 of its line"),
        may("redacted", Shape::Number, "so many things were taken out"),
        may(
            "leftOut",
            Shape::Words(&["long", "unreadable", "failed"]),
            "why it is not kept: longer than 1 MiB, no JSON that can be redacted, or the encryption failed",
        ),
    ]),
    "where `audit.payloads` keeps the text itself",
);

const ARGUMENTS: &[Member] = &[
    needs("digest", Shape::Like(KEYED), "only the holder of the ledger's key can make it"),
    needs("bytes", Shape::Number, "how long they are"),
    may("json", Shape::Text, "their text, for tools in `plain_arguments` and up to 1 MiB"),
    may("redacted", Shape::Number, "so many things were taken out of that"),
    PAYLOAD,
];

const RESULT: &[Member] = &[
    may("digest", Shape::Like(KEYED), "as for arguments; a list that Portolan merges has none"),
    needs("bytes", Shape::Number, "how long it is"),
    PAYLOAD,
];

const DECISION: &[Member] = &[
    needs("allowed", Shape::Flag, "whether it is"),
    needs("by", Shape::Texts, "ids of policies"),
    needs("why", Shape::Text, "in words"),
    needs("version", Shape::Text, "stands for all policies of the route"),
    may("observed", Shape::Flag, "nothing is enforced"),
];

const CALL: &[Member] = &[
    may(
        "trace",
        Shape::Like("^[0-9a-f]{32}$"),
        "the trace id (W3C Trace Context): of `_meta`, or else of the headers",
    ),
    needs("principal", Shape::Object(PRINCIPAL), "who"),
    may("route", Shape::Text, "the route's name"),
    may("era", Shape::Words(&["modern", "legacy"]), "what the client speaks"),
    may("revision", Shape::Text, "and the revision of that"),
    may("address", Shape::Text, "where its connection comes from"),
    may("session", Shape::Text, "the client's legacy session, by a name that opens nothing"),
    may(
        "client",
        Shape::Object(&[
            needs("name", Shape::Text, "its name"),
            needs("version", Shape::Text, "its version"),
        ]),
        "what the client says of itself (`clientInfo`), which nobody has verified; cut at 256 bytes",
    ),
    needs(
        "method",
        Shape::Text,
        "the MCP method; `other` where no table knows it; `DELETE` where a legacy session is ended",
    ),
    may("id", Shape::Id, "the client's id of the request"),
    may("server", Shape::Text, "the server's name in the configuration"),
    may(
        "thing",
        Shape::Object(&[
            needs("kind", Shape::Text, "`tool`, `prompt`, `resource` …"),
            needs("name", Shape::Text, "the server's own, or the public one of what was not found"),
        ]),
        "what it is about",
    ),
    may(
        "definition",
        Shape::Object(&[
            needs("digest", Shape::Text, "SHA-256 of the tool's definition"),
            needs("hints", Shape::Object(HINTS), "its annotations"),
        ]),
        "what the server says of the tool",
    ),
    may(
        "arguments",
        Shape::Object(ARGUMENTS),
        "its arguments; of legacy requests that are no calls, its params",
    ),
    may("result", Shape::Object(RESULT), "the result, or the error, as the server gave it"),
    may(
        "sent",
        Shape::Object(&[
            needs("id", Shape::Number, "our id of the request that was sent last"),
            needs("times", Shape::Number, "how often it was sent: above 1, again"),
            may("session", Shape::Like(KEYED), "stands for the legacy session that the server has given us"),
        ]),
        "how it went out to its server; without it, it did not",
    ),
    may("task", Shape::Like(KEYED), "stands for the task that it has become, or is about"),
    may(
        "decision",
        Shape::Object(DECISION),
        "what was decided about it, the last time that somebody was asked",
    ),
    may("approval", Shape::Text, "the id of the approval by which it was sent"),
    needs(
        "outcome",
        Shape::Text,
        "`ok`, `error`, `input_required`, `cancelled`, or a label of [the error table](errors.md)",
    ),
    needs("durationUs", Shape::Number, "microseconds"),
    may("again", Shape::Is("1"), "1 where it was sent again with what its server had asked for"),
];

const MORE: Member = may("more", Shape::Number, "so many were not written since the one before");

pub(super) const TYPES: &[Type] = &[
    Type {
        name: "call",
        says: "A call, or what a legacy client asks of Portolan itself (`initialize`, `ping`, `resources/subscribe` …)",
        members: CALL,
    },
    Type {
        name: "approval",
        says: "Nobody hears of it before it is written. What an operator answers by command is in the record of its use as `decidedBy`",
        members: &[
            needs("approval", Shape::Text, "its id"),
            needs("outcome", Shape::Words(&["asked", "approved", "denied", "used"]), "what has become of it"),
            may("by", Shape::Text, "who has answered or used it"),
            may("principal", Shape::Text, "of `asked`: who wants it"),
            may("route", Shape::Text, "on which route"),
            may("server", Shape::Text, "of which server"),
            may("method", Shape::Text, "by which method"),
            may("name", Shape::Text, "which thing"),
            may("policies", Shape::Text, "which policies ask"),
            may("decidedBy", Shape::Text, "of `used`: who has approved it"),
        ],
    },
    Type {
        name: "session",
        says: "A legacy client's session. Of lost ones at most twenty a second; the requests that open and end sessions have records of their own",
        members: &[
            needs(
                "outcome",
                Shape::Words(&["opened", "closed", "expired", "lost"]),
                "`lost` is a session that a client comes with, and that is not known (any more)",
            ),
            needs("principal", Shape::Text, "`principal.id` of whose it is"),
            needs("route", Shape::Text, "at which route"),
            may("session", Shape::Text, "as in `call`; not of lost ones"),
            MORE,
        ],
    },
    Type {
        name: "task",
        says: "A task, as far as Portolan sees what becomes of it: its end is written when somebody asks about it",
        members: &[
            needs("task", Shape::Like(KEYED), "as in `call`"),
            needs(
                "outcome",
                Shape::Words(&["created", "completed", "failed", "cancelled"]),
                "what has become of it",
            ),
            needs("principal", Shape::Text, "`principal.id` of whose it is"),
            needs("route", Shape::Text, "at which route"),
            needs("server", Shape::Text, "of which server"),
            may("tool", Shape::Text, "of `created`: by which tool"),
        ],
    },
    Type {
        name: "key",
        says: "A key was made, replaced or taken back by command (`portolan api-keys`, `keys`)",
        members: &[
            needs("outcome", Shape::Words(&["made", "rotated", "revoked"]), "what has become of it"),
            needs("of", Shape::Words(&["api-key", "seal"]), "what it is a key of"),
            may("key", Shape::Text, "its public id"),
            may("principal", Shape::Text, "whose it is"),
            needs("by", Shape::Text, "`operator`"),
        ],
    },
    Type {
        name: "pin",
        says: "What servers say of their tools was approved or refused by command (`portolan pins`)",
        members: &[
            needs("outcome", Shape::Words(&["approved", "denied", "forgotten"]), "what was decided"),
            needs("server", Shape::Text, "of which server"),
            may("kind", Shape::Text, "of what kind"),
            may("name", Shape::Text, "its own name; without it, all of the server"),
            may("digest", Shape::Text, "of the definition that was meant"),
            needs("by", Shape::Text, "`operator`"),
        ],
    },
    Type {
        name: "login",
        says: "Somebody was not let in. At most twenty a second",
        members: &[
            needs("route", Shape::Text, "at which route"),
            needs("outcome", Shape::Text, "a label of [the error table](errors.md)"),
            needs("why", Shape::Text, "in words"),
            MORE,
        ],
    },
    Type {
        name: "configuration",
        says: "A configuration was read, at the start or later",
        members: &[
            needs("path", Shape::Text, "its file"),
            needs("outcome", Shape::Words(&["read", "reloaded", "refused"]), "what has become of it"),
            may("digest", Shape::Like(DIGEST), "of the bytes that were read"),
        ],
    },
    Type {
        name: "erased",
        says: "Payloads were erased: one by command, or a file because it was old. What an operator does by command is in a chain of its own, `NAME-operator`",
        members: &[
            may("payload", Shape::Like(PAYLOAD_ID), "`payload.id` of the record that names it"),
            may("file", Shape::Text, "the file, in the directory of this chain"),
            may("until", Shape::Like(TIME), "when something was written into the file last"),
            may("why", Shape::Text, "`keep`, or what the operator says"),
            may("by", Shape::Text, "`operator`"),
        ],
    },
    Type {
        name: "start",
        says: "A process begins",
        members: &[
            needs("version", Shape::Text, "of Portolan"),
            needs("key", Shape::Like(KEY), "the public key"),
            needs("process", Shape::Number, "its process id"),
            may("torn", Shape::Number, "so many bytes of a record that was not whole were cut off"),
            may("unreadable", Shape::Text, "the file before holds something else"),
            may("beside", Shape::Text, "the file with a copy of what was cut off, where it had holes"),
            may("witnessed", Shape::Number, "a witness has seen a record that is not here"),
        ],
    },
    Type {
        name: "end",
        says: "A process ends in good order",
        members: &[
            may("moreLogins", Shape::Number, "so many of `login` were not written since the last one"),
            may("moreSessions", Shape::Number, "so many of `session`"),
        ],
    },
    Type {
        name: "sink",
        says: "Records on their way to another system (`audit.sink`): more wait than may, or some were passed over",
        members: &[
            needs("sink", Shape::Text, "its name in the configuration"),
            needs(
                "outcome",
                Shape::Words(&["full", "open", "skipped", "missing"]),
                "calls are refused because of it, or are not any more; records were passed over, or were not there",
            ),
            may("records", Shape::Text, "so many records"),
            may("first", Shape::Text, "the first of them"),
            may("last", Shape::Text, "the last"),
        ],
    },
    Type {
        name: "gap",
        says: "Records are lacking",
        members: &[
            needs("lost", Shape::Number, "so many"),
            needs("refused", Shape::Number, "so many calls were refused because none could be written"),
            needs("since", Shape::Like(TIME), "since when"),
        ],
    },
    Type {
        name: "checkpoint",
        says: "All records since the one before are signed",
        members: &[
            needs("first", Shape::Number, "where what it covers begins"),
            needs("root", Shape::Like(DIGEST), "of the Merkle tree over them"),
            needs("key", Shape::Like(KEY), "who signs"),
            needs("signature", Shape::Like(SIGNATURE), "see below"),
        ],
    },
    Type {
        name: "deleted",
        says: "A file of the chain is deleted because all in it is older than `keep`",
        members: &[
            needs("segment", Shape::Number, "its number"),
            needs("first", Shape::Number, "the first record that was in it"),
            needs("last", Shape::Number, "the last one"),
            needs("hash", Shape::Like(DIGEST), "of the record `last`"),
            needs("key", Shape::Like(KEY), "who signs"),
            needs("signature", Shape::Like(SIGNATURE), "see below"),
        ],
    },
];
