//! The tree over the records between two checkpoints, so that one of them can be proved without the others.
//!
//! Source: RFC 9162 §2.1.1. A leaf is the hash of a record's hash, not of its text: a record is hashed once for the chain, and the
//! rest is short.

use crate::hash::Hash;

/// What the root of nothing is: the hash of no bytes (RFC 9162 §2.1.1).
fn empty() -> Hash {
    Hash::of(&[])
}

pub(crate) fn leaf(record: &Hash) -> Hash {
    Hash::of(&[&[0], record.bytes()])
}

pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[&[1], left.bytes(), right.bytes()])
}

/// A tree that grows by a leaf at a time. It keeps the roots of its whole subtrees only: as many as its size has ones.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// From the largest to the smallest; each holds 2^height leaves.
    whole: Vec<(u32, Hash)>,
    size: u64,
}

impl Tree {
    /// One record more.
    pub fn push(&mut self, record: &Hash) {
        let (mut height, mut hash) = (0, leaf(record));
        while let Some((_, left)) = self.whole.pop_if(|(other, _)| *other == height) {
            hash = node(&left, &hash);
            height += 1;
        }
        self.whole.push((height, hash));
        self.size += 1;
    }

    /// How many records there are in it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut from_the_smallest = self.whole.iter().rev().map(|(_, hash)| *hash);
        let Some(first) = from_the_smallest.next() else { return empty() };
        from_the_smallest.fold(first, |right, left| node(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9162 §2.1.1, as it is written.
    fn by_the_book(records: &[Hash]) -> Hash {
        match records {
            [] => empty(),
            [one] => leaf(one),
            many => {
                let split = many.len().next_power_of_two() / 2;
                node(&by_the_book(&many[..split]), &by_the_book(&many[split..]))
            }
        }
    }

    #[test]
    fn it_is_the_tree_of_the_book() {
        let (mut tree, mut records) = (Tree::default(), Vec::new());
        for number in 0_u32..130 {
            assert_eq!(tree.root(), by_the_book(&records), "{number}");
            assert_eq!(tree.size(), u64::from(number));
            let record = Hash::of(&[&number.to_be_bytes()]);
            tree.push(&record);
            records.push(record);
        }
    }
}
