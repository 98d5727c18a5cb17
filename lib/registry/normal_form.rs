//! Normal forms of texts, in which a secret is recognised in whatever way it was written.

use std::ops::Range;

/// A byte of the normal form, and its place in the text.
pub(super) type NormalByte = (u8, Range<usize>);

/// The bytes of the text in lower case.
pub(super) fn exact(text: &[u8]) -> Vec<NormalByte> {
    text.iter().enumerate().map(|(at, byte)| (byte.to_ascii_lowercase(), at..at + 1)).collect()
}

/// Like [`exact`], but without the escapes of URLs, JSON, HTML and our own messages, and with the two alphabets of base64
/// unified; a space becomes a plus sign, as in web forms.
pub(super) fn decoded(text: &[u8]) -> Vec<NormalByte> {
    decode(&exact(text))
}

/// The same for a text in normal form, to undo another level of escapes.
pub(super) fn decode(text: &[NormalByte]) -> Vec<NormalByte> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(((byte, range), rest)) = text[at..].split_first() {
        let (character, len) = match byte {
            b'%' => percent(rest).map_or((None, 1), |(character, len)| (Some(character), 1 + len)),
            b'\\' => backslash(rest).map_or((None, 1), |(character, len)| (Some(character), 1 + len)),
            b'&' => entity(rest).map_or((None, 1), |(character, len)| (Some(character), 1 + len)),
            _ => (None, 1),
        };
        let range = range.start..text[at + len - 1].1.end;
        match character {
            None => out.push((unified(*byte), range)),
            // Escapes of URLs, and some of ours, stand for bytes and not for characters.
            Some(byte @ 0..=255) if len <= 4 => out.push((unified(low(byte)), range)),
            Some(other) => {
                let character = char::from_u32(other).unwrap_or(char::REPLACEMENT_CHARACTER);
                let mut buffer = [0; 4];
                let bytes = character.encode_utf8(&mut buffer).bytes();
                out.extend(bytes.map(|byte| (unified(byte), range.clone())));
            }
        }
        at += len;
    }
    out
}

/// Without white space and its substitutes, and with a single byte for each run of non-ASCII bytes, to match a text
/// that was broken into lines or converted to another character set.
pub(super) fn loose(text: Vec<NormalByte>) -> Vec<NormalByte> {
    const FOREIGN: u8 = 0x80;
    let mut out: Vec<NormalByte> = Vec::with_capacity(text.len());
    for (byte, range) in text {
        match (byte, out.last_mut()) {
            (b'+' | b'-', _) => {}
            (byte, _) if byte.is_ascii_whitespace() || byte.is_ascii_control() => {}
            (0x80.., Some((FOREIGN, before))) => before.end = before.end.max(range.end),
            (0x80.., _) => out.push((FOREIGN, range)),
            _ => out.push((byte, range)),
        }
    }
    out
}

/// Parses a number with this many digits.
fn number(text: &[NormalByte], digits: usize, radix: u32) -> Option<u32> {
    let digits = text.get(..digits)?;
    digits.iter().try_fold(0_u32, |number, (digit, _)| {
        number.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?)
    })
}

/// Parses an escape after its percent sign: the character, and the number of bytes.
fn percent(text: &[NormalByte]) -> Option<(u32, usize)> {
    match text.first()?.0 {
        b'u' => Some((number(&text[1..], 4, 16)?, 5)),
        _ => Some((number(text, 2, 16)?, 2)),
    }
}

/// Parses an escape after its backslash: the character, and the number of bytes.
fn backslash(text: &[NormalByte]) -> Option<(u32, usize)> {
    const LONGEST: usize = 8;
    let digits = text.get(1..).unwrap_or_default();
    match text.first()?.0 {
        b'x' => Some((number(digits, 2, 16)?, 3)),
        b'u' if digits.first()?.0 == b'{' => {
            let end = digits.iter().take(LONGEST).position(|(byte, _)| *byte == b'}')?;
            Some((number(&digits[1..], end.checked_sub(1)?, 16)?, 2 + end))
        }
        // In lower case too, Go's and Python's long form.
        b'u' if number(digits, 4, 16)? == 0 && number(digits, 8, 16).is_some() => Some((number(digits, 8, 16)?, 9)),
        b'u' => Some((number(digits, 4, 16)?, 5)),
        b'0'..=b'3' => Some((number(text, 3, 8)?, 3)),
        b'n' | b'r' | b't' => Some((u32::from(b'\n'), 1)),
        byte @ (b'"' | b'\\' | b'/' | b'\'') => Some((byte.into(), 1)),
        _ => None,
    }
}

/// Parses an entity after its ampersand: the character, and the number of bytes.
fn entity(text: &[NormalByte]) -> Option<(u32, usize)> {
    const LONGEST: usize = 12;
    let end = text.iter().take(LONGEST).position(|(byte, _)| *byte == b';')?;
    let name: Vec<u8> = text[..end].iter().map(|(byte, _)| *byte).collect();
    let character = match &*name {
        [b'#', b'x', ..] if end > 2 => number(&text[2..], end - 2, 16)?,
        [b'#', ..] if end > 1 => number(&text[1..], end - 1, 10)?,
        name => u32::from(ENTITIES.iter().find(|(known, _)| known.as_bytes() == name)?.1),
    };
    Some((character, end + 1))
}

/// The names that HTML has for ASCII characters, in lower case.
const ENTITIES: [(&str, u8); 44] = [
    ("amp", b'&'),
    ("apos", b'\''),
    ("ast", b'*'),
    ("bsol", b'\\'),
    ("colon", b':'),
    ("comma", b','),
    ("commat", b'@'),
    ("dash", b'-'),
    ("dollar", b'$'),
    ("equals", b'='),
    ("excl", b'!'),
    ("grave", b'`'),
    ("gt", b'>'),
    ("hat", b'^'),
    ("hyphen", b'-'),
    ("lbrace", b'{'),
    ("lbrack", b'['),
    ("lcub", b'{'),
    ("lowbar", b'_'),
    ("lpar", b'('),
    ("lsqb", b'['),
    ("lt", b'<'),
    ("midast", b'*'),
    ("minus", b'-'),
    ("nbsp", b' '),
    ("newline", b'\n'),
    ("num", b'#'),
    ("percnt", b'%'),
    ("period", b'.'),
    ("plus", b'+'),
    ("quest", b'?'),
    ("quot", b'"'),
    ("rbrace", b'}'),
    ("rbrack", b']'),
    ("rcub", b'}'),
    ("rpar", b')'),
    ("rsqb", b']'),
    ("semi", b';'),
    ("sol", b'/'),
    ("tab", b'\t'),
    ("tilde", b'~'),
    ("underbar", b'_'),
    ("verbar", b'|'),
    ("vert", b'|'),
];

fn low(byte: u32) -> u8 {
    u8::try_from(byte).unwrap_or_default()
}

fn unified(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        b'-' | b' ' => b'+',
        b'_' => b'/',
        other => other,
    }
}
