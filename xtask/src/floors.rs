//! Floors: the rooms of a crate in order, each above all that it imports.

use std::collections::{BTreeMap, BTreeSet};

use crate::arrows::Arrow;
use crate::circles::fewest_back;
use crate::tree::Tree;

/// A line that imports from a room above its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Climb {
    /// The file, from `src` on.
    pub from: String,
    /// The room that it climbs to.
    pub to: String,
    /// File and line, and what is imported.
    pub at: String,
}

impl std::fmt::Display for Climb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, which stands above it in {}", self.at, self.to)
    }
}

/// Every line that climbs, by an order of the rooms from the ground up.
pub fn climbs(tree: &Tree, arrows: &[Arrow], floors: &[&str]) -> Vec<Climb> {
    let height = |room: &str| floors.iter().position(|floor| *floor == room);
    arrows
        .iter()
        .filter_map(|arrow| {
            let (from, to) = (&tree.files[arrow.from], &tree.files[arrow.to]);
            (height(from.room())? < height(to.room())?).then(|| Climb {
                from: from.name.clone(),
                to: to.room().to_owned(),
                at: format!("{}:{} imports {}", from.path, arrow.line, arrow.path),
            })
        })
        .collect()
}

/// What stands in the crate and not in the list, and what stands in the list and not in the crate, or twice.
pub fn unlisted(tree: &Tree, floors: &[&str]) -> Vec<String> {
    let rooms: BTreeSet<&str> = tree.files.iter().map(|file| file.room()).collect();
    let mut listed = BTreeSet::new();
    let twice = floors.iter().filter(|floor| !listed.insert(**floor)).map(|floor| format!("{floor} twice"));
    let mut wrong: Vec<String> = twice.collect();
    wrong.extend(rooms.difference(&listed).map(|room| format!("{room} has no floor")));
    wrong.extend(listed.difference(&rooms).map(|room| format!("{room} is no room")));
    wrong
}

/// A pair of rooms.
pub type Pair<'t> = (&'t str, &'t str);

/// An order of the rooms in which few pairs of them climb, and these pairs.
pub fn suggested<'t>(tree: &'t Tree, arrows: &[Arrow]) -> (Vec<&'t str>, Vec<Pair<'t>>) {
    let mut weights = BTreeMap::new();
    for arrow in arrows {
        let (from, to) = (tree.files[arrow.from].room(), tree.files[arrow.to].room());
        if from != to {
            *weights.entry((from, to)).or_default() += 1;
        }
    }
    let rooms = tree.files.iter().map(|file| file.room()).collect();
    fewest_back(&rooms, &weights)
}
