//! What is wrong today and known: a list that only shrinks. It is exact, so that whoever mends something takes it off the
//! list, and nobody can break it again.

use std::path::PathBuf;
use std::{env, fs};

/// A list in `xtask/known`, a line for each thing. Lines that begin with `#` say what it is about.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    weigh: fn(&str) -> usize,
}

impl Known {
    pub fn list(name: &str) -> Self {
        Self { path: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("known").join(name), weigh: |_| 1 }
    }

    /// A list whose lines weigh as much as what stands in them: each name of a circle counts.
    pub fn weighing(self, weigh: fn(&str) -> usize) -> Self {
        Self { weigh, ..self }
    }

    /// Compares the list with what is found. With `UPDATE=1` it is rewritten, if it does not grow: what moved stands
    /// there under its new name then.
    pub fn check(&self, mut found: Vec<String>) -> Result<(), String> {
        found.sort();
        let text =
            fs::read_to_string(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))?;
        let (about, known): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
        let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
        let (new, gone) = differences(&known, &found);
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let weigh = |lines: &[String]| -> usize { lines.iter().map(|line| (self.weigh)(line)).sum() };
        if env::var_os("UPDATE").is_some() && weigh(&found) <= weigh(&known) {
            let lines = about.into_iter().map(str::to_owned).chain(found).map(|line| line + "\n");
            return fs::write(&self.path, lines.collect::<String>()).map_err(|error| error.to_string());
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Err(format!(
            "not in xtask/known/{name}, so it must not be: {new:#?}\nin the list and no more so, take it off \
             (UPDATE=1 cargo nextest run -p xtask does, if the list does not grow): {gone:#?}"
        ))
    }
}

/// What is found and not known, and what is known and not found. Who stands there twice must be found twice.
pub fn differences(known: &[String], found: &[String]) -> (Vec<String>, Vec<String>) {
    let mut gone = known.to_vec();
    let mut new = Vec::new();
    for line in found {
        match gone.iter().position(|known| known == line) {
            Some(at) => drop(gone.swap_remove(at)),
            None => new.push(line.clone()),
        }
    }
    gone.sort();
    (new, gone)
}
