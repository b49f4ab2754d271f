//! What a result cannot be read without: the machine, the versions, the command.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::yard::Ground;

/// It.
#[derive(Debug, Serialize)]
pub(crate) struct About {
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    pub(crate) commit: String,
    /// One line each.
    pub(crate) versions: Vec<String>,
    pub(crate) command: String,
}

impl About {
    pub(crate) fn find(ground: &Ground) -> Self {
        let mut versions = vec![said(&ground.portolan, &["--version"])];
        versions.extend(ground.nginx.as_deref().map(|program| said(program, &["-v"])));
        versions.extend(ground.haproxy.as_deref().map(|program| said(program, &["-v"])));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let arguments: Vec<_> = std::env::args().skip(2).collect();
        Self {
            date: said(Path::new("date"), &["-u", "+%F"]),
            cpu: field("/proc/cpuinfo", "model name"),
            cores,
            memory: field("/proc/meminfo", "MemTotal"),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            commit: said(Path::new("git"), &["describe", "--always", "--dirty"]),
            versions,
            command: command(&arguments),
        }
    }
}

/// The command that does the same again; where its binaries lie is another matter.
fn command(arguments: &[String]) -> String {
    let mut words = vec!["./bench/run"];
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        if word == "--portolan" {
            rest.next();
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

/// The first line that a program says, on either stream.
fn said(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

/// The value of the first line `name: value`.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_what_another_one_types() {
        let given = ["--portolan", "x/portolan", "--rounds", "2"].map(str::to_owned);
        assert_eq!(command(&given), "./bench/run --rounds 2");
        assert_eq!(command(&[]), "./bench/run");
    }

    #[test]
    fn this_machine_has_a_kernel_and_memory() {
        assert!(field("/proc/meminfo", "MemTotal").ends_with("kB"));
        assert_eq!(field("/proc/meminfo", "Nothing"), "");
    }
}
