//! The components of a path, which grows as symlinks are followed.

use std::borrow::Cow;

use super::path::{self, MAX_SYMLINKS, MAX_TARGET};
use super::placement_error::PlacementError;

/// The rest of a path.
#[derive(Debug)]
pub(super) struct Components<'a> {
    text: Cow<'a, [u8]>,
    at: usize,
    /// How many symlinks have been followed.
    pub(super) followed: u32,
}

impl<'a> Components<'a> {
    pub(super) fn new(path: &'a [u8]) -> Self {
        Self { text: Cow::Borrowed(path), at: 0, followed: 0 }
    }

    /// Skips `.` and empty components.
    pub(super) fn trim(&mut self) {
        while let Some(rest) = self.text.get(self.at..).filter(|rest| !rest.is_empty()) {
            match rest {
                [b'/', ..] => self.at += 1,
                [b'.', b'/', ..] | [b'.'] => self.at += rest.len().min(2),
                _ => break,
            }
        }
    }

    /// The next component, which may be `..`.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        self.trim();
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let start = self.at;
        self.at += len + 1;
        Some(&self.text[start..start + len])
    }

    /// Whether no component is left.
    pub(super) fn is_done(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        path::components(rest).all(|c| matches!(c, b"" | b"."))
    }

    /// The length of the rest in bytes.
    pub(super) fn left(&self) -> usize {
        self.text.len().saturating_sub(self.at)
    }

    /// The part of the path returned so far; `None` once a symlink has been followed.
    pub(super) fn passed(&self) -> Option<&[u8]> {
        let end = self.at.saturating_sub(1).min(self.text.len());
        (self.followed == 0).then(|| &self.text[..end])
    }

    /// Replaces the last component returned by the target of a symlink.
    pub(super) fn follow(&mut self, target: &[u8]) -> Result<(), PlacementError> {
        if target.len() > MAX_TARGET {
            return Err(PlacementError::Loop);
        }
        self.skip(1)?;
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.text = Cow::Owned([target, b"/", rest].concat());
        self.at = 0;
        Ok(())
    }

    /// Continues after a symlink whose destination is known, with `symlinks` symlinks on the way.
    pub(super) fn skip(&mut self, symlinks: u32) -> Result<(), PlacementError> {
        self.followed = self.followed.saturating_add(symlinks);
        if self.followed > MAX_SYMLINKS { Err(PlacementError::Loop) } else { Ok(()) }
    }
}
