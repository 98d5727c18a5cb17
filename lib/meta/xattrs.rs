use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::leb128;

/// An extended attribute: full name (`security.capability`) and raw value. An empty value is a value (F10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xattr<T = Box<[u8]>> {
    /// Full name with its namespace prefix, as `getxattr(2)` takes it.
    pub name: T,
    /// Value as `getxattr(2)` returns it. POSIX ACLs are in the kernel's `system.posix_acl_*` form.
    pub value: T,
}

/// The extended attributes of an inode: sorted by name, without duplicates, cheap to clone.
///
/// Most inodes have none; then this is one pointer and no allocation. A million inodes may have some, so all attributes
/// of an inode are in one allocation, each name and value preceded by its length (S5).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Xattrs(Option<Arc<Box<[u8]>>>);

impl Xattrs {
    /// No attributes.
    pub const NONE: Self = Self(None);

    /// Sorts attributes by name; if a name is repeated, the last one wins.
    #[must_use]
    pub fn new<T: AsRef<[u8]>>(mut list: Vec<Xattr<T>>) -> Self {
        if list.is_empty() {
            return Self(None);
        }
        list.reverse();
        list.sort_by(|a, b| a.name.as_ref().cmp(b.name.as_ref())); // stable: the last one of each name now comes first
        list.dedup_by(|later, kept| later.name.as_ref() == kept.name.as_ref());
        let mut bytes = Vec::new();
        for xattr in &list {
            leb128::put_text(&mut bytes, xattr.name.as_ref());
            leb128::put_text(&mut bytes, xattr.value.as_ref());
        }
        Self(Some(Arc::new(bytes.into())))
    }

    /// The attributes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = Xattr<&[u8]>> + Clone {
        let mut left = self.0.as_deref().map_or(&[][..], AsRef::as_ref);
        std::iter::from_fn(move || {
            let more = !left.is_empty();
            more.then(|| Xattr { name: leb128::take_text(&mut left), value: leb128::take_text(&mut left) })
        })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of `name`, if set.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|xattr| xattr.name == name).map(|xattr| xattr.value)
    }
}

impl fmt::Debug for Xattrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Keeps each distinct set of attributes once: in a labelled system, most files have one of a few labels.
#[derive(Debug, Default)]
pub struct SharedXattrs(HashSet<Xattrs>);

impl SharedXattrs {
    /// The same set, shared with all equal ones.
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
        let list = [xattr("user.a", "2"), xattr("user.b", "")];
        assert!(
            set.iter().eq(list.iter().map(|Xattr { name, value }| Xattr { name: &**name, value: &**value })),
            "{set:?}"
        );
        assert_eq!(set.get(b"user.b"), Some(&b""[..]));
        assert_eq!(set.get(b"user.c"), None);
    }

    #[test]
    fn equal_sets_are_held_once() {
        let mut shared = SharedXattrs::default();
        let set = || Xattrs::new(vec![xattr("user.a", "1")]);
        let (first, second) = (shared.share(set()), shared.share(set()));
        assert!(first.0.zip(second.0).is_some_and(|(first, second)| Arc::ptr_eq(&first, &second)));
        assert_eq!(shared.share(Xattrs::NONE), Xattrs::NONE);
    }
}
