//! Where what was done is written down.

use std::path::{Path, PathBuf};

use base::globs::Globs;
use base::plan::audit::{AuditPlan, Durability, OnFull};

use super::{DAY, GIB, HOUR, KIB, Lowering};
use crate::file::{self, Config};
use crate::node::At;

/// Where it is, if that is not said.
const PATH: &str = "audit";
const SEGMENT: usize = 64 * KIB * KIB;

impl Lowering<'_, '_> {
    pub(super) fn audit(&mut self, config: &Config) -> Option<AuditPlan> {
        let At { value: given, span } = config.audit.as_ref()?;
        let directory = match &given.path {
            Some(path) => self.path(path)?,
            None => self.outside.path(PATH),
        };
        if directory.exists() && !directory.is_dir() {
            let at = given.path.as_ref().map_or(*span, |path| path.span);
            let text = format!("{} is no directory", directory.display());
            self.findings
                .error(at, text)
                .help("the ledger is many files; name a directory for them, such as path = \"audit\"");
        }
        let mut segment = SEGMENT;
        self.set(&mut segment, given.segment_bytes.as_ref(), 64 * KIB..=4 * GIB);
        let keep = given.keep.as_ref().and_then(|keep| self.bounded(keep, HOUR..=36_500 * DAY));
        for glob in given
            .plain_arguments
            .iter()
            .flat_map(|globs| &globs.value)
            .filter(|glob| !glob.value.contains('/'))
        {
            self.findings
                .warning(glob.span, "this is the name of no tool: a server's name and a / come first")
                .help("such as \"github/search_*\", or \"github/*\" for all tools of a server");
        }
        let plain = self.globs(given.plain_arguments.as_ref());
        let plain_arguments = plain.or_else(|| Globs::new(Vec::new()).ok())?;
        let witness = given.witness.as_ref().and_then(|text| self.witness(text, &directory));
        Some(AuditPlan {
            directory,
            durability: match given.durability.as_ref().map(|given| given.value) {
                None | Some(file::Durability::Process) => Durability::Process,
                Some(file::Durability::Disk) => Durability::Disk,
            },
            on_full: match given.on_full.as_ref().map(|given| given.value) {
                None | Some(file::OnFull::Refuse) => OnFull::Refuse,
                Some(file::OnFull::Drop) => OnFull::Drop,
            },
            segment_bytes: segment.try_into().unwrap_or(u64::MAX),
            keep,
            plain_arguments,
            witness,
        })
    }

    fn witness(&mut self, text: &At<crate::template::Template>, ledger: &Path) -> Option<PathBuf> {
        let path = self.path(text)?;
        if path.starts_with(ledger) {
            self.findings
                .error(
                    text.span,
                    "the witness stands in the ledger's own directory: who cuts off the one cuts off both",
                )
                .help("name a file on another disk, or that only Portolan may write");
        } else if path.is_dir() {
            self.findings
                .error(text.span, format!("{} is a directory", path.display()))
                .help("name a file in it");
        } else if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
            self.findings
                .error(text.span, format!("the directory {} does not exist", parent.display()))
                .help("the file is made; its directory is not");
        }
        Some(path)
    }
}
