//! What somebody is asked to approve before it is done. A question is answered once, and what was approved is used once, whoever
//! asks at the same time.

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::{Millis, millis};
use crate::sql::{Row, cells};
use crate::store::Store;

/// The most questions of one caller that may be open, and of all.
pub const MOST_OF_ONE: usize = 32;
/// The same of all callers.
pub const MOST_OPEN: usize = 10_000;
/// How long it is known what has become of one that is over.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many of one caller are remembered that are over.
const MOST_REMEMBERED: i64 = 500;
/// The most that are listed.
const MOST_LISTED: i64 = 1000;

/// Something that somebody is to approve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// What it is called.
    pub id: String,
    /// Stands for all that is approved.
    pub binding: String,
    /// Who wants it: its principal.
    pub principal: String,
    /// Who vouches for it, and whom that means; empty where nobody does.
    pub whose: (String, String),
    /// For people: the route, the server, the method, and the server's own name of what it is about.
    pub what: [String; 4],
    /// For people: the arguments, as far as there is room, without secrets.
    pub arguments: String,
    /// Why they are asked, a reason a line.
    pub reason: String,
    /// The policies that ask, one a line.
    pub policies: String,
    /// Who may answer: JSON.
    pub approvers: String,
    /// How long it is open, and for how long what was approved is good.
    pub lasts: Duration,
}

/// How it stands with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has answered it.
    Pending,
    /// It is approved and not used yet.
    Approved,
    /// It is denied.
    Denied,
    /// It was approved, and is done.
    Used,
    /// Nobody has answered it in time, or what was approved was not used in time.
    Expired,
}

/// A question with what has become of it. Times are in milliseconds since 1970 by the database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// What was asked.
    pub question: Question,
    /// How it stands.
    pub standing: Standing,
    /// When it was asked.
    pub made_at: Millis,
    /// Until when it can be answered, or what was approved can be used.
    pub expires_at: Millis,
    /// Who has answered; empty if nobody has.
    pub decided_by: String,
    /// When; 0 if nobody has.
    pub decided_at: Millis,
    /// When it was used; 0 if it was not.
    pub used_at: Millis,
    /// When this was read.
    pub read_at: Millis,
}

impl Approval {
    /// For how long it could still be answered, or used, when it was read.
    #[must_use]
    pub fn left(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.expires_at.saturating_sub(self.read_at)).unwrap_or_default())
    }
}

impl Standing {
    /// What people call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
            Self::Expired => "expired",
        }
    }
}

impl Store {
    /// Opens a question. False if there is one of its binding that is open or approved, or over and not noticed yet
    /// ([`Self::expire_approvals`]), or if too many are open.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn ask_approval(&self, question: &Question) -> Result<bool, StoreFault> {
        let text = "INSERT INTO portolan_approval (id, binding, principal, issuer, subject, route, server, method, thing, \
                    arguments, reason, policies, approvers, lasts, made_at, expires_at, forgotten_at, state, decided_by, \
                    decided_at, used_at, turn) \
                    SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), \
                    CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($9 AS TEXT), CAST($10 AS TEXT), \
                    CAST($11 AS TEXT), CAST($12 AS TEXT), CAST($13 AS TEXT), CAST($14 AS {integer}), {now}, \
                    {now} + CAST($14 AS {integer}), {now} + CAST($14 AS {integer}) + CAST($15 AS {integer}), 'pending', '', \
                    0, 0, 0 \
                    WHERE (SELECT COUNT(*) FROM portolan_approval WHERE state = 'pending' AND expires_at > {now} \
                    AND principal = CAST($3 AS TEXT)) < CAST($16 AS {integer}) \
                    AND (SELECT COUNT(*) FROM portolan_approval WHERE state = 'pending' AND expires_at > {now}) \
                    < CAST($17 AS {integer}) \
                    ON CONFLICT (binding) WHERE state IN ('pending', 'approved') DO NOTHING RETURNING id";
        let of = question;
        let [route, server, method, thing] = of.what.each_ref().map(String::as_str);
        let parameters = cells![
            of.id.as_str(),
            of.binding.as_str(),
            of.principal.as_str(),
            of.whose.0.as_str(),
            of.whose.1.as_str(),
            route,
            server,
            method,
            thing,
            of.arguments.as_str(),
            of.reason.as_str(),
            of.policies.as_str(),
            of.approvers.as_str(),
            millis(of.lasts),
            millis(REMEMBERED),
            i64::try_from(MOST_OF_ONE).unwrap_or(i64::MAX),
            i64::try_from(MOST_OPEN).unwrap_or(i64::MAX),
        ];
        let is_new = self.one(text, parameters).await?.is_some();
        if is_new {
            self.forget_approvals_of(&of.principal).await?;
        }
        Ok(is_new)
    }

    /// A caller can ask and take back as often as it likes: only so many are remembered. What somebody else has denied stays as long
    /// as it is denied, and what was used, which a call may still go on with, stays before what was not.
    async fn forget_approvals_of(&self, principal: &str) -> Result<(), StoreFault> {
        let text = "DELETE FROM portolan_approval WHERE id IN (SELECT id FROM portolan_approval WHERE principal = $1 \
                    AND NOT (expires_at > {now} AND (state IN ('pending', 'approved') \
                    OR (state = 'denied' AND decided_by <> principal))) \
                    ORDER BY CASE WHEN state = 'used' THEN 0 ELSE 1 END, made_at DESC, id LIMIT 1000 OFFSET CAST($2 AS {integer})) RETURNING id";
        self.query(text, cells![principal, MOST_REMEMBERED]).await.map(drop)
    }

    /// The question of that name, unless it is forgotten.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn approval(&self, id: &str) -> Result<Option<Approval>, StoreFault> {
        let text = "SELECT id, binding, principal, issuer, subject, route, server, method, thing, arguments, reason, policies, \
                    approvers, lasts, made_at, expires_at, state, decided_by, decided_at, used_at, {now} \
                    FROM portolan_approval WHERE id = $1 AND forgotten_at > {now}";
        self.one(text, cells![id]).await?.map(approval).transpose()
    }

    /// The newest question of a binding that somebody has denied, or that is approved, or open.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn approval_of(&self, binding: &str) -> Result<Option<Approval>, StoreFault> {
        let text = "SELECT id, binding, principal, issuer, subject, route, server, method, thing, arguments, reason, policies, \
                    approvers, lasts, made_at, expires_at, state, decided_by, decided_at, used_at, {now} \
                    FROM portolan_approval WHERE binding = $1 AND expires_at > {now} \
                    AND state IN ('pending', 'approved', 'denied') ORDER BY made_at DESC, decided_at, id LIMIT 1";
        self.one(text, cells![binding]).await?.map(approval).transpose()
    }

    /// Those that can be answered or used, or all that are remembered: the newest first, as many as can be looked through.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn approvals(&self, all: bool) -> Result<Vec<Approval>, StoreFault> {
        let text = "SELECT id, binding, principal, issuer, subject, route, server, method, thing, arguments, reason, policies, \
                    approvers, lasts, made_at, expires_at, state, decided_by, decided_at, used_at, {now} \
                    FROM portolan_approval WHERE forgotten_at > {now} AND (CAST($1 AS {integer}) = 1 \
                    OR (state IN ('pending', 'approved') AND expires_at > {now})) \
                    ORDER BY made_at DESC, id LIMIT CAST($2 AS {integer})";
        let rows = self.query(text, cells![i64::from(all), MOST_LISTED]).await?;
        rows.into_iter().map(approval).collect()
    }

    /// Notices that the time of questions is over, of one binding or of all, and of so many at most. Each is given to one alone of all
    /// that look.
    ///
    /// # Errors
    /// When the store is away. Then they may have been noticed.
    pub async fn expire_approvals(
        &self,
        binding: Option<&str>,
        most: usize,
    ) -> Result<Vec<Approval>, StoreFault> {
        // One that is answered in the same moment has more time, and is not over any more.
        let text = "UPDATE portolan_approval SET state = 'expired' WHERE state IN ('pending', 'approved') \
                    AND expires_at <= {now} AND id IN \
                    (SELECT id FROM portolan_approval WHERE state IN ('pending', 'approved') AND expires_at <= {now} \
                    AND (CAST($1 AS {integer}) = 0 OR binding = CAST($2 AS TEXT)) ORDER BY expires_at, id \
                    LIMIT CAST($3 AS {integer})) \
                    RETURNING id, binding, principal, issuer, subject, route, server, method, thing, arguments, reason, policies, \
                    approvers, lasts, made_at, expires_at, state, decided_by, decided_at, used_at, {now}";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let of = cells![i64::from(binding.is_some()), binding.unwrap_or_default(), most];
        self.query(text, of).await?.into_iter().map(approval).collect()
    }

    /// Answers a question. What is approved is good for as long as the question was open at most. False if it is not open.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn decide_approval(&self, id: &str, approves: bool, by: &str) -> Result<bool, StoreFault> {
        let text = "UPDATE portolan_approval SET state = $2, decided_by = $3, decided_at = {now}, \
                    expires_at = {now} + lasts, forgotten_at = {now} + lasts + CAST($4 AS {integer}) \
                    WHERE id = $1 AND state = 'pending' AND expires_at > {now} RETURNING id";
        let state = if approves { "approved" } else { "denied" };
        Ok(self.one(text, cells![id, state, by, millis(REMEMBERED)]).await?.is_some())
    }

    /// Takes a question back for who wants it, even if it is approved, as long as that is not used. False if there is nothing to
    /// take back.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn take_back_approval(&self, id: &str, principal: &str) -> Result<bool, StoreFault> {
        let text = "UPDATE portolan_approval SET state = 'denied', decided_by = $2, decided_at = {now}, \
                    expires_at = {now} + lasts, forgotten_at = {now} + lasts + CAST($3 AS {integer}) \
                    WHERE id = $1 AND principal = $2 AND state IN ('pending', 'approved') AND expires_at > {now} RETURNING id";
        Ok(self.one(text, cells![id, principal, millis(REMEMBERED)]).await?.is_some())
    }

    /// Uses what was approved. True for one alone of all that try.
    ///
    /// # Errors
    /// When the store is away. Then it may be used.
    pub async fn use_approval(&self, id: &str, binding: &str) -> Result<bool, StoreFault> {
        let text = "UPDATE portolan_approval SET state = 'used', used_at = {now}, turn = 1 \
                    WHERE id = $1 AND binding = $2 AND state = 'approved' AND expires_at > {now} RETURNING id";
        Ok(self.one(text, cells![id, binding]).await?.is_some())
    }

    /// Approves and uses at once: who was asked is who calls. What somebody has approved meanwhile is used. Who has approved it, for
    /// one alone of all that try.
    ///
    /// # Errors
    /// When the store is away. Then it may be used.
    pub async fn approve_and_use(
        &self,
        id: &str,
        binding: &str,
        by: &str,
    ) -> Result<Option<String>, StoreFault> {
        let text = "UPDATE portolan_approval SET \
                    decided_by = CASE WHEN state = 'pending' THEN CAST($3 AS TEXT) ELSE decided_by END, \
                    decided_at = CASE WHEN state = 'pending' THEN {now} ELSE decided_at END, \
                    state = 'used', used_at = {now}, turn = 1 \
                    WHERE id = $1 AND binding = $2 AND state IN ('pending', 'approved') AND expires_at > {now} \
                    RETURNING decided_by";
        self.one(text, cells![id, binding, by]).await?.map(|mut row| row.text()).transpose()
    }

    /// A call that was approved goes on with what its server has asked for, at that turn. True for one alone of all that try.
    ///
    /// # Errors
    /// When the store is away. Then it may have gone on.
    pub async fn go_on_approved(&self, id: &str, binding: &str, turn: i64) -> Result<bool, StoreFault> {
        let text = "UPDATE portolan_approval SET turn = turn + 1 \
                    WHERE id = $1 AND binding = $2 AND state = 'used' AND turn = CAST($3 AS {integer}) RETURNING id";
        Ok(self.one(text, cells![id, binding, turn]).await?.is_some())
    }
}

fn approval(mut row: Row) -> Result<Approval, StoreFault> {
    let question = Question {
        id: row.text()?,
        binding: row.text()?,
        principal: row.text()?,
        whose: (row.text()?, row.text()?),
        what: [row.text()?, row.text()?, row.text()?, row.text()?],
        arguments: row.text()?,
        reason: row.text()?,
        policies: row.text()?,
        approvers: row.text()?,
        lasts: Duration::from_millis(u64::try_from(row.integer()?).unwrap_or_default()),
    };
    let (made_at, expires_at, state) = (row.integer()?, row.integer()?, row.text()?);
    let (decided_by, decided_at, used_at) = (row.text()?, row.integer()?, row.integer()?);
    let read_at = row.integer()?;
    let is_over = expires_at <= read_at;
    let standing = match state.as_str() {
        "denied" => Standing::Denied,
        "used" => Standing::Used,
        "expired" => Standing::Expired,
        _ if is_over => Standing::Expired,
        "approved" => Standing::Approved,
        _ => Standing::Pending,
    };
    Ok(Approval { question, standing, made_at, expires_at, decided_by, decided_at, used_at, read_at })
}
