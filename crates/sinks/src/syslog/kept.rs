//! What was written last, to be sent again on the next connection.

use std::collections::VecDeque;

/// The most records, and bytes of their messages, that are kept: the systems of both ends have buffers, in which more than a few
/// may lie when a server dies.
pub(super) const MOST_RECORDS: usize = 1024;
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// So often a record is sent again: it may be what ends the connections.
const MOST_TIMES: u8 = 3;

/// The records that were written last, each with how often it was sent again.
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

    /// What is to be sent again, in its order. Each is only so often.
    pub(super) fn again(&mut self) -> Vec<Vec<u8>> {
        self.records.retain_mut(|(_, times)| {
            *times += 1;
            self.given_up += u64::from(*times > MOST_TIMES);
            *times <= MOST_TIMES
        });
        self.bytes = self.records.iter().map(|(messages, _)| messages.len()).sum();
        self.records.iter().map(|(messages, _)| messages.clone()).collect()
    }
}

impl Kept {
    /// How many were sent again as often as may be, and may not have arrived.
    pub(super) fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_sent_again_a_few_times() {
        let mut kept = Kept::default();
        for number in 0..2000_u16 {
            kept.keep(number.to_be_bytes().to_vec());
        }
        let last: Vec<Vec<u8>> = (976..2000_u16).map(|number| number.to_be_bytes().to_vec()).collect();
        assert_eq!(kept.again(), last);
        assert_eq!((kept.again().len(), kept.again().len(), kept.take_given_up()), (1024, 1024, 0));
        assert_eq!((kept.again().len(), kept.take_given_up(), kept.take_given_up()), (0, 1024, 0));
        kept.keep(vec![0; MOST_BYTES - 1]);
        kept.keep(vec![1]);
        assert_eq!(kept.again().len(), 2);
        kept.keep(vec![2]);
        assert_eq!(kept.again(), [vec![1], vec![2]]);
    }
}
