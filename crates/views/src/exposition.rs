//! What `/metrics` says, read: the text format of OpenMetrics, as far as counters, gauges and histograms need it
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>, «Text Format»).

use std::collections::HashMap;

/// Numbers by their series: a name with its labels, as they stand in the text.
pub type Numbers = HashMap<String, f64>;

/// Reads a text. Lines that say nothing of a number are passed over.
#[must_use]
pub fn read(text: &str) -> Numbers {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let end = series_end(line)?;
            let (series, rest) = line.split_at_checked(end)?;
            // Behind the number there may be a time, or an exemplar.
            let number: f64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
            number.is_finite().then(|| (series.to_owned(), number))
        })
        .collect()
}

/// Where the name and its labels end. Texts in labels may hold anything.
fn series_end(line: &str) -> Option<usize> {
    let (mut inside, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b' ' if !inside => return Some(at),
            _ => {}
        }
    }
    None
}

/// The name of a series.
pub(crate) fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

/// A label of a series, without its escapes. Empty where it has none of that name.
pub(crate) fn label(series: &str, wanted: &str) -> String {
    let Some((_, mut rest)) = series.split_once('{') else { return String::new() };
    while let Some((name, behind)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = behind.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    other => value.extend(other),
                },
                other => value.push(other),
            }
        }
        if name.trim_start_matches(',') == wanted {
            return value;
        }
        rest = chars.as_str();
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE portolan_calls counter
portolan_calls_total{upstream="a b",method="tools/call",outcome="ok"} 3
portolan_calls_total{upstream="quote\" } \\ n\n",method="x"} 2 1785196800.0
portolan_call_duration_seconds_bucket{le="+Inf",upstream="a"} 7 # {trace_id="f"} 0.1
portolan_streams 4
portolan_odd NaN
nothing
# EOF
"#;

    #[test]
    fn numbers_are_read_by_their_series() {
        let numbers = read(TEXT);
        assert_eq!(numbers.len(), 4, "{numbers:?}");
        let of = |series: &str| numbers.get(series).copied();
        assert_eq!(of(r#"portolan_calls_total{upstream="a b",method="tools/call",outcome="ok"}"#), Some(3.0));
        assert_eq!(of(r#"portolan_call_duration_seconds_bucket{le="+Inf",upstream="a"}"#), Some(7.0));
        assert_eq!(of("portolan_streams"), Some(4.0));
    }

    #[test]
    fn labels_are_read_without_their_escapes() {
        let series = r#"portolan_calls_total{upstream="quote\" } \\ n\n",method="x"}"#;
        assert_eq!(name(series), "portolan_calls_total");
        assert_eq!(label(series, "upstream"), "quote\" } \\ n\n");
        assert_eq!(label(series, "method"), "x");
        assert_eq!(label(series, "outcome"), "");
        assert_eq!(label("portolan_streams", "x"), "");
        assert_eq!(label("broken{a=\"", "a"), "");
    }
}
