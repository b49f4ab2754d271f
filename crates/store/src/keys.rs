//! The keys of the seal, shared by all replicas: one row a turn, each key sealed by the master key that only the replicas
//! have. Who reads the database can neither seal nor open anything.

use std::time::{Duration, UNIX_EPOCH};

use crate::fault::StoreFault;
use crate::seal::key::Key;
use crate::seal::turns::{self, KeyState, Millis, Rotation, Turn};
use crate::seal::{Bound, Seal, SealFault};
use crate::sql::cells;
use crate::store::Store;

/// The topic of notices that tell of new keys.
pub const TOPIC: &str = "keys";

/// The master keys: one seals the others, and earlier ones open what they have sealed.
#[derive(Debug)]
pub struct Master(Seal);

/// Why there are no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedKeysFault {
    /// The store has a say.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// They were sealed by a master key that is not here.
    #[error("the keys in the store were sealed by another master key: {0}")]
    Master(SealFault),
    /// Somebody else has added a key at the same time.
    #[error("somebody else rotates the keys at the same time")]
    Busy,
}

impl Master {
    /// With this seal.
    #[must_use]
    pub fn new(seal: Seal) -> Self {
        Self(seal)
    }

    fn wrap(&self, number: i64, key: &Key) -> Result<String, SealFault> {
        // They expire by being deleted. The last second that every system can count.
        let never = UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 60);
        let principal = number.to_string();
        self.0.seal(Bound { purpose: "portolan key", principal: &principal }, never, key.secret())
    }

    fn unwrap(&self, number: i64, wrapped: &str) -> Result<Key, SealFault> {
        let principal = number.to_string();
        let bound = Bound { purpose: "portolan key", principal: &principal };
        let secret = self.0.open(bound, UNIX_EPOCH, wrapped)?;
        Key::new(secret.try_into().map_err(|_length| SealFault::Malformed)?)
    }
}

impl Store {
    /// The turns of all keys, and the time by which they go. The first key is made if there is none; of replicas that
    /// start together, one makes it.
    ///
    /// # Errors
    /// When the store is away, or the master key is another.
    pub async fn keys(&self, master: &Master) -> Result<(Vec<Turn>, Millis), SharedKeysFault> {
        let (turns, now) = self.turns(master).await?;
        if !turns.is_empty() {
            return Ok((turns, now));
        }
        let first = Turn { number: 1, key: new_key()?, made_at: None, seals_from: now, earlier_until: now };
        // If another was faster, its key is there.
        self.insert(master, &first).await?;
        self.turns(master).await
    }

    /// Adds a key, and tells all replicas. Keys that are retired are deleted.
    ///
    /// # Errors
    /// When the store is away, the master key is another, or somebody else adds one at the same time.
    pub async fn rotate_keys(
        &self,
        master: &Master,
        rotation: Rotation,
    ) -> Result<(Vec<Turn>, Millis), SharedKeysFault> {
        let (turns, now) = self.keys(master).await?;
        let (seals_from, earlier_until) = rotation.times(now);
        let number = turns.last().map_or(1, |last| last.number + 1);
        let turn = Turn { number, key: new_key()?, made_at: None, seals_from, earlier_until };
        if !self.insert(master, &turn).await? {
            return Err(SharedKeysFault::Busy);
        }
        self.publish(TOPIC, &turn.key.id().to_string()).await?;
        let (mut turns, now) = self.turns(master).await?;
        for fact in turns::facts(&turns, now).iter().filter(|fact| fact.state == KeyState::Retired) {
            self.query("DELETE FROM portolan_key WHERE number = $1", cells![fact.number]).await?;
            turns.retain(|turn| turn.number != fact.number);
        }
        Ok((turns, now))
    }

    async fn turns(&self, master: &Master) -> Result<(Vec<Turn>, Millis), SharedKeysFault> {
        // The time comes with the rows, and alone if there are none.
        let text = "SELECT {now}, number, wrapped, made_at, seals_from, earlier_until FROM portolan_key \
                    UNION ALL SELECT {now}, 0, '', 0, 0, 0 ORDER BY 2";
        let (mut turns, mut now) = (Vec::new(), 0);
        for mut row in self.query(text, Vec::new()).await? {
            now = row.integer()?;
            let (number, wrapped) = (row.integer()?, row.text()?);
            if number > 0 {
                let key = master.unwrap(number, &wrapped).map_err(SharedKeysFault::Master)?;
                let (made_at, seals_from, earlier_until) = (row.integer()?, row.integer()?, row.integer()?);
                turns.push(Turn { number, key, made_at: Some(made_at), seals_from, earlier_until });
            }
        }
        Ok((turns, now))
    }

    /// False if there is one with that number.
    async fn insert(&self, master: &Master, turn: &Turn) -> Result<bool, SharedKeysFault> {
        let text = "INSERT INTO portolan_key (number, wrapped, made_at, seals_from, earlier_until) \
                    VALUES ($1, $2, {now}, $3, $4) ON CONFLICT (number) DO NOTHING RETURNING number";
        let wrapped = master.wrap(turn.number, &turn.key).map_err(SharedKeysFault::Master)?;
        let parameters = cells![turn.number, wrapped.as_str(), turn.seals_from, turn.earlier_until];
        Ok(self.one(text, parameters).await?.is_some())
    }
}

fn new_key() -> Result<Key, SharedKeysFault> {
    Key::random().map_err(|fault| StoreFault::Broken(fault.to_string()).into())
}
