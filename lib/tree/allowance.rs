//! Limits on what a few bytes of a layer can cause: directories that names only imply, long ways through symlinks, and long
//! paths in the result.
//!
//! Memory, time and output must not grow faster than the bytes read (S5), but a name of a few bytes may lead through
//! symlinks to a path of 64 KiB, and a thousand missing parents compress to almost nothing. There is an initial
//! allowance, to which each member adds more than any real one needs.

use super::path::MAX_NAME;
use super::placement_error::PlacementError;

/// How many missing parents are allowed, and how many more for each member.
const DIRECTORIES: u64 = 1 << 16;
const DIRECTORIES_BY_MEMBER: u64 = 8;
/// How many bytes of names in the result need not come from a layer.
const OUTPUT: u64 = 256 << 20;
const OUTPUT_BY_MEMBER: u64 = 8 << 10;
/// How many path components may be walked, in addition to those in the layer.
const STEPS: u64 = 1 << 20;
const STEPS_BY_MEMBER: u64 = 64;
/// Reading so many bytes of a symlink's target takes as long as a step: it need not contain a component.
const TARGET_BY_STEP: usize = 32;

/// What is left of the allowance.
#[derive(Debug)]
pub(super) struct Allowance {
    directories: u64,
    output: u64,
    steps: u64,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self { directories: DIRECTORIES, output: OUTPUT, steps: STEPS }
    }

    /// Adds the share of a member with `names` bytes of names.
    pub(super) fn member(&mut self, names: usize) {
        self.directories = self.directories.saturating_add(DIRECTORIES_BY_MEMBER);
        self.output = self.output.saturating_add(OUTPUT_BY_MEMBER);
        self.steps = self.steps.saturating_add(STEPS_BY_MEMBER).saturating_add(names as u64);
    }

    /// Walks `steps` components.
    pub(super) fn steps(&mut self, steps: usize) -> Result<(), PlacementError> {
        spend(&mut self.steps, steps as u64, PlacementError::TooManySteps)
    }

    /// Follows a symlink with a target of `len` bytes.
    pub(super) fn symlink(&mut self, len: usize) -> Result<(), PlacementError> {
        self.steps(len / TARGET_BY_STEP)
    }

    /// Makes a directory with a path of `path` bytes.
    pub(super) fn directory(&mut self, path: usize) -> Result<(), PlacementError> {
        spend(&mut self.directories, 1, PlacementError::TooManyImplied)?;
        // A header, and a PAX header if the path does not fit.
        let headers = if path <= 100 { 512 } else { 3 * 512 };
        spend(&mut self.output, headers + path as u64, PlacementError::TooLongPaths)
    }

    /// Gives an entry a path of `path` bytes, of which `in_layer` come from the layer.
    pub(super) fn path(&mut self, path: usize, in_layer: usize) -> Result<(), PlacementError> {
        debug_assert!(path <= 2 * MAX_NAME, "paths are bounded before they are charged");
        spend(&mut self.output, path.saturating_sub(in_layer) as u64, PlacementError::TooLongPaths)
    }
}

fn spend(left: &mut u64, cost: u64, exhausted: PlacementError) -> Result<(), PlacementError> {
    *left = left.checked_sub(cost).ok_or(exhausted)?;
    Ok(())
}
