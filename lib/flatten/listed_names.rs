//! The names of what is in a directory layer.
//!
//! Each name is kept with the directory that contains it. Kept as full paths, a hundred thousand names deep down would take
//! kilobytes each (S5).

/// Names below a directory, in a tree.
#[derive(Debug)]
pub(super) struct ListedNames {
    list: Vec<ListedName>,
    /// All names, one after the other.
    text: Vec<u8>,
}

/// The number of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameId(usize);

impl NameId {
    /// The directory itself.
    pub(super) const ROOT: Self = Self(0);
}

#[derive(Debug)]
struct ListedName {
    parent: NameId,
    /// The end of the name in `text`.
    end: usize,
}

impl ListedNames {
    /// No names but that of the root.
    pub(super) fn new() -> Self {
        Self { list: vec![ListedName { parent: NameId::ROOT, end: 0 }], text: Vec::new() }
    }

    /// Adds the entry `name` of the directory `parent`.
    pub(super) fn push(&mut self, parent: NameId, name: &[u8]) -> NameId {
        self.text.extend_from_slice(name);
        self.list.push(ListedName { parent, end: self.text.len() });
        NameId(self.list.len() - 1)
    }

    /// The path of a name below the root, without leading or trailing `/`; empty for the root.
    pub(super) fn path(&self, id: NameId) -> Vec<u8> {
        let mut way = Vec::new();
        let mut at = id;
        while at != NameId::ROOT {
            way.push(at);
            at = self.list[at.0].parent;
        }
        let names = way.into_iter().rev().map(|NameId(at)| &self.text[self.list[at - 1].end..self.list[at].end]);
        names.collect::<Vec<_>>().join(&b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let mut names = ListedNames::new();
        let a = names.push(NameId::ROOT, b"a");
        let b = names.push(a, b"bc");
        let d = names.push(NameId::ROOT, b"d");
        let e = names.push(b, b"e");
        let paths = [NameId::ROOT, a, b, d, e].map(|id| names.path(id));
        assert_eq!(paths, [&b""[..], b"a", b"a/bc", b"d", b"a/bc/e"]);
    }
}
