//! The power is cut at any time: with `durability = "disk"` what was accepted is there, and what was not does no harm.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::plan::audit::Durability;
use base::sink::{Accept, Sink as _};
use ledger::verify::verify;
use ledger::{Ground, Ledger};
use tokio::task::JoinSet;

use crate::mediums::Power;
use crate::stand::{Stand, facts};

/// So many cuts in the usual run; `CUTS=5000` tries more.
const CUTS: u64 = 60;

/// Numbers that look random, the same every time.
pub(crate) fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    }
}

fn try_open(stand: &Stand, power: &Power) -> Option<Arc<Ledger>> {
    let ground = Ground { medium: Arc::new(power.clone()), ..Ground::default() };
    stand.try_open_on("one", ground)
}

/// Groups of records, until there is no power any more. Which were accepted.
async fn write(
    ledger: &Ledger,
    power: &Power,
    next: &mut usize,
    dice: &mut impl FnMut(u64) -> u64,
) -> Vec<usize> {
    let mut accepted = Vec::new();
    while !power.is_cut() {
        let group: Vec<_> = (0..=dice(12))
            .map(|_| {
                *next += 1;
                (*next, ledger.accept(&facts(*next)))
            })
            .collect();
        for (number, accept) in group {
            let Accept::Later(taken) = accept else { panic!("it is not on the disk yet") };
            let cut = async {
                while !power.is_cut() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                taken = taken => if taken.is_ok() { accepted.push(number) },
                () = cut => {}
            }
        }
    }
    accepted
}

/// A chain that has been cut three times, and then no more. How many records were accepted, and its text.
async fn chain(seed: u64) -> (usize, String) {
    let mut dice = dice(seed);
    let mut stand = Stand::new();
    (stand.plan.durability, stand.plan.witness) = (Durability::Disk, None);
    let (mut next, mut accepted) = (0, BTreeSet::new());
    let verify = || verify(stand.directory(), &stand.against(false)).unwrap();
    for _ in 0..3 {
        let power = Power::default();
        power.cut_after(4 + dice(60));
        if let Some(ledger) = try_open(&stand, &power) {
            accepted.extend(write(&ledger, &power, &mut next, &mut dice).await);
            ledger.close().await;
        }
        power.restore(&mut dice);
        assert_eq!(verify().bad, [], "seed {seed}");
    }
    stand.session("one", 3).await;
    let report = verify();
    assert!(report.bad.is_empty() && report.replicas[0].unsigned == 0, "seed {seed}: {report:?}");
    let text = stand.text();
    for number in &accepted {
        assert!(text.contains(&format!("alice-{number}\\\"")), "seed {seed}: {number} was accepted");
    }
    (accepted.len(), text)
}

#[tokio::test]
async fn what_was_accepted_outlives_the_power() {
    let cuts = std::env::var("CUTS").map_or(CUTS, |text| text.parse().unwrap());
    let (mut torn, mut beside, mut accepted, mut seed) = (0, 0, 0, 0);
    let mut chains = JoinSet::new();
    while seed < cuts || !chains.is_empty() {
        while seed < cuts && chains.len() < 50 {
            seed += 1;
            chains.spawn(chain(seed));
        }
        let (count, text) = chains.join_next().await.unwrap().unwrap();
        accepted += count;
        torn += text.matches("\"torn\":").count();
        beside += text.matches("\"beside\":").count();
    }
    eprintln!("{cuts} chains cut three times: {accepted} accepted, {torn} torn, {beside} put beside");
    assert!(accepted > 0 && torn > 0 && beside > 0);
}
