//! Secrets: warned of where they stand in the file, and never shown.

use insta::assert_snapshot;

use crate::{Files, check};

#[test]
fn secrets_in_the_file_are_warned_of() {
    assert_snapshot!(check(r#"
[upstream.web]
url = "https://example.com/mcp?api_key=hunter2"
headers = { Authorization = "Bearer hunter2", X-Api-Key = "hunter2", X-Env = "dev", X-Odd = "ghp_0123456789abcdefghijkl" }
[upstream.process]
command = ["x", "--api-key=hunter2", "--token", "hunter2", "--verbose"]
env = { GITHUB_TOKEN = "hunter2", DB_PASSWORD = "hunter2", LOG_LEVEL = "debug", TOKEN_FILE = "/run/secrets/token" }
[upstream.good]
url = "http://example.com/mcp?api_key=${env:TOKEN}"
headers = { Authorization = "Bearer ${env:TOKEN}" }
"#), @r#"
    portolan.toml:3:7: warning: a secret stands in the file, in the query of this URL
      |
    3 | url = "https://example.com/mcp?•••••••••••••••"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write ${env:NAME} or ${file:PATH} for it, or send it in a header

    portolan.toml:4:29: warning: the secret in "Authorization" stands in the file
      |
    4 | headers = { Authorization = "Bearer •••••••", X-Api-Key = "•••••••", X-Env = "•••", X-Odd = "••••••••••••••••••••••••••"…
      |                             ^^^^^^^^^^^^^^^^
      = help: put it into an environment variable, or a file: "Bearer ${env:AUTHORIZATION}", "Bearer ${file:PATH}"

    portolan.toml:4:59: warning: the secret in "X-Api-Key" stands in the file
      |
    4 | …aders = { Authorization = "Bearer •••••••", X-Api-Key = "•••••••", X-Env = "•••", X-Odd = "••••••••••••••••••••••••••" }
      |                                                          ^^^^^^^^^
      = help: put it into an environment variable, or a file: "${env:X_API_KEY}", "${file:PATH}"

    portolan.toml:4:93: warning: the secret in "X-Odd" stands in the file
      |
    4 | …aders = { Authorization = "Bearer •••••••", X-Api-Key = "•••••••", X-Env = "•••", X-Odd = "••••••••••••••••••••••••••" }
      |                                                                                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: put it into an environment variable, or a file: "${env:X_ODD}", "${file:PATH}"

    portolan.toml:6:17: warning: a secret stands in the file, and every user of the machine can see it
      |
    6 | command = ["x", "•••••••••••••••••", "•••••••", "•••••••", "--verbose"]
      |                 ^^^^^^^^^^^^^^^^^^^
      = help: most programs also take it from an environment variable: env = { NAME = "${env:NAME}" }

    portolan.toml:6:49: warning: a secret stands in the file, and every user of the machine can see it
      |
    6 | command = ["x", "•••••••••••••••••", "•••••••", "•••••••", "--verbose"]
      |                                                 ^^^^^^^^^
      = help: most programs also take it from an environment variable: env = { NAME = "${env:NAME}" }

    portolan.toml:7:24: warning: the secret in "GITHUB_TOKEN" of "process" stands in the file
      |
    7 | env = { GITHUB_TOKEN = "•••••••", DB_PASSWORD = "•••••••", LOG_LEVEL = "•••••", TOKEN_FILE = "••••••••••••••••••" }
      |                        ^^^^^^^^^
      = help: put it into Portolan's environment, or a file: "${env:GITHUB_TOKEN}", "${file:PATH}"

    portolan.toml:7:49: warning: the secret in "DB_PASSWORD" of "process" stands in the file
      |
    7 | env = { GITHUB_TOKEN = "•••••••", DB_PASSWORD = "•••••••", LOG_LEVEL = "•••••", TOKEN_FILE = "••••••••••••••••••" }
      |                                                 ^^^^^^^^^
      = help: put it into Portolan's environment, or a file: "${env:DB_PASSWORD}", "${file:PATH}"

    portolan.toml:10:13: warning: Authorization goes over the network in clear text
       |
    10 | headers = { Authorization = "Bearer ${env:TOKEN}" }
       |             ^^^^^^^^^^^^^
       = help: use an https:// URL
    "#);
}

#[test]
fn a_secret_that_others_can_read_is_warned_of() {
    let files = Files::new(&[
        (
            "c.toml",
            "[upstream.a]\nurl = \"https://localhost\"\nheaders = { A = \"${file:open}\", B = \"${file:closed}\", C = \"${file:dir/open}\" }\n",
        ),
        ("open", "x\n"),
        ("closed", "x\n"),
        ("dir/open", "x\n"),
    ]);
    files.mode("open", 0o644);
    files.mode("closed", 0o640);
    files.mode("dir", 0o700);
    files.mode("dir/open", 0o644);
    assert_snapshot!(files.check("c.toml"), @r#"
    DIR/c.toml:3:18: warning: every user of this machine can read DIR/open
      |
    3 | headers = { A = "${file:open}", B = "${file:closed}", C = "${file:dir/open}" }
      |                  ^^^^^^^^^^^^
      = help: chmod o-r DIR/open
    "#);
}

/// Wherever a secret may stand by right or by mistake, what is said of the file does not hold it.
#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2hunter2";
    let places = [
        r#"headers = { Authorization = "SECRET", Host = "x" }"#,
        r#"header = { Authorization = "Bearer SECRET" }"#,
        r#"headers = ["Authorization: SECRET", "Host: SECRET"]"#,
        r#"headers = "Authorization: Bearer SECRET""#,
        r#"headers = { X-Thing = "SECRET\n" }"#,
        r#"headers = { X-Thing = "${env:NOPE:-SECRET}${env:NOPE}" }"#,
        r#"headers = { X-Thing = "SECRET${" }"#,
        r#"enviroment = { KEY = "SECRET" }"#,
        r#"env = { KEY = "SECRET", "A=B" = "SECRET" }"#,
        r#"api_key = "SECRET""#,
        r#"token = "SECRET" # "#,
        r#"auth = { basic = ["me", "SECRET"] }"#,
        r#"args = ["--password", "SECRET", 5]"#,
        r#"args = ["--password=SECRET", 5]"#,
        r#"url = "https://me:SECRET@example.com""#,
        r#"url = "ftp://example.com/?key=SECRET""#,
        r#"headers = { Authorization = "Bearer SECRET }"#,
        r#"headers = { Authorization = Bearer SECRET }"#,
        "headers = { Authorization = \"\"\"\nSECRET\n\"\"\" 5 }",
        r#"env = { KEY = "SECRET" LEVEL = 5"#,
    ];
    for place in places {
        let text = format!("[upstream.a]\ncommand = \"x\"\n{}\nera = 5\n", place.replace("SECRET", secret));
        let said = check(&text);
        assert!(!said.is_empty() && !said.contains(secret), "{said}");
    }
}

#[test]
fn a_source_does_not_show_its_text() {
    let source = config::Source { path: "c.toml".into(), text: "hunter2".to_owned() };
    assert!(!format!("{source:?}").contains("hunter2"));
}

/// What came by reference, or stands in the file where secrets stand, is known by its looks from then on, wherever it came from.
#[test]
fn secrets_are_known_to_the_plan() {
    let files = Files::new(&[
        (
            "c.toml",
            r#"
[upstream.web]
url = "https://example.com/mcp?key=${env:QUERY}"
headers = { Authorization = "Bearer ${file:token}", X-Api-Key = "literal-key", X-Env = "${env:NOPE:-default}" }
proxy = "http://me:${env:PROXY}@localhost:1"
[upstream.process]
command = ["${env:TOOLS}/x", "--token=literal-option"]
inherit_env = ["INHERITED_KEY", "LANGUAGE"]
env = { A = "${env:VARIABLE}", B = "${env:HOME}/b", SHORT = "${env:SHORT}" }
directory = "${env:DIRECTORY}"
"#,
        ),
        ("token", "s3cret-file\n"),
    ]);
    let env = |name: &str| match name {
        "HOME" => Some("/home/me".to_owned()),
        "SHORT" => Some("short".to_owned()),
        "DIRECTORY" => Some("/usr/bin".to_owned()),
        "NOPE" | "PORTOLAN_KEYS" => None,
        _ => Some(format!("secret-{name}")),
    };
    let loaded = config::load(&files.path("c.toml"), &env);
    let said = loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let plan = loaded.plan.expect(&said);
    let text = "secret-QUERY secret-PROXY secret-VARIABLE secret-TOOLS s3cret-file literal-key literal-option \
                secret-INHERITED_KEY secret-LANGUAGE /home/me /usr/bin short default";
    let masked: Vec<_> = plan.upstreams.iter().map(|upstream| upstream.masks.mask(text)).collect();
    assert_eq!(masked[0], masked[1]);
    assert_snapshot!(
        masked[0],
        @"${env:QUERY} ${env:PROXY} ${env:VARIABLE} ${env:TOOLS} ${file:token} *** *** ${env:INHERITED_KEY} secret-LANGUAGE /home/me /usr/bin short default"
    );
    let plan = format!("{plan:?}");
    assert!(!["secret-", "s3cret", "literal"].iter().any(|part| plan.contains(part)), "{plan}");
    // The program is not there, and its name has a reference in it.
    assert!(said.contains("${env:TOOLS}/x does not exist") && !said.contains("secret-TOOLS"), "{said}");
}

/// The like of other clients' files.
#[test]
fn secrets_of_other_clients_files_are_known_to_the_plan() {
    let files = Files::new(&[
        (
            "mcp.json",
            r#"{"inputs":[{"id":"the-key","type":"promptString"}],"servers":{"a":{"command":"x","envFile":"some.env",
                "env":{"A":"${input:the-key}","B":"$SHOUTED_TOKEN"}}}}"#,
        ),
        ("some.env", "PASSWORD='of the file'\nHOME=/home/other\n"),
    ]);
    let env = |name: &str| (name != "PORTOLAN_KEYS").then(|| format!("secret-{name}"));
    let loaded = config::load(&files.path("mcp.json"), &env);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    assert_snapshot!(
        plan.upstreams[0].masks.mask("secret-PORTOLAN_INPUT_THE_KEY secret-SHOUTED_TOKEN of the file /home/other"),
        @"${input:the-key} ${env:SHOUTED_TOKEN} ${envFile:PASSWORD} /home/other"
    );
}
