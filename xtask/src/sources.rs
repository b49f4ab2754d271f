//! The crates of a checkout, and the text of their files.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

/// One crate: what stands under its `src`. A path is that from the root of the checkout, with `/`.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub name: String,
    /// The crate's folder, from the root of the checkout.
    pub dir: String,
    pub files: BTreeMap<String, String>,
}

impl Sources {
    /// A crate that stands in no checkout: `files` are named from its `src` on.
    pub fn planted(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = format!("crates/{name}");
        let files =
            files.iter().map(|(path, text)| (format!("{dir}/src/{path}"), (*text).to_owned())).collect();
        Self { name: name.to_owned(), dir, files }
    }
}

/// All files of a checkout that are not ignored, by their path from its root.
pub fn listed(root: &Path) -> io::Result<Vec<String>> {
    let out = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

/// Every crate under `root`, at most three folders deep, sorted by where it stands.
pub fn crates(root: &Path) -> io::Result<Vec<Sources>> {
    let mut found = Vec::new();
    look(root, "", 0, &mut found)?;
    found.sort_by(|one, other| one.dir.cmp(&other.dir));
    Ok(found)
}

fn look(root: &Path, dir: &str, depth: usize, found: &mut Vec<Sources>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let passed_over =
            name.starts_with('.') || ["target", "node_modules", "out", "src"].contains(&name.as_str());
        if passed_over || !entry.file_type()?.is_dir() {
            continue;
        }
        let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        let manifest = root.join(&path).join("Cargo.toml");
        let src = format!("{path}/src");
        if manifest.is_file() && root.join(&src).is_dir() {
            let mut files = BTreeMap::new();
            gather(root, &src, &mut files)?;
            found.push(Sources { name: package(&fs::read_to_string(manifest)?), dir: path.clone(), files });
        }
        if depth < 2 {
            look(root, &path, depth + 1, found)?;
        }
    }
    Ok(())
}

fn gather(root: &Path, dir: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            gather(root, &path, files)?;
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(root.join(&path))?;
            files.insert(path, text);
        }
    }
    Ok(())
}

/// The package's name, from its manifest: the first `name` there is.
fn package(manifest: &str) -> String {
    let name = manifest.lines().find_map(|line| line.strip_prefix("name")?.trim_start().strip_prefix('='));
    name.unwrap_or_default().trim().trim_matches('"').to_owned()
}
