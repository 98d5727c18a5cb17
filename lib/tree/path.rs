//! Member names: normalised components, and what `.wh.` in them means.

use super::PathError;

/// What marks a whiteout (OCI image spec, layer.md).
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// What marks AUFS bookkeeping (F4).
const BOOKKEEPING: &[u8] = b".wh..wh.";
/// The opaque marker (F2).
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a normalised name stands for in an OCI layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class<'a> {
    /// An entry.
    Entry,
    /// Hides `name` in `dir`, both without slashes around them.
    Whiteout {
        /// The directory.
        dir: &'a [u8],
        /// The hidden name in it.
        name: &'a [u8],
    },
    /// Hides every lower child of this directory.
    Opaque(&'a [u8]),
    /// AUFS bookkeeping: no entry, but the target of hard links perhaps.
    Bookkeeping,
}

/// Normalises a member name (F11): no leading `/` or `./`, no empty or `.` component, no trailing `/`; the root is
/// the empty name. `buffer` is used when the name does not already contain its normal form.
///
/// # Errors
/// When the name is empty, holds a NUL byte or a `..` component.
pub fn normalise<'a>(raw: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], PathError> {
    if raw.is_empty() {
        return Err(PathError::Empty);
    }
    if raw.contains(&0) {
        return Err(PathError::Nul);
    }
    let mut core = raw;
    while let Some(rest) = core.strip_prefix(b"/").or_else(|| core.strip_prefix(b"./")) {
        core = rest;
    }
    while let Some(rest) = core.strip_suffix(b"/") {
        core = rest;
    }
    if core.is_empty() {
        return Ok(core);
    }
    let mut normal = true;
    for component in components(core) {
        match component {
            b".." => return Err(PathError::DotDot),
            b"" | b"." => normal = false,
            _ => {}
        }
    }
    if normal {
        return Ok(core);
    }
    buffer.clear();
    for component in components(core).filter(|c| !matches!(*c, b"" | b".")) {
        push(buffer, component);
    }
    Ok(buffer)
}

/// Says what a normalised name stands for in an OCI layer.
///
/// # Errors
/// When it is a whiteout of nothing, or lies below a whiteout (F3).
pub fn classify(path: &[u8]) -> Result<Class<'_>, PathError> {
    let (dir, name) = split(path);
    if !name.starts_with(WHITEOUT) && !dir.starts_with(WHITEOUT) && !dir.windows(5).any(|w| w == b"/.wh.") {
        return Ok(Class::Entry);
    }
    if let Some(component) = components(dir).find(|c| c.starts_with(WHITEOUT)) {
        return match component.starts_with(BOOKKEEPING) && component != OPAQUE {
            true => Ok(Class::Bookkeeping),
            false => Err(PathError::BelowWhiteout),
        };
    }
    match name {
        OPAQUE => Ok(Class::Opaque(dir)),
        _ if name.starts_with(BOOKKEEPING) => Ok(Class::Bookkeeping),
        b".wh." | b".wh.." | b".wh..." => Err(PathError::CorruptWhiteout),
        _ => Ok(Class::Whiteout { dir, name: &name[WHITEOUT.len()..] }),
    }
}

/// The components of a name; empty ones too.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// How many components a normalised name has.
pub(super) fn depth(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { components(path).count() }
}

/// A normalised name's directory and last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// A normalised name's directory.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    split(path).0
}

/// Adds a component.
pub(super) fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn normal(raw: &[u8]) -> Result<Vec<u8>, PathError> {
        normalise(raw, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    #[test]
    fn names_are_normalised() {
        for raw in ["a/b", "/a/b", "./a/b", "a//b", "a/b/", "././a/./b//", "//./a/b/.", ".//a/b"] {
            assert_eq!(normal(raw.as_bytes()).unwrap(), b"a/b", "{raw}");
        }
        for raw in [".", "./", "/", "//", "/./", "./."] {
            assert_eq!(normal(raw.as_bytes()).unwrap(), b"", "{raw}");
        }
        for same in ["...", "..a", "a..", ".a", "a/...b", " ", "a\\..\\b"] {
            assert_eq!(normal(same.as_bytes()).unwrap(), same.as_bytes());
        }
    }

    #[test]
    fn what_could_climb_or_is_empty_is_refused() {
        for raw in ["..", "../a", "a/..", "a/../b", "/..", "./..", "a/..//"] {
            assert!(matches!(normal(raw.as_bytes()), Err(PathError::DotDot)), "{raw}");
        }
        assert!(matches!(normal(b""), Err(PathError::Empty)));
        assert!(matches!(normal(b"a\0b"), Err(PathError::Nul)));
    }

    #[test]
    fn whiteouts_are_told_by_name() {
        let class = |path: &'static str| classify(path.as_bytes());
        assert_eq!(class("a/.wh.b").unwrap(), Class::Whiteout { dir: b"a", name: b"b" });
        assert_eq!(class(".wh..opq").unwrap(), Class::Whiteout { dir: b"", name: b".opq" });
        assert_eq!(class(".wh.....").unwrap(), Class::Whiteout { dir: b"", name: b"...." });
        assert_eq!(class("a/b/.wh..wh..opq").unwrap(), Class::Opaque(b"a/b"));
        assert_eq!(class(".wh..wh..opq").unwrap(), Class::Opaque(b""));
        for name in [".wh..wh.plnk", ".wh..wh.plnk/1.2", ".wh..wh.aufs", "a/.wh..wh.orph/x", ".wh..wh."] {
            assert_eq!(class(name).unwrap(), Class::Bookkeeping, "{name}");
        }
        for name in ["wh.a", "a/.wha", ".w", "a.wh.b", "a/b.wh.", "x.wh.d/e", ".wh"] {
            assert_eq!(class(name).unwrap(), Class::Entry, "{name}");
        }
        for name in [".wh.", "a/.wh..", ".wh..."] {
            assert!(matches!(class(name), Err(PathError::CorruptWhiteout)), "{name}");
        }
        for name in [".wh.a/b", "d/.wh..wh..opq/x", ".wh.d/.wh.e"] {
            assert!(matches!(class(name), Err(PathError::BelowWhiteout)), "{name}");
        }
    }
}
