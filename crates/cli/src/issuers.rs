//! Who vouches for callers, tried out: whether the keys of each can be had.

use std::sync::Arc;

use base::plan::Plan;
use base::world::World;
use identity::{Identifier, Identities};
use store::Store;
use transport::workers::Workers;

use crate::fault::Fault;
use crate::keys::lasting;
use crate::outside;

/// Who finds out who calls each protected route, in their order, with the route's name.
pub(crate) fn identifiers(
    plan: &Plan,
    store: Option<Arc<Store>>,
) -> Result<Vec<(String, Arc<Identifier>)>, Fault> {
    let world = outside::world(plan, outside::passing_seal()?, None, Workers::default())?;
    let world = World { store, ..world };
    let resources: Vec<_> = plan.routes.iter().filter_map(|route| route.resource.clone()).collect();
    let identifiers = Identities::new(world).carry_out(&plan.issuers, &resources);
    Ok(resources.into_iter().map(|resource| resource.route).zip(identifiers).collect())
}

/// A line for each issuer that a route names, and whether the keys of all can be had.
pub(crate) async fn probe(plan: &Plan) -> Result<(Vec<String>, bool), Fault> {
    let (mut lines, mut all) = (Vec::new(), true);
    let mut seen: Vec<String> = Vec::new();
    for (_, identifier) in identifiers(plan, None)? {
        for issuer in identifier.issuers() {
            let name = &issuer.plan().name;
            if seen.contains(name) {
                continue;
            }
            seen.push(name.clone());
            let said = match issuer.probe().await {
                Ok(None) => "not asked  its keys are fetched by name, when a token has one".to_owned(),
                Ok(Some((keys, left_out))) => {
                    let allowed: Vec<_> = issuer.plan().algorithms.iter().map(|one| one.name()).collect();
                    let keys = if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") };
                    let odd = match left_out.first() {
                        Some(why) => format!("; {} not used, the first because {why}", left_out.len()),
                        None => String::new(),
                    };
                    let clock = match issuer.clock_ahead().await {
                        Some(seconds) if seconds.unsigned_abs() > issuer.plan().leeway.as_secs() => {
                            all = false;
                            format!(
                                "; its clock is {seconds} s ahead of ours: set the wrong one, or a longer leeway"
                            )
                        }
                        _ => String::new(),
                    };
                    format!("up    {keys} for {}{odd}{clock}", allowed.join(", "))
                }
                Err(why) => {
                    all = false;
                    format!("down  {why}")
                }
            };
            lines.push(format!("  issuer {name}  {said}"));
            if let Some(ahead) = issuer.begins_in() {
                let ahead = lasting(i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX));
                lines.push(format!(
                    "  issuer {name}  warning  its not_before lies {ahead} ahead: until then all of its tokens are refused"
                ));
            }
        }
        for (name, subject) in identifier.ended_authorities() {
            let line = format!(
                "  certificates {name}  warning  the authority {subject:?} has expired, and vouches on: renew it in ca, or take it out"
            );
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Ok((lines, all))
}
