//! Which name was meant by one that is not known.

/// Which of the known names was meant, by the fewest slips of the finger.
#[must_use]
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (distance(&lower, &name.to_lowercase()), name))
        .filter(|(slips, name)| *slips <= name.chars().count().max(3) / 3)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// Edit distance, in which two exchanged neighbours are one slip.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["timeouts", "url", "command", "headers"];
        assert_eq!(nearest("timout", known), Some("timeouts"));
        assert_eq!(nearest("ulr", known), Some("url"));
        assert_eq!(nearest("Header", known), Some("headers"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(distance("", "abc"), 3);
    }
}
