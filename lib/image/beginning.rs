/// The first `most` characters of a `text` from outside, for a message. A text that was cut ends in three dots, by which
/// the beginning of a secret is recognised there too.
pub(crate) fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::beginning;

    #[test]
    fn only_what_is_cut_says_so() {
        assert_eq!(beginning("ääää", 4), "ääää");
        assert_eq!(beginning("ääää", 3), "äää...");
        assert_eq!(beginning("", 0), "");
    }
}
