//! The mistakes that are most likely: of each what is said, and what to do next.

use insta::assert_snapshot;

/// What is said of a mistake, in two lines. There is always a second.
fn told(name: &str, text: &str) -> String {
    let env = |name: &str| (name == "PATH").then(|| "/usr/bin:/bin".to_owned());
    let source = config::Source { path: name.into(), text: text.to_owned() };
    let loaded = config::load_text(source, &env);
    let each = loaded.diagnostics.iter().map(|found| {
        // The parser of TOML says what it wants.
        let help =
            found.help.as_deref().or(Some("as it says")).filter(|_| found.message.contains("must be quoted"));
        let help = help.or(found.help.as_deref());
        let help = help.unwrap_or_else(|| panic!("no next step for {:?} in {text}", found.message));
        format!("{}\n    → {}\n", found.line(), help.replace('\n', "\n      "))
    });
    each.collect()
}

/// Members of a server.
const SERVERS: &[&str] = &[
    r#""command": "sh", "args": [3000]"#,
    r#""command": "sh", "args": "-y server""#,
    r#""command": "no-such-program""#,
    r#""command": "npx -y server""#,
    r#""command": "/no/such/program""#,
    r#""command": ["sh"], "env": { "A": ["b"] }"#,
    r#""cmd": "sh""#,
    r#""comand": "sh""#,
    r#""args": ["x"]"#,
    r#""command": "sh", "env": { "API_KEY": "${API_KEY}" }"#,
    r#""command": "sh", "env": { "API_KEY": "sk-0123456789abcdef" }"#,
    r#""type": "ws", "url": "ws://example.com""#,
    r#""type": "http", "command": "sh""#,
    r#""url": "example.com/mcp""#,
    r#""url": "https://mcp.example.com/mcp", "command": "sh""#,
    r#""command": "sh", "disabled": "true""#,
    r#""command": "sh", "cwd": "/no/such/directory""#,
    r#""command": "sh", "timeout": "30s""#,
    r#""command": "sh", "timeout": 0"#,
    r#""command": "sh", "command": "bash""#,
];

/// Files of other clients.
const FILES: &[&str] = &[
    r#"{ "mcpServers": { "good": { "command": "sh" }, "Good": { "command": "sh" } } }"#,
    r#"{ "mcpServers": { "good": { "command": "sh" }, "天気": { "command": "sh" } } }"#,
    r#"{ "mcpServers": { "a": { "command": "sh" } }, "mcpServers": {} }"#,
    r#"{ "mcpServers": [] }"#,
    r#"{ "mcpServers": {} }"#,
    r#"{ "a": { "command": "sh" } }"#,
    r#"{ "mcpServers": { "a": { "command": "sh" } "b": {} } }"#,
    r#"{ "mcpServers": { "a": { "command": 'sh' } } }"#,
    r#"{ "mcpServers": { "a": { "command": "sh" }"#,
];

/// Files of Portolan's own.
const OWN: &[&str] = &[
    "",
    "[upstream.a]\n",
    "[upstream.a]\ncomand = \"sh\"\n",
    "[upstream.a]\ncommand = \"npx -y server\"\n",
    "[upstream.a]\ncommand = \"sh\"\nargs = [3000]\n",
    "[upstream.a]\ncommand = \"sh\"\nargs = \"-y\"\n",
    "[upstream.a]\ncommand = \"sh\"\nurl = \"https://mcp.example.com/mcp\"\n",
    "[upstream.a]\ncommand = \"sh\"\nenv = { KEY = \"$KEY\", OTHER = \"${OTHER}\" }\n",
    "[upstream.a]\ncommand = \"sh\"\nenv = { KEY = \"${env:KEY}\" }\n",
    "[upstream.a]\ncommand = \"sh\"\ntimeouts = { call = 30 }\n",
    "[upstream.a]\ncommand = \"sh\"\ndisabled = true\n",
    "[upstream.a]\nurl = \"localhost:3000/mcp\"\n",
    "[upstream.a]\nurl = \"https://me:secret@example.com/mcp\"\n",
    "[mcpServers.a]\ncommand = \"sh\"\n",
    "[servers.a]\ncommand = \"sh\"\n",
    "[upstream.a]\ncommand = \"sh\"\n[listener.main]\naddress = 8808\n",
    "[upstream.a]\ncommand = \"sh\"\n[listener.main]\naddress = \"8808\"\n",
    "[upstream.a]\ncommand = \"sh\"\n[route.r]\nupstreams = [\"b\"]\n",
    "[upstream.a]\ncommand = \"sh\"\n[upstream.A]\ncommand = \"sh\"\n",
    "[upstream.a]\ncommand = sh\n",
    "{ \"mcpServers\": { \"a\": { \"command\": \"sh\" } } }",
];

/// What is said of all of them.
fn all_told(name: &str, texts: &[&str], around: fn(&str) -> String) -> String {
    texts.iter().map(|text| told(name, &around(text))).collect::<Vec<_>>().join("\n")
}

#[test]
fn in_a_server_of_another_client() {
    let around = |members: &str| {
        format!(r#"{{ "mcpServers": {{ "good": {{ "command": "sh" }}, "a": {{ {members} }} }} }}"#)
    };
    assert_snapshot!(all_told("mcp.json", SERVERS, around), @r#"
    mcp.json:1:81: warning: "a" is left out: expected text in quotes, found a whole number
        → put it in quotes

    mcp.json:1:80: warning: "a" is left out: expected a list, found text
        → put it in brackets: ["…"]

    mcp.json:1:66: warning: there is no program "no-such-program" in the PATH
        → install it, or write its whole path

    mcp.json:1:66: warning: there is no program "npx -y server" in the PATH
        → no shell splits it into words; write "command": "npx", "args": ["-y", "server"]

    mcp.json:1:66: warning: /no/such/program does not exist
        → install it, or write where it is

    mcp.json:1:88: warning: "a" is left out: expected text in quotes, found a list
        → write one text in its place

    mcp.json:1:48: warning: "a" is left out: upstream "a" has neither a url nor a command
        → give it a "url", or a "command" and "args"
    mcp.json:1:55: warning: unknown member "cmd"
        → did you mean "command"?

    mcp.json:1:48: warning: "a" is left out: upstream "a" has neither a url nor a command
        → give it a "url", or a "command" and "args"
    mcp.json:1:55: warning: unknown member "comand"
        → did you mean "command"?

    mcp.json:1:48: warning: "a" is left out: upstream "a" has neither a url nor a command
        → give it a "url", or a "command" and "args"

    mcp.json:1:93: warning: "a" is left out: the environment variable API_KEY is not set
        → set it; if it may be missing, write ${API_KEY:-default}

    mcp.json:1:92: warning: the secret in "API_KEY" of "a" stands in the file
        → put it into Portolan's environment: "${API_KEY}"

    mcp.json:1:63: warning: "a" is left out: there is no transport "ws"
        → there are "stdio", "http" and "sse"
    mcp.json:1:76: warning: "a" is left out: the URL of an upstream begins with http:// or https://
        → nothing else is spoken here

    mcp.json:1:63: warning: "a" is left out: a server of type "http" needs a url
        → give it a url, or leave out the type

    mcp.json:1:62: warning: "a" is left out: expected a URL
        → it begins with http:// or https://, such as "https://mcp.example.com/mcp"

    mcp.json:1:93: warning: "a" is left out: upstream "a" has both a url and a command
        → keep the one by which it is reached

    mcp.json:1:84: warning: "a" is left out: expected true or false, found text
        → leave out the quotes

    mcp.json:1:79: warning: "a" is left out: there is no directory /no/such/directory
        → make it, or name another

    mcp.json:1:83: warning: "a" is left out: expected a number, found text
        → write a number, without quotes and unit

    mcp.json:1:83: warning: 0 seconds is no time to wait, so the default is used
        → the unit is seconds here; leave it out for the default

    mcp.json:1:72: warning: "a" is left out: "command" stands here twice
        → leave out one of them
    "#);
}

#[test]
fn in_a_file_of_another_client() {
    assert_snapshot!(all_told("mcp.json", FILES, str::to_owned), @r#"
    mcp.json:1:48: warning: "Good" is left out: "Good" and "good" have the same prefix "good__"
        → give "Good" another name, with letters a to z or digits

    mcp.json:1:48: warning: "天気" is left out: upstream "天気" needs a prefix among the others
        → give "天気" another name, with letters a to z or digits

    mcp.json:1:47: error: "mcpServers" stands here twice
        → leave out one of them

    mcp.json:1:17: error: expected servers by their names, found a list
        → for example: "mcpServers": { "files": { "command": "npx" } }

    mcp.json:1:3: error: no server is configured
        → for example: "files": { "command": "npx", "args": ["…"] }

    mcp.json:1:1: error: the file has neither "mcpServers" nor "servers"
        → for example: { "mcpServers": { "files": { "command": "npx", "args": ["…"] } } }

    mcp.json:1:43: error: not JSON: expected comma
        → members and elements stand apart by one comma each

    mcp.json:1:37: error: not JSON: single-quoted strings are not allowed
        → write the text between " and "

    mcp.json:1:17: error: not JSON: unterminated object
        → what begins here has no end: a quote, bracket or brace is missing
    "#);
}

#[test]
fn in_portolans_own_file() {
    assert_snapshot!(all_told("portolan.toml", OWN, str::to_owned), @r#"
    portolan.toml: error: no upstream is configured
        → for example:
          [upstream.files]
          command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv"]
          
          [upstream.search]
          url = "https://mcp.example.com/mcp"

    portolan.toml:1:11: error: upstream "a" has neither a url nor a command
        → url = "https://mcp.example.com/mcp", or command = ["program", "argument"]

    portolan.toml:2:1: error: unknown key "comand"
        → did you mean "command"?

    portolan.toml:2:11: warning: there is no program "npx -y server" in the PATH
        → no shell splits it into words; write command = ["npx", "-y", "server"]

    portolan.toml:3:9: error: expected text in quotes, found a whole number
        → put it in quotes

    portolan.toml:3:8: error: expected a list, found text
        → put it in brackets: ["…"]

    portolan.toml:3:1: error: upstream "a" has both a url and a command
        → keep the one by which it is reached

    portolan.toml:3:15: warning: the secret in "KEY" of "a" stands in the file
        → put it into Portolan's environment, or a file: "${env:KEY}", "${file:PATH}"
    portolan.toml:3:32: error: only ${env:NAME} and ${file:PATH} can be put into a text
        → write ${env:OTHER}; for the characters themselves write $${

    portolan.toml:3:16: error: the environment variable KEY is not set
        → set it; if it may be missing, write ${env:KEY:-default}

    portolan.toml:3:21: error: expected a duration such as "30s", "5m" or "250ms"
        → a number needs its unit: "30s" or "30ms"

    portolan.toml:1:11: error: every upstream is disabled
        → leave out "disabled" where one is to be served

    portolan.toml:2:7: error: expected a URL
        → it begins with http:// or https://, such as "https://mcp.example.com/mcp"

    portolan.toml:2:7: error: a URL is no place for a user and a password
        → write headers = { Authorization = "Basic ${env:NAME}" }

    portolan.toml:1:2: error: unknown key "mcpServers"
        → did you mean "upstream"?

    portolan.toml:1:2: error: unknown key "servers"
        → did you mean "upstream"?

    portolan.toml:4:11: error: expected text in quotes, found a whole number
        → put it in quotes

    portolan.toml:4:11: error: the address has no host
        → write "127.0.0.1:8808", or "0.0.0.0:8808" for every network

    portolan.toml:1:11: warning: no route leads to upstream "a"
        → add it to the upstreams of a route, or write disabled = true
    portolan.toml:4:14: error: there is no upstream "b"
        → did you mean "a"?

    portolan.toml:3:11: error: "A" and "a" have the same prefix "a__"
        → give upstream "A" one: prefix = "…", of the letters a to z, digits, '_' and '-'

    portolan.toml:2:11: error: string values must be quoted, expected literal string
        → as it says

    portolan.toml: error: this is JSON, and is read as TOML for the file's name
        → let the name end in .json
    "#);
}
