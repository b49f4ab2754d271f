//! `envFile` of VS Code: lines of `NAME=value`.

/// One line's name and value, or the number of a line that is neither that nor empty.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<(String, String), usize>> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let pair = line.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        Some(pair.map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()))).ok_or(index + 1))
    })
}

fn unquoted(value: &str) -> String {
    let between = |quote| value.strip_prefix(quote).and_then(|value: &str| value.strip_suffix(quote));
    if let Some(value) = between('\'') {
        return value.to_owned();
    }
    if let Some(value) = between('"') {
        return value.replace("\\n", "\n").replace("\\\"", "\"");
    }
    value.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_values() {
        let text = "# comment\n\nA=1\nexport B = \"two words\" \nC='$x'\nD=a # note\nwrong\n=x\n";
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(
            lines(text).collect::<Vec<_>>(),
            [pair("A", "1"), pair("B", "two words"), pair("C", "$x"), pair("D", "a"), Err(7), Err(8)]
        );
    }
}
