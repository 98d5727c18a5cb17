//! What goes out is what was verified, whatever becomes of the files meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::image::Digest;
use crate::meta::{Entry, Metadata, Named, NodeKind, Xattrs};
use crate::tar::{END_MARKER, FileLayout, encode};

/// A tar of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let entry = Entry::Node(NodeKind::File(FileLayout { size: content.len() as u64, sparse: None }));
    let meta = Metadata { mode: 0o644, ..Metadata::IMPLIED_DIRECTORY };
    let mut out = Vec::new();
    let body = encode(&Named { path: name.as_bytes(), entry, meta, xattrs: Xattrs::NONE }, &mut out).unwrap();
    out.extend_from_slice(content);
    out.resize(out.len() + body.padding, 0);
    out.extend_from_slice(&END_MARKER);
    out
}

/// The layer manifest of one blob at `path`, which is `size` bytes long and has the diffId of `tar`.
fn manifest(path: &Path, size: usize, tar: &[u8]) -> Vec<u8> {
    let digest = Digest::sha256(tar);
    let image =
        r#"{"type":"image","version":1,"reference":"x","platform":null,"manifest":null,"config":null,"layers":1}"#;
    let layer = serde_json::json!({
        "type": "layer", "index": 0, "mediaType": "application/vnd.oci.image.layer.v1.tar", "path": path,
        "digest": digest.to_string(), "diffId": digest.to_string(), "size": size,
    });
    format!("{image}\n{layer}\n{{\"type\":\"end\"}}\n").into_bytes()
}

fn merged(manifest: Option<Vec<u8>>, layers: &[&Path]) -> Result<Flattened, Error> {
    let options = Options {
        layers: layers.iter().map(|layer| PathBuf::from(layer).into()).collect(),
        jobs: 2,
        ..Options::default()
    };
    flatten(manifest.map(io::Cursor::new), &options)
}

/// Does something when the first bytes come, and keeps all.
struct Trigger<F> {
    action: Option<F>,
    got: Vec<u8>,
}

impl<F: FnOnce()> Write for &mut Trigger<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(action) = self.action.take() {
            action();
        }
        self.got.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Long enough that the clock of the file system goes on.
fn later() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn a_plain_layer_goes_out_as_it_was_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (path, tar) = (dir.path().join("layer"), tar("big", &[b'A'; 300_000]));
    fs::write(&path, &tar).unwrap();
    let flattened = merged(Some(manifest(&path, tar.len(), &tar)), &[]).unwrap();
    fs::write(&path, vec![b'E'; tar.len()]).unwrap();
    let mut out = Vec::new();
    flattened.write_to(&mut out).unwrap();
    assert!(out.windows(300_000).any(|window| window == [b'A'; 300_000]));
    assert!(!out.contains(&b'E'));
}

#[test]
fn a_plain_layer_that_nothing_verifies_must_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layer.tar");
    for change in [true, false] {
        fs::write(&path, tar("big", &[b'A'; 3 << 20])).unwrap();
        let flattened = merged(None, &[&path]).unwrap();
        later();
        let action = || {
            if change {
                use std::os::unix::fs::FileExt;
                File::options().write(true).open(&path).unwrap().write_all_at(b"EVIL", 2 << 20).unwrap();
            }
        };
        let mut out = Trigger { action: Some(action), got: Vec::new() };
        let written = flattened.write_to(&mut out);
        assert_eq!(out.got.ends_with(&END_MARKER), !change, "an end marker only behind what is right (S3)");
        assert_eq!(written.is_err(), change);
        if let Err(error) = written {
            assert!(error.to_string().ends_with("its file changed while it was read"), "{error}");
        }
    }
}

#[test]
fn a_directory_must_not_change_while_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(root.join("sub/big"), vec![b'A'; 3 << 20]).unwrap();
    fs::write(outside.join("big"), vec![b'S'; 3 << 20]).unwrap();
    let rewritten = || fs::write(root.join("sub/big"), vec![b'B'; 3 << 20]).unwrap();
    let led_away = || {
        fs::rename(root.join("sub"), dir.path().join("away")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("sub")).unwrap();
    };
    let changes: [(&dyn Fn(), &str); 2] = [(&rewritten, "changed while it was read"), (&led_away, "symbolic links")];
    for (change, message) in changes {
        // Before the file is opened again.
        let flattened = merged(None, &[&root]).unwrap();
        later();
        change();
        let mut out = Vec::new();
        let error = flattened.write_to(&mut out).unwrap_err().to_string();
        assert!(error.starts_with("sub/big: its content cannot be read again") && error.contains(message), "{error}");
        assert!(!out.ends_with(&END_MARKER) && !out.contains(&b'S'));
    }
    fs::remove_file(root.join("sub")).unwrap();
    fs::rename(dir.path().join("away"), root.join("sub")).unwrap();
    // While it is copied.
    let flattened = merged(None, &[&root]).unwrap();
    later();
    let mut out = Trigger { action: Some(rewritten), got: Vec::new() };
    let error = flattened.write_to(&mut out).unwrap_err().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
    assert!(!out.got.ends_with(&END_MARKER));
}

#[test]
fn a_blob_is_a_regular_file() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for path in [Path::new("/dev/zero"), &fifo] {
        let error = merged(Some(manifest(path, 1024, b"")), &[]).unwrap_err().to_string();
        assert!(error.ends_with("is no regular file"), "{error}");
    }
}
