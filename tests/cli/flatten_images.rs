//! The tar of real images, extracted, equals what umoci unpacks; that of buildah's own storage, what the kernel shows.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::flatten_overlay::PLAIN;
use crate::support::{Filter, Overlay, Snapshot, buildah, debian, debian_unpacked, needs, scratch, shell};

/// Flattens an image, and extracts the tar with GNU tar or bsdtar, everything that is in it.
#[track_caller]
fn extracted(image: &str, by: &str, directory: &Path) -> PathBuf {
    needs(&["tar", "bsdtar"]);
    let root = directory.join(by);
    fs::create_dir(&root).unwrap();
    let extract = match by {
        "tar" => "tar -xpf - --numeric-owner --xattrs --xattrs-include='*' --acls --warning=no-timestamp",
        _ => "bsdtar -xpf - --numeric-owner",
    };
    let script = format!("oci-fetch -q -d \"$1\" \"$0\" | oci-flatten -q | {extract} -C \"$2\"");
    shell(&script).arg(image).arg(directory.join("store")).arg(&root).run().succeeds().quiet();
    root
}

#[test]
fn debian_and_changes_of_every_kind_are_what_umoci_unpacks() {
    let image = debian();
    let expected = Snapshot::of(&image.unpacked).mask_field(
        "data/replaced",
        "mtime",
        "umoci removes what the whiteout behind it hides, and does not put the directory's own time back",
    );
    assert!(expected.len() > 3000, "that is no Debian: {} names", expected.len());
    let scratch = scratch();
    let root = extracted(&format!("oci:{}:latest", image.layout.display()), "tar", scratch.path());
    expected.assert_same(&Snapshot::of(root));
}

#[test]
fn nginx_is_what_umoci_unpacks() {
    let image = format!("oci:{}:nginx", debian().layout.display());
    let expected = Snapshot::of(debian_unpacked("nginx"));
    let capability = expected.field("usr/sbin/nginx", "xattr:security.capability");
    assert!(capability.is_some(), "no capability: that is not the image that was built");
    let scratch = scratch();
    expected.assert_same(&Snapshot::of(extracted(&image, "tar", scratch.path())));
    let by_bsdtar = Snapshot::of(extracted(&image, "bsdtar", scratch.path()));
    expected
        .mask_field(".", "mtime", "bsdtar leaves the directory alone that it extracts into")
        .assert_same(&by_bsdtar);
}

#[test]
fn a_build_from_a_dockerfile_is_what_umoci_unpacks() {
    let image = buildah();
    let expected = Snapshot::of(&image.unpacked);
    // COPY, RUN rm, RUN chmod and the stages have all left their traces.
    assert_eq!(expected.field("srv/owned.html", "owner"), Some("33:33"));
    assert_eq!(expected.field("etc/debian_version", "type"), None);
    assert_eq!(expected.field("usr/bin/env", "mode"), Some("4711"));
    assert_eq!(expected.field("usr/local/bin/tool-too", "same-inode-as"), Some("usr/local/bin/tool"));
    assert_eq!(expected.field("usr/share/doc/last", "type"), Some("RegularFile"));
    assert_eq!(expected.field("usr/share/doc/old", "type"), None);
    let scratch = scratch();
    let root = extracted(&format!("oci:{}:latest", image.layout.display()), "tar", scratch.path());
    expected.assert_same(&Snapshot::of(root));
}

#[test]
fn the_storage_of_buildah_is_what_the_kernel_shows() {
    let image = format!("overlay2:{}", buildah().top.display());
    let scratch = scratch();
    let manifest = Filter::oci_fetch().args(["-q", &image]).run().succeeds();
    let records = manifest.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let layers: Vec<PathBuf> = records.filter_map(|record| Some(record["path"].as_str()?.into())).collect();
    assert!(layers.len() > 10, "a layer for each step: {layers:?}");
    let root = extracted(&image, "tar", scratch.path());
    let mount = Overlay::mount(scratch.path(), &layers, None, PLAIN);
    let expected = Snapshot::of(mount.path());
    assert!(expected.len() > 3000, "that is no Debian: {} names", expected.len());
    expected.assert_same(&Snapshot::of(root));
}
