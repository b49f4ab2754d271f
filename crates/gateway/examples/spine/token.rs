//! A route that asks who calls, and a token that is good there.

use std::error::Error;
use std::time::UNIX_EPOCH;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base::clock::{Clock as _, SystemClock};
use base::plan::Plan;
use base::plan::identity::{IssuerPlan, KeySource, ResourcePlan};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::plan::PATH;

const ISSUER: &str = "https://id.example";
const URL: &str = "https://gw.example/mcp";

/// Gives the route an issuer, and a token of it.
pub(crate) fn protect(plan: &mut Plan) -> Result<String, Box<dyn Error>> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let point = key.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    let keys =
        format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k","x":"{x}","y":"{y}"}}]}}"#);
    plan.issuers = vec![IssuerPlan {
        keys: KeySource::Given(keys.into_bytes().into()),
        ..IssuerPlan::new("id", ISSUER)
    }];
    let route = plan.routes.first_mut().ok_or("no route")?;
    route.resource = Some(ResourcePlan::new(&route.name, URL, PATH, &["id"]));
    let now = SystemClock.now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#);
    let claims = format!(
        r#"{{"iss":"{ISSUER}","aud":"{URL}","sub":"counter","client_id":"counter","jti":"1","iat":{now},"exp":{}}}"#,
        now + 3600
    );
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(&SystemRandom::new(), text.as_bytes())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
