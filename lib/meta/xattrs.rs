use std::collections::HashSet;
use std::sync::Arc;

/// One extended attribute: full name (`security.capability`) and raw value. An empty value is a value (F10).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xattr {
    /// Full name with its namespace prefix, as `getxattr(2)` takes it.
    pub name: Box<[u8]>,
    /// Value as `getxattr(2)` returns it. POSIX ACLs are in the kernel's `system.posix_acl_*` form.
    pub value: Box<[u8]>,
}

/// The extended attributes of one inode: sorted by name, each name once, cheap to clone.
///
/// Most inodes have none; then this is one pointer and no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Xattrs(Option<Arc<Vec<Xattr>>>);

impl Xattrs {
    /// No attributes.
    pub const NONE: Self = Self(None);

    /// Sorts by name; of a name given twice, the last one wins.
    #[must_use]
    pub fn new(mut list: Vec<Xattr>) -> Self {
        if list.is_empty() {
            return Self(None);
        }
        list.reverse();
        list.sort_by(|a, b| a.name.cmp(&b.name)); // stable: the last given of a name now comes first
        list.dedup_by(|later, kept| later.name == kept.name);
        Self(Some(Arc::new(list)))
    }

    /// The attributes, sorted by name.
    #[must_use]
    pub fn as_slice(&self) -> &[Xattr] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of `name`, if set.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let list = self.as_slice();
        let at = list.binary_search_by(|x| (*x.name).cmp(name)).ok()?;
        Some(&list[at].value)
    }
}

/// Sets of attributes, each held once: most files of a labelled system have one of a few labels.
#[derive(Debug, Default)]
pub struct SharedXattrs(HashSet<Xattrs>);

impl SharedXattrs {
    /// The same set, held together with all that are equal.
    #[must_use]
    pub fn share(&mut self, xattrs: Xattrs) -> Xattrs {
        if xattrs.is_empty() {
            return xattrs;
        }
        match self.0.get(&xattrs) {
            Some(known) => known.clone(),
            None => {
                self.0.insert(xattrs.clone());
                xattrs
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(name: &str, value: &str) -> Xattr {
        Xattr { name: name.as_bytes().into(), value: value.as_bytes().into() }
    }

    #[test]
    fn the_last_of_a_name_wins_and_order_is_by_name() {
        let set = Xattrs::new(vec![xattr("user.b", "1"), xattr("user.a", "2"), xattr("user.b", "")]);
        assert_eq!(set.as_slice(), [xattr("user.a", "2"), xattr("user.b", "")]);
        assert_eq!(set.get(b"user.b"), Some(&b""[..]));
        assert_eq!(set.get(b"user.c"), None);
    }

    #[test]
    fn equal_sets_are_held_once() {
        let mut shared = SharedXattrs::default();
        let set = || Xattrs::new(vec![xattr("user.a", "1")]);
        let (first, second) = (shared.share(set()), shared.share(set()));
        assert!(std::ptr::eq(first.as_slice(), second.as_slice()));
        assert_eq!(shared.share(Xattrs::NONE), Xattrs::NONE);
    }
}
