//! Flat table: what is read of tokens, and who is asked about them.

use super::Texts;
use crate::read::{choice, table};
use crate::template::Template;

table! {
    /// Which claims mean what. `a.b` is the claim `b` in the claim `a`.
    ClaimNames {
        /// Who it is.
        subject: String = "sub",
        /// The client that acts. Without it, `client_id`, `azp`, `cid` or `appid`, whichever is there first.
        client: String,
        /// The groups.
        groups: String = "groups",
        /// The scopes. Without it, `scope` or `scp`.
        scopes: String,
        /// Further claims that policies may look at, such as `["department"]`: each is a tag of the principal. Of what a claim can be, they
        /// see texts, whole numbers, truth values and lists of texts.
        policy: Texts,
    }
}

table! {
    /// How an issuer is asked about a token.
    #[schemars(extend("required" = ["url", "client_id", "client_secret"]))]
    Introspection {
        /// Where, with references.
        url: Template,
        /// Who Portolan is there, with references.
        client_id: Template,
        /// What shows that, with references.
        client_secret: Template,
    }
}

choice! {
    /// What tokens have as `typ`.
    TokenTypes {
        /// `at+jwt`, `JWT`, or nothing.
        "usual" => Usual,
        /// `at+jwt` (RFC 9068), so that no other token of the issuer is taken for an access token.
        "access-tokens" => AccessTokens,
    }
}

choice! {
    /// What becomes of proofs of possession.
    Dpop {
        /// A token that is bound to a key needs its proof; others need none.
        "accept" => Accept,
        /// Only tokens that are bound to a key are good. Not all clients have them.
        "require" => Require,
        /// The same, and each proof has a nonce that Portolan has given.
        "require-nonce" => RequireNonce,
        /// Tokens that are bound to a key are not good.
        "off" => Off,
    }
}
