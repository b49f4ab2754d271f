//! What a program has said last that is no message: on stderr, and on stdout. It is kept to explain why the program ended, or why it
//! takes so long to start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base::sync::lock;

/// How many lines are kept.
const MOST_LINES: usize = 20;
/// How many characters of one line are kept.
const MOST_OF_A_LINE: usize = 2000;

/// What one process said last. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl LastWords {
    /// It said this, which is masked already. What is empty says nothing.
    pub(crate) fn add(&self, line: &str) {
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        let mut lines = lock(&self.0);
        if lines.len() == MOST_LINES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(MOST_OF_A_LINE).collect());
    }

    /// All that is kept, if there is anything.
    pub(crate) fn all(&self) -> Option<String> {
        let lines: Vec<_> = lock(&self.0).iter().cloned().collect();
        (!lines.is_empty()).then(|| lines.join(" | "))
    }
}
