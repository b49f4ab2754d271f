//! Flat table: which path leads to which servers, and who may use what there.

use super::{Dpop, Scope, Texts, WithoutScope};
use crate::read::{Entries, choice, table};
use crate::template::Template;
use crate::value::{Count, Policies};

table! {
    /// A path that leads to servers.
    Route {
        /// The path. One listener has each path once.
        path: String = "/mcp",
        /// The path at which clients of HTTP+SSE, the transport of 2024-11-05, open their streams. Without it, that
        /// transport is not served. They are counted among `limits.streams`.
        sse_path: String,
        /// Names of the listeners that serve it. Without it, all.
        listeners: Texts,
        /// Names of its servers, in the order in which lists show them. Without it, all, in the order of the file.
        upstreams: Texts,
        /// How the names of several servers are told apart.
        naming: Naming,
        /// The most entries on one page of a list. Without it, a list of several servers is one page.
        page_size: Count,
        /// Whether what legacy clients are told in answer to a call is kept in the store, so that they can come back for it
        /// (`Last-Event-ID`) when the replica that carried the call is gone. Each event then waits for the store.
        durable_streams: bool = false,
        /// How many objects and arrays of a message may lie in each other here. Without it, `limits.json_depth`.
        json_depth: Count,
        /// The URL at which clients reach it from outside, with references: what tokens are made for, and what proofs of possession are bound to.
        /// With it, nothing is answered here without a token or a key that is good.
        public_url: Template,
        /// Names of the issuers that vouch for its callers.
        issuers: Texts,
        /// What else tokens may have as `aud` that are meant for it.
        also_audiences: Texts,
        /// Whether what its one issuer says of itself is shown at the origin, at `/.well-known/oauth-authorization-server`: there clients of
        /// 2025-03-26 look for it. They do not say what a token is for, so that `audiences` or `also_audiences` must.
        issuer_at_origin: bool = false,
        /// The scopes that a client asks for when it logs in. Without it, none: it asks for more when it needs them.
        initial_scopes: Texts,
        /// Scope → what needs it.
        scopes: Entries<Scope>,
        /// What lists do with what a token lacks a scope for.
        without_scope: WithoutScope = "hide",
        /// Whether keys of Portolan's own are good here, which `portolan api-keys create` makes. They are kept in the store.
        api_keys: bool = false,
        /// Names of the certificates by which callers are known that send no token.
        certificates: Texts,
        /// Names of the proxies in front that say who calls.
        proxies: Texts,
        /// What becomes of proofs of possession (DPoP, RFC 9449).
        dpop: Dpop = "accept",
        /// Which policies say who may do what here, in place of those of the whole file.
        policy: Policies,
        /// What becomes of what policies deny. Without it, what the whole file says.
        policy_mode: PolicyMode,
        /// What callers are told of what policies deny. Without it, what the whole file says.
        denials: Denials,
    }
}

table! {
    /// How public names are made of the servers' own names.
    Naming {
        /// Whether names begin with their server's prefix.
        prefix: Prefix = "auto",
        /// What stands between the prefix and the name.
        separator: String = "__",
        /// The most characters that a public name may have where a route has several servers. Longer ones are cut, and end
        /// in a digest. If it is not written, a long prefix makes it longer, up to 64.
        max_length: Count = 45,
        /// Which characters public names have where a route has several servers.
        alphabet: Alphabet = "safe",
    }
}

choice! {
    /// Which characters public names have.
    Alphabet {
        /// Letters, digits, `_` and `-`. A name with others is spelled with `_` in their place, and ends in a digest; so does
        /// one of two names that differ only in case or in `-` and `_`, because clients take those for the same.
        "safe" => Safe,
        /// Those of the servers' own names.
        "any" => Any,
    }
}

choice! {
    /// Whether names begin with their server's prefix.
    Prefix {
        /// If the route has several servers.
        "auto" => Auto,
        /// In any case.
        "always" => Always,
        /// In no case. A name that two servers have is then served by neither.
        "never" => Never,
    }
}

choice! {
    /// What becomes of what policies deny.
    PolicyMode {
        /// It is refused.
        "enforce" => Enforce,
        /// It is only said in the log: nothing is refused, and nothing is hidden. For trying policies out.
        "observe" => Observe,
    }
}

choice! {
    /// What callers are told of what policies deny.
    Denials {
        /// What a caller may never use is to it as if it were not there.
        "hide" => Hide,
        /// Lists leave it out all the same; whoever asks for it by its name is told that a policy does not allow it.
        "explain" => Explain,
    }
}
