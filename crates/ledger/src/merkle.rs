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

/// The root of some records. Its own way, since the tree that grows keeps no leaves.
fn root_of(records: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    records.iter().for_each(|record| tree.push(record));
    tree.root()
}

/// The hashes by which one of some records leads to their root, from the leaf up (RFC 9162 §2.1.3.1).
#[must_use]
pub fn path(records: &[Hash], at: usize) -> Vec<Hash> {
    let (mut path, mut records, mut at) = (Vec::new(), records, at);
    while records.len() > 1 {
        let (left, right) = records.split_at(records.len().next_power_of_two() / 2);
        let other = if at < left.len() { right } else { left };
        path.push(root_of(other));
        if at < left.len() {
            records = left;
        } else {
            at -= left.len();
            records = right;
        }
    }
    path.reverse();
    path
}

/// The root that a record leads to by a path, as the one at this place among so many (RFC 9162 §2.1.3.2). Nothing where the path
/// is not as long as it must be.
#[must_use]
pub fn climb(record: &Hash, (at, size): (u64, u64), path: &[Hash]) -> Option<Hash> {
    let (mut place, mut last) = (at, size.checked_sub(1).filter(|last| at <= *last)?);
    let mut hash = leaf(record);
    for other in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = node(other, &hash);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, other);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
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

    #[test]
    fn each_record_leads_to_the_root_and_to_no_other() {
        let records: Vec<_> = (0_u32..37).map(|number| Hash::of(&[&number.to_be_bytes()])).collect();
        for size in 1..=records.len() {
            let some = &records[..size];
            for (at, record) in some.iter().enumerate() {
                let path = path(some, at);
                let climbed =
                    |record, at: usize, path: &[Hash]| climb(record, (at as u64, size as u64), path);
                assert_eq!(climbed(record, at, &path), Some(by_the_book(some)), "{at} of {size}");
                assert_ne!(climbed(&Hash::NONE, at, &path), Some(by_the_book(some)));
                assert_eq!(climbed(record, size, &path), None);
                let longer = [&path[..], &[Hash::NONE]].concat();
                assert_eq!(climbed(record, at, &longer), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(climbed(record, at, shorter), None);
                }
            }
        }
    }
}
