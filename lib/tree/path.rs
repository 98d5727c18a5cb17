//! Member names: normalisation, components, and the meaning of `.wh.`.

/// The prefix of whiteouts (OCI image spec, layer.md).
const WHITEOUT: &[u8] = b".wh.";
/// The prefix of AUFS bookkeeping (F4).
const BOOKKEEPING: &[u8] = b".wh..wh.";
/// The opaque marker (F2).
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The longest name in bytes: sixteen times what Linux accepts in one call.
pub(super) const MAX_NAME: usize = 16 * 4096;

/// The limit on symlinks in one path, as in Linux (F7).
pub(super) const MAX_SYMLINKS: u32 = 40;

/// The longest target of a symlink that is followed, in bytes: no file system holds a longer one.
pub(super) const MAX_TARGET: usize = 4096;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It could leave the root.
    #[error("has a '..' component")]
    DotDot,
    /// No file system can hold it.
    #[error("holds a NUL byte")]
    Nul,
    /// No program could open it.
    #[error("is longer than {MAX_NAME} bytes")]
    TooLong,
    /// It is `.wh.`, `.wh..` or `.wh...`, which would hide nothing, its own directory or the parent.
    #[error("is a corrupt whiteout")]
    CorruptWhiteout,
    /// A whiteout cannot be a directory.
    #[error("lies below a whiteout")]
    BelowWhiteout,
    /// A symlink leads to a missing directory with the name of a whiteout.
    #[error("leads through a symlink to a name that starts with '.wh.'")]
    ThroughWhiteout,
}

/// The meaning of a normalised name that starts with `.wh.` in an OCI layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhiteoutKind<'a> {
    /// Hides `name` in `dir`, both without leading or trailing slashes.
    Whiteout {
        /// The directory.
        dir: &'a [u8],
        /// The hidden name in it.
        name: &'a [u8],
    },
    /// Hides all children that lower layers have in this directory.
    Opaque(&'a [u8]),
    /// AUFS bookkeeping: not an entry, but possibly the target of hard links.
    Bookkeeping,
}

/// Normalises a member name (F11): no leading `/` or `./`, no empty or `.` component, no trailing `/`; the root is
/// the empty name. `buffer` is used if the name does not already contain its normal form.
///
/// # Errors
/// When the name is empty or too long, or contains a NUL byte or a `..` component.
pub fn normalise<'a>(raw: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], PathError> {
    if raw.is_empty() {
        return Err(PathError::Empty);
    }
    if raw.contains(&0) {
        return Err(PathError::Nul);
    }
    if raw.len() > MAX_NAME {
        return Err(PathError::TooLong);
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
        push_component(buffer, component);
    }
    Ok(buffer)
}

/// The special meaning of a normalised name in an OCI layer; `None` for an ordinary entry.
///
/// # Errors
/// When it is a corrupt whiteout, or below a whiteout (F3).
pub(super) fn whiteout_kind(path: &[u8]) -> Result<Option<WhiteoutKind<'_>>, PathError> {
    let (dir, name) = split(path);
    if !name.starts_with(WHITEOUT) && !dir.starts_with(WHITEOUT) && !dir.windows(5).any(|w| w == b"/.wh.") {
        return Ok(None);
    }
    if let Some(component) = components(dir).find(|c| is_whiteout_name(c)) {
        let is_bookkeeping = component.starts_with(BOOKKEEPING) && component != OPAQUE;
        return if is_bookkeeping { Ok(Some(WhiteoutKind::Bookkeeping)) } else { Err(PathError::BelowWhiteout) };
    }
    Ok(Some(match name {
        OPAQUE => WhiteoutKind::Opaque(dir),
        _ if name.starts_with(BOOKKEEPING) => WhiteoutKind::Bookkeeping,
        b".wh." | b".wh.." | b".wh..." => return Err(PathError::CorruptWhiteout),
        _ => WhiteoutKind::Whiteout { dir, name: &name[WHITEOUT.len()..] },
    }))
}

/// The components of a name, including empty ones.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// The number of components of a normalised name.
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

/// A normalised name's last component.
#[must_use]
pub fn file_name(path: &[u8]) -> &[u8] {
    split(path).1
}

/// Whether a component has a special meaning in OCI layers.
#[must_use]
pub fn is_whiteout_name(component: &[u8]) -> bool {
    component.starts_with(WHITEOUT)
}

/// Appends a component.
pub fn push_component(path: &mut Vec<u8>, name: &[u8]) {
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
        let kind = |path: &'static str| whiteout_kind(path.as_bytes());
        assert_eq!(kind("a/.wh.b").unwrap(), Some(WhiteoutKind::Whiteout { dir: b"a", name: b"b" }));
        assert_eq!(kind(".wh..opq").unwrap(), Some(WhiteoutKind::Whiteout { dir: b"", name: b".opq" }));
        assert_eq!(kind(".wh.....").unwrap(), Some(WhiteoutKind::Whiteout { dir: b"", name: b"...." }));
        assert_eq!(kind("a/b/.wh..wh..opq").unwrap(), Some(WhiteoutKind::Opaque(b"a/b")));
        assert_eq!(kind(".wh..wh..opq").unwrap(), Some(WhiteoutKind::Opaque(b"")));
        for name in [".wh..wh.plnk", ".wh..wh.plnk/1.2", ".wh..wh.aufs", "a/.wh..wh.orph/x", ".wh..wh."] {
            assert_eq!(kind(name).unwrap(), Some(WhiteoutKind::Bookkeeping), "{name}");
        }
        for name in ["wh.a", "a/.wha", ".w", "a.wh.b", "a/b.wh.", "x.wh.d/e", ".wh"] {
            assert_eq!(kind(name).unwrap(), None, "{name}");
        }
        for name in [".wh.", "a/.wh..", ".wh..."] {
            assert!(matches!(kind(name), Err(PathError::CorruptWhiteout)), "{name}");
        }
        for name in [".wh.a/b", "d/.wh..wh..opq/x", ".wh.d/.wh.e"] {
            assert!(matches!(kind(name), Err(PathError::BelowWhiteout)), "{name}");
        }
    }
}
