//! The components of a path that symlinks lengthen while it is followed.

use std::borrow::Cow;

/// How many symlinks one path may lead through, as in Linux (F7).
pub(super) const MAX_SYMLINKS: u32 = 40;

/// The longest target that a symlink on the way may have, in bytes: no file system holds a longer one.
pub(super) const MAX_TARGET: usize = 4096;

/// What is left of a path.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: Cow<'a, [u8]>,
    at: usize,
    followed: u32,
}

/// More than [`MAX_SYMLINKS`], or one that is too long to follow.
#[derive(Debug)]
pub(super) struct Loops;

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a [u8]) -> Self {
        Self { text: Cow::Borrowed(path), at: 0, followed: 0 }
    }

    /// The next component; `..` is one, `.` and nothing are none.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let start = self.at;
            self.at += len + 1;
            if len > 0 && &self.text[start..start + len] != b"." {
                return Some(&self.text[start..start + len]);
            }
        }
    }

    /// Whether no component is left.
    pub(super) fn is_done(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        super::path::components(rest).all(|c| matches!(c, b"" | b"."))
    }

    /// The part of the path that was returned so far; `None` once a symlink was followed.
    pub(super) fn passed(&self) -> Option<&[u8]> {
        let end = self.at.saturating_sub(1).min(self.text.len());
        (self.followed == 0).then(|| &self.text[..end])
    }

    /// Puts a symlink's target in place of the component that was returned last.
    pub(super) fn follow(&mut self, target: &[u8]) -> Result<(), Loops> {
        self.followed += 1;
        if self.followed > MAX_SYMLINKS || target.len() > MAX_TARGET {
            return Err(Loops);
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.text = Cow::Owned([target, b"/", rest].concat());
        self.at = 0;
        Ok(())
    }
}
