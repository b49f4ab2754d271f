//! How long files and functions are.

use crate::tree::Tree;

/// Median, 90th, 95th and 99th percentile, and the longest: each a length that occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    pub median: usize,
    pub p90: usize,
    pub p95: usize,
    pub p99: usize,
    pub max: usize,
}

impl Sizes {
    pub fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let at = |percent: usize| {
            let rank = (lengths.len() * percent).div_ceil(100).max(1);
            lengths.get(rank - 1).copied().unwrap_or_default()
        };
        Self { median: at(50), p90: at(90), p95: at(95), p99: at(99), max: at(100) }
    }
}

pub fn of_files(tree: &Tree) -> Sizes {
    Sizes::of(tree.files.iter().map(|file| file.lines).collect())
}

pub fn of_functions(tree: &Tree) -> Sizes {
    Sizes::of(tree.functions.iter().map(|function| function.lines).collect())
}

/// Lines of the whole crate, without tests.
pub fn lines(tree: &Tree) -> usize {
    tree.files.iter().map(|file| file.lines).sum()
}
