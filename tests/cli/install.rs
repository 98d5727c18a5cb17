//! `make install` and `make uninstall`, below a DESTDIR as packagers use it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Filter, Ran, Snapshot, assert_text, repository, scratch};

#[track_caller]
fn make(target: &str, destination: &Path) -> Ran {
    let filters = Path::new(env!("CARGO_BIN_EXE_tar2ext4")).parent().unwrap();
    Filter::tool("make")
        .args(["--no-print-directory", "-C"])
        .arg(repository())
        .arg(target)
        .arg("PREFIX=/usr")
        .arg(format!("DESTDIR={}", destination.display()))
        .arg(format!("BIN={}", filters.display()))
        .run()
        .succeeds()
}

/// The files below a directory with their permissions.
fn files(directory: &Path) -> String {
    let paths = Snapshot::of(directory).paths();
    let files = paths.into_iter().filter_map(|path| {
        let metadata = directory.join(&path).metadata().unwrap();
        metadata.is_file().then(|| format!("{:o} {path}\n", metadata.permissions().mode() & 0o7777))
    });
    files.collect()
}

#[test]
fn everything_is_installed_and_removed_again() {
    let scratch = scratch();
    make("install", scratch.path());
    let expected = "\
755 usr/bin/oci-fetch
755 usr/bin/oci-flatten
755 usr/bin/tar2ext4
644 usr/share/bash-completion/completions/oci-fetch
644 usr/share/bash-completion/completions/oci-flatten
644 usr/share/bash-completion/completions/tar2ext4
644 usr/share/fish/vendor_completions.d/oci-fetch.fish
644 usr/share/fish/vendor_completions.d/oci-flatten.fish
644 usr/share/fish/vendor_completions.d/tar2ext4.fish
644 usr/share/man/man1/oci-fetch.1
644 usr/share/man/man1/oci-flatten.1
644 usr/share/man/man1/tar2ext4.1
644 usr/share/man/man5/layer-manifest.5
644 usr/share/zsh/site-functions/_oci-fetch
644 usr/share/zsh/site-functions/_oci-flatten
644 usr/share/zsh/site-functions/_tar2ext4
";
    assert_text("what make install makes", expected, &files(scratch.path()));
    Filter::new(scratch.path().join("usr/bin/tar2ext4")).arg("--version").run().succeeds();

    make("uninstall", scratch.path());
    assert_text("what make uninstall leaves", "", &files(scratch.path()));
}
