use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use tokio::time::Duration;

use super::*;

/// What may happen to a stream.
#[derive(Debug, Clone)]
enum Deed {
    Push(u8),
    NextEvent,
    Drop,
    /// A client comes back where it was.
    Resume,
    /// A client comes back at some position.
    ResumeAt(prop::sample::Index),
    Stall,
    Close,
    Pass(u8),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..40u8).prop_map(Deed::Push),
        6 => Just(Deed::NextEvent),
        2 => Just(Deed::Drop),
        3 => Just(Deed::Resume),
        1 => any::<prop::sample::Index>().prop_map(Deed::ResumeAt),
        1 => Just(Deed::Stall),
        1 => Just(Deed::Close),
        1 => (0..30u8).prop_map(Deed::Pass),
    ];
    prop::collection::vec(deed, 0..200)
}

/// The model: everything that was ever said, and where the client is.
struct Model {
    recording: Recording,
    said: Vec<(Bytes, Instant)>,
    client: u64,
    reader: Option<u64>,
    /// Whether the reader may have lost something because it took nothing for too long.
    stalled: bool,
    now: Instant,
}

const EVENTS: usize = 8;
const BYTES: usize = 100;
const KEPT_FOR: Duration = Duration::from_secs(60);

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            recording: Recording::default(),
            said: Vec::new(),
            client: 0,
            reader: None,
            stalled: false,
            now: now + KEPT_FOR,
        }
    }

    fn trim(&mut self) {
        self.recording.trim(Bounds { events: EVENTS, bytes: BYTES, since: self.now - KEPT_FOR });
    }

    fn attach(&mut self, at: u64) {
        let reader = self.recording.attach(at);
        let kept_from = self.recording.end() - self.recording.events.len() as u64;
        assert_eq!(reader.is_some(), (kept_from..=self.said.len() as u64).contains(&at));
        if reader.is_some() {
            (self.reader, self.client, self.stalled) = (reader, at, false);
        }
    }

    fn read(&mut self) {
        let Some(reader) = self.reader else { return };
        let at = usize::try_from(self.client).unwrap();
        match self.recording.read(reader) {
            NextEvent::Event(position, message) => {
                // The next one, and nothing else: no gap, no second time, no other order.
                assert_eq!((position, &message), (self.client + 1, &self.said[at].0));
                self.client = position;
                self.stalled = false;
            }
            NextEvent::Wait => {
                assert!(at == self.said.len() && !self.recording.is_over());
                self.stalled = false;
            }
            NextEvent::Over => {
                assert!(at == self.said.len() && self.recording.is_over());
                self.stalled = false;
            }
            NextEvent::Lost => assert!(self.stalled, "only who takes nothing loses something"),
            NextEvent::Replaced => panic!("nobody else reads"),
        }
        self.trim();
    }

    fn take(&mut self, deed: &Deed) {
        match deed {
            Deed::Push(_) if self.recording.is_over() => {}
            Deed::Push(size) => {
                let message = Bytes::from(vec![self.said.len().to_le_bytes()[0]; usize::from(*size)]);
                self.said.push((message.clone(), self.now));
                self.recording.push(message, self.now);
            }
            Deed::NextEvent => self.read(),
            Deed::Drop => {
                if let Some(reader) = self.reader.take() {
                    assert!(self.recording.detach(reader));
                    assert_eq!(self.recording.read(reader), NextEvent::Replaced);
                }
            }
            Deed::Resume => self.attach(self.client),
            Deed::ResumeAt(index) => self.attach(index.index(self.said.len() + 2) as u64),
            Deed::Stall => {
                self.recording.give_up_reader();
                self.stalled = self.reader.is_some();
            }
            Deed::Close => self.recording.close(),
            Deed::Pass(seconds) => self.now += Duration::from_secs(u64::from(*seconds)),
        }
        self.trim();
        self.check();
    }

    /// What is kept is the newest that was said, as much as the bounds allow, and what the reader is about to get.
    fn check(&self) {
        let kept = self.recording.events.len();
        let newest = &self.said[self.said.len() - kept..];
        assert_eq!(self.recording.end(), self.said.len() as u64);
        assert!(
            newest.iter().map(|(message, _)| message).eq(self.recording.events.iter().map(|k| &k.message))
        );
        let size =
            |events: &[(Bytes, Instant)]| events.iter().map(|(message, _)| message.len()).sum::<usize>();
        assert_eq!(self.recording.bytes(), size(newest));
        let fits = |events: &[(Bytes, Instant)]| {
            let fresh = events.iter().all(|(_, since)| *since >= self.now - KEPT_FOR);
            events.len() <= EVENTS && size(events) <= BYTES && fresh
        };
        let reading = self.reader.is_some() && !self.stalled;
        let unread = self.said.len() - usize::try_from(self.client).unwrap().min(self.said.len());
        assert!(fits(newest) || (reading && kept <= unread), "more is kept than must be");
        // And nothing was dropped that fits; what once was dropped does not come back.
        if let Some(last) = self.said.last()
            && fits(std::slice::from_ref(last))
        {
            assert!(kept > 0, "the newest is the last that is dropped");
        }
    }
}

proptest! {
    #[test]
    fn a_client_gets_each_event_once_in_order_or_hears_that_it_is_lost(deeds in deeds()) {
        let mut model = Model::new();
        for deed in &deeds {
            model.take(deed);
        }
    }
}

#[test]
fn a_second_reader_takes_the_place_of_the_first() {
    let mut recording = Recording::default();
    recording.push(Bytes::from_static(b"a"), Instant::now());
    let one = recording.attach(0).unwrap();
    let two = recording.attach(0).unwrap();
    assert_eq!(recording.read(one), NextEvent::Replaced);
    assert!(!recording.detach(one));
    assert_eq!(recording.read(two), NextEvent::Event(1, Bytes::from_static(b"a")));
    assert_eq!(recording.attach(2), None, "there is no such position yet");
}

#[test]
fn a_call_waits_for_a_reader_that_is_slow_and_for_nobody_else() {
    let mut recording = Recording::default();
    let push = |recording: &mut Recording| recording.push(Bytes::from_static(b"abc"), Instant::now());
    for _ in 0..100 {
        assert!(recording.has_room(10), "nobody reads");
        push(&mut recording);
    }
    let reader = recording.attach(100).unwrap();
    for _ in 0..4 {
        assert!(recording.has_room(10));
        push(&mut recording);
    }
    assert!(!recording.has_room(10), "by bytes");
    assert!(recording.has_room(100));
    for _ in 0..60 {
        push(&mut recording);
    }
    assert!(!recording.has_room(1000), "by events");
    recording.read(reader);
    assert!(recording.has_room(1000));
    recording.give_up_reader();
    assert!(recording.has_room(0));
}
