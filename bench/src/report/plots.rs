//! Which pictures are drawn.

use super::Record;
use super::svg::{Bars, Lines, Series};
use super::table::{cost, yardstick};
use crate::cases::Group;

/// A picture.
#[derive(Debug)]
pub(super) struct Plot {
    /// The name of its file.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// The section in which it stands.
    pub(super) group: Group,
    pub(super) svg: String,
}

/// What grows: the beginning of its cases' names, the title, the axis, and whether cost may grow with it.
const GROWTH: [(&str, &str, &str, bool); 4] = [
    ("tools", "A 1 KB call, as tools grow", "tools of each of two servers", false),
    ("servers", "A 1 KB call, as servers grow", "servers of the route", false),
    ("sessions", "A 1 KB call, as legacy sessions grow", "open sessions", false),
    ("size", "A call, as its body grows", "KB in and out", true),
];
const COST: &str = "CPU µs per call";

/// All of which anything was measured.
pub(super) fn all(records: &[Record]) -> Vec<Plot> {
    let mut all = Vec::new();
    let title = "CPU per call against the cheaper of nginx and HAProxy";
    if let Some(svg) = ratios(records, title) {
        all.push(Plot { name: "calls", title, group: Group::Calls, svg });
    }
    for (name, title, axis, logarithmic) in GROWTH {
        let series = growth(records, name);
        let lines = Lines { title, x: axis, y: COST, logarithmic, series: &series };
        if let Some(svg) = lines.draw() {
            all.push(Plot { name, title, group: Group::Growth, svg });
        }
    }
    all
}

/// Everyone's cost over what grows: ours first.
fn growth(records: &[Record], what: &str) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    let prefix = format!("grow-{what}-");
    for record in records {
        let Some(x) = record.case.name.strip_prefix(&prefix) else { continue };
        let Ok(x) = x.trim_end_matches('k').parse::<f64>() else { continue };
        for row in &record.rows {
            let Some(y) = cost(row) else { continue };
            match series.iter_mut().find(|series| series.name == row.name) {
                Some(series) => series.points.push((x, y)),
                None => series.push(Series { name: row.name.clone(), points: vec![(x, y)] }),
            }
        }
    }
    series.sort_by_key(|series| series.name != "portolan");
    series
}

fn ratios(records: &[Record], title: &str) -> Option<String> {
    let shown: Vec<_> =
        records.iter().filter(|record| matches!(record.case.group, Group::Calls | Group::Eras)).collect();
    let mut names = vec!["portolan".to_owned()];
    for row in shown.iter().flat_map(|record| &record.rows) {
        if row.name != "direct" && !names.contains(&row.name) {
            names.push(row.name.clone());
        }
    }
    let groups: Vec<_> = shown
        .iter()
        .filter_map(|record| {
            let yardstick = yardstick(record)?;
            let ratio = |name: &String| Some(cost(record.row(name)?)? / yardstick);
            Some((record.case.title.clone(), names.iter().map(ratio).collect()))
        })
        .collect();
    Bars { title, x: "times the yardstick", names: &names, groups: &groups }.draw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{record, row};

    #[test]
    fn growth_is_drawn_of_everyone_with_ours_first() {
        let records = [
            record("grow-size-1k", vec![row("nginx", 20.0), row("portolan", 30.0)]),
            record("grow-size-1024k", vec![row("nginx", 700.0), row("portolan", 900.0)]),
        ];
        let series = growth(&records, "size");
        assert_eq!(series[0].name, "portolan");
        assert_eq!(series[0].points, [(1.0, 30.0), (1024.0, 900.0)]);
        let plots = all(&records);
        assert_eq!(plots.iter().map(|plot| plot.name).collect::<Vec<_>>(), ["size"]);
    }
}
