//! The chain: each record has the hash of the one before it, and every now and then one signs all since the last that did.

use std::time::SystemTime;

use crate::hash::Hash;
use crate::key::SigningKey;
use crate::line::{self, Head, Stamp};
use crate::merkle::Tree;

/// The type of a checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The type of what says that a segment was deleted because its time was over.
pub(crate) const DELETED: &str = "deleted";
/// The type of what says that payloads were erased.
pub(crate) const ERASED: &str = "erased";

/// Where a chain has come to.
#[derive(Debug, Clone)]
pub struct Chain {
    replica: String,
    next: u64,
    prev: Hash,
    /// The records since the last checkpoint, and the place of the first of them.
    tree: Tree,
    first: u64,
    stamp: Stamp,
}

impl Chain {
    /// One that has not begun.
    #[must_use]
    pub fn new(replica: &str) -> Self {
        let (tree, stamp) = (Tree::default(), Stamp::default());
        Self { replica: replica.to_owned(), next: 0, prev: Hash::NONE, tree, first: 0, stamp }
    }

    /// Whose it is.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// The place of the next record.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The hash of the last record.
    #[must_use]
    pub fn prev(&self) -> Hash {
        self.prev
    }

    /// How many records no checkpoint covers yet.
    #[must_use]
    pub fn unsigned(&self) -> u64 {
        self.tree.size()
    }

    /// What a checkpoint here says beside its head: where what it covers begins, and the root of that.
    pub(crate) fn covered(&self) -> String {
        format!(",\"first\":{},\"root\":\"sha256:{}\"", self.first, self.tree.root())
    }

    /// The next record is this one: where what is kept begins, or goes on after a gap.
    pub(crate) fn jump(&mut self, head: &Head<'_>) {
        (self.next, self.prev, self.first, self.tree) = (head.seq, head.prev, head.seq, Tree::default());
    }

    /// A line is the next record. Whether it is, is for the caller to know.
    pub(crate) fn follow(&mut self, head: &Head<'_>, line: &str) {
        self.took(head.kind, head.seq, line.as_bytes());
    }

    fn took(&mut self, kind: &str, seq: u64, line: &[u8]) {
        self.prev = Hash::of(&[line]);
        self.next = seq + 1;
        if kind == CHECKPOINT {
            (self.tree, self.first) = (Tree::default(), self.next);
        } else {
            self.tree.push(&self.prev);
        }
    }

    /// Writes a record as a line. `body` is its members, each with a comma before it.
    pub fn record(&mut self, out: &mut Vec<u8>, (kind, at): (&str, SystemTime), body: &str) {
        let start = out.len();
        line::begin(out, kind, self.stamp.write(at), (&self.replica, self.next, &self.prev));
        out.extend_from_slice(body.as_bytes());
        out.push(b'}');
        self.took(kind, self.next, out.get(start..).unwrap_or_default());
        out.push(b'\n');
    }

    /// Writes a record that is signed, and gives where it begins.
    pub(crate) fn signed(
        &mut self,
        out: &mut Vec<u8>,
        (kind, at): (&str, SystemTime),
        body: &str,
        key: &SigningKey,
    ) -> usize {
        let start = out.len();
        line::begin(out, kind, self.stamp.write(at), (&self.replica, self.next, &self.prev));
        out.extend_from_slice(format!("{body},\"key\":\"{}\"", key.public()).as_bytes());
        let signature = key.sign(out.get(start..).unwrap_or_default());
        line::sign_off(out, &signature);
        self.took(kind, self.next, out.get(start..).unwrap_or_default());
        out.push(b'\n');
        start
    }

    /// Writes a checkpoint, if there is anything to be covered by one, and gives where it begins.
    pub fn checkpoint(&mut self, out: &mut Vec<u8>, at: SystemTime, key: &SigningKey) -> Option<usize> {
        (self.unsigned() > 0).then(|| self.signed(out, (CHECKPOINT, at), &self.covered(), key))
    }
}
