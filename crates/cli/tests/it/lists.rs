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
        tools.contains("\nadd\ttool\ta=<number> b=<number>\tAdds two numbers; whole ones exactly\n"),
        "{tools}"
    );
    assert_ended!(run(&["list", &url, "prompts"]), @r#"
        exit: 0
        ----- stdout -----
        test_simple_prompt	prompt		A prompt without arguments
        test_prompt_with_arguments	prompt	arg1=<string> arg2=<string>	A prompt that repeats its two arguments
        test_prompt_with_embedded_resource	prompt	resourceUri=<string>	A prompt that embeds a resource under the given URI
        test_prompt_with_image	prompt		A prompt with a picture
        test_input_required_result_prompt	prompt		A prompt that first asks the user for its context
        "#);
    assert_ended!(run(&["list", &url, "resources"]), @r#"
        exit: 0
        ----- stdout -----
        test://static-text	resource	[text/plain]	A text that never changes
        test://static-binary	resource	[image/png]	A picture of one red pixel
        test://watched-resource	resource	[text/plain]	A text that test_trigger_resource_update changes
        "#);
    assert_ended!(run(&["list", &url, "templates"]), @r#"
        exit: 0
        ----- stdout -----
        test://template/{id}/data	resource template	[application/json]	JSON that names its own id
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
    let kinds: Vec<_> = all.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    let count = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
    let kinds_of_all = ["tool", "prompt", "resource", "resource template"];
    assert_eq!(kinds_of_all.map(count), [39, 5, 3, 1]);
    assert_eq!(kinds.len(), 48);
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
    assert_eq!(run(&["list", &url, "prompts"]).stdout.lines().count(), 5);
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
    assert_eq!(help, run(&["help"]).stdout);
    assert_eq!(finish(&mut command(&["call", "--log", "a=b=c", "x"])).code, Some(2));
}

#[test]
fn each_command_has_a_man_page() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("share/man1");
    assert_eq!(run(&["man", to.to_str().unwrap()]).code, Some(0));
    let page = |name: &str| std::fs::read_to_string(to.join(name)).unwrap();
    for sub in cli::command().get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let page = page(&format!("portolan-{}.1", sub.get_name()));
        assert!(page.contains("Example"), "{page}");
    }
    assert!(!to.join("portolan-guard.1").exists());
    assert_eq!(run(&["man"]).stdout, page("portolan.1"));
    assert!(page("portolan.1").contains("130"));
    assert_eq!(run(&["man", "/dev/null/man1"]).code, Some(4));
}

/// Each command says how it is used most, in 80 columns, and what all have in common is said once.
#[test]
fn every_help_has_an_example_and_fits() {
    fn walk(command: &clap::Command, path: &[&str], found: &mut usize) {
        let args = [path, &["--help"]].concat();
        let help = run(&args).stdout;
        assert!(help.contains("Example"), "{path:?}: {help}");
        let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{path:?}: {wide:#?}");
        assert_eq!(help.contains("--log-format <"), path.is_empty(), "{path:?}: {help}");
        *found += 1;
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            walk(sub, &[path, &[sub.get_name()]].concat(), found);
        }
    }
    let mut found = 0;
    walk(&cli::command(), &[], &mut found);
    assert!(found > 15, "{found}");
    // They are options of each all the same.
    assert_eq!(run(&["schema", "--log", "off", "--color", "never"]).code, Some(0));
}

/// Each help speaks of both, and they are no commands.
#[test]
fn where_log_and_colours_are_explained_is_told() {
    for word in ["log", "color"] {
        let ended = run(&["help", word]);
        assert!(
            ended.stderr.contains("an option of all commands, which 'portolan --help' explains"),
            "{}",
            ended.stderr
        );
    }
}
