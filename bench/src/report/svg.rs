//! Two kinds of pictures, as SVG that is read on light and on dark ground: lines over a growing quantity, and bars.

use std::fmt::Write;

const WIDTH: f64 = 780.0;
/// Where the plot itself lies.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 86.0;
const BOTTOM: f64 = 56.0;
const COLOURS: [&str; 6] = ["#e0662b", "#2e9e5b", "#3f7fd0", "#9a5fc4", "#c2a019", "#d0497a"];
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}\
    .minor{fill:#57606a}.grid{stroke:#d0d7de;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.minor{fill:#9da7b1}.grid{stroke:#30363d}.axis{stroke:#9da7b1}}";

/// Some values under one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    /// Over which x there is which y, in the order of x.
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines; the x axis is logarithmic.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    /// Whether the y axis is logarithmic, too; otherwise it begins at 0.
    pub(super) logarithmic: bool,
    pub(super) series: &'a [Series],
}

impl Lines<'_> {
    /// The picture; nothing if there are no points to draw.
    pub(super) fn draw(&self) -> Option<String> {
        const HEIGHT: f64 = 380.0;
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        let mut xs: Vec<f64> = points().map(|(x, _)| x).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let (first, last) = (*xs.first()?, *xs.last()?);
        let ticks = if self.logarithmic { decades(points()) } else { even(points()) };
        let (low, high) = (*ticks.first()?, *ticks.last()?);
        let across = |x: f64| {
            let share = if last > first { (x / first).ln() / (last / first).ln() } else { 0.5 };
            LEFT + 20.0 + share * (WIDTH - LEFT - RIGHT - 60.0)
        };
        let down = |y: f64| {
            let share =
                if self.logarithmic { (y / low).ln() / (high / low).ln() } else { (y - low) / (high - low) };
            HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
        };
        let mut svg = Svg::new(self.title, HEIGHT);
        svg.legend(self.series.iter().map(|series| series.name.as_str()));
        for tick in &ticks {
            svg.line("grid", (LEFT, down(*tick)), (WIDTH - RIGHT, down(*tick)));
            svg.text("minor", "end", (LEFT - 8.0, down(*tick) + 4.0), &number(*tick));
        }
        svg.line("axis", (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM));
        for x in &xs {
            svg.text("minor", "middle", (across(*x), HEIGHT - BOTTOM + 18.0), &number(*x));
        }
        svg.text("minor", "middle", (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 12.0), self.x);
        svg.text("minor", "start", (8.0, TOP - 16.0), self.y);
        for (at, series) in self.series.iter().enumerate() {
            let placed: Vec<_> = series.points.iter().map(|(x, y)| (across(*x), down(*y))).collect();
            svg.path(COLOURS[at % COLOURS.len()], &placed);
            // Only the first, which is ours, is told in figures: more would run into each other.
            if at == 0 {
                for ((x, y), (_, value)) in placed.iter().zip(&series.points) {
                    svg.text("", "middle", (*x, y - 9.0), &number(*value));
                }
            }
        }
        Some(svg.end())
    }
}

/// Groups of bars.
#[derive(Debug)]
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    /// What the values are.
    pub(super) x: &'a str,
    /// Whose bars have which colour.
    pub(super) names: &'a [String],
    /// Group by group, value by value in the order of the names.
    pub(super) groups: &'a [(String, Vec<Option<f64>>)],
}

impl Bars<'_> {
    /// The picture; nothing if there are no bars to draw.
    pub(super) fn draw(&self) -> Option<String> {
        const BAR: f64 = 16.0;
        const LABELS: f64 = 310.0;
        let values = || self.groups.iter().flat_map(|(_, values)| values.iter().flatten().copied());
        let most = values().max_by(f64::total_cmp).filter(|most| *most > 0.0)?;
        let group = |values: &[Option<f64>]| values.iter().flatten().count() as f64 * BAR + 14.0;
        let height = TOP - 20.0 + self.groups.iter().map(|(_, values)| group(values)).sum::<f64>() + 34.0;
        let mut svg = Svg::new(self.title, height);
        svg.legend(self.names.iter().map(String::as_str));
        let mut y = TOP - 20.0;
        for (name, values) in self.groups {
            let middle = y + (group(values) - 14.0) / 2.0 + 4.0;
            svg.text("", "end", (LABELS - 10.0, middle), name);
            for (at, value) in values.iter().enumerate() {
                let Some(value) = value else { continue };
                let length = value / most * (WIDTH - LABELS - 70.0);
                svg.bar(COLOURS[at % COLOURS.len()], (LABELS, y), (length, BAR - 3.0));
                svg.text("minor", "start", (LABELS + length + 6.0, y + 11.0), &format!("{value:.2}"));
                y += BAR;
            }
            y += 14.0;
        }
        svg.line("axis", (LABELS, TOP - 24.0), (LABELS, y - 8.0));
        svg.text("minor", "start", (LABELS, height - 12.0), self.x);
        Some(svg.end())
    }
}

/// A picture that is being drawn.
struct Svg(String);

impl Svg {
    fn new(title: &str, height: f64) -> Self {
        let mut svg = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\"><title>{0}</title><style>{STYLE}</style>\n",
            escaped(title)
        ));
        svg.text("title", "start", (8.0, 22.0), title);
        svg
    }

    fn legend<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut x = 8.0;
        for (at, name) in names.enumerate() {
            self.bar(COLOURS[at % COLOURS.len()], (x, 34.0), (11.0, 11.0));
            self.text("", "start", (x + 16.0, 44.0), name);
            x += 40.0 + name.chars().count() as f64 * 7.5;
        }
    }

    // A String takes all that is written to it.
    fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        let text = escaped(text);
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        writeln!(self.0, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
            .ok();
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        writeln!(
            self.0,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        )
        .ok();
    }

    fn bar(&mut self, colour: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        )
        .ok();
    }

    fn path(&mut self, colour: &str, points: &[(f64, f64)]) {
        let joined: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(
            self.0,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            joined.join(" ")
        )
        .ok();
        for (x, y) in points {
            writeln!(self.0, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>").ok();
        }
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number as one reads it on an axis.
fn number(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => format!("{:.0} {:03.0}", (value / 1e3).floor(), value % 1e3),
        value if value >= 10.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

/// From 0 in steps that are easy to read, so far that all points are below.
fn even(points: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    let most = points.map(|(_, y)| y).fold(0.0, f64::max);
    if most <= 0.0 {
        return Vec::new();
    }
    let rough = most * 1.15 / 5.0;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|step| step * magnitude).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..=(most * 1.15 / step).ceil() as u32).map(|at| f64::from(at) * step).collect()
}

/// The powers of ten from below all points to above.
fn decades(points: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    let ys: Vec<f64> = points.map(|(_, y)| y).filter(|y| *y > 0.0).collect();
    let (Some(least), Some(most)) =
        (ys.iter().copied().min_by(f64::total_cmp), ys.iter().copied().max_by(f64::total_cmp))
    else {
        return Vec::new();
    };
    let (from, to) = (least.log10().floor() as i32, most.log10().ceil() as i32);
    (from..=to.max(from + 1)).map(|power| 10_f64.powi(power)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_all_points() {
        assert_eq!(even([(1.0, 42.0)].into_iter()), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(decades([(1.0, 42.0), (2.0, 2100.0)].into_iter()), [10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(decades(std::iter::empty()), Vec::<f64>::new());
        assert_eq!([number(10_000.0), number(7.25), number(64.0)], ["10 000", "7.2", "64"]);
    }

    #[test]
    fn a_picture_shows_every_series_and_point() {
        let series = [("a<b", 1.0), ("c", 2.0)]
            .map(|(name, y)| Series { name: name.to_owned(), points: vec![(1.0, y), (10.0, y), (100.0, y)] });
        for logarithmic in [false, true] {
            let lines = Lines { title: "t", x: "x", y: "y", logarithmic, series: &series };
            let svg = lines.draw().unwrap();
            assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 6));
            assert!(svg.contains("a&lt;b") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let none = Lines { title: "t", x: "x", y: "y", logarithmic: true, series: &[] };
        assert_eq!(none.draw(), None);
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let names = ["a", "b"].map(str::to_owned);
        let groups = [("g".to_owned(), vec![Some(1.0), Some(2.0)]), ("h".to_owned(), vec![None, Some(4.0)])];
        let svg = Bars { title: "t", x: "x", names: &names, groups: &groups }.draw().unwrap();
        // Two in the legend, three values.
        assert_eq!(svg.matches("<rect").count(), 5);
        assert!(svg.contains("width=\"100.0\"") && svg.contains("width=\"400.0\""), "{svg}");
    }
}
