//! The members of a table, in whichever syntax it is written.

use crate::findings::Findings;
use crate::node::Member;

/// Puts a member beside the others. One that stands twice is an error: whoever wrote the file cannot know which of the two a
/// reader takes.
pub(super) fn put(members: &mut Vec<Member>, member: Member, findings: &mut Findings<'_>) {
    match members.iter().find(|other| other.key.value == member.key.value) {
        Some(first) => {
            findings
                .error(member.key.span, format!("{:?} stands here twice", member.key.value))
                .label(first.key.span, "the first is here")
                .help("leave out one of them");
        }
        None => members.push(member),
    }
}
