//! What a tree may take that is not written out in its layers: directories that names only imply, the way that symlinks
//! lead, and the bytes that longer paths cost the reader of the result.
//!
//! Memory, time and output are to grow with the bytes read (S5), but a name of a few bytes may lead through symlinks to
//! a path of 64 KiB, and a compressor makes nothing of a thousand missing parents. Each member adds what no real one
//! needs; a start is given on top.

use super::path::MAX_NAME;

/// Missing parents: so many, and so many more for each member.
const DIRECTORIES: u64 = 1 << 16;
const DIRECTORIES_BY_MEMBER: u64 = 8;
/// Bytes of names in the result that stand in no layer.
const OUTPUT: u64 = 256 << 20;
const OUTPUT_BY_MEMBER: u64 = 8 << 10;
/// Components of paths; those that stand in the layer come on top.
const STEPS: u64 = 1 << 20;
const STEPS_BY_MEMBER: u64 = 64;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Allowance {
    directories: u64,
    output: u64,
    steps: u64,
}

/// It is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    Directories,
    Output,
    Steps,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self { directories: DIRECTORIES, output: OUTPUT, steps: STEPS }
    }

    /// A member with so many bytes of names.
    pub(super) fn member(&mut self, names: usize) {
        self.directories = self.directories.saturating_add(DIRECTORIES_BY_MEMBER);
        self.output = self.output.saturating_add(OUTPUT_BY_MEMBER);
        self.steps = self.steps.saturating_add(STEPS_BY_MEMBER).saturating_add(names as u64);
    }

    /// Goes so many components.
    pub(super) fn steps(&mut self, steps: usize) -> Result<(), Exhausted> {
        spend(&mut self.steps, steps as u64, Exhausted::Steps)
    }

    /// Makes a directory whose path has so many bytes.
    pub(super) fn directory(&mut self, path: usize) -> Result<(), Exhausted> {
        spend(&mut self.directories, 1, Exhausted::Directories)?;
        // A header, and beyond what fits it a PAX header with the path.
        let headers = if path <= 100 { 512 } else { 3 * 512 };
        spend(&mut self.output, headers + path as u64, Exhausted::Output)
    }

    /// Gives something a path of so many bytes that has fewer in the layer.
    pub(super) fn path(&mut self, path: usize, in_layer: usize) -> Result<(), Exhausted> {
        debug_assert!(path <= 2 * MAX_NAME, "paths are bounded before they are charged");
        spend(&mut self.output, path.saturating_sub(in_layer) as u64, Exhausted::Output)
    }
}

fn spend(left: &mut u64, cost: u64, exhausted: Exhausted) -> Result<(), Exhausted> {
    *left = left.checked_sub(cost).ok_or(exhausted)?;
    Ok(())
}
