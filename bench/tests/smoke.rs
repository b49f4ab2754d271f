//! The bench measures something, and does not measure errors. No figure is looked at.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Portolan as it was built beside the bench, if it was.
fn portolan() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_bench")).with_file_name("portolan");
    path.exists().then_some(path)
}

/// A short run, with whoever is on this machine; the text of its results.
fn run(cases: &str, yards: &str, more: &[&str]) -> (bool, String, String) {
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().to_str().unwrap();
    let portolan = portolan().unwrap_or_default();
    let options =
        ["run", "--quick", "--write-results", "--seconds", "0.05", "--only", cases, "--yards", yards];
    let places = ["--out", dir, "--portolan", portolan.to_str().unwrap()];
    let output = bench(&[&options[..], &places, more].concat());
    let results = std::fs::read_to_string(out.path().join("RESULTS.md")).unwrap_or_default();
    (output.status.success(), results, texts(&output).1)
}

#[test]
fn a_quick_run_measures_everyone_who_is_here() {
    let cases = "{call-1k,modern-stdio,legacy-modern,stream,list-10-cached,subscriptions-100,identity-{seen,first,proof},latency,start}";
    let yards = match portolan() {
        Some(_) => "*",
        None => {
            eprintln!("portolan was not built: the yardsticks are measured alone");
            "{direct,nginx*,haproxy}"
        }
    };
    let (done, results, said) = run(cases, yards, &[]);
    assert!(done, "{said}");
    for name in ["nginx", "haproxy"].into_iter().filter(|name| said.contains(&format!("{name} is not here")))
    {
        eprintln!("{name} is not here, and was not measured");
    }
    assert!(results.contains("**modern → modern, 1 KB**") && results.contains("| direct |"), "{results}");
    assert!(!results.contains("failed in"), "{results}");
}

#[test]
fn a_gateway_that_answers_wrongly_is_a_failure_and_no_figure() {
    let (mut echo, address) = echo();
    let out = tempfile::tempdir().unwrap();
    let others = out.path().join("others.toml");
    // A server that runs and answers: that it has no tool of that name, with HTTP 200.
    let text = format!(
        "[[other]]\nname = \"wrong\"\nurl = \"http://{address}/modern/10/0/x\"\nprefix = \"no_such_\"\n"
    );
    std::fs::write(&others, text).unwrap();
    let (_, results, said) = run("call-1k", "{direct,wrong}", &["--others", others.to_str().unwrap()]);
    echo.kill().unwrap();
    echo.wait().unwrap();
    assert!(results.contains("`wrong` failed in `call-1k`: wrong: a wrong answer"), "{results}\n{said}");
    assert!(results.contains("| wrong | – |"), "{results}");
}

/// The server behind, and where it listens.
fn echo() -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let mut echo = command.args(["echo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(echo.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (echo, address.trim().to_owned())
}

#[test]
fn a_load_ends_at_the_first_wrong_answer() {
    let (mut echo, address) = echo();
    let url = format!("http://{address}/modern/10/0/x");
    let load = |more: &[&str]| {
        let options = ["load", "--url", &url, "--seconds", "0.05", "--warm-up", "0.01", "--connections", "2"];
        bench(&[&options[..], more].concat())
    };
    let right = load(&[]);
    let wrong = [
        load(&["--tool", "no_such_tool"]),
        load(&["--tool", "echo_1000"]),
        load(&["--do", "list", "--count", "11"]),
        load(&["--do", "stream", "--tool", "stream_9"]),
        load(&["--tool", "no_such_tool", "--pace", "open"]),
    ];
    echo.kill().unwrap();
    echo.wait().unwrap();
    assert!(right.status.success() && texts(&right).0.contains("\"calls\":"), "{right:?}");
    for output in wrong {
        let (out, said) = texts(&output);
        assert!(!output.status.success() && said.contains("a wrong answer"), "{output:?}");
        assert!(!out.contains("calls"), "{out}");
    }
}
