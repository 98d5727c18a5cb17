//! A reference, written out, is read as the same one; none has a part that could leave a directory or a URL's path (R6).

use oci2ext4::image::Reference;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(reference) = text.parse::<Reference>() else { return };
    let explicit = reference.to_string();
    let again: Reference = explicit.parse().expect("what is written out is read");
    assert_eq!(again, reference, "{explicit}");
    for part in reference.repository.split('/') {
        assert!(!matches!(part, "" | "." | ".."), "{explicit}");
    }
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
    assert!(explicit.chars().all(harmless), "{explicit:?}");
    assert!(!reference.target().contains('/'), "{explicit}");
}
