//! Circles: files that need each other in a loop.

use std::collections::{BTreeMap, BTreeSet};

use crate::arrows::Arrow;
use crate::tree::Tree;

/// Which arrows count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// All.
    Strict,
    /// A file that looks up to the one whose folder it stands in does not count: `tasks/relay.rs` may use `tasks.rs`,
    /// which uses it.
    Files,
}

/// Files that need each other in a loop, in the order that has the fewest arrows back, and these arrows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    pub files: Vec<usize>,
    /// All arrows inside.
    pub arrows: Vec<Arrow>,
    /// Pairs (from, to) without which it would be none.
    pub cuts: Vec<(usize, usize)>,
}

pub fn circles(tree: &Tree, arrows: &[Arrow], count: Count) -> Vec<Circle> {
    let counted: Vec<&Arrow> = arrows
        .iter()
        .filter(|arrow| count == Count::Strict || !stands_in(tree, arrow.from, arrow.to))
        .collect();
    let edges = counted.iter().map(|arrow| (arrow.from, arrow.to)).collect();
    let mut circles: Vec<_> = loops(&edges)
        .into_iter()
        .map(|files| {
            let inside: Vec<Arrow> = counted
                .iter()
                .filter(|arrow| files.contains(&arrow.from) && files.contains(&arrow.to))
                .map(|arrow| (*arrow).clone())
                .collect();
            let (files, cuts) = fewest_back(&files, &weights(&inside));
            Circle { files, arrows: inside, cuts }
        })
        .collect();
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.files.len()));
    circles
}

/// Circles between the rooms of each folder, a folder being one room with its file: what stands in the circle is named
/// by its path from `src` on.
pub fn rooms(tree: &Tree, arrows: &[Arrow]) -> Vec<Vec<String>> {
    let mut levels: BTreeMap<Vec<&str>, BTreeSet<(&str, &str)>> = BTreeMap::new();
    // What a file and its folder have with each other is no difference between rooms.
    for arrow in arrows {
        let mut level = Vec::new();
        for (from, to) in tree.files[arrow.from].name.split('/').zip(tree.files[arrow.to].name.split('/')) {
            if from != to {
                levels.entry(level).or_default().insert((from, to));
                break;
            }
            level.push(from);
        }
    }
    let mut found = Vec::new();
    for (level, edges) in levels {
        for rooms in loops(&edges) {
            found.push(rooms.iter().map(|room| [level.as_slice(), &[*room]].concat().join("/")).collect());
        }
    }
    found
}

/// Whether one stands in the folder of the other, at any depth.
pub fn stands_in(tree: &Tree, child: usize, parent: usize) -> bool {
    let (child, parent) = (&tree.files[child].name, &tree.files[parent].name);
    child.strip_prefix(parent.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

/// A name that ties a circle: who imports it from there, and how many files stand in circles when nobody does (nor those
/// before it in the list).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knot {
    pub file: usize,
    pub name: String,
    pub importers: usize,
    pub left: usize,
}

/// The names to move away from where they stand, the one that opens most first, until nothing goes round. Names that open
/// nothing alone are taken by how many pairs they tie.
pub fn knots(circle: &Circle) -> Vec<Knot> {
    let mut arrows: Vec<&Arrow> = circle.arrows.iter().collect();
    let mut knots = Vec::new();
    loop {
        let edges: BTreeSet<_> = arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
        let around = loops(&edges);
        arrows.retain(|arrow| around.iter().any(|all| all.contains(&arrow.from) && all.contains(&arrow.to)));
        let mut names: BTreeMap<(usize, &str), BTreeSet<usize>> = BTreeMap::new();
        for arrow in &arrows {
            names.entry((arrow.to, arrow.name())).or_default().insert(arrow.from);
        }
        let opened = names.into_iter().map(|((file, name), importers)| {
            let others = arrows.iter().filter(|arrow| (arrow.to, arrow.name()) != (file, name));
            let edges: BTreeSet<_> = others.map(|arrow| (arrow.from, arrow.to)).collect();
            let left: usize = loops(&edges).iter().map(BTreeSet::len).sum();
            (left, edges.len(), file, name, importers.len())
        });
        let Some((left, _, file, name, importers)) = opened.min() else { return knots };
        arrows.retain(|arrow| (arrow.to, arrow.name()) != (file, name));
        knots.push(Knot { file, name: name.to_owned(), importers, left });
    }
}

/// How many lines of imports each pair has.
pub fn weights(arrows: &[Arrow]) -> BTreeMap<(usize, usize), usize> {
    let mut weights = BTreeMap::new();
    for arrow in arrows {
        *weights.entry((arrow.from, arrow.to)).or_default() += 1;
    }
    weights
}

/// Strongly connected components of more than one node. Each node that reaches another and is reached by it is in a
/// loop with it; for some hundred files that is quick enough.
pub fn loops<T: Ord + Copy>(edges: &BTreeSet<(T, T)>) -> Vec<BTreeSet<T>> {
    let nodes: BTreeSet<T> = edges.iter().flat_map(|&(from, to)| [from, to]).collect();
    let mut to: BTreeMap<T, Vec<T>> = BTreeMap::new();
    for &(from, at) in edges {
        to.entry(from).or_default().push(at);
    }
    let reached: BTreeMap<T, BTreeSet<T>> = nodes.iter().map(|&node| (node, reach(&to, node))).collect();
    let reaches = |from: T, to: T| reached.get(&from).is_some_and(|all| all.contains(&to));
    let mut found: Vec<BTreeSet<T>> = Vec::new();
    for &node in &nodes {
        if found.iter().any(|known| known.contains(&node)) {
            continue;
        }
        let with: BTreeSet<T> =
            nodes.iter().copied().filter(|&other| reaches(node, other) && reaches(other, node)).collect();
        if with.len() > 1 {
            found.push(with);
        }
    }
    found
}

fn reach<T: Ord + Copy>(edges: &BTreeMap<T, Vec<T>>, from: T) -> BTreeSet<T> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(node) = next.pop() {
        let to = edges.get(&node).into_iter().flatten();
        next.extend(to.filter(|to| reached.insert(**to)));
    }
    reached
}

/// An order in which few arrows lead back, lowest first (what is needed before what needs it), and the pairs that still
/// lead back. It is a heuristic: each node goes where it costs least until nothing moves.
pub fn fewest_back<T: Ord + Copy>(
    nodes: &BTreeSet<T>,
    weights: &BTreeMap<(T, T), usize>,
) -> (Vec<T>, Vec<(T, T)>) {
    // A pair counts first, its lines after: to cut one pair of three lines is less than two pairs of one.
    let weigh = |from: T, to: T| weights.get(&(from, to)).map_or(0, |lines| 1000 + lines);
    let mut order: Vec<T> = Vec::new();
    for &node in nodes {
        let at = cheapest(&order, node, &weigh);
        order.insert(at, node);
    }
    let cost = |order: &[T]| -> usize {
        let pairs = order.iter().enumerate();
        pairs.flat_map(|(at, &low)| order.iter().skip(at).map(move |&high| weigh(low, high))).sum()
    };
    let mut best = cost(&order);
    loop {
        for &node in nodes {
            order.retain(|other| *other != node);
            let at = cheapest(&order, node, &weigh);
            order.insert(at, node);
        }
        let now = cost(&order);
        if now >= best {
            break;
        }
        best = now;
    }
    let height = |node: T| order.iter().position(|other| *other == node);
    let back = weights.keys().copied().filter(|&(from, to)| height(from) < height(to)).collect();
    (order, back)
}

/// Where among `order` a node costs least: what stands before it must not need it, and it must not need what stands after.
fn cheapest<T: Copy>(order: &[T], node: T, weigh: &impl Fn(T, T) -> usize) -> usize {
    let mut cost: usize = order.iter().map(|&above| weigh(node, above)).sum();
    let (mut best, mut least) = (0, cost);
    for (at, &passed) in order.iter().enumerate() {
        cost = cost + weigh(passed, node) - weigh(node, passed);
        if cost < least {
            (best, least) = (at + 1, cost);
        }
    }
    best
}
