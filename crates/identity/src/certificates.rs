//! Who calls by a certificate: the connection has shown the key, an authority of the route's vouches for the name.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Claims, Connection, Identity, Principal};
use base::plan::identity::CertificatesPlan;
use transport::tls::{Authorities, Unvouched};

use crate::fault::CertificateFault;
use crate::token::{Binding, Verified};
use crate::tokens::{Known, Tokens};
use crate::x509;

/// The most certificates that are remembered, and the most bytes of what is.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// After so long the way to the authority is looked at again.
const AGAIN: Duration = Duration::from_secs(600);

/// Those whose certificates are good at one endpoint.
#[derive(Debug)]
pub(crate) struct Certificates {
    of: Vec<(CertificatesPlan, Authorities)>,
    /// What was found good, by thumbprint: later requests of a connection cost a look-up.
    known: Tokens,
}

impl Certificates {
    pub(crate) fn new(plans: &[CertificatesPlan]) -> Self {
        let read = |plan: &CertificatesPlan| match Authorities::read(&plan.authorities) {
            Ok(authorities) => Some((plan.clone(), authorities)),
            Err(why) => {
                tracing::error!(certificates = plan.name, "its authorities cannot be read: {why}");
                None
            }
        };
        Self { of: plans.iter().filter_map(read).collect(), known: Tokens::new(MOST, MOST_BYTES) }
    }

    /// Whether it lets in whom it has let in under that name.
    pub(crate) fn vouches(&self, issuer: &str) -> bool {
        self.of.iter().any(|(plan, _)| issuer_name(&plan.name) == issuer)
    }

    /// Who has made a connection; nothing where it has no certificate, or none counts here.
    pub(crate) fn identify(
        &self,
        connection: Connection<'_>,
        now: SystemTime,
    ) -> Option<Result<Identity, CertificateFault>> {
        let thumbprint = connection.thumbprint.filter(|_| !self.of.is_empty())?;
        if let Some(known) = self.known.find(thumbprint, now, |_| true) {
            return Some(Ok(known.verified.identity.clone()));
        }
        Some(self.look(connection.chain, now).map(|(number, identity, until)| {
            let verified = Arc::new(Verified { identity: identity.clone(), bound: Binding::default() });
            // What else is on the way to the authority may end earlier.
            let until = now.checked_add(AGAIN).map_or(until, |again| until.min(again));
            self.known.put(*thumbprint, Known { verified, until, issuer: number, generation: None });
            identity
        }))
    }

    /// The first under whose name all is well. Several names may have one authority, each for some of its certificates.
    fn look(
        &self,
        chain: &[Vec<u8>],
        now: SystemTime,
    ) -> Result<(usize, Identity, SystemTime), CertificateFault> {
        let mut why = CertificateFault::Stranger;
        for (number, (plan, authorities)) in self.of.iter().enumerate() {
            match take(plan, authorities, (chain, now)) {
                Ok((identity, until)) => return Ok((number, identity, until)),
                // What is wrong by another authority's word says nothing.
                Err(CertificateFault::Stranger) => {}
                Err(fault) => why = fault,
            }
        }
        Err(why)
    }
}

/// Who shows a certificate, by the word of these, and until when.
pub(crate) fn take(
    plan: &CertificatesPlan,
    authorities: &Authorities,
    (chain, now): (&[Vec<u8>], SystemTime),
) -> Result<(Identity, SystemTime), CertificateFault> {
    authorities.vouch(chain, now)?;
    let own = chain.first().ok_or(CertificateFault::Broken)?;
    let says = x509::read(own, plan.principal)?;
    if plan.allow.as_ref().is_some_and(|allow| !allow.is_match(&says.subject)) {
        return Err(CertificateFault::NotAllowed);
    }
    // As all on the way to the authority are in time now.
    let until = says.until;
    if until <= now {
        return Err(CertificateFault::Expired);
    }
    let issuer = issuer_name(&plan.name);
    let principal = Principal::of(&issuer, &says.subject, None);
    let claims = Claims { issuer, subject: says.subject, scopes: plan.scopes.clone(), ..Claims::default() };
    Ok((Identity { principal, until: Some(until), claims: Some(Arc::new(claims)), address: None }, until))
}

/// What vouches for callers by certificates has no URL for a name, so it is no issuer of tokens.
pub(crate) fn issuer_name(name: &str) -> String {
    format!("certificates:{name}")
}

impl From<Unvouched> for CertificateFault {
    fn from(why: Unvouched) -> Self {
        match why {
            Unvouched::Expired => Self::Expired,
            Unvouched::NotYet => Self::NotYet,
            Unvouched::Purpose => Self::Purpose,
            Unvouched::Stranger => Self::Stranger,
            Unvouched::Broken => Self::Broken,
        }
    }
}
