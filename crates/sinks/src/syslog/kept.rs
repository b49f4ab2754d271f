//! What was written last, to be sent again on the next connection.

use std::collections::VecDeque;

/// The most records, and bytes of their messages, that are kept: the systems of both ends have buffers, in which more than a few
/// may lie when a server dies.
pub(super) const MOST_RECORDS: usize = 1024;
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// So often a connection may end at these records: one of them may be why.
const MOST_TIMES: u8 = 3;

/// The records that were written last, each with how often a connection ended when it was sent again.
#[derive(Debug, Default)]
pub(super) struct Kept {
    records: VecDeque<(Vec<u8>, u8)>,
    bytes: usize,
    /// So many were given up since somebody asked.
    given_up: u64,
}

impl Kept {
    /// Keeps the messages of one record, and forgets the oldest.
    pub(super) fn keep(&mut self, messages: Vec<u8>) {
        self.bytes += messages.len();
        self.records.push_back((messages, 0));
        while self.records.len() > MOST_RECORDS || self.bytes > MOST_BYTES {
            let Some((forgotten, _)) = self.records.pop_front() else { return };
            self.bytes -= forgotten.len();
        }
    }

    /// What is to be sent again, in its order.
    pub(super) fn all(&self) -> Vec<u8> {
        self.records.iter().flat_map(|(messages, _)| messages).copied().collect()
    }

    /// A connection ended when they were sent again.
    pub(super) fn blame(&mut self) {
        self.records.retain_mut(|(_, times)| {
            *times += 1;
            self.given_up += u64::from(*times >= MOST_TIMES);
            *times < MOST_TIMES
        });
        self.bytes = self.records.iter().map(|(messages, _)| messages.len()).sum();
    }

    /// How many are not sent again any more, and may not have arrived.
    pub(super) fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_until_they_are_to_blame() {
        let mut kept = Kept::default();
        for number in 0..2000_u16 {
            kept.keep(number.to_be_bytes().to_vec());
        }
        let last: Vec<u8> = (976..2000_u16).flat_map(u16::to_be_bytes).collect();
        assert_eq!(kept.all(), last);
        kept.blame();
        kept.keep(vec![7, 7]);
        kept.blame();
        assert_eq!((kept.all().len(), kept.take_given_up()), (2048, 0));
        kept.blame();
        assert_eq!((kept.all(), kept.take_given_up(), kept.take_given_up()), (vec![7, 7], 1023, 0));
        kept.keep(vec![0; MOST_BYTES - 3]);
        kept.keep(vec![1]);
        assert_eq!(kept.all().len(), MOST_BYTES);
        kept.keep(vec![2]);
        assert_eq!(kept.all().len(), MOST_BYTES - 1);
    }
}
