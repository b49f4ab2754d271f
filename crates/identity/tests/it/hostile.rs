//! Hostile tokens and proofs: one row each, with what it gets. Every row differs from a good one in one thing.

use std::collections::BTreeSet;

use auth::{Refusal, Why};
use aws_lc_rs::signature;
use http::Method;
use identity::{ProofFault, TokenFault};

use crate::proofs::{Made, good_proof, proof};
use crate::signer::{Signer, b64, hmac256, signed};
use crate::stand::{ISSUER, RESOURCE, Request, Stand};

/// What a row gets.
enum Gets {
    /// 401 without an error.
    Nothing,
    /// 400.
    Malformed,
    /// 401 `invalid_token`.
    Token(TokenFault),
    /// 401 `invalid_dpop_proof`.
    Proof(ProofFault),
}

use Gets::{Malformed, Nothing, Proof, Token};

impl Gets {
    fn is(&self, refusal: &Refusal) -> bool {
        match (self, refusal) {
            (Nothing, Refusal::Unauthenticated(Why::NoToken)) | (Malformed, Refusal::Malformed(_)) => true,
            (Token(fault), Refusal::Unauthenticated(Why::Token(text))) => fault.text() == *text,
            (Proof(fault), Refusal::Unauthenticated(Why::Proof(text))) => fault.text() == *text,
            _ => false,
        }
    }
}

type Row = (&'static str, Request, Gets);

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#;

/// Rows that differ in the claims alone.
#[expect(clippy::too_many_lines, reason = "a table has as many rows as there are cases")]
fn claims(stand: &Stand) -> Vec<Row> {
    let now = stand.now();
    let at = |seconds: i64| (i64::try_from(now).unwrap() + seconds).to_string();
    let slash = format!("\"{RESOURCE}/\"");
    let table: Vec<(&'static str, &str, String, TokenFault)> = vec![
        ("no iss", "iss", String::new(), TokenFault::UnknownIssuer),
        (
            "iss of another",
            "iss",
            r#""http://127.0.0.1:9001/realms/a""#.to_owned(),
            TokenFault::UnknownIssuer,
        ),
        ("iss is a prefix", "iss", r#""http://127.0.0.1:9000/realms""#.to_owned(), TokenFault::UnknownIssuer),
        ("iss goes on", "iss", format!("\"{ISSUER}bc\""), TokenFault::UnknownIssuer),
        ("iss with a slash", "iss", format!("\"{ISSUER}/\""), TokenFault::UnknownIssuer),
        (
            "iss in upper case",
            "iss",
            r#""HTTP://127.0.0.1:9000/realms/a""#.to_owned(),
            TokenFault::UnknownIssuer,
        ),
        (
            "iss with a dot segment",
            "iss",
            r#""http://127.0.0.1:9000/x/../realms/a""#.to_owned(),
            TokenFault::UnknownIssuer,
        ),
        ("iss with space", "iss", format!("\" {ISSUER}\""), TokenFault::UnknownIssuer),
        ("iss is a list", "iss", format!("[\"{ISSUER}\"]"), TokenFault::MemberKind),
        ("iss is null", "iss", "null".to_owned(), TokenFault::MemberKind),
        ("no aud", "aud", String::new(), TokenFault::Audience),
        ("aud of another", "aud", r#""https://other.example/mcp""#.to_owned(), TokenFault::Audience),
        ("aud is the origin", "aud", r#""https://gw.example""#.to_owned(), TokenFault::Audience),
        ("aud with a slash", "aud", slash, TokenFault::Audience),
        ("aud goes on", "aud", format!("\"{RESOURCE}-admin\""), TokenFault::Audience),
        ("aud with a query", "aud", format!("\"{RESOURCE}?x=1\""), TokenFault::Audience),
        ("aud in upper case", "aud", r#""https://GW.example/team/mcp""#.to_owned(), TokenFault::Audience),
        ("aud is another path", "aud", r#""https://gw.example/team/mcp2""#.to_owned(), TokenFault::Audience),
        ("aud is an empty list", "aud", "[]".to_owned(), TokenFault::Audience),
        ("aud is a list without us", "aud", r#"["a","b"]"#.to_owned(), TokenFault::Audience),
        ("aud is a list with a number", "aud", format!("[\"{RESOURCE}\",1]"), TokenFault::MemberKind),
        ("aud is an object", "aud", format!("{{\"a\":\"{RESOURCE}\"}}"), TokenFault::MemberKind),
        ("aud is null", "aud", "null".to_owned(), TokenFault::MemberKind),
        ("no exp", "exp", String::new(), TokenFault::NoExpiry),
        ("expired just now", "exp", at(-30), TokenFault::Expired),
        ("expired by a second", "exp", at(-31), TokenFault::Expired),
        ("expired by a fraction", "exp", format!("{}.5", at(-31)), TokenFault::Expired),
        ("exp is 0", "exp", "0".to_owned(), TokenFault::Expired),
        ("exp is negative", "exp", "-1".to_owned(), TokenFault::Time),
        ("exp is huge", "exp", "1e300".to_owned(), TokenFault::Time),
        ("exp is past 64 bits", "exp", "18446744073709551616".to_owned(), TokenFault::Time),
        ("exp is past all numbers", "exp", "1e999".to_owned(), TokenFault::Time),
        ("exp in milliseconds", "exp", format!("{}000", at(600)), TokenFault::Time),
        ("exp is a text", "exp", format!("\"{}\"", at(600)), TokenFault::Time),
        ("exp is null", "exp", "null".to_owned(), TokenFault::Time),
        ("nbf ahead", "nbf", at(31), TokenFault::NotYet),
        ("nbf is a text", "nbf", "\"0\"".to_owned(), TokenFault::Time),
        ("issued ahead", "iat", at(31), TokenFault::IssuedAhead),
        ("iat is huge", "iat", "1e18".to_owned(), TokenFault::Time),
        ("sub is empty", "sub", "\"\"".to_owned(), TokenFault::NoSubject),
        ("sub is a number", "sub", "7".to_owned(), TokenFault::MemberKind),
        ("sub is a list", "sub", "[\"alice\"]".to_owned(), TokenFault::MemberKind),
        ("sub is too long", "sub", format!("\"{}\"", "a".repeat(2049)), TokenFault::NoSubject),
        ("sub is no text", "sub", r#""\ud800""#.to_owned(), TokenFault::MemberKind),
        ("scope is a number", "scope", "1".to_owned(), TokenFault::MemberKind),
        ("groups of objects", "groups", "[{}]".to_owned(), TokenFault::MemberKind),
        ("jti is a number", "jti", "1".to_owned(), TokenFault::MemberKind),
        (
            "bound to a certificate, with bits that mean nothing",
            "cnf",
            r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#.to_owned(),
            TokenFault::UnknownBinding,
        ),
        (
            "bound to a certificate",
            "cnf",
            r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0"}"#.to_owned(),
            TokenFault::NoCertificate,
        ),
        (
            "bound to two certificates",
            "cnf",
            format!(r#"{{"x5t#S256":"{0}","x5t#\u00532\u00356":"{0}"}}"#, stand.ec.thumbprint()),
            TokenFault::DuplicateMember,
        ),
        (
            "bound to SHA-1",
            "cnf",
            r#"{"x5t":"AAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#.to_owned(),
            TokenFault::UnknownBinding,
        ),
        (
            "bound in two ways",
            "cnf",
            format!(r#"{{"jkt":"{}","x5t#S256":"x"}}"#, stand.ec.thumbprint()),
            TokenFault::UnknownBinding,
        ),
        ("bound to nothing", "cnf", "{}".to_owned(), TokenFault::UnknownBinding),
        ("bound to null", "cnf", "null".to_owned(), TokenFault::UnknownBinding),
        ("bound to a short thumbprint", "cnf", r#"{"jkt":"AAAA"}"#.to_owned(), TokenFault::UnknownBinding),
        ("nothing stands deep", "x", format!("{}{}", "[".repeat(20), "]".repeat(20)), TokenFault::TooDeep),
        ("a claim stands twice inside", "x", r#"{"a":1,"a":2}"#.to_owned(), TokenFault::DuplicateMember),
    ];
    let row = |(what, name, value, fault): (&'static str, &str, String, _)| {
        (what, Request::bearer(&stand.token(&[(name, &value)])), Token(fault))
    };
    table.into_iter().map(row).collect()
}

/// Rows that differ in the header alone, and are signed by the right key.
#[expect(clippy::too_many_lines, reason = "a table has as many rows as there are cases")]
fn headers(stand: &Stand) -> Vec<Row> {
    let stranger = Signer::es256();
    let own_key = |members: &str| {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt",{members}}}"#);
        signed(&header, &stand.claims(&[]), |text| stranger.sign(text))
    };
    let table: Vec<(&'static str, &str, TokenFault)> = vec![
        ("no alg", r#"{"typ":"at+jwt","kid":"k1"}"#, TokenFault::Algorithm),
        ("alg none", r#"{"alg":"none","typ":"at+jwt","kid":"k1"}"#, TokenFault::Algorithm),
        ("alg nOnE", r#"{"alg":"nOnE","typ":"at+jwt","kid":"k1"}"#, TokenFault::Algorithm),
        ("alg empty", r#"{"alg":"","typ":"at+jwt","kid":"k1"}"#, TokenFault::Algorithm),
        ("alg in lower case", r#"{"alg":"es256","typ":"at+jwt","kid":"k1"}"#, TokenFault::Algorithm),
        ("alg is a list", r#"{"alg":["ES256"],"typ":"at+jwt","kid":"k1"}"#, TokenFault::MemberKind),
        (
            "alg that the issuer does not use",
            r#"{"alg":"ES384","typ":"at+jwt","kid":"k1"}"#,
            TokenFault::Algorithm,
        ),
        ("alg of another key", r#"{"alg":"RS256","typ":"at+jwt","kid":"k2"}"#, TokenFault::Signature),
        ("alg that its key has not", r#"{"alg":"RS256","typ":"at+jwt","kid":"k1"}"#, TokenFault::NoKey),
        (
            "two members alg",
            r#"{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"k1"}"#,
            TokenFault::DuplicateMember,
        ),
        (
            "two members alg, one escaped",
            r#"{"alg":"none","\u0061lg":"ES256","typ":"at+jwt","kid":"k1"}"#,
            TokenFault::DuplicateMember,
        ),
        (
            "two members kid",
            r#"{"alg":"ES256","kid":"x","typ":"at+jwt","kid":"k1"}"#,
            TokenFault::DuplicateMember,
        ),
        ("crit", r#"{"alg":"ES256","typ":"at+jwt","kid":"k1","crit":["exp"],"exp":1}"#, TokenFault::Critical),
        (
            "crit with b64",
            r#"{"alg":"ES256","typ":"at+jwt","kid":"k1","crit":["b64"],"b64":false}"#,
            TokenFault::Critical,
        ),
        ("an empty crit", r#"{"alg":"ES256","typ":"at+jwt","kid":"k1","crit":[]}"#, TokenFault::Critical),
        ("nested", r#"{"alg":"ES256","typ":"JWT","cty":"JWT","kid":"k1"}"#, TokenFault::Nested),
        ("enc", r#"{"alg":"ES256","enc":"A128GCM","typ":"at+jwt","kid":"k1"}"#, TokenFault::Encrypted),
        ("zip", r#"{"alg":"ES256","zip":"DEF","typ":"at+jwt","kid":"k1"}"#, TokenFault::Encrypted),
        ("an ID-JAG", r#"{"alg":"ES256","typ":"oauth-id-jag+jwt","kid":"k1"}"#, TokenFault::Type),
        ("a logout token", r#"{"alg":"ES256","typ":"logout+jwt","kid":"k1"}"#, TokenFault::Type),
        ("a proof", r#"{"alg":"ES256","typ":"dpop+jwt","kid":"k1"}"#, TokenFault::Type),
        ("typ empty", r#"{"alg":"ES256","typ":"","kid":"k1"}"#, TokenFault::Type),
        ("kid of another key", r#"{"alg":"ES256","typ":"at+jwt","kid":"k2"}"#, TokenFault::NoKey),
        ("kid with a path", r#"{"alg":"ES256","typ":"at+jwt","kid":"../../dev/null"}"#, TokenFault::NoKey),
        ("kid with SQL", r#"{"alg":"ES256","typ":"at+jwt","kid":"k1' OR '1'='1"}"#, TokenFault::NoKey),
        ("kid with a NUL", r#"{"alg":"ES256","typ":"at+jwt","kid":"k1\u0000"}"#, TokenFault::NoKey),
        ("kid empty", r#"{"alg":"ES256","typ":"at+jwt","kid":""}"#, TokenFault::NoKey),
        ("kid is a number", r#"{"alg":"ES256","typ":"at+jwt","kid":1}"#, TokenFault::MemberKind),
        ("the header is a list", r#"["ES256"]"#, TokenFault::NotJson),
        ("the header is two objects", r#"{"alg":"ES256"}{}"#, TokenFault::NotJson),
        ("the header is empty", "", TokenFault::NotJson),
    ];
    let row = |(what, header, fault): (&'static str, &str, _)| {
        (what, Request::bearer(&stand.with_header(header, &[])), Token(fault))
    };
    let mut rows: Vec<Row> = table.into_iter().map(row).collect();
    let jwk = stranger.jwk("");
    let elsewhere = [
        ("its own key in jwk", format!(r#""jwk":{jwk}"#), TokenFault::NoKey),
        ("its own key in jwk under a good kid", format!(r#""kid":"k1","jwk":{jwk}"#), TokenFault::Signature),
        (
            "its own key by jku",
            r#""kid":"k1","jku":"http://127.0.0.1:9000/evil""#.to_owned(),
            TokenFault::Signature,
        ),
        (
            "its own key by x5u",
            r#""kid":"k1","x5u":"http://127.0.0.1:9000/evil""#.to_owned(),
            TokenFault::Signature,
        ),
        ("its own key in x5c", r#""kid":"k1","x5c":["MIIB"]"#.to_owned(), TokenFault::Signature),
    ];
    for (what, members, fault) in elsewhere {
        // Without a name, the one key that fits is tried.
        let fault = if members.contains("kid") { fault } else { TokenFault::Signature };
        rows.push((what, Request::bearer(&own_key(&members)), Token(fault)));
    }
    rows
}

/// Rows that are signed wrongly.
#[expect(clippy::too_many_lines, reason = "a table has as many rows as there are cases")]
fn signatures(stand: &Stand) -> Vec<Row> {
    let (claims, token) = (stand.claims(&[]), stand.token(&[]));
    let (unsigned, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = unsigned.split_once('.').unwrap();
    let row = |what, token: String, fault| (what, Request::bearer(&token), Token(fault));
    let confused = |key: Vec<u8>, kid: &str| {
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#);
        signed(&header, &claims, |text| hmac256(&key, text))
    };
    let as_es256 = |key: &[u8]| signed(HEADER, &claims, |text| hmac256(key, text));
    let mut flipped = stand.ec.sign(unsigned.as_bytes());
    flipped[63] ^= 1;
    let other = stand.token(&[("sub", "\"bob\"")]);
    let others_payload = other.split('.').nth(1).unwrap();
    let pss = |text: &[u8]| stand.rsa.sign_rsa(&signature::RSA_PSS_SHA256, text);
    vec![
        row("the public key as a secret", confused(stand.rsa.public_der(), "k2"), TokenFault::Algorithm),
        row(
            "the public JWK as a secret",
            confused(stand.rsa.jwk("").into_bytes(), "k2"),
            TokenFault::Algorithm,
        ),
        row("an empty secret", confused(Vec::new(), "k1"), TokenFault::Algorithm),
        row("a MAC that is called ES256", as_es256(&stand.ec.public_der()), TokenFault::Signature),
        row(
            "another key of the same name",
            signed(HEADER, &claims, |text| Signer::es256().sign(text)),
            TokenFault::Signature,
        ),
        row("no signature", format!("{unsigned}."), TokenFault::Signature),
        row("a signature of zeros", format!("{unsigned}.{}", b64([0; 64])), TokenFault::Signature),
        row("one bit of the signature", format!("{unsigned}.{}", b64(&flipped)), TokenFault::Signature),
        row("a longer signature", format!("{unsigned}.{}", b64([0; 65])), TokenFault::Signature),
        row(
            "the signature of another token",
            format!("{header}.{others_payload}.{signature}"),
            TokenFault::Signature,
        ),
        row(
            "PSS that is called PKCS#1",
            signed(r#"{"alg":"RS256","kid":"k2"}"#, &claims, pss),
            TokenFault::Signature,
        ),
        row(
            "PKCS#1 that is called PSS",
            signed(r#"{"alg":"PS256","kid":"k2"}"#, &claims, |text| stand.rsa.sign(text)),
            TokenFault::Signature,
        ),
        row("two parts", unsigned.to_owned(), TokenFault::NotThreeParts),
        row("four parts", format!("{token}.{signature}"), TokenFault::NotThreeParts),
        row("five parts", "e30.e30.e30.e30.e30".to_owned(), TokenFault::Encrypted),
        row("no dots", b64("opaque"), TokenFault::NotThreeParts),
        row("two dots alone", "..".to_owned(), TokenFault::NotJson),
        row("padding", format!("{token}="), TokenFault::NotBase64),
        row(
            "the other base64 alphabet",
            format!("{header}.{payload}.{}", "+/".repeat(43)),
            TokenFault::NotBase64,
        ),
        row(
            "bits that mean nothing",
            format!("{header}.{payload}.{}B", signature.split_at(85).0),
            TokenFault::NotBase64,
        ),
        row(
            "claims that are no JSON",
            signed(HEADER, "alice", |text| stand.ec.sign(text)),
            TokenFault::NotJson,
        ),
        row(
            "claims that are a token",
            signed(HEADER, &token, |text| stand.ec.sign(text)),
            TokenFault::NotJson,
        ),
        row(
            "claims that are no text",
            {
                let text = format!("{}.{}", b64(HEADER), b64([0xff, 0xfe]));
                format!("{text}.{}", b64(stand.ec.sign(text.as_bytes())))
            },
            TokenFault::NotJson,
        ),
        row(
            "claims with a trailing comma",
            signed(HEADER, &claims.replace('}', ",}"), |text| stand.ec.sign(text)),
            TokenFault::NotJson,
        ),
        row(
            "two members exp",
            signed(HEADER, &claims.replace('}', r#","exp":1}"#), |text| stand.ec.sign(text)),
            TokenFault::DuplicateMember,
        ),
        row(
            "two members aud, one escaped",
            signed(HEADER, &claims.replace('}', r#","\u0061ud":"x"}"#), |text| stand.ec.sign(text)),
            TokenFault::DuplicateMember,
        ),
    ]
}

/// Rows that show a good token in a wrong way.
fn requests(stand: &Stand) -> Vec<Row> {
    let token = stand.token(&[]);
    let with = |headers: &[(&'static str, String)]| Request::with(headers.to_vec());
    let target = |target: &str| Request { target: target.to_owned(), ..Request::bearer(&token) };
    let long = stand.token(&[("x", &format!("\"{}\"", "a".repeat(7000)))]);
    let bearer = || ("authorization", format!("Bearer {token}"));
    let too_long = "the token is longer than 8 KiB";
    assert!(long.len() > 8192, "{too_long}");
    vec![
        ("nothing", with(&[]), Nothing),
        ("another scheme", with(&[("authorization", "Basic YTpi".to_owned())]), Nothing),
        ("the token without a scheme", with(&[("authorization", token.clone())]), Nothing),
        ("the scheme without a token", with(&[("authorization", "Bearer ".to_owned())]), Malformed),
        (
            "two tokens in one header",
            with(&[("authorization", format!("Bearer {token} {token}"))]),
            Malformed,
        ),
        ("two tokens and a comma", with(&[("authorization", format!("Bearer {token},{token}"))]), Malformed),
        ("two headers", with(&[bearer(), bearer()]), Malformed),
        (
            "two headers of two schemes",
            with(&[bearer(), ("authorization", "Basic YTpi".to_owned())]),
            Malformed,
        ),
        ("a token in the query, too", target("/mcp?access_token=x"), Malformed),
        ("a token in the query, spelled oddly", target("/mcp?a=b&%61ccess_token=x"), Malformed),
        ("a token in quotes", with(&[("authorization", format!("Bearer \"{token}\""))]), Malformed),
        ("a token with a tab", with(&[("authorization", format!("Bearer {token}\tx"))]), Malformed),
        ("a token beyond ASCII", with(&[("authorization", format!("Bearer {token}\u{e4}"))]), Malformed),
        ("DPoP without a bound token", Request::dpop(&token, "a.b.c"), Token(TokenFault::Unbound)),
    ]
}

/// Rows with a bound token and a proof that is not good for it.
#[expect(clippy::too_many_lines, reason = "a table has as many rows as there are cases")]
fn proofs(stand: &Stand) -> Vec<Row> {
    let (mine, other) = (Signer::es256(), Signer::es256());
    let token = stand.token(&[("cnf", &format!(r#"{{"jkt":"{}"}}"#, mine.thumbprint()))]);
    let good = || good_proof(stand, &token, "p");
    let header = |more: &str, jwk: String| format!(r#"{{"typ":"dpop+jwt",{more}"jwk":{jwk}}}"#);
    let usual = header(r#""alg":"ES256","#, mine.jwk(""));
    let now = stand.now();
    let changed = |name: &'static str, value: &str| {
        let mut claims = good();
        claims.retain(|(other, _)| *other != name);
        claims.extend((!value.is_empty()).then(|| (name, value.to_owned())));
        proof(&Made { header: &usual, claims, by: &mine })
    };
    let headed = |header: &str, by: &Signer| proof(&Made { header, claims: good(), by });
    let mut rows: Vec<Row> = Vec::new();
    let mut row = |what, proof: String, fault| rows.push((what, Request::dpop(&token, &proof), Proof(fault)));
    let table: Vec<(&'static str, &'static str, String, ProofFault)> = vec![
        ("no jti", "jti", String::new(), ProofFault::Name),
        ("an empty jti", "jti", "\"\"".to_owned(), ProofFault::Name),
        ("a long jti", "jti", format!("\"{}\"", "a".repeat(257)), ProofFault::Name),
        ("the jti of a proof is a number", "jti", "1".to_owned(), ProofFault::Malformed),
        ("no htm", "htm", String::new(), ProofFault::Method),
        ("htm of another method", "htm", "\"GET\"".to_owned(), ProofFault::Method),
        ("htm in lower case", "htm", "\"post\"".to_owned(), ProofFault::Method),
        ("no htu", "htu", String::new(), ProofFault::Url),
        ("htu of another host", "htu", r#""https://evil.example/team/mcp""#.to_owned(), ProofFault::Url),
        ("htu of another port", "htu", r#""https://gw.example:8443/team/mcp""#.to_owned(), ProofFault::Url),
        ("htu of another scheme", "htu", r#""http://gw.example/team/mcp""#.to_owned(), ProofFault::Url),
        ("htu of another path", "htu", r#""https://gw.example/mcp""#.to_owned(), ProofFault::Url),
        ("htu with another case", "htu", r#""https://gw.example/team/MCP""#.to_owned(), ProofFault::Url),
        ("htu with a slash", "htu", format!("\"{RESOURCE}/\""), ProofFault::Url),
        (
            "htu with an encoded slash",
            "htu",
            r#""https://gw.example/team%2Fmcp""#.to_owned(),
            ProofFault::Url,
        ),
        ("htu with credentials", "htu", r#""https://a@gw.example/team/mcp""#.to_owned(), ProofFault::Url),
        ("htu is a path", "htu", r#""/team/mcp""#.to_owned(), ProofFault::Url),
        ("no iat", "iat", String::new(), ProofFault::Time),
        ("too old", "iat", (now - 301).to_string(), ProofFault::Time),
        ("too far ahead", "iat", (now + 301).to_string(), ProofFault::Time),
        ("iat is a text", "iat", format!("\"{now}\""), ProofFault::Time),
        ("no ath", "ath", String::new(), ProofFault::Token),
        ("ath of another token", "ath", format!("\"{}\"", b64([1; 32])), ProofFault::Token),
        ("ath is cut", "ath", format!("\"{}\"", b64([1; 16])), ProofFault::Token),
    ];
    for (what, name, value, fault) in table {
        row(what, changed(name, &value), fault);
    }
    row("another typ", headed(&usual.replace("dpop+jwt", "jwt"), &mine), ProofFault::Type);
    row("no typ", headed(&usual.replace(r#""typ":"dpop+jwt","#, ""), &mine), ProofFault::Type);
    row("proof alg none", headed(&usual.replace("ES256", "none"), &mine), ProofFault::Algorithm);
    row("proof alg HS256", headed(&usual.replace("ES256", "HS256"), &mine), ProofFault::Algorithm);
    row(
        "proof crit",
        headed(&usual.replace(r#""alg""#, r#""crit":["x"],"alg""#), &mine),
        ProofFault::Malformed,
    );
    row("no jwk", headed(r#"{"typ":"dpop+jwt","alg":"ES256"}"#, &mine), ProofFault::Key);
    row(
        "a secret jwk",
        headed(&header(r#""alg":"ES256","#, mine.jwk(r#","d":"AAAA""#)), &mine),
        ProofFault::Key,
    );
    row(
        "a jwk of another kind",
        headed(&header(r#""alg":"ES256","#, stand.rsa.jwk("")), &mine),
        ProofFault::Key,
    );
    row(
        "a symmetric jwk",
        headed(&header(r#""alg":"ES256","#, r#"{"kty":"oct","k":"AAAA"}"#.to_owned()), &mine),
        ProofFault::Key,
    );
    row("two jwk", headed(&usual.replace(r#""alg""#, r#""jwk":{},"alg""#), &mine), ProofFault::Malformed);
    row(
        "another key's proof",
        headed(&header(r#""alg":"ES256","#, other.jwk("")), &other),
        ProofFault::OtherKey,
    );
    row("signed by another key", headed(&usual, &other), ProofFault::Signature);
    row("no proof at all", "nothing".to_owned(), ProofFault::Malformed);
    row(
        "two claims htm",
        proof(&Made {
            header: &usual,
            claims: good().into_iter().chain([("htm", "\"POST\"".to_owned())]).collect(),
            by: &mine,
        }),
        ProofFault::Malformed,
    );
    row("a long proof", changed("x", &format!("\"{}\"", "a".repeat(8000))), ProofFault::Malformed);
    let good = proof(&Made { header: &usual, claims: good(), by: &mine });
    rows.push(("a bound token as a bearer's", Request::bearer(&token), Token(TokenFault::Bound)));
    let with = |headers: &[(&'static str, String)]| Request::with(headers.to_vec());
    let bound = || ("authorization", format!("DPoP {token}"));
    rows.push((
        "a bound token as a bearer's, with a proof",
        with(&[("authorization", format!("Bearer {token}")), ("dpop", good.clone())]),
        Token(TokenFault::Bound),
    ));
    rows.push(("a bound token alone", with(&[bound()]), Proof(ProofFault::Missing)));
    rows.push(("two proofs", with(&[bound(), ("dpop", good.clone()), ("dpop", good.clone())]), Malformed));
    rows.push((
        "two proofs in one header",
        with(&[bound(), ("dpop", format!("{good}, {good}"))]),
        Proof(ProofFault::Malformed),
    ));
    let bearer = ("authorization", format!("Bearer {token}"));
    rows.push(("two schemes", with(&[bound(), bearer, ("dpop", good.clone())]), Malformed));
    rows.push((
        "for another method",
        Request { method: Method::GET, ..Request::dpop(&token, &good) },
        Proof(ProofFault::Method),
    ));
    rows.push((
        "for another path",
        Request { target: "/other".to_owned(), ..Request::dpop(&token, &good) },
        Proof(ProofFault::Url),
    ));
    rows
}

#[tokio::test(start_paused = true)]
async fn every_hostile_token_is_refused_as_it_should_be() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    // It knows its issuer's keys, and a good token is good.
    let good = Request::bearer(&stand.token(&[])).at(&identifier).await.unwrap();
    let rows =
        [claims(&stand), headers(&stand), signatures(&stand), requests(&stand), proofs(&stand)].concat_rows();
    assert!(rows.len() >= 150, "{}", rows.len());
    let mut names = BTreeSet::new();
    let twice: Vec<_> =
        rows.iter().filter(|(what, ..)| !names.insert(*what)).map(|(what, ..)| what).collect();
    assert!(twice.is_empty(), "each row has its name: {twice:?}");
    let mut wrong = Vec::new();
    for (what, request, gets) in &rows {
        // Twice: what is remembered of a token makes none good.
        for _ in 0..2 {
            match request.at(&identifier).await {
                Err(refusal) if gets.is(&refusal) => {}
                other => wrong.push(format!("{what}: {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Nobody was led astray, and the good one is still good.
    assert_eq!(stand.idp.times("/evil"), 0);
    assert_eq!(Request::bearer(&stand.token(&[])).at(&identifier).await.unwrap(), good);
}

/// Rows of several tables one after the other.
trait ConcatRows {
    fn concat_rows(self) -> Vec<Row>;
}

impl<const N: usize> ConcatRows for [Vec<Row>; N] {
    fn concat_rows(self) -> Vec<Row> {
        self.into_iter().flatten().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_with_one_character_changed_is_no_token() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    let token = stand.token(&[]);
    Request::bearer(&token).at(&identifier).await.unwrap();
    for at in 0..token.len() {
        let changed =
            |to: char| token.chars().enumerate().map(|(place, c)| if place == at { to } else { c }).collect();
        let others =
            ['A', 'B', '.', '=', '~'].into_iter().map(changed).filter(|changed: &String| *changed != token);
        for changed in others {
            let outcome = Request::bearer(&changed).at(&identifier).await;
            assert!(outcome.is_err(), "{at}: {outcome:?}");
        }
    }
}
