//! What a word is: a maximal run of bytes that are not ASCII white space.
//!
//! Bytes, not characters: nothing is decoded, case is kept, and a zero byte is a letter like any other. It is what
//! `tr -s ' \t\n\r\f\v' '\n'` does under `LC_ALL=C`.

/// Whether a byte separates words: space, tab, line feed, carriage return, form feed, vertical tab.
///
/// [`u8::is_ascii_whitespace`] leaves out the vertical tab.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b'\x0b')
}

/// The words of `text`, in order.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| is_space(byte))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[&[u8]]) {
        assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn words_are_maximal_runs_of_bytes_that_are_not_white_space() {
        check(b"", &[]);
        check(b" \t\n\r\x0c\x0b", &[]);
        check(b"one", &[b"one"]);
        check(b"  one  two ", &[b"one", b"two"]);
        check(
            b"a\tb\nc\rd\x0ce\x0bf",
            &[b"a", b"b", b"c", b"d", b"e", b"f"],
        );
    }

    #[test]
    fn case_punctuation_and_foreign_bytes_belong_to_the_word() {
        check(b"The the, the", &[b"The", b"the,", b"the"]);
        check(
            b"\xff\x00\x80 caf\xc3\xa9\xc2\xa0x",
            &[b"\xff\x00\x80", b"caf\xc3\xa9\xc2\xa0x"],
        );
    }
}
