//! The lock file of a configuration, checked with it.

use base::plan::Plan;
use config::Diagnostic;
use pins::LockFile;

/// What is wrong with the lock file of a configuration, if anything.
pub(crate) fn wrong_lock(plan: &Plan) -> Option<Diagnostic> {
    let file = plan.pins.file.as_ref()?;
    let fault = LockFile::parse(&file.text).err()?;
    let help = fault.help().to_owned();
    Some(Diagnostic::elsewhere(&file.path, ("", None), fault.to_string(), Some(help)))
}
