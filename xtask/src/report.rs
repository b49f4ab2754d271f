//! `circles`: what the layers of each crate are like today, for people. The same sources give the same text.

use std::collections::BTreeMap;

use crate::arrows::{Arrow, arrows};
use crate::circles::{Circle, Count, Knot, circles, knots, rooms};
use crate::floors;
use crate::sizes::{self, Sizes};
use crate::tree::Tree;

/// Where the gateway stood when counting began, and the proxy that it is nearest to.
const BESIDE: [&str; 2] = [
    "  gateway at 087c1cc 175 414 463 573 573, of a function 7 24 33 56 114",
    "  linkerd2-proxy     120   - 443   - 1091, of a function 6 26 - 87 542",
];

/// A line for each crate.
pub fn summary(trees: &[Tree]) -> String {
    let mut lines = vec![
        "                                circles / files     circles   pairs    lines of a file      of a function"
            .to_owned(),
        "crate             files  lines  in them (strictly)  of rooms  that climb  50  90  95  99 max   50  90  95  99 max"
            .to_owned(),
    ];
    for tree in trees {
        let arrows = arrows(tree);
        let count = |count| {
            let circles = circles(tree, &arrows, count);
            format!("{} / {}", circles.len(), inside(&circles))
        };
        lines.push(format!(
            "{:<17} {:>5} {:>6}  {:>7} {:>10} {:>8} {:>8}       {}  {}",
            tree.name,
            tree.files.len(),
            sizes::lines(tree),
            count(Count::Files),
            format!("({})", count(Count::Strict)),
            rooms(tree, &arrows).len(),
            floors::suggested(tree, &arrows).1.len(),
            percentiles(sizes::of_files(tree)),
            percentiles(sizes::of_functions(tree)),
        ));
    }
    lines.join("\n") + "\n"
}

/// Every line by which a file needs another.
pub fn every_arrow(trees: &[Tree]) -> String {
    let lines = trees.iter().flat_map(|tree| {
        let name = |file: usize| &tree.files[file].name;
        arrows(tree).into_iter().map(move |Arrow { from, to, line, path }| {
            format!("{}:{line}: {} -> {} {path}\n", tree.files[from].path, name(from), name(to))
        })
    });
    lines.collect()
}

/// Everything about each crate.
pub fn whole(trees: &[Tree]) -> String {
    trees.iter().map(about).collect::<Vec<_>>().join("\n")
}

fn about(tree: &Tree) -> String {
    let arrows = arrows(tree);
    let mut lines = vec![
        format!("# {}\n", tree.name),
        format!("{} files, {} lines without tests", tree.files.len(), sizes::lines(tree)),
        "                      50  90  95  99 max".to_owned(),
        format!("  lines of a file    {}", percentiles(sizes::of_files(tree))),
        format!("  of a function      {}", percentiles(sizes::of_functions(tree))),
    ];
    lines.extend(BESIDE.map(str::to_owned));
    for (count, what) in [
        (
            Count::Files,
            "Circles of files (what a file takes from the one whose folder it stands in does not count)",
        ),
        (Count::Strict, "Circles of files, strictly"),
    ] {
        let circles = circles(tree, &arrows, count);
        lines.push(format!("\n## {what}: {} with {} files in them", circles.len(), inside(&circles)));
        for circle in &circles {
            lines.extend(one(tree, circle, count == Count::Files));
        }
    }
    let rooms = rooms(tree, &arrows);
    lines.push(format!("\n## Circles between the rooms of a folder: {}", rooms.len()));
    lines.extend(rooms.iter().map(|circle| format!("- {}", circle.join(", "))));
    let (order, back) = floors::suggested(tree, &arrows);
    lines.push(format!(
        "\n## Rooms, from the ground up (so {} pairs climb): {}",
        back.len(),
        order.join(", ")
    ));
    lines.extend(back.iter().map(|(from, to)| format!("- {from} -> {to}")));
    lines.join("\n") + "\n"
}

fn inside(circles: &[Circle]) -> usize {
    circles.iter().map(|circle| circle.files.len()).sum()
}

fn percentiles(sizes: Sizes) -> String {
    let Sizes { median, p90, p95, p99, max } = sizes;
    format!("{median:>3} {p90:>3} {p95:>3} {p99:>3} {max:>3}")
}

/// One circle: its files from the ground up, and the imports in it, those to cut first.
fn one(tree: &Tree, circle: &Circle, everything: bool) -> Vec<String> {
    let name = |file: usize| tree.files[file].name.as_str();
    let names: Vec<&str> = circle.files.iter().map(|file| name(*file)).collect();
    let mut pairs: BTreeMap<(usize, usize), Vec<&Arrow>> = BTreeMap::new();
    for arrow in &circle.arrows {
        pairs.entry((arrow.from, arrow.to)).or_default().push(arrow);
    }
    let list = |cut: bool| {
        let mut chosen: Vec<_> = pairs.iter().filter(|(pair, _)| circle.cuts.contains(pair) == cut).collect();
        chosen.sort_by_key(|((from, to), lines)| (lines.len(), name(*from), name(*to)));
        chosen.into_iter().flat_map(move |((from, to), arrows)| {
            let pair = format!("  {} -> {}", name(*from), name(*to));
            let at = move |arrow: &&Arrow| {
                format!("    {}:{} {}", tree.files[arrow.from].path, arrow.line, arrow.path)
            };
            [pair].into_iter().chain(arrows.iter().map(at))
        })
    };
    let mut lines = vec![
        format!("\n### {} files: {}", names.len(), names.join(", ")),
        format!("to cut, the files standing in this order: {} of {} pairs", circle.cuts.len(), pairs.len()),
    ];
    lines.extend(list(true));
    if everything {
        lines.push("names to move to another room, each after those before it:".to_owned());
        lines.extend(knots(circle).into_iter().map(|Knot { file, name: what, importers, left }| {
            format!("  {what} of {}: {importers} import it, {left} files are left in circles", name(file))
        }));
        lines.push("what else is imported in it:".to_owned());
        lines.extend(list(false));
    }
    lines
}
