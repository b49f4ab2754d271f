//! Texts in as many columns as every terminal has.

/// What a line may have. clap breaks what has all 80.
const WIDTH: usize = 79;

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
