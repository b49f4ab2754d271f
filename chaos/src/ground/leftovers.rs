//! What must not be there any more when all replicas have ended: processes, connections to servers, sessions of the database.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use super::database::Database;
use crate::record::Record;
use crate::servers::World;

/// How long the kernel and others may take to notice that a process has ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks until nothing is left, and writes down what is left all the same.
pub(super) async fn look(record: &Record, world: &World, database: &Database, apart: &[Option<u32>]) {
    let since = Instant::now();
    loop {
        let mut left: Vec<String> = descendants(std::process::id(), apart)
            .into_iter()
            .map(|of| format!("a process is left: {of}"))
            .collect();
        if world.open() > 0 {
            left.push(format!("{} connections to servers are left", world.open()));
        }
        match database.sessions().await {
            Ok(0) => {}
            Ok(count) => left.push(format!("PostgreSQL has {count} sessions left")),
            Err(fault) => left.push(fault.to_string()),
        }
        if left.is_empty() {
            return;
        }
        if since.elapsed() > PATIENCE {
            left.into_iter().for_each(|what| record.wrong(what));
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The living below a process, but for the balancer, the database, and what belongs to them.
fn descendants(root: u32, apart: &[Option<u32>]) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: Vec<(u32, u32)> = pids
        .filter_map(|pid| Some((pid, parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect();
    let (mut below, mut at) = (vec![root], 0);
    while at < below.len() {
        let of = below[at];
        let is_apart = |pid: &u32| apart.contains(&Some(*pid)) || name(*pid).starts_with("postgres");
        below.extend(all.iter().filter(|(pid, parent)| *parent == of && !is_apart(pid)).map(|(pid, _)| *pid));
        at += 1;
    }
    below.into_iter().skip(1).map(|pid| format!("{pid} {}", command(pid))).collect()
}

/// The parent in /proc/PID/stat, unless the process is dead already and only waited for.
fn parent(stat: &str) -> Option<u32> {
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let is_dead = matches!(rest.next()?, "Z" | "X");
    let parent = rest.next()?.parse().ok();
    if is_dead { None } else { parent }
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn command(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_a_dead_one_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let of_ours = |pid: u32| {
            descendants(std::process::id(), &[]).iter().any(|of| of.starts_with(&format!("{pid} ")))
        };
        assert!(of_ours(child.id()));
        assert!(
            !descendants(std::process::id(), &[Some(child.id())]).iter().any(|of| of.contains("sleep 60"))
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!of_ours(child.id()));
        assert_eq!(parent("12 (a) b) S 7 12"), Some(7));
        assert_eq!(parent("12 (a) b) Z 7 12"), None);
    }
}
