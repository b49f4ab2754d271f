//! Media of tests: one that does not answer, and one that loses its power.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use ledger::medium::{Medium, Opening, SegmentFile, SystemFiles};
use ledger::teller::Elsewhere;

/// A door that somebody may shut: whoever comes then waits.
#[derive(Debug, Default)]
pub(crate) struct Door {
    shut: Mutex<bool>,
    opens: Condvar,
}

impl Door {
    pub(crate) fn shut(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opens.notify_all();
    }

    fn pass(&self) {
        drop(self.opens.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
    }
}

/// Files of the system, which answer as long as a door is open.
#[derive(Debug)]
pub(crate) struct Hanging(pub(crate) Arc<Door>);

#[derive(Debug)]
struct HangingFile(Arc<Door>, Box<dyn SegmentFile>);

impl Medium for Hanging {
    fn open(&self, path: &Path, how: Opening) -> io::Result<Box<dyn SegmentFile>> {
        self.0.pass();
        Ok(Box::new(HangingFile(Arc::clone(&self.0), SystemFiles.open(path, how)?)))
    }

    fn settle(&self, directory: &Path) -> io::Result<()> {
        SystemFiles.settle(directory)
    }
}

impl SegmentFile for HangingFile {
    fn facts(&self) -> io::Result<(u64, u64)> {
        self.1.facts()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.1.set_len(length)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.pass();
        self.1.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.sync()
    }
}

/// A witness behind a door, that fails when it is told to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Friend {
    pub(crate) door: Arc<Door>,
    pub(crate) fails: Arc<Mutex<bool>>,
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

impl Elsewhere for Friend {
    fn name(&self) -> &'static str {
        "friend"
    }

    fn add(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        self.door.pass();
        if *self.fails.lock().unwrap() {
            return Err(io::Error::other("no"));
        }
        let lines = lines.iter().map(|line| String::from_utf8(line.clone()).unwrap());
        self.heard.lock().unwrap().extend(lines);
        Ok(())
    }

    fn last_of(&mut self, _replica: &str) -> io::Result<Option<u64>> {
        self.door.pass();
        Ok(None)
    }
}

/// What is written to a disk whole or not at all.
const SECTOR: usize = 512;

/// Something that is not on the disk yet.
#[derive(Debug, Clone)]
enum Change {
    Length(u64),
    Bytes(u64, Vec<u8>),
}

/// What a disk has of a file, and what it was told to have since.
#[derive(Debug, Clone, Default)]
struct Kept {
    /// Whether the directory has it for good.
    named: bool,
    bytes: Vec<u8>,
    since: Vec<Change>,
}

/// Files of the system, and beside them what would be there if the power were cut now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Power(Arc<Mutex<Supply>>);

#[derive(Debug, Default)]
struct Supply {
    files: BTreeMap<PathBuf, Kept>,
    /// So many things may still be asked of the disk.
    left: Option<u64>,
}

#[derive(Debug)]
struct PoweredFile {
    power: Power,
    path: PathBuf,
    file: Box<dyn SegmentFile>,
}

impl Kept {
    /// What is there after a cut: of what came since, any sectors.
    fn after(&self, dice: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for change in &self.since {
            match change {
                Change::Length(length) => {
                    if dice(2) == 0 {
                        bytes.resize(*length as usize, 0);
                    }
                }
                Change::Bytes(at, new) => {
                    let mut from = 0;
                    while from < new.len() {
                        let place = *at as usize + from;
                        let size = (SECTOR - place % SECTOR).min(new.len() - from);
                        if dice(2) == 0 {
                            bytes.resize(bytes.len().max(place + size), 0);
                            bytes[place..place + size].copy_from_slice(&new[from..from + size]);
                        }
                        from += size;
                    }
                }
            }
        }
        bytes
    }
}

impl Power {
    /// Cuts it when so many more things were asked of the disk.
    pub(crate) fn cut_after(&self, times: u64) {
        self.0.lock().unwrap().left = Some(times);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.lock().unwrap().left == Some(0)
    }

    /// Has the system's files be what is there afterwards.
    pub(crate) fn restore(&self, dice: &mut impl FnMut(u64) -> u64) {
        for (path, kept) in &std::mem::take(&mut self.0.lock().unwrap().files) {
            if kept.named || dice(2) == 0 {
                fs::write(path, kept.after(dice)).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }

    fn ask<T>(&self, what: impl FnOnce(&mut Supply) -> io::Result<T>) -> io::Result<T> {
        let mut supply = self.0.lock().unwrap();
        if let Some(left) = &mut supply.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(io::Error::other("there is no power"));
            }
        }
        what(&mut supply)
    }
}

impl Medium for Power {
    fn open(&self, path: &Path, how: Opening) -> io::Result<Box<dyn SegmentFile>> {
        self.ask(|supply| {
            let file = SystemFiles.open(path, how)?;
            let there = Kept { named: how == Opening::There, bytes: fs::read(path)?, since: Vec::new() };
            supply.files.entry(path.to_owned()).or_insert(there);
            Ok(Box::new(PoweredFile { power: self.clone(), path: path.to_owned(), file }) as _)
        })
    }

    fn settle(&self, directory: &Path) -> io::Result<()> {
        self.ask(|supply| {
            let all = supply.files.iter_mut();
            all.filter(|(path, _)| path.parent() == Some(directory)).for_each(|(_, kept)| kept.named = true);
            Ok(())
        })
    }
}

impl PoweredFile {
    fn change(&self, change: Change, does: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut supply = self.power.0.lock().unwrap();
        let was_cut = supply.left == Some(0);
        if !was_cut {
            // What is under way when the power is cut may be there, too.
            supply.files.get_mut(&self.path).unwrap().since.push(change);
        }
        drop(supply);
        self.power.ask(|_| does())
    }
}

impl SegmentFile for PoweredFile {
    fn facts(&self) -> io::Result<(u64, u64)> {
        self.file.facts()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(length), || self.file.set_len(length))
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.change(Change::Bytes(at, bytes.to_vec()), || self.file.write_all_at(bytes, at))
    }

    fn sync(&self) -> io::Result<()> {
        self.power.ask(|supply| {
            let bytes = fs::read(&self.path)?;
            let kept = supply.files.get_mut(&self.path).unwrap();
            (kept.bytes, kept.since) = (bytes, Vec::new());
            Ok(())
        })
    }
}
