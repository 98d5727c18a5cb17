//! Unsigned numbers in as few bytes as they need: seven bits per byte, lowest first (LEB128).

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low7(value) | 0x80);
        value >>= 7;
    }
    out.push(low7(value));
}

/// Appends a text, preceded by its length.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, text.len() as u64);
    out.extend_from_slice(text);
}

// The functions below only read what those above have written to memory, so nothing can be missing.

/// Takes a number from the front.
pub(crate) fn take(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    value
}

/// Takes a text, preceded by its length, from the front.
pub(crate) fn take_text<'b>(bytes: &mut &'b [u8]) -> &'b [u8] {
    let len = usize::try_from(take(bytes)).unwrap_or_default().min(bytes.len());
    let (text, rest) = bytes.split_at(len);
    *bytes = rest;
    text
}

fn low7(value: u64) -> u8 {
    // Seven bits fit.
    u8::try_from(value & 0x7f).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let numbers = [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX];
        let mut bytes = Vec::new();
        for number in numbers {
            put(&mut bytes, number);
            put_text(&mut bytes, &number.to_le_bytes()[..3]);
        }
        let mut left = &bytes[..];
        for number in numbers {
            assert_eq!(take(&mut left), number);
            assert_eq!(take_text(&mut left), &number.to_le_bytes()[..3]);
        }
        assert!(left.is_empty());
    }
}
