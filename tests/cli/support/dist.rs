//! What `make dist` makes: built once for all tests that look at it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::filter::Filter;
use super::tools::{repository, test_cache};

/// A release, and what it was made from.
pub struct Dist {
    /// `target/dist` of a target directory of its own.
    directory: PathBuf,
    /// The time of everything in it.
    pub epoch: String,
}

impl Dist {
    /// Makes one of the sources in `repository`.
    #[track_caller]
    pub fn make(repository: &Path, target: &Path, epoch: &str) -> Self {
        Filter::tool("make")
            .args(["--no-print-directory", "dist"])
            .env("CARGO_TARGET_DIR", target)
            .env("SOURCE_DATE_EPOCH", epoch)
            .env_remove("MAKEFLAGS")
            .current_dir(repository)
            .run()
            .succeeds();
        Self { directory: target.join("dist"), epoch: epoch.to_owned() }
    }

    /// The names of what it consists of.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).expect("target/dist");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("entry").file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Where one of them is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The filters for an architecture, unpacked from its tarball into `directory`.
    #[track_caller]
    pub fn unpacked(&self, arch: &str, directory: &Path) -> PathBuf {
        let name = format!("oci2ext4-{}-{arch}-linux", env!("CARGO_PKG_VERSION"));
        std::fs::create_dir_all(directory).expect("directory");
        let tar = Filter::tool("tar").arg("-xzf").arg(self.file(&format!("{name}.tar.gz"))).arg("-C").arg(directory);
        tar.run().succeeds().quiet();
        directory.join(name)
    }
}

/// `make dist` of this checkout. Its commit need not be what stands in the files, so the time is not the commit's.
#[track_caller]
pub fn dist() -> &'static Dist {
    static MADE: OnceLock<Dist> = OnceLock::new();
    MADE.get_or_init(|| Dist::make(repository(), &test_cache().with_file_name("test-dist"), "1700000000"))
}
