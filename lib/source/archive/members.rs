//! The names in an archive and the blobs that they lead to, directly or through links.

use std::collections::HashMap;

use crate::image::Digest;

/// The longest chain of links.
const MAX_LINKS: usize = 40;

/// A member that is now a blob in the store.
#[derive(Clone, Debug)]
pub(super) struct StoredBlob {
    pub digest: Digest,
    pub size: u64,
}

/// The names of an archive. Each name is looked up only once, when it is added: names may be long, and the links of all
/// layers may lead through the same ones.
#[derive(Debug, Default)]
pub(super) struct Members {
    numbers: HashMap<String, usize>,
    members: Vec<Member>,
    count: usize,
}

#[derive(Debug)]
enum Member {
    Blob(StoredBlob),
    /// The number of its target.
    Link(usize),
    /// So far, it is only known as the target of a link.
    Absent,
}

impl Members {
    /// Adds a blob, replacing an earlier member of this name.
    pub(super) fn add_blob(&mut self, name: &str, blob: StoredBlob) {
        self.set(name, Member::Blob(blob));
    }

    /// Adds a link; it leads nowhere if its target is not a name in an archive.
    pub(super) fn add_link(&mut self, name: &str, target: Option<&str>) {
        let member = target.map_or(Member::Absent, |target| Member::Link(self.number(target)));
        self.set(name, member);
    }

    /// The blob that a name leads to, directly or through links.
    pub(super) fn blob(&self, name: &str) -> Option<&StoredBlob> {
        let mut number = *self.numbers.get(&normal(name)?)?;
        for _ in 0..=MAX_LINKS {
            match self.members.get(number)? {
                Member::Blob(blob) => return Some(blob),
                Member::Link(next) => number = *next,
                Member::Absent => return None,
            }
        }
        None
    }

    /// The number of names that were added.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn set(&mut self, name: &str, member: Member) {
        let number = self.number(name);
        self.count += usize::from(matches!(self.members[number], Member::Absent));
        self.members[number] = member;
    }

    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.members.len();
        self.members.push(Member::Absent);
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

/// A name without `.`, `..` and double slashes; `None` if it leaves the archive or is empty.
pub(super) fn normal(name: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert_eq!(normal("./a//b/../c").as_deref(), Some("a/c"));
        assert_eq!(normal("id/../other.tar").as_deref(), Some("other.tar"));
        for bad in ["", ".", "..", "a/../..", "/"] {
            assert_eq!(normal(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_lead_to_blobs_and_loops_to_nothing() {
        let mut members = Members::default();
        members.add_link("before", Some("x.tar"));
        members.add_blob("x.tar", StoredBlob { digest: Digest::sha256(b""), size: 7 });
        members.add_link("id/layer.tar", Some("x.tar"));
        members.add_link("a", Some("b"));
        members.add_link("b", Some("a"));
        assert!(["./id/layer.tar", "before", "x.tar"].iter().all(|name| members.blob(name).is_some()));
        assert!(["a", "b", "none", ".."].iter().all(|name| members.blob(name).is_none()));
        assert_eq!(members.count(), 5);
        // The last member of a name counts.
        members.add_link("x.tar", None);
        members.add_blob("a", StoredBlob { digest: Digest::sha256(b""), size: 8 });
        assert!(members.blob("before").is_none());
        assert_eq!(members.blob("b").map(|blob| blob.size), Some(8));
    }
}
