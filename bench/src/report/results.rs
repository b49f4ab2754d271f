//! The section of RESULTS.md that the bench writes, the plots beside it, and the raw figures. What else stands in the
//! file is kept by hand and stays.

use std::path::Path;

use super::about::About;
use super::{Record, budget, plots, raw, table};
use crate::cases::Group;
use crate::fault::Fault;

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Writes all of it into a directory.
pub(crate) fn write(dir: &Path, about: &About, records: &[Record]) -> Result<(), Fault> {
    let plots_dir = dir.join("plots");
    std::fs::create_dir_all(&plots_dir).map_err(Fault::of("the directory of the plots"))?;
    let plots = plots::all(records);
    for plot in &plots {
        put(&plots_dir.join(format!("{}.svg", plot.name)), &plot.svg)?;
    }
    put(&dir.join("raw.json"), &raw::text(about, records)?)?;
    let path = dir.join("RESULTS.md");
    let before = std::fs::read_to_string(&path).unwrap_or_else(|_| "# Results\n".to_owned());
    put(&path, &replaced(&before, &section(about, records, &plots)))
}

fn put(path: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(path, text).map_err(Fault::of(&path.display().to_string()))
}

/// The text with its section of ours exchanged, or with one at its end.
fn replaced(text: &str, section: &str) -> String {
    let ours = format!("{BEGIN}\n{section}{END}");
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match parts {
        Some((before, after)) => format!("{before}{ours}{after}"),
        None => format!("{}\n\n{ours}\n", text.trim_end()),
    }
}

fn section(about: &About, records: &[Record], plots: &[plots::Plot]) -> String {
    let mut text = String::from("## Speed\n\n");
    text.push_str(&format!("    {}\n\n", about.command));
    text.push_str(&format!(
        "{}; {} × {}, {} of memory, Linux {}; commit {}; {}. What the figures mean is in \
         [docs/measure.md](../docs/measure.md); all of them are in [raw.json](raw.json).\n\n",
        about.date,
        about.cores,
        about.cpu,
        about.memory,
        about.kernel,
        about.commit,
        about.versions.join("; "),
    ));
    text.push_str("### The budget\n\n");
    lines(&mut text, &budget::table(records));
    for (group, title) in [
        (Group::Calls, "Calls"),
        (Group::Eras, "Across eras and transports"),
        (Group::Lists, "Lists"),
        (Group::Connections, "Connections"),
        (Group::Latency, "Latency"),
        (Group::Idle, "Idle subscriptions"),
        (Group::Sessions, "Idle sessions"),
        (Group::Replicas, "Replicas on the same cores"),
        (Group::Identity, "Knowing who calls"),
        (Group::Start, "Start"),
        (Group::Growth, "Growth"),
    ] {
        let of_group: Vec<_> = records.iter().filter(|record| record.case.group == group).collect();
        if of_group.is_empty() {
            continue;
        }
        text.push_str(&format!("### {title}\n\n"));
        for plot in plots.iter().filter(|plot| plot.group == group) {
            text.push_str(&format!("![{}](plots/{}.svg)\n\n", plot.title, plot.name));
        }
        lines(&mut text, &table::of_group(&of_group));
        for (record, row) in
            of_group.iter().flat_map(|record| record.rows.iter().map(move |row| (record, row)))
        {
            if let Some(fault) = &row.fault {
                let first = fault.lines().next().unwrap_or_default();
                text.push_str(&format!("`{}` failed in `{}`: {first}\n\n", row.name, record.case.name));
            }
        }
    }
    text
}

fn lines(text: &mut String, lines: &[String]) {
    text.push_str(&lines.join("\n"));
    text.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{record, row};

    #[test]
    fn what_is_kept_by_hand_stays() {
        let first = replaced("# Results\n\nby hand\n", "one\n");
        assert_eq!(first, "# Results\n\nby hand\n\n<!-- bench:begin -->\none\n<!-- bench:end -->\n");
        let second = replaced(&format!("{first}\nmore\n"), "two\n");
        assert_eq!(second, "# Results\n\nby hand\n\n<!-- bench:begin -->\ntwo\n<!-- bench:end -->\n\nmore\n");
    }

    #[test]
    fn a_run_leaves_tables_plots_and_figures() {
        let dir = tempfile::tempdir().unwrap();
        let about = About {
            date: "2026-01-02".to_owned(),
            cpu: "cpu".to_owned(),
            cores: 2,
            memory: "1 kB".to_owned(),
            kernel: "6".to_owned(),
            commit: "abc".to_owned(),
            versions: vec!["portolan 1".to_owned()],
            command: "./bench/run".to_owned(),
        };
        let records = [
            record("call-1k", vec![row("nginx", 20.0), row("portolan", 30.0)]),
            record("grow-tools-10", vec![row("portolan", 30.0)]),
            record("grow-tools-1000", vec![row("portolan", 31.0)]),
        ];
        write(dir.path(), &about, &records).unwrap();
        let text = std::fs::read_to_string(dir.path().join("RESULTS.md")).unwrap();
        assert!(text.contains("| portolan | 30.0 | 1.50 |"), "{text}");
        assert!(text.contains("(plots/tools.svg)") && dir.path().join("plots/tools.svg").exists());
        let raw = std::fs::read_to_string(dir.path().join("raw.json")).unwrap();
        let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
        assert_eq!(raw["cases"][0]["rows"][1]["cpu_us_per_call"][0], 30.0);
    }
}
