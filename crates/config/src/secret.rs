//! What looks like a secret: to warn of it, and to blot it out wherever the file is shown.

use crate::node::{Node, Span, Value};

/// Whether a header or variable of that name holds a credential.
pub(crate) fn is_credential_name(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "key",
        "passphrase",
        "passwd",
        "password",
        "pat",
        "pwd",
        "secret",
        "token",
    ];
    // `apiKey`, `API_KEY` and `x-api-key` are all words in a row.
    let mut spaced = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            spaced.push(' ');
        }
        spaced.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' });
        before = c;
    }
    let words: Vec<&str> = spaced.split_whitespace().collect();
    // A file or an address of a key is none.
    let about = matches!(words.last(), Some(&("file" | "path" | "url" | "uri" | "id" | "name" | "dir")));
    !about && words.iter().any(|word| WORDS.contains(word))
}

/// Whether a text is by its looks a credential, whatever it is called.
pub(crate) fn is_credential_text(text: &str) -> bool {
    const STARTS: &[&str] = &[
        "AKIA",
        "Basic ",
        "Bearer ",
        "eyJ",
        "ghp_",
        "github_pat_",
        "gho_",
        "glpat-",
        "hpke-x25519-private:",
        "sk-",
        "xoxb-",
        "xoxp-",
        "-----BEGIN",
    ];
    STARTS.iter().any(|start| text.len() > start.len() + 6 && text.starts_with(start))
}

/// Keys that sound like those that hold secrets, and hold names or numbers.
const HARMLESS: &[&str] = &[
    "api_key_env",
    "api_keys",
    "bearer_token_env_var",
    "certificate_header",
    "env_http_headers",
    "env_keys",
    "env_vars",
    "envFile",
    "forward_headers",
    "groups_header",
    "header_bytes",
    "header_count",
    "header_timeout",
    "http_headers_helper",
    "token_header",
    "user_header",
];

/// What of the file is shown to nobody: texts that are, or by any sign might be, secrets.
pub(crate) fn hidden(root: &Node, file: &str) -> Vec<Span> {
    let mut found = Vec::new();
    visit(root, false, file, &mut found);
    found
}

fn visit(node: &Node, secret: bool, file: &str, found: &mut Vec<Span>) {
    match &node.value {
        Value::Table(members) => {
            // The key that goes with a certificate is the name of a file.
            let is_tls = members.iter().any(|member| member.key.value == "certificate");
            for member in members {
                let key = member.key.value.to_lowercase();
                // Also of misspelled keys: `header`, `enviroment`.
                let holds_secrets =
                    (key.contains("head") || key.starts_with("env") || key == "auth" || key == "keys")
                        && !HARMLESS.contains(&member.key.value.as_str());
                let named = is_credential_name(&member.key.value)
                    && !(is_tls && member.key.value == "key")
                    && !HARMLESS.contains(&member.key.value.as_str());
                let secret = secret || holds_secrets || named;
                visit(&member.value, secret, file, found);
            }
        }
        Value::List(items) => {
            let mut after_option = false;
            for item in items {
                visit(item, secret || after_option, file, found);
                after_option =
                    item.text().is_some_and(|text| text.starts_with('-') && is_credential_name(text));
            }
        }
        Value::Text(text) => {
            let option = text.split_once('=').filter(|(name, _)| name.starts_with('-'));
            let option_with_value = option.is_some_and(|(name, _)| is_credential_name(name));
            if secret || is_credential_text(text) || option_with_value {
                blot(text, 0, node.span, file, found);
            } else if let Some(at) = url_secret(text) {
                blot(text, at, node.span, file, found);
            }
        }
        Value::Whole(_) if secret => found.push(node.span),
        Value::Null
        | Value::Boolean(_)
        | Value::Whole(_)
        | Value::Fraction(_)
        | Value::Date
        | Value::Alias => {}
    }
}

/// Where in a URL there might be a secret: `https://user:password@host/`, `?api_key=…`.
fn url_secret(text: &str) -> Option<usize> {
    let start = text.find("://")? + 3;
    let rest = text.get(start..)?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest.get(..authority)?.contains('@') {
        return Some(start);
    }
    rest.find('?').map(|at| start + at + 1)
}

/// The password of a URL, or whatever stands before its host.
pub(crate) fn url_user(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    Some(user.split_once(':').map_or(user, |(_, password)| password)).filter(|user| !user.is_empty())
}

/// Whether a URL's query holds what looks like a secret.
pub(crate) fn query_has_secret(query: &str) -> bool {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .any(|(name, value)| is_credential_name(name) && !value.is_empty() && !value.contains("${"))
}

/// Hides a text from `from` on, except its references, which are no secrets, and what stands before a credential.
fn blot(text: &str, from: usize, span: Span, file: &str, found: &mut Vec<Span>) {
    let raw = file.get(span.range()).unwrap_or_default();
    let Some(base) = raw.find(text).map(|at| span.start + at) else {
        found.push(span);
        return;
    };
    let mut hide = |from: usize, to: usize| {
        if from < to {
            found.push(Span { start: base + from, end: base + to });
        }
    };
    let scheme = ["Bearer ", "Basic "].iter().find(|scheme| text.starts_with(**scheme));
    let mut done = scheme.map_or(from, |scheme| scheme.len().max(from));
    while let Some(start) = text.get(done..).and_then(|rest| rest.find("${")).map(|at| done + at) {
        let Some(end) = text.get(start..).and_then(|rest| rest.find('}')).map(|at| start + at) else { break };
        hide(done, start);
        if let Some(default) = text.get(start..end).and_then(|inside| inside.find(":-")) {
            hide(start + default + 2, end);
        }
        done = end + 1;
    }
    hide(done, text.len());
}

/// What to hide of a file that cannot be parsed: every word on a line that is long enough to be a secret and does not
/// stand where keys stand.
pub(crate) fn hidden_in_lines(file: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut offset = 0;
    for line in file.split_inclusive('\n') {
        if is_heading(line) {
            offset += line.len();
            continue;
        }
        let key_end = line.find(['=', ':']).map_or(0, |at| {
            let key = line.get(..at).unwrap_or_default().trim();
            let plain = |c: char| c.is_ascii_alphanumeric() || " ._-\"'{[,".contains(c);
            if key.len() <= 64 && key.chars().all(plain) { at } else { 0 }
        });
        let mut word = None;
        for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
            let inside = at >= key_end && (c.is_alphanumeric() || "+/_.-~".contains(c));
            match (inside, word) {
                (true, None) => word = Some(at),
                (false, Some(start)) => {
                    if at - start >= 8 && !is_key(line.get(at..).unwrap_or_default()) {
                        found.push(Span { start: offset + start, end: offset + at });
                    }
                    word = None;
                }
                _ => {}
            }
        }
        offset += line.len();
    }
    found
}

/// Whether a line is `[upstream.files]`, or begins so.
fn is_heading(line: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "[]._-".contains(c);
    line.starts_with('[') && line.trim_end().len() <= 80 && line.trim_end().chars().all(plain)
}

/// Whether a word that is followed by this is a key.
fn is_key(after: &str) -> bool {
    after.starts_with("\":")
        || (after.starts_with([' ', '"']) && after.trim_start_matches(['"', ' ']).starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_credentials_are_told_from_other_names() {
        for name in [
            "Authorization",
            "X-API-Key",
            "GITHUB_TOKEN",
            "apiKey",
            "db_password",
            "--token",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in
            ["X-Tenant", "KEYBOARD", "TOKENIZER", "MONKEY", "KEY_FILE", "LOG_LEVEL", "AWS_KEY_ID", "PATH"]
        {
            assert!(!is_credential_name(name), "{name}");
        }
    }

    #[test]
    fn of_a_file_that_cannot_be_parsed_no_long_word_is_shown() {
        let file = "[upstream.x]\nheaders = { Authorization = \"Bearer abcdefgh12345 }\n";
        let shown: String = file
            .char_indices()
            .map(
                |(at, c)| {
                    if hidden_in_lines(file).iter().any(|h| h.range().contains(&at)) { '•' } else { c }
                },
            )
            .collect();
        assert_eq!(shown, "[upstream.x]\nheaders = { Authorization = \"Bearer ••••••••••••• }\n");
    }
}
