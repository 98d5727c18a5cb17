//! e2fsprogs, and other tools whose word counts.

use std::ffi::OsStr;
use std::path::Path;

use super::filter::{Filter, Ran};

/// Fails unless `e2fsck -fn` finds nothing to say but its own headings and the closing summary.
#[track_caller]
pub fn e2fsck_clean(image: impl AsRef<Path>) {
    let image = image.as_ref();
    let check = Filter::tool("e2fsck").arg("-fn").arg(image).run();
    let complaint = check.stdout.split(|byte| *byte == b'\n').map(String::from_utf8_lossy).find(|line| {
        let summary = line.starts_with(&*format!("{}", image.display())) || line.contains(" files (");
        !(line.is_empty() || line.starts_with("Pass ") || summary)
    });
    // Its version goes to stderr; everything else there is a complaint.
    let warning = check.stderr.lines().find(|line| !line.starts_with("e2fsck 1."));
    let clean = check.status.success() && complaint.is_none() && warning.is_none();
    assert!(clean, "e2fsck complains: {}\n{}", complaint.unwrap_or_default(), check.report());
}

/// The answer of `debugfs -R request image`.
#[track_caller]
pub fn debugfs(image: impl AsRef<Path>, request: &str) -> String {
    let ran = Filter::tool("debugfs").args(["-R", request]).arg(image.as_ref()).run().succeeds();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// `dumpe2fs -h`: the superblock in words.
#[track_caller]
pub fn dumpe2fs(image: impl AsRef<Path>) -> String {
    let ran = Filter::tool("dumpe2fs").arg("-h").arg(image.as_ref()).run().succeeds();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// Runs a tool that must succeed.
#[track_caller]
pub fn tool<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>) -> Ran {
    Filter::tool(name).args(args).run().succeeds()
}

/// Pushes the tag `latest` of an OCI layout to a registry without TLS, as skopeo does it.
#[track_caller]
pub fn skopeo_push(layout: &Path, name: &str) {
    let from = format!("oci:{}:latest", layout.display());
    tool(
        "skopeo",
        ["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", &from, &format!("docker://{name}")],
    );
}
