//! Configuration files as people write them, and what they are told.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use config::{Loaded, Source};
use tempfile::TempDir;

mod audit;
mod cases;
mod clients;
mod convert;
mod dialects;
mod files;
mod foreign;
mod generated;
mod identity;
mod left_out;
mod limiting;
mod limits;
mod listeners;
mod mistakes;
mod names;
mod panics;
mod pins;
mod policies;
mod processes;
mod reading;
mod secrets;
mod servers;
mod sinks;
mod stores;
mod telemetry;

/// The environment of all tests. There is no PATH in it, so that no program is looked for.
fn env(name: &str) -> Option<String> {
    let known =
        [("HOME", "/home/me"), ("TOKEN", "t0ken"), ("EMPTY", ""), ("LANG", "C.UTF-8"), ("OTHER", "x")];
    known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// Loads a text as if it were in the file `portolan.toml`.
fn load(text: &str) -> Loaded {
    config::load_text(Source { path: "portolan.toml".into(), text: text.to_owned() }, &env)
}

/// What is said of a text.
fn check(text: &str) -> String {
    said(&load(text))
}

/// What is said of a text, and that it can be used.
fn usable(text: &str) -> base::plan::Plan {
    let loaded = load(text);
    assert_eq!(said(&loaded), "");
    loaded.plan.expect("a plan")
}

fn said(loaded: &Loaded) -> String {
    let errors = loaded.diagnostics.iter().filter(|found| found.severity == config::Severity::Error).count();
    assert_eq!(loaded.plan.is_none(), errors > 0, "there is a plan if there is no error");
    loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A directory of its own, with files in it.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let files_in = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = files_in.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            files_in.mode(name, 0o600);
        }
        files_in.mode("", 0o755);
        files_in
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, name: &str) -> Loaded {
        config::load(&self.path(name), &env)
    }

    /// What is said of a file; the directory is called DIR.
    fn check(&self, name: &str) -> String {
        self.named(&said(&self.load(name)))
    }

    fn named(&self, text: &str) -> String {
        text.replace(&self.0.path().display().to_string(), "DIR")
    }
}

/// The names of servers, in their order.
fn names(plan: &base::plan::Plan) -> Vec<&str> {
    plan.upstreams.iter().map(|upstream| upstream.name.as_str()).collect()
}

/// The process that is started for the only server.
fn child(plan: &base::plan::Plan) -> &transport::child::ChildSpec {
    match &plan.upstreams[0].reach {
        base::plan::Reach::Stdio(stdio) => &stdio.child,
        _ => panic!("not a process"),
    }
}

/// How the only server is called over HTTP.
fn http(plan: &base::plan::Plan) -> &base::plan::HttpReach {
    match &plan.upstreams[0].reach {
        base::plan::Reach::Http(http) => http,
        _ => panic!("not over HTTP"),
    }
}

/// A path that tests share with the sources.
fn in_crate(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
