//! No text makes it panic, and everything it says has a place in the text.

use proptest::prelude::{any, prop, prop_assert, proptest};
use proptest::strategy::Strategy;

use crate::env;

/// Texts that get past the parser often enough to be checked.
fn texts() -> impl Strategy<Value = String> {
    let words = [
        "[upstream.a]\n",
        "[upstream.b]\n",
        "[route.r]\n",
        "[listener.l]\n",
        "[limits]\n",
        "[admin]\n",
        "url",
        "command",
        "headers",
        "env",
        "tools",
        "path",
        "naming",
        "address",
        "tls",
        " = ",
        "\"http://x/é\"",
        "\"${env:HOME}\"",
        "\"${\"",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\n",
        "5",
        "-1",
        "1.5",
        "true",
        "\"a\"",
        "\"\\u00e9${file:/nowhere}\"",
        "'''\n",
        "\"\"\"",
        "#",
        "\u{feff}",
        "é",
        "\0",
        "\"5s\"",
        "{\"mcpServers\":",
        "{\"servers\":",
        "\"a\":",
        "\"command\":",
        "\"url\":",
        "\"env\":",
        "\"inputs\":",
        "\"type\":",
        "\"sse\"",
        "null",
        "\"${input:a}\"",
        "// ",
        "/*",
        "[mcp_servers.a]\n",
        "[[mcp_servers]]\n",
        "mcpServers:\n",
        "extensions:\n",
        "  - name: a\n",
        "  a: ",
        "    command: x\n",
        "\"mcp\":",
        "\"projects\":",
        "\"transport\":",
        "timeout",
        "*a ",
        "&a ",
        "'${{ secrets.A }}'",
        "{env:A}",
        "$A",
        "$(",
    ];
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    prop::collection::vec(prop::sample::select(words), 0..24).prop_map(|words| words.concat())
}

fn check(path: &str, text: &str) -> Result<(), proptest::test_runner::TestCaseError> {
    let source = config::Source { path: path.into(), text: text.to_owned() };
    let loaded = config::load_text(source, &env);
    for found in &loaded.diagnostics {
        prop_assert!(!found.render(true).is_empty());
        if let Some(place) = &found.place {
            prop_assert!(place.span.start <= text.len() && place.line >= 1 && place.column >= 1);
        }
    }
    prop_assert!(loaded.plan.is_some() || !loaded.diagnostics.is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        check("a.toml", &text)?;
        check("a.json", &text)?;
        check("a.yaml", &text)?;
    }

    #[test]
    fn any_words_are_read_without_a_panic(text in texts()) {
        check("a.toml", &text)?;
        check("a.json", &text)?;
        check("a.yaml", &text)?;
        check("a", &text)?;
    }

    #[test]
    fn the_example_with_anything_in_it_is_read_without_a_panic(at in any::<prop::sample::Index>(), with in ".{0,3}", cut in 0..8_usize) {
        let example = std::fs::read_to_string(crate::in_crate("example.toml")).unwrap();
        let chars: Vec<char> = example.chars().collect();
        let at = at.index(chars.len());
        let text: String = chars[..at].iter().copied().chain(with.chars()).chain(chars[(at + cut).min(chars.len())..].iter().copied()).collect();
        check("a.toml", &text)?;
    }
}

#[test]
fn depth_is_bounded() {
    for deep in [
        "[".repeat(100_000),
        "a=".to_owned() + &"[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        "a.".repeat(100_000),
        "a={b=".repeat(50_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
    ] {
        for path in ["a.toml", "a.json", "a.yaml"] {
            let source = config::Source { path: path.into(), text: deep.clone() };
            assert!(config::load_text(source, &env).plan.is_none());
        }
    }
}
