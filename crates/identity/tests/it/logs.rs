//! Nothing of what callers show is ever written, however much is asked to be written.

use std::io;
use std::sync::{Arc, Mutex};

use base::plan::identity::{IntrospectionPlan, IssuerPlan};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use transport::http::client::Destination;

use crate::proofs::{Made, good_proof, proof};
use crate::signer::Signer;
use crate::stand::{Request, Stand};

#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// Takes all that this thread writes until the guard goes.
    pub(crate) fn begin(&self) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_token_is_written() {
    let written = Written::default();
    let guard = written.begin();
    let stand = Stand::new().await;
    let plan = IntrospectionPlan {
        endpoint: Destination::new("http://127.0.0.1:9000/introspect".parse().unwrap()).unwrap(),
        client_id: "gateway".to_owned(),
        secret: "t0p-s3cret".to_owned(),
    };
    let asking = IssuerPlan { introspection: Some(plan), ..Stand::issuer() };
    let identifier = stand.identifier(asking, Stand::resource());
    let by = Signer::es256();
    let bound = stand.token(&[("cnf", &format!(r#"{{"jkt":"{}"}}"#, by.thumbprint()))]);
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{}}}"#, by.jwk(""));
    let proof = proof(&Made { header: &header, claims: good_proof(&stand, &bound, "p1"), by: &by });
    let strange = stand.with_header(r#"{"alg":"ES256","kid":"unheard-of-kid"}"#, &[]);
    let tokens = [
        stand.token(&[]),
        stand.token(&[("aud", "\"https://elsewhere.example\"")]),
        strange,
        "opaque-token-1".to_owned(),
        "opaque-token-2".to_owned(),
        "ptln_0123456789abcdef".to_owned(),
    ];
    let mut shown = Vec::new();
    // An issuer that says again what it was asked.
    stand.idp.says("/introspect", 400, r#"{"error":"opaque-token-1","error_description":"opaque-token-2"}"#);
    for token in &tokens {
        shown.push(format!("{:?}", Request::bearer(token).at(&identifier).await));
    }
    for _ in 0..2 {
        shown.push(format!("{:?}", Request::dpop(&bound, &proof).at(&identifier).await));
    }
    stand.idp.says("/keys", 500, "opaque-token-1");
    shown.push(format!("{identifier:?}"));
    drop(guard);
    let written = written.text();
    assert!(written.contains("does not say whether tokens are good"), "something is written: {written}");
    let parts =
        tokens.iter().chain([&bound, &proof]).flat_map(|text| text.split('.')).filter(|part| part.len() > 8);
    for part in parts.chain(["t0p-s3cret", "unheard-of-kid", "elsewhere.example"]) {
        assert!(!written.contains(part), "{part} is written: {written}");
        assert!(!shown.iter().any(|shown| shown.contains(part)), "{part} is shown: {shown:?}");
    }
}
