//! The page on which somebody answers a question. It runs no script, nobody may frame it, and all that is not ours is written as
//! text.

use std::borrow::Cow;
use std::time::Duration;

use base::lasting::Lasting;
use base::visible::visible;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use store::approvals::{Approval, Standing};

use crate::people;
use crate::text::laid_out;

/// Below this are the pages; no route can be there.
pub const PLACE: &str = "/.portolan/approvals/";
/// What the style is called there.
const STYLE_NAME: &str = "style.css";

const STYLE: &str = include_str!("page/style.css");

/// What somebody finds under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// The question of that name.
    Question(&'a str),
    /// How pages look.
    Style,
}

/// How long the name of a question is: what cannot be one is not looked for.
const ID: usize = 24;

/// What a path leads to, if it leads to anything here.
#[must_use]
pub fn at(path: &str) -> Option<Place<'_>> {
    let name = path.strip_prefix(PLACE)?;
    let is_id = name.len() == ID && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name {
        STYLE_NAME => Some(Place::Style),
        id if is_id => Some(Place::Question(id)),
        _ => None,
    }
}

/// How pages look.
#[must_use]
pub fn style() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(STYLE.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    response
}

/// Asks who is there, and says what was wrong with what they have shown before.
#[must_use]
pub fn who_is_there(fault: Option<&str>) -> Response<Bytes> {
    let fault = fault.map(|fault| format!("<p class=\"fault\">{}</p>", escaped(fault))).unwrap_or_default();
    let status = if fault.is_empty() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let body = format!(
        "<h1>Somebody is asked to approve something</h1>{fault}\
         <form method=\"post\"><label for=\"key\">Your Portolan key, or an access token of your organisation</label>\
         <input id=\"key\" name=\"key\" type=\"password\" autocomplete=\"off\" required autofocus>\
         <p class=\"hint\">It says who you are, is used for this page alone, and is kept nowhere.</p>\
         <button class=\"show\">Show what is asked</button></form>"
    );
    html(status, "Who are you?", &body)
}

/// Shows a question to somebody who may answer it.
#[must_use]
pub fn question(approval: &Approval, (by, proof): (&str, &str)) -> Response<Bytes> {
    let asked = &approval.question;
    let reasons: String =
        asked.reason.lines().map(|line| format!("<p class=\"reason\">{}</p>", escaped(line))).collect();
    let answer = format!(
        "<form method=\"post\"><input type=\"hidden\" name=\"by\" value=\"{}\">\
         <input type=\"hidden\" name=\"proof\" value=\"{}\">\
         <button name=\"answer\" value=\"approve\" class=\"approve\">Approve</button>\
         <button name=\"answer\" value=\"deny\" class=\"deny\">Deny</button></form>",
        raw(by),
        raw(proof)
    );
    let facts = facts(approval);
    let body = format!(
        "<h1>Do you approve this call?</h1>{reasons}{facts}\
         <p class=\"hint\">What you approve is done once, with exactly these arguments. You answer as <b>{}</b>.</p>{answer}",
        escaped(by)
    );
    html(StatusCode::OK, "Do you approve this call?", &body)
}

/// Says how it stands with a question to somebody who might have answered it.
#[must_use]
pub fn over(approval: &Approval) -> Response<Bytes> {
    let (word, text) = match approval.standing {
        Standing::Approved => ("approved", "It is approved. Whoever asked can go on."),
        Standing::Used => ("approved", "It was approved, and the call was made."),
        Standing::Denied => ("denied", "It is denied. Nothing is done."),
        Standing::Expired | Standing::Pending => {
            ("expired", "Its time is over. Whoever asked must call again.")
        }
    };
    let by = Some(&approval.decided_by).filter(|by| !by.is_empty());
    let by =
        by.map(|by| format!("<p class=\"hint\">Answered by <b>{}</b>.</p>", escaped(by))).unwrap_or_default();
    let body = format!("<h1 class=\"{word}\">{text}</h1>{by}{}", facts(approval));
    html(StatusCode::OK, text, &body)
}

/// Says something to somebody.
#[must_use]
pub fn said(status: StatusCode, text: &str) -> Response<Bytes> {
    html(status, text, &format!("<h1>{}</h1>", escaped(text)))
}

fn facts(approval: &Approval) -> String {
    let asked = &approval.question;
    let [route, server, method, name] = &asked.what;
    let what = match method.as_str() {
        "tools/call" => "Tool",
        "prompts/get" => "Prompt",
        _ => "Resource",
    };
    let caller = if asked.whose.1.is_empty() {
        escaped(&asked.principal).into_owned()
    } else {
        format!(
            "{} <span class=\"hint\">by the word of {}</span>",
            escaped(&asked.whose.1),
            escaped(&asked.whose.0)
        )
    };
    let mut rows = vec![
        (what, format!("<code>{}</code>", escaped(name))),
        ("Server", format!("{} <span class=\"hint\">on route {}</span>", escaped(server), escaped(route))),
        ("Caller", caller),
    ];
    if !asked.arguments.is_empty() {
        rows.push(("Arguments", format!("<pre>{}</pre>", escaped(&laid_out(&visible(&asked.arguments))))));
    }
    rows.push(("May answer", escaped(&people::who(asked)).into_owned()));
    rows.push(("Asked by policy", escaped(&asked.policies.replace('\n', ", ")).into_owned()));
    if matches!(approval.standing, Standing::Pending | Standing::Approved) {
        let name = if approval.standing == Standing::Pending { "Open for" } else { "Good for" };
        rows.push((name, Lasting(Duration::from_secs(approval.left().as_secs())).to_string()));
    }
    let rows: String = rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).collect();
    format!("<dl>{rows}</dl>")
}

/// A text of others as HTML: what could be taken for markup, and what cannot be seen, is shown.
fn escaped(text: &str) -> Cow<'_, str> {
    let text = visible(text);
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text;
    }
    Cow::Owned(raw(&text))
}

/// A text as HTML, whatever is in it.
fn raw(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn html(status: StatusCode, title: &str, body: &str) -> Response<Bytes> {
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{} – Portolan</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"{STYLE_NAME}\"></head>\
         <body><main>{body}</main></body></html>",
        escaped(title)
    );
    let mut response = Response::new(Bytes::from(page));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy),
        // With «no-referrer» a browser does not say, either, from which origin a form is sent (Fetch §3.2).
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use store::approvals::Question;

    use super::*;

    fn approval(standing: Standing) -> Approval {
        let hostile = "<script>alert(1)</script>\"'&\u{202e}";
        let text = || hostile.to_owned();
        Approval {
            question: Question {
                id: "a1".to_owned(),
                principal: text(),
                whose: (text(), text()),
                what: [text(), text(), text(), text()],
                arguments: format!("{{\"a\":\"{hostile}\"}}"),
                reason: text(),
                policies: text(),
                approvers: "[]".to_owned(),
                ..Question::default()
            },
            standing,
            made_at: 0,
            expires_at: 60_000,
            decided_by: text(),
            decided_at: 0,
            used_at: 0,
            read_at: 18_500,
        }
    }

    #[test]
    fn nothing_of_others_is_markup() {
        let hostile = "<script>\"'&\u{202e}";
        for page in [
            question(&approval(Standing::Pending), (hostile, hostile)),
            over(&approval(Standing::Denied)),
            who_is_there(Some(hostile)),
            said(StatusCode::NOT_FOUND, hostile),
        ] {
            let text = String::from_utf8(page.body().to_vec()).unwrap_or_default();
            assert!(!text.contains("<script") && !text.contains("\"'&"), "{text}");
            assert!(text.contains("\\u{202e}"), "{text}");
            let policy = page.headers().get(CONTENT_SECURITY_POLICY).and_then(|value| value.to_str().ok());
            assert!(
                policy.is_some_and(|policy| policy.contains("default-src 'none'")
                    && policy.contains("frame-ancestors 'none'"))
            );
        }
    }

    #[test]
    fn it_is_said_how_much_of_the_time_is_left() {
        for (page, says) in [
            (question(&approval(Standing::Pending), ("a", "b")), "<dt>Open for</dt><dd>41 s</dd>"),
            (over(&approval(Standing::Approved)), "<dt>Good for</dt><dd>41 s</dd>"),
        ] {
            let text = String::from_utf8(page.body().to_vec()).unwrap_or_default();
            assert!(text.contains(says), "{text}");
        }
        let over = Approval { read_at: 70_000, ..approval(Standing::Pending) };
        assert_eq!(over.left(), Duration::ZERO);
    }

    #[test]
    fn only_what_can_be_a_name_leads_anywhere() {
        let id = "0a9f0a9f0a9f0a9f0a9f0a9f";
        assert_eq!(at(&format!("/.portolan/approvals/{id}")), Some(Place::Question(id)));
        assert_eq!(at("/.portolan/approvals/0a9f"), None);
        assert_eq!(at("/.portolan/approvals/style.css"), Some(Place::Style));
        for odd in [
            "/mcp",
            "/.portolan/approvals/",
            "/.portolan/approvals/a/b",
            "/.portolan/approvals/x",
            "/.portolan/approvals",
        ] {
            assert_eq!(at(odd), None, "{odd}");
        }
    }
}
