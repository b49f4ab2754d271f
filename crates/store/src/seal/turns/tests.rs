use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::super::{Bound, Seal, SealFault};
use super::*;

const ROTATION: Rotation = Rotation { lead: Duration::from_secs(60), longest: Duration::from_secs(3600) };
const REPLICAS: usize = 3;

fn key(number: i64) -> Key {
    let mut secret = [0; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    Key::new(secret).unwrap()
}

fn add(turns: &mut Vec<Turn>, rotation: Rotation, now: Millis) {
    let number = turns.len() as i64 + 1;
    let (seals_from, earlier_until) = rotation.times(now);
    turns.push(Turn { number, key: key(number), made_at: Some(now), seals_from, earlier_until });
}

fn first() -> Vec<Turn> {
    vec![Turn { number: 1, key: key(1), made_at: Some(0), seals_from: 0, earlier_until: 0 }]
}

fn time(now: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap())
}

fn states(turns: &[Turn], seconds: i64) -> Vec<&'static str> {
    facts(turns, seconds * 1000).iter().rev().map(|fact| fact.state.name()).collect()
}

#[test]
fn a_key_comes_seals_opens_and_retires() {
    let mut turns = first();
    add(&mut turns, ROTATION, 1000);
    assert_eq!(states(&turns, 1), ["sealing", "coming"]);
    assert_eq!(states(&turns, 60), ["sealing", "coming"]);
    assert_eq!(states(&turns, 61), ["opening", "sealing"]);
    assert_eq!(states(&turns, 61 + 3600 + 59), ["opening", "sealing"]);
    assert_eq!(states(&turns, 61 + 3600 + 60), ["retired", "sealing"]);
    assert_eq!(facts(&turns, 0)[1].opens_until, Some((61 + 3600 + 60) * 1000));
}

#[test]
fn a_revoked_key_is_retired_at_once_and_those_before_it_are_too() {
    let mut turns = first();
    add(&mut turns, ROTATION, 1000);
    add(&mut turns, Rotation::REVOKE, 2000);
    assert_eq!(states(&turns, 2), ["retired", "retired", "sealing"]);
}

#[test]
fn there_is_always_a_key_that_seals() {
    assert!(ring(&[], 0).is_none());
    let mut turns = first();
    turns[0].seals_from = 5000;
    assert_eq!(states(&turns, 1), ["sealing"], "the clock went back");
}

#[derive(Debug, Clone)]
enum Act {
    Wait(i64),
    Rotate,
    Read(usize),
    Seal { replica: usize, lives: i64 },
    Open { replica: usize, token: prop::sample::Index },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..60i64).prop_map(Act::Wait),
        (0..2000i64).prop_map(Act::Wait),
        Just(Act::Rotate),
        (0..REPLICAS).prop_map(Act::Read),
        (0..REPLICAS, 1..=3600i64).prop_map(|(replica, lives)| Act::Seal { replica, lives }),
        (0..REPLICAS).prop_map(|replica| Act::Seal { replica, lives: 3600 }),
        (0..REPLICAS, any::<prop::sample::Index>()).prop_map(|(replica, token)| Act::Open { replica, token }),
    ]
}

proptest! {
    /// Whatever the order of rotations, reads, seals and opens: on replicas that read the turns at least once in a lead's
    /// time, each token opens everywhere until it expires, and nowhere after.
    #[test]
    fn no_rotation_invalidates_what_is_out(acts in prop::collection::vec(act(), 1..80)) {
        let lead = millis(ROTATION.lead) / 1000;
        let bound = Bound { purpose: "p", principal: "me" };
        let mut now = 0;
        let mut turns = first();
        let seals: Vec<_> = (0..REPLICAS).map(|_| Seal::new(ring(&turns, 0).unwrap())).collect();
        let mut read_at = [0; REPLICAS];
        let mut tokens: Vec<(String, i64)> = Vec::new();
        for act in acts {
            match act {
                Act::Wait(seconds) => now += seconds,
                Act::Rotate => add(&mut turns, ROTATION, now * 1000),
                Act::Read(replica) => read_at[replica] = i64::MIN,
                Act::Seal { replica, lives } => {
                    let token = seals[replica].seal(bound, time((now + lives) * 1000), b"x").unwrap();
                    for other in &seals {
                        prop_assert!(other.open(bound, time(now * 1000), &token).is_ok(), "at {}", now);
                    }
                    tokens.push((token, now + lives));
                }
                Act::Open { replica, token } if !tokens.is_empty() => {
                    let (token, until) = &tokens[token.index(tokens.len())];
                    let opened = seals[replica].open(bound, time(now * 1000), token);
                    if now < *until {
                        prop_assert_eq!(opened, Ok(b"x".to_vec()), "at {}", now);
                    } else {
                        prop_assert!(opened.is_err());
                    }
                }
                Act::Open { .. } => {}
            }
            for (seal, read_at) in seals.iter().zip(&mut read_at) {
                if now.saturating_sub(*read_at) >= lead {
                    seal.turn_to(ring(&turns, now * 1000).unwrap());
                    *read_at = now;
                }
            }
        }
        // And every token in its last second.
        tokens.sort_by_key(|(_, until)| *until);
        for (token, until) in tokens.into_iter().filter(|(_, until)| *until > now) {
            let last = until - 1;
            for seal in &seals {
                seal.turn_to(ring(&turns, last * 1000).unwrap());
                prop_assert_eq!(seal.open(bound, time(last * 1000), &token), Ok(b"x".to_vec()), "at {}", last);
            }
        }
    }

    /// One key at a time seals, later ones only come and earlier ones only open or are retired, and no key comes back.
    #[test]
    fn keys_go_one_way(waits in prop::collection::vec((0..5000i64, any::<bool>()), 1..20), until in 0..100_000i64) {
        let mut turns = first();
        let mut now = 0;
        for (wait, revoke) in waits {
            now += wait;
            add(&mut turns, if revoke { Rotation::REVOKE } else { ROTATION }, now * 1000);
        }
        let rank = |state| match state {
            KeyState::Coming => 0,
            KeyState::Sealing => 1,
            KeyState::Opening => 2,
            KeyState::Retired => 3,
        };
        let mut before: Vec<i32> = Vec::new();
        for now in (now..now + until).step_by(977) {
            let ranks: Vec<_> = facts(&turns, now * 1000).iter().map(|fact| rank(fact.state)).collect();
            prop_assert_eq!(ranks.iter().filter(|rank| **rank == 1).count(), 1, "{:?}", ranks);
            prop_assert!(before.iter().zip(&ranks).all(|(before, now)| before <= now), "{:?} {:?}", before, ranks);
            before = ranks;
        }
    }

    /// A token is for one purpose and one principal, with however many keys.
    #[test]
    fn a_token_is_worthless_to_others(
        mine in ("[a-z/]{0,8}", "[a-z/]{0,8}"),
        other in ("[a-z/]{0,8}", "[a-z/]{0,8}"),
        keys in 1..4i64,
        bit in any::<prop::sample::Index>(),
    ) {
        let keys: Vec<_> = (1..=keys).map(key).collect();
        let seal = Seal::new(Ring::from_keys(&keys).unwrap());
        let own = Bound { purpose: &mine.0, principal: &mine.1 };
        let token = seal.seal(own, time(1000), b"payload").unwrap();
        let theirs = Bound { purpose: &other.0, principal: &other.1 };
        if mine == other {
            prop_assert!(seal.open(theirs, time(0), &token).is_ok());
        } else {
            prop_assert_eq!(seal.open(theirs, time(0), &token), Err(SealFault::NotAuthentic));
        }
        let mut letters = token.into_bytes();
        let at = bit.index(letters.len() * 7);
        letters[at / 7] ^= 1 << (at % 7);
        let changed = String::from_utf8(letters).unwrap();
        prop_assert!(seal.open(own, time(0), &changed).is_err());
    }
}
