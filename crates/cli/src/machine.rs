//! What the machine has, or the control group of this process may use.

use std::path::Path;

/// What is taken for a machine that does not say what it has.
const UNKNOWN: usize = 1 << 30;
/// The least that is of use.
const LEAST: usize = 64 << 20;

/// Half of the memory that this process may use, in bytes.
pub(crate) fn half_of_memory() -> usize {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine = of_machine(&meminfo);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = of_groups(&groups, |path| std::fs::read_to_string(path).ok());
    let all = machine.into_iter().chain(group).min().unwrap_or(UNKNOWN);
    (all / 2).max(LEAST)
}

/// What `/proc/meminfo` says.
fn of_machine(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// The least that a control group of this process allows, by `/proc/self/cgroup`: `0::/path` (version 2), or
/// `4:memory:/path` (version 1). What is above a group may allow less than the group itself.
fn of_groups(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<usize> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let place = Path::new(path.trim_start_matches('/'));
        // In a container the group's own directory is the root.
        place.ancestors().map(|place| Path::new(root).join(place).join(file)).collect()
    });
    limits.filter_map(|path| read(&path)?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_is_allowed_counts() {
        assert_eq!(of_machine("MemTotal:       24689740 kB\nMemFree: 1 kB\n"), Some(24_689_740 * 1024));
        assert_eq!(of_machine("nothing"), None);
        let read = |path: &Path| match path.to_str().unwrap() {
            "/sys/fs/cgroup/system.slice/memory.max" => Some("1000\n".to_owned()),
            "/sys/fs/cgroup/system.slice/portolan.service/memory.max" => Some("max\n".to_owned()),
            "/sys/fs/cgroup/memory/memory.limit_in_bytes" => Some("9223372036854771712\n".to_owned()),
            "/sys/fs/cgroup/memory/app/memory.limit_in_bytes" => Some("2000\n".to_owned()),
            _ => None,
        };
        assert_eq!(of_groups("0::/system.slice/portolan.service\n", read), Some(1000));
        assert_eq!(of_groups("5:cpu:/app\n4:memory:/app\n0::/\n", read), Some(2000));
        assert_eq!(of_groups("0::/\n", read), None);
        assert!(half_of_memory() >= LEAST);
    }
}
