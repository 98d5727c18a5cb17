//! The text of all names of a tree.

use std::sync::Arc;

/// Names, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// What there was when the tree was copied: copies do not hold it twice (S5).
    shared: Arc<Vec<u8>>,
    own: Vec<u8>,
}

impl Names {
    /// With room for `len` bytes.
    pub(super) fn with_capacity(len: usize) -> Self {
        Self { shared: Arc::default(), own: Vec::with_capacity(len) }
    }

    /// The length of all names in bytes.
    pub(super) fn len(&self) -> usize {
        self.shared.len() + self.own.len()
    }

    /// Adds a name and returns where it is.
    pub(super) fn push(&mut self, name: &[u8]) -> u64 {
        let at = self.len() as u64;
        self.own.extend_from_slice(name);
        at
    }

    /// The name of `len` bytes at a place that [`Names::push`] returned.
    pub(super) fn get(&self, at: u64, len: u32) -> &[u8] {
        // Both ends are in memory, so they fit.
        #[allow(clippy::cast_possible_truncation, reason = "see above")]
        let at = at as usize;
        let (names, at) = match at.checked_sub(self.shared.len()) {
            Some(at) => (&self.own, at),
            None => (&*self.shared, at),
        };
        &names[at..at + len as usize]
    }

    /// Makes copies share what there is now.
    pub(super) fn share(&mut self) {
        let own = std::mem::take(&mut self.own);
        let all = if self.shared.is_empty() { own } else { [&self.shared[..], &own].concat() };
        self.shared = Arc::new(all);
    }

    /// The memory that they take, in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.shared.capacity() + self.own.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_what_there_was() {
        let mut names = Names::default();
        let a = names.push(b"a");
        let empty = names.push(b"");
        names.share();
        let bc = names.push(b"bc");
        let copy = names.clone();
        names.share();
        let d = names.push(b"d");
        for (at, name) in [(a, &b"a"[..]), (empty, b""), (bc, b"bc"), (d, b"d")] {
            assert_eq!(names.get(at, u32::try_from(name.len()).unwrap_or(0)), name);
        }
        assert_eq!((names.len(), copy.len()), (4, 3));
        assert_eq!((copy.get(a, 1), copy.get(bc, 2)), (&b"a"[..], &b"bc"[..]));
    }
}
