//! Random numbers that nobody can guess.

use crate::error::CallError;

/// There are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandom;

/// So many random bytes.
///
/// # Errors
/// When the system gives none.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| NoRandom)?;
    Ok(bytes)
}

/// So many random bytes as a text, two digits each.
///
/// # Errors
/// When the system gives none.
pub fn hex<const N: usize>() -> Result<String, NoRandom> {
    Ok(bytes::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl From<NoRandom> for CallError {
    fn from(NoRandom: NoRandom) -> Self {
        Self::Internal("no random numbers".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_two_digits_for_each_byte_and_comes_once() {
        let (one, other) = (hex::<16>().unwrap(), hex::<16>().unwrap());
        assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, other);
    }
}
