//! Notices that the files of a configuration have changed, whoever changed them and however: written in place or renamed over
//! it, by an editor, a deployment, or a Kubernetes volume that swaps a link.
//!
//! What a file holds decides, and not that it was touched. A change counts once two looks in a row have found the same, so that
//! nothing is read that is half written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use config::Loaded;
use tokio::time::{Interval, MissedTickBehavior, interval};
use transport::descriptors;

use super::configuration::Configuration;
use crate::shared::now;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// A file that was changed less long ago than this may change once more without a trace: clocks of file systems are coarse.
const SETTLED: Duration = Duration::from_secs(3);
/// How often the configuration is read when it names other files each time.
const READINGS: usize = 3;

/// What the files of a configuration hold.
type Held = BTreeMap<PathBuf, Look>;

/// What a look at a file has found.
#[derive(Debug, Clone)]
struct Look {
    content: Content,
    /// What the file system says of it, as far as it can be relied on that it says something else after a change.
    mark: Option<Mark>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// Text with this digest.
    Text(u64),
    /// A pipe or a device: to look would be to take something out. It counts as never changed.
    Stream,
    /// Nothing that can be read.
    Nothing(io::ErrorKind),
}

/// Device, inode, size, and when the inode was changed, which no program can set.
type Mark = (u64, u64, u64, i64, i64);

/// The files of a configuration that is in use.
#[derive(Debug)]
pub(crate) struct Followed {
    /// As they were when the configuration was read, be it right or wrong.
    read: Held,
    /// As they were found when they differed from that.
    found: Option<Held>,
    looks: Interval,
}

/// Reads a configuration together with what its files held at that moment.
pub(crate) fn read(configuration: &Configuration) -> (Loaded, Followed) {
    let mut files = vec![configuration.path.clone()];
    let mut readings = 0;
    loop {
        // Before it is read: what changes meanwhile is found to have changed.
        let held = look_at(&files, &BTreeMap::new());
        let loaded = configuration.read();
        readings += 1;
        let all_known = loaded.files.iter().all(|file| held.contains_key(file));
        if all_known || readings == READINGS || configuration.is_stdin() {
            return (loaded, Followed::from(held));
        }
        files.extend(loaded.files);
    }
}

impl From<Held> for Followed {
    fn from(read: Held) -> Self {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { read, found: None, looks }
    }
}

impl Followed {
    /// Waits until the files hold something else, and have held it for two looks. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.looks.tick().await;
            let before = self.found.clone().unwrap_or_else(|| self.read.clone());
            // A network file system may take its time, which must not be that of clients.
            let looked = tokio::task::spawn_blocking(move || {
                let files: Vec<_> = before.keys().cloned().collect();
                look_at(&files, &before)
            });
            if let Ok(now) = looked.await
                && self.settles(now)
            {
                return;
            }
        }
    }

    /// Whether this look has found a change for the second time. What was found then counts as read.
    fn settles(&mut self, now: Held) -> bool {
        if holds_same(&now, &self.read) {
            // The marks may be better ones.
            (self.read, self.found) = (now, None);
            return false;
        }
        if self.found.as_ref().is_some_and(|found| holds_same(&now, found)) {
            (self.read, self.found) = (now, None);
            return true;
        }
        self.found = Some(now);
        false
    }
}

fn holds_same(a: &Held, b: &Held) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.content == b.1.content)
}

fn look_at(files: &[PathBuf], before: &Held) -> Held {
    files.iter().map(|file| (file.clone(), look(file, before.get(file)))).collect()
}

fn look(path: &Path, before: Option<&Look>) -> Look {
    match find(path, before) {
        Ok(look) => look,
        // That we cannot look says nothing about the file.
        Err(error) if descriptors::are_lacking(&error) => before.cloned().unwrap_or_else(|| nothing(&error)),
        Err(error) => nothing(&error),
    }
}

fn nothing(error: &io::Error) -> Look {
    Look { content: Content::Nothing(error.kind()), mark: None }
}

fn find(path: &Path, before: Option<&Look>) -> io::Result<Look> {
    // Asked before it is opened: to open a pipe would wait for somebody to write.
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Ok(Look { content: Content::Text(names(path)?), mark: None });
    }
    if !found.is_file() {
        return Ok(Look { content: Content::Stream, mark: None });
    }
    let mark = (found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec());
    if let Some(before) = before.filter(|before| before.mark == Some(mark)) {
        return Ok(before.clone());
    }
    let changed = Duration::from_secs(u64::try_from(found.ctime()).unwrap_or_default());
    let age = now().duration_since(SystemTime::UNIX_EPOCH + changed).unwrap_or_default();
    let content = Content::Text(digest(File::open(path)?)?);
    Ok(Look { content, mark: (age > SETTLED).then_some(mark) })
}

/// Stands for which files are in a directory that a configuration reads, which are policies. What else is there, such as what an
/// editor leaves for a moment, is no matter.
fn names(directory: &Path) -> io::Result<u64> {
    let names = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "cedar"));
    names.sort();
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    Ok(hasher.finish())
}

/// Stands for a text. Nobody gains anything by finding two with the same digest: who can write the file can write anything.
fn digest(mut file: File) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = [0; 8192];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.write(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Scene {
        dir: tempfile::TempDir,
        file: PathBuf,
        followed: Followed,
    }

    impl Scene {
        fn new(text: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("portolan.toml");
            fs::write(&file, text).unwrap();
            let followed = Followed::from(look_at(std::slice::from_ref(&file), &BTreeMap::new()));
            Self { dir, file, followed }
        }

        fn look(&mut self) -> bool {
            let before = self.followed.found.clone().unwrap_or_else(|| self.followed.read.clone());
            self.followed.settles(look_at(std::slice::from_ref(&self.file), &before))
        }
    }

    #[tokio::test]
    async fn a_change_counts_when_it_was_seen_twice_and_then_no_more() {
        let mut scene = Scene::new("one");
        assert!(!scene.look());
        fs::write(&scene.file, "tw").unwrap();
        assert!(!scene.look());
        fs::write(&scene.file, "two").unwrap();
        assert!(!scene.look(), "it was half written");
        assert!(scene.look());
        assert!(!scene.look() && !scene.look());
    }

    #[tokio::test]
    async fn what_is_undone_or_only_touched_is_no_change() {
        let mut scene = Scene::new("one");
        fs::write(&scene.file, "two").unwrap();
        assert!(!scene.look());
        fs::write(&scene.file, "one").unwrap();
        assert!(!scene.look() && !scene.look());
        let other = scene.dir.path().join("other");
        fs::write(&other, "one").unwrap();
        fs::rename(&other, &scene.file).unwrap();
        assert!(!scene.look() && !scene.look());
    }

    #[tokio::test]
    async fn a_file_may_be_replaced_be_gone_for_a_while_and_come_back() {
        let mut scene = Scene::new("one");
        let other = scene.dir.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &scene.file).unwrap();
        assert!(!scene.look() && scene.look());
        fs::remove_file(&scene.file).unwrap();
        assert!(!scene.look());
        fs::write(&scene.file, "two").unwrap();
        assert!(!scene.look() && !scene.look(), "an editor that removes and writes");
        fs::remove_file(&scene.file).unwrap();
        assert!(!scene.look() && scene.look());
    }

    /// So Kubernetes changes what is mounted: `file → ..data/file`, `..data → ..2026_11_22`.
    #[tokio::test]
    async fn a_link_may_lead_elsewhere() {
        let mut scene = Scene::new("unused");
        let dir = scene.dir.path().to_owned();
        for (name, text) in [("a", "one"), ("b", "two")] {
            fs::create_dir(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("portolan.toml"), text).unwrap();
        }
        symlink("a", dir.join("..data")).unwrap();
        fs::remove_file(&scene.file).unwrap();
        symlink("..data/portolan.toml", &scene.file).unwrap();
        assert!(!scene.look() && scene.look());
        symlink("b", dir.join("..new")).unwrap();
        fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
        assert!(!scene.look() && scene.look());
    }

    #[tokio::test]
    async fn a_file_that_did_not_change_for_long_is_not_read_again() {
        let mut scene = Scene::new("one");
        let found = fs::metadata(&scene.file).unwrap();
        assert!(scene.followed.read[&scene.file].mark.is_none(), "it was changed just now");
        let mark = (found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec());
        let content = Content::Text(7);
        scene.followed.read.insert(scene.file.clone(), Look { content, mark: Some(mark) });
        assert!(!scene.look() && !scene.look(), "what was known of it still holds");
    }

    #[tokio::test]
    async fn of_a_directory_the_policies_count() {
        let mut scene = Scene::new("unused");
        fs::remove_file(&scene.file).unwrap();
        fs::create_dir(&scene.file).unwrap();
        assert!(!scene.look() && scene.look());
        fs::write(scene.file.join(".a.cedar.swp"), "").unwrap();
        assert!(!scene.look() && !scene.look());
        fs::write(scene.file.join("a.cedar"), "").unwrap();
        assert!(!scene.look() && scene.look());
    }

    #[tokio::test]
    async fn what_is_no_file_is_left_alone() {
        let mut scene = Scene::new("one");
        fs::remove_file(&scene.file).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&scene.file).unwrap();
        assert!(!scene.look() && scene.look());
        assert_eq!(scene.followed.read[&scene.file].content, Content::Stream);
        assert!(!scene.look());
    }
}
