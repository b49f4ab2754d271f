//! A build that knows nothing of traces says so.

use std::fs;

use crate::program::{command, finish};

#[test]
fn a_configuration_that_wants_traces_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = "[upstream.a]\nurl = \"http://127.0.0.1:1/mcp\"\n[telemetry]\notlp = \"http://127.0.0.1:1\"\n";
    fs::write(&path, text).unwrap();
    let ended = finish(command(&["serve"]).arg(&path));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("this build of Portolan knows nothing of them"), "{ended:?}");
    assert!(ended.stderr.contains("--features otel"), "{ended:?}");
    let checked = finish(command(&["check"]).arg(&path));
    assert_eq!(checked.code, Some(3), "{checked:?}");
    assert!(checked.stderr.contains("this build of Portolan knows nothing of them"), "{checked:?}");
}
