//! Texts in as many columns as every terminal has.

/// What a line may have. clap breaks what has all 80.
const WIDTH: usize = 79;

/// The room in which the words of a last column are put beside the others; where there is less, they go below.
const BESIDE: usize = 20;
/// Where they begin there.
const BELOW: usize = 2;

/// A table whose last column has what is long. On a terminal that goes on below where it does not fit, and the others are no wider than
/// they need be; a pipe has a line for each row, and columns that are where they were.
pub(crate) fn table(widths: &[usize], rows: &[Vec<String>], for_terminal: bool) -> String {
    let longest = |at: usize| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let needed: usize = (0..widths.len()).map(longest).sum();
    let between = if needed + 2 * widths.len() < WIDTH { 2 } else { 1 };
    let width = |(at, wide): (usize, &usize)| if for_terminal { longest(at) + between } else { *wide };
    let widths: Vec<_> = widths.iter().enumerate().map(width).collect();
    let before: usize = widths.iter().sum();
    let mut out = String::new();
    for row in rows {
        let mut line: String = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect();
        let last = row.get(widths.len()).map(String::as_str).unwrap_or_default();
        if !for_terminal || before + last.chars().count() <= WIDTH {
            line.push_str(last);
            out.push_str(line.trim_end());
            out.push('\n');
            continue;
        }
        let is_beside = before + BESIDE <= WIDTH;
        let next = if is_beside { before } else { BELOW };
        out.push_str(line.trim_end());
        if is_beside {
            // The words put a space before themselves.
            out.push_str(&" ".repeat(before.saturating_sub(1 + line.trim_end().chars().count())));
        }
        wrap(&mut out, last.split(' '), if is_beside { before - 1 } else { WIDTH }, next);
    }
    out
}

/// A cell with what is between it and the next: a space at least, however long it is.
fn padded(cell: &str, width: usize) -> String {
    let room = width.saturating_sub(1);
    format!("{cell:<room$} ")
}

/// Puts words on lines, from this column on; the next lines begin at another.
pub(crate) fn wrap<'w>(
    out: &mut String,
    words: impl Iterator<Item = &'w str>,
    mut column: usize,
    next: usize,
) {
    for word in words {
        let length = word.chars().count();
        if column + 1 + length > WIDTH && column > next {
            out.push('\n');
            out.push_str(&" ".repeat(next));
            column = next;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_a_terminal_and_a_pipe_has_a_line_for_each_row() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let long = "word ".repeat(30);
        let rows =
            [row(&["ID", "STATE", "WHERE"]), row(&["a", "alive", "here"]), row(&["b", "alive", long.trim()])];
        let seen = table(&[20, 20], &rows, true);
        assert!(seen.starts_with("ID  STATE  WHERE\na   alive  here\nb   alive  word word"), "{seen}");
        assert!(seen.lines().all(|line| line.chars().count() <= WIDTH), "{seen}");
        assert_eq!(seen.matches("word").count(), 30, "{seen}");
        assert!(seen.lines().skip(3).all(|line| line.starts_with("           word")), "{seen}");
        let kept = table(&[20, 20], &rows, false);
        assert_eq!(kept.lines().count(), 3, "{kept}");
        assert!(kept.starts_with("ID                  STATE               WHERE\n"), "{kept}");
        let tight = table(&[3, 3], &[row(&["abc", "abcd", "e"])], false);
        assert_eq!(tight, "abc abcd e\n");
        let wide = [row(&["x".repeat(70).as_str(), "WHERE"]), row(&["y", long.trim()])];
        let seen = table(&[70], &wide, true);
        assert!(seen.lines().all(|line| line.chars().count() <= WIDTH), "{seen}");
        assert!(seen.contains("\n  word word"), "{seen}");
    }
}
