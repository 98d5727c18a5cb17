//! Whether `trusted.*` attributes are visible: the kernel shows them to processes with CAP_SYS_ADMIN in the initial user
//! namespace, and pretends to all others that there are none (xattr(7)).

use std::fs;
use std::path::Path;

use crate::sys::bit_set;

/// `CAP_SYS_ADMIN` in capability sets.
const SYS_ADMIN: u64 = 1 << 21;
/// The name of the initial user namespace (`PROC_USER_INIT_INO` in the kernel).
const FIRST_NAMESPACE: &str = "user:[4026531837]";

/// Which `trusted.*` attributes this process sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum XattrVisibility {
    /// All of them.
    Full,
    /// None, but overlays mounted in its user namespace do not see them either: they use `user.overlay.*`.
    Namespace,
    /// None.
    Blind,
}

impl XattrVisibility {
    /// Determines it for this process.
    pub(super) fn of_this_process() -> Self {
        // Without /proc, assume that root has all capabilities.
        let is_root = rustix::process::geteuid().is_root();
        let capable = bit_set("CapEff").map_or(is_root, |set| set & SYS_ADMIN != 0);
        let namespace = fs::read_link("/proc/self/ns/user");
        Self::of(capable, namespace.map_or(true, |namespace| namespace == Path::new(FIRST_NAMESPACE)))
    }

    fn of(capable: bool, in_first_namespace: bool) -> Self {
        match (capable, in_first_namespace) {
            (true, true) => Self::Full,
            (_, false) => Self::Namespace,
            (false, true) => Self::Blind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_counts_in_the_first_namespace() {
        assert_eq!(XattrVisibility::of(true, true), XattrVisibility::Full);
        assert_eq!(XattrVisibility::of(true, false), XattrVisibility::Namespace);
        assert_eq!(XattrVisibility::of(false, true), XattrVisibility::Blind);
    }
}
