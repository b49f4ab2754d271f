//! What is done to the replicas while they work: in an order that the seed decides, one thing after the other, so that
//! never all of them are down.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::fault::Fault;
use crate::ground::Ground;
use crate::judge::stamp;
use crate::load::Load;
use crate::record::{At, Blow, Struck};
use crate::say;

/// How many calls come at once.
const BURST: u64 = 200;

/// Who strikes.
#[derive(Debug)]
pub(crate) struct Striker {
    dice: Dice,
    /// What may be done.
    allowed: Vec<Blow>,
    /// What is still to be done before anything is done again.
    bag: Vec<Blow>,
    /// How often replicas were stopped: every third time they are taken for dead meanwhile.
    stops: u32,
}

impl Striker {
    pub(crate) fn new(seed: u64, allowed: Vec<Blow>) -> Self {
        Self { dice: Dice::of(seed, 0), allowed, bag: Vec::new(), stops: 0 }
    }

    /// Strikes until the time is over.
    pub(crate) async fn strike(
        &mut self,
        ground: &mut Ground,
        load: &Load,
        time: Duration,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        loop {
            sleep(Duration::from_millis(self.dice.between(800, 2500))).await;
            if began.elapsed() >= time {
                return Ok(());
            }
            let Some(blow) = self.next() else { continue };
            let replica = self.dice.index(ground.replicas.len());
            let from = ground.record.now();
            let place = match blow {
                Blow::Database | Blow::Burst | Blow::Reload | Blow::Misload => None,
                Blow::Kill | Blow::Stop | Blow::Drain | Blow::Term => Some(replica),
            };
            // It is in the book from the beginning: what it brings about may end before it does.
            let at = begin(ground, blow, place, from);
            self.one(ground, load, blow, replica).await?;
            let to = ground.record.now();
            if let Some(struck) = ground.record.book().struck.get_mut(at) {
                struck.to = to;
            }
            let place = place.map_or_else(String::new, |replica| format!(" replica {replica}"));
            say::progress(&format!("{:>10}  {}{place}, until {}", stamp(from), blow.name(), stamp(to)));
        }
    }

    fn next(&mut self) -> Option<Blow> {
        if self.bag.is_empty() {
            self.bag = self.allowed.clone();
            self.dice.shuffle(&mut self.bag);
        }
        self.bag.pop()
    }

    async fn wait(&mut self, low: u64, high: u64) {
        sleep(Duration::from_millis(self.dice.between(low, high))).await;
    }

    async fn one(
        &mut self,
        ground: &mut Ground,
        load: &Load,
        blow: Blow,
        number: usize,
    ) -> Result<(), Fault> {
        let record = std::sync::Arc::clone(&ground.record);
        let Some(replica) = ground.replicas.get_mut(number) else { return Ok(()) };
        match blow {
            Blow::Kill => {
                replica.kill().await?;
                self.wait(0, 2500).await;
                replica.start().await?;
            }
            Blow::Stop => {
                self.stops += 1;
                let (low, high) = if self.stops.is_multiple_of(3) { (11_500, 13_500) } else { (500, 5000) };
                replica.freeze()?;
                self.wait(low, high).await;
                replica.thaw()?;
                let since = Instant::now();
                while !replica.is_ready().await {
                    if since.elapsed() > Duration::from_secs(10) {
                        record.wrong(format!("replica {number} is not ready 10 s after SIGCONT"));
                        break;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            }
            Blow::Drain | Blow::Term => {
                if blow == Blow::Drain {
                    replica.drain().await?;
                } else {
                    replica.term()?;
                }
                replica.ended(&record).await?;
                self.wait(0, 1000).await;
                replica.start().await?;
            }
            Blow::Database => {
                ground.database.stop().await?;
                self.wait(100, 3000).await;
                ground.database.go_on().await?;
            }
            Blow::Reload | Blow::Misload => {
                for replica in &mut ground.replicas {
                    replica.reload(blow == Blow::Misload, &record).await?;
                }
            }
            Blow::Burst => {
                let at = u64::try_from(record.now().as_millis()).unwrap_or(0);
                load.burst(BURST, at).await;
            }
        }
        Ok(())
    }
}

fn begin(ground: &Ground, blow: Blow, replica: Option<usize>, from: At) -> usize {
    let mut book = ground.record.book();
    book.struck.push(Struck { blow, replica, from, to: from });
    book.struck.len() - 1
}
