//! `portolan discover` and `list`.

use crate::program::{PORTOLAN, command};
use crate::program::{Running, assert_ended, finish, reference_server, run};

#[test]
fn a_server_is_described_in_its_own_era() {
    let (_modern, modern) = reference_server("modern");
    let (_legacy, legacy) = reference_server("legacy");
    assert_ended!(run(&["discover", &modern]), @r#"
        exit: 0
        ----- stdout -----
        portolan-reference 0.1.0 (Portolan reference server)
        era           modern, revision 2026-07-28
        capabilities  tools (tells of changes), prompts (tells of changes), resources (can be watched), completions, logging

        A fixture: its tools, prompts and resources have the names that the MCP conformance suite gives them.
        "#);
    assert_ended!(run(&["discover", &legacy]), @r#"
        exit: 0
        ----- stdout -----
        portolan-reference 0.1.0 (Portolan reference server)
        era           legacy, revision 2025-11-25
        capabilities  tools (tells of changes), prompts (tells of changes), resources (can be watched), completions, logging

        A fixture: its tools, prompts and resources have the names that the MCP conformance suite gives them.
        "#);
}

#[test]
fn the_era_can_be_forced() {
    let (_server, url) = reference_server("both");
    assert!(run(&["discover", &url, "--era", "legacy"]).stdout.contains("legacy, revision 2025-11-25"));
    let (_legacy, legacy) = reference_server("legacy");
    assert_eq!(run(&["discover", &legacy, "--era", "modern"]).code, Some(4));
}

#[test]
fn lists_show_what_a_call_needs() {
    let (_server, url) = reference_server("both");
    let tools = run(&["list", &url, "tools"]).stdout;
    assert!(
        tools.contains("\n  add a=<number> b=<number>\n      Adds two numbers; whole ones exactly\n"),
        "{tools}"
    );
    assert_ended!(run(&["list", &url, "prompts"]), @r#"
        exit: 0
        ----- stdout -----
        prompts (5)
          test_simple_prompt
              A prompt without arguments
          test_prompt_with_arguments arg1=<string> arg2=<string>
              A prompt that repeats its two arguments
          test_prompt_with_embedded_resource resourceUri=<string>
              A prompt that embeds a resource under the given URI
          test_prompt_with_image
              A prompt with a picture
          test_input_required_result_prompt
              A prompt that first asks the user for its context
        "#);
    assert_ended!(run(&["list", &url, "resources"]), @r#"
        exit: 0
        ----- stdout -----
        resources (3)
          test://static-text  [text/plain]
              A text that never changes
          test://static-binary  [image/png]
              A picture of one red pixel
          test://watched-resource  [text/plain]
              A text that test_trigger_resource_update changes
        "#);
    assert_ended!(run(&["list", &url, "templates"]), @r#"
        exit: 0
        ----- stdout -----
        resource templates (1)
          test://template/{id}/data  [application/json]
              JSON that names its own id
        "#);
    assert_ended!(run(&["list", &url, "everything"]), @r#"
        exit: 2
        ----- stderr -----
        error: "everything" cannot be listed

        hint: tools, prompts, resources, templates or all
        "#);
}

#[test]
fn all_lists_come_at_once() {
    let (_server, url) = reference_server("legacy");
    let all = run(&["list", &url]).stdout;
    let titles: Vec<_> = all.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
    assert_eq!(titles, ["tools (39)", "prompts (5)", "resources (3)", "resource templates (1)"]);
    let json: serde_json::Value = serde_json::from_str(&run(&["list", &url, "--json"]).stdout).unwrap();
    assert_eq!(json["prompts"].as_array().unwrap().len(), 5);
}

#[test]
fn pages_are_put_together() {
    let mut server = Running::start(&["reference-server", "--page-size", "2"]);
    let url = server.stdout.next();
    let json: serde_json::Value =
        serde_json::from_str(&run(&["list", &url, "prompts", "--json"]).stdout).unwrap();
    assert_eq!(json["prompts"].as_array().unwrap().len(), 5);
    assert_eq!(json.get("nextCursor"), None);
    assert!(run(&["list", &url, "prompts"]).stdout.starts_with("prompts (5)\n"));
}

#[test]
fn a_reader_that_leaves_early_is_no_mishap() {
    let script = format!(
        "'{PORTOLAN}' list tools -- '{PORTOLAN}' reference-server --stdio | true; echo ${{PIPESTATUS[0]}}"
    );
    let ended = finish(std::process::Command::new("bash").args(["-c", &script]));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("0\n", ""));
}

#[test]
fn texts_are_printed() {
    let schema: serde_json::Value = serde_json::from_str(&run(&["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "Portolan's configuration");
    assert!(run(&["config-reference"]).stdout.contains("upstream"));
    assert!(run(&["completions", "bash"]).stdout.contains("reference-server"));
    assert!(run(&["--version"]).stdout.starts_with("portolan "));
    let help = run(&["--help"]).stdout;
    for exit in cli::exit::Exit::ALL {
        assert!(help.contains(&format!("{:>3}  ", exit.code())), "{help}");
    }
    assert!(!help.contains("guard"));
    assert_eq!(finish(&mut command(&["call", "--log", "a=b=c", "x"])).code, Some(2));
}
