//! What goes out is what was verified, whatever becomes of the files meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::image::Digest;
use crate::meta::{Entry, Metadata, Named, NodeKind, Xattrs};
use crate::sys::test_pipes::pipe;
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
    // That a symbolic link is no way is said in two ways (S8).
    let changes: [(&dyn Fn(), &str); 2] = [(&rewritten, "changed while it was read"), (&led_away, "os error")];
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

fn is_no_blob(path: &Path) {
    let error = merged(Some(manifest(path, 1024, b"")), &[]).unwrap_err().to_string();
    assert!(error.ends_with("is no regular file"), "{error}");
}

#[test]
fn a_blob_is_no_device() {
    is_no_blob(Path::new("/dev/zero"));
}

#[cfg(not(target_vendor = "apple"))]
#[test]
fn a_blob_is_no_fifo() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    crate::sys::test_pipes::make_fifo(&path);
    is_no_blob(&path);
}

/// The manifest of a gzipped layer, and where its blob is.
fn compressed(dir: &Path, tar: &[u8]) -> (Vec<u8>, PathBuf) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tar).unwrap();
    let (blob, path) = (encoder.finish().unwrap(), dir.join("blob"));
    fs::write(&path, &blob).unwrap();
    (manifest(&path, blob.len(), tar), path)
}

fn with_cache(manifest: &[u8], dir: &Path, verify: bool) -> Result<Vec<u8>, Error> {
    let cache = Some(CacheOptions { dir: dir.into(), size: None });
    let options = Options { cache, verify, jobs: 2, tmpdir: Some(dir.into()), ..Options::default() };
    let mut out = Vec::new();
    flatten(Some(io::Cursor::new(manifest.to_vec())), &options)?.write_to(&mut out)?;
    Ok(out)
}

#[test]
fn a_kept_layer_is_not_decoded_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let tar = [tar("./b/file", &vec![b'x'; 3 << 20]), b"what follows counts".to_vec()].concat();
    let (manifest, blob) = compressed(dir.path(), &tar);
    fs::create_dir(&cache).unwrap();
    let first = with_cache(&manifest, &cache, true).unwrap();
    let entry = cache.join("sha256").join(Digest::sha256(&tar).hex());
    assert!(fs::read(&entry).unwrap() == tar);
    // The blob is not even looked at.
    fs::write(&blob, b"").unwrap();
    for verify in [true, false] {
        assert!(with_cache(&manifest, &cache, verify).unwrap() == first, "verify: {verify}");
    }
    fs::remove_file(&entry).unwrap();
    assert!(with_cache(&manifest, &cache, true).is_err());
}

#[test]
fn a_damaged_layer_in_the_cache_is_decoded_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let tar = tar("file", &[b'x'; 100_000]);
    let (manifest, _) = compressed(dir.path(), &tar);
    fs::create_dir(&cache).unwrap();
    let right = with_cache(&manifest, &cache, true).unwrap();
    let entry = cache.join("sha256").join(Digest::sha256(&tar).hex());
    let flipped = [&tar[..50_000], b"y", &tar[50_001..]].concat();
    let damages = [(&flipped[..], true), (&tar[..60_000], true), (&tar[..60_000], false), (b"", true), (b"", false)];
    for (damaged, verify) in damages {
        fs::remove_file(&entry).unwrap();
        fs::write(&entry, damaged).unwrap();
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o400)).unwrap();
        let got = with_cache(&manifest, &cache, verify).unwrap();
        assert!(got == right, "{} bytes, verify: {verify}", damaged.len());
        // Only what was verified is kept.
        if !verify {
            assert!(!entry.exists());
            with_cache(&manifest, &cache, true).unwrap();
        }
        assert!(fs::read(&entry).unwrap() == tar);
    }
}

#[test]
fn nothing_wrong_is_ever_kept() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let other = tar("file", b"other");
    let (manifest, blob) = compressed(dir.path(), &tar("file", b"right"));
    compressed(dir.path(), &other);
    let blob_size = fs::metadata(&blob).unwrap().len();
    let text = String::from_utf8(manifest).unwrap();
    let start = text.find("\"size\":").unwrap() + 7;
    let end = start + text[start..].find(|c: char| !c.is_ascii_digit()).unwrap();
    let text = format!("{}{blob_size}{}", &text[..start], &text[end..]);
    assert!(with_cache(text.as_bytes(), &cache, true).is_err());
    let kept = fs::read_dir(cache.join("sha256")).unwrap().flatten();
    assert!(kept.map(|entry| entry.file_name()).all(|name| name.to_string_lossy().ends_with(".used")));
}

#[test]
fn a_cache_that_cannot_be_written_to_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, _) = compressed(dir.path(), &tar("file", b"content"));
    let cache = dir.path().join("no directory");
    fs::write(&cache, "").unwrap();
    let options = Options {
        cache: Some(CacheOptions { dir: cache, size: Some(1) }),
        tmpdir: Some(dir.path().into()),
        ..Options::default()
    };
    let mut out = Vec::new();
    flatten(Some(io::Cursor::new(manifest)), &options).unwrap().write_to(&mut out).unwrap();
    assert!(out.windows(7).any(|window| window == b"content"));
}

/// The records of one gzipped layer: the image, that its bytes arrive in `partial`, that they are whole in `blob`, the end.
fn records(blob: &Path, partial: &Path, size: usize, tar: &[u8]) -> [String; 4] {
    let text = String::from_utf8(manifest(blob, size, tar)).unwrap();
    let [image, layer, end] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let fetching = layer.replace("\"type\":\"layer\"", "\"type\":\"fetching\"");
    let fetching = fetching.replace(blob.to_str().unwrap(), partial.to_str().unwrap());
    [image, &fetching, layer, end].map(|line| format!("{line}\n"))
}

fn gzipped(tar: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that compress badly.
fn noise(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    (0..len).map(|_| random.u8(..)).collect()
}

/// Flattens what `script` writes into the manifest meanwhile.
fn followed(script: impl FnOnce(&mut dyn FnMut(&str)) + Send) -> Result<Vec<u8>, Error> {
    let (reader, mut writer) = pipe();
    thread::scope(|scope| {
        scope.spawn(move || script(&mut |line| writer.write_all(line.as_bytes()).unwrap()));
        let mut out = Vec::new();
        flatten(Some(io::BufReader::new(reader)), &Options { jobs: 2, ..Options::default() })?.write_to(&mut out)?;
        Ok(out)
    })
}

#[test]
fn a_layer_is_read_while_its_bytes_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let (partial, blob) = (dir.path().join("partial"), dir.path().join("blob"));
    let tar = tar("file", &noise(3 << 20));
    let bytes = gzipped(&tar);
    fs::write(&blob, &bytes).unwrap();
    let right = {
        let mut out = Vec::new();
        merged(Some(manifest(&blob, bytes.len(), &tar)), &[]).unwrap().write_to(&mut out).unwrap();
        out
    };
    let [image, fetching, layer, end] = records(&blob, &partial, bytes.len(), &tar);
    let wrong: Vec<u8> = bytes.iter().map(|byte| !byte).collect();

    // In pieces, then under its final name; and nothing is read from there: only the name is looked at.
    let got = followed(|say| {
        let mut file = File::create(&partial).unwrap();
        say(&image);
        say(&fetching);
        for piece in bytes.chunks(300_000) {
            thread::sleep(Duration::from_millis(10));
            file.write_all(piece).unwrap();
        }
        fs::rename(&partial, &blob).unwrap();
        say(&layer);
        say(&end);
    });
    assert!(got.unwrap() == right);

    // What comes is not what was announced: the transfer starts over in a new file, or another file has the final name.
    for again in [true, false] {
        fs::remove_file(&blob).unwrap();
        let got = followed(|say| {
            say(&image);
            fs::write(&partial, &wrong[..wrong.len() / 2]).unwrap();
            say(&fetching);
            thread::sleep(Duration::from_millis(30));
            if again {
                fs::remove_file(&partial).unwrap();
                fs::write(&partial, &bytes[..100]).unwrap();
                say(&fetching);
                thread::sleep(Duration::from_millis(30));
                File::options().append(true).open(&partial).unwrap().write_all(&bytes[100..]).unwrap();
                fs::rename(&partial, &blob).unwrap();
            } else {
                fs::write(&blob, &bytes).unwrap();
            }
            say(&layer);
            say(&end);
        });
        assert!(got.unwrap() == right, "again: {again}");
    }

    // A blob that is wrong all the same is an error, and a fetch that dies is waited for by nobody.
    fs::write(&partial, &wrong).unwrap();
    fs::rename(&partial, &blob).unwrap();
    fs::hard_link(&blob, &partial).unwrap();
    let error = followed(|say| [&image, &fetching, &layer, &end].into_iter().for_each(|line| say(line)));
    assert!(matches!(error, Err(Error::Layer { .. })));
    let error = followed(|say| [&image, &fetching].into_iter().for_each(|line| say(line)));
    assert!(matches!(error, Err(Error::Manifest(layer_manifest::Error::Cut { .. }))));
}

#[test]
fn a_layer_is_decoded_before_it_is_whole_and_counts_after() {
    let dir = tempfile::tempdir().unwrap();
    let (partial, blob) = (dir.path().join("partial"), dir.path().join("blob"));
    let tar = tar("file", &noise(100_000));
    let bytes = gzipped(&tar);
    fs::write(&partial, &bytes).unwrap();
    let [image, fetching, layer, end] = records(&blob, &partial, bytes.len(), &tar);
    let got = followed(|say| {
        say(&image);
        say(&fetching);
        // It is decoded by now, and only so can what has been spoilt since be right.
        thread::sleep(Duration::from_millis(1000));
        fs::write(&partial, vec![0; bytes.len()]).unwrap();
        fs::rename(&partial, &blob).unwrap();
        say(&layer);
        say(&end);
    });
    assert!(got.unwrap().windows(tar.len() - 1024).any(|window| window == &tar[..tar.len() - 1024]));
}

/// The record that bytes arrive in `partial` of which nothing else is known.
fn arriving(partial: &Path, size: usize) -> String {
    format!("{}\n", serde_json::json!({ "type": "arriving", "size": size, "path": partial }))
}

#[test]
fn a_blob_is_read_before_anything_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (partial, blob) = (dir.path().join("partial"), dir.path().join("blob"));
    let tar = tar("file", &noise(100_000));
    let other = gzipped(&vec![7; 1 << 20]);
    for bytes in [gzipped(&tar), tar.clone()] {
        let [image, _, layer, end] = records(&blob, &partial, bytes.len(), &tar);
        let record = arriving(&partial, bytes.len());
        let run = |layer: &str, spoil: bool, pause: u64| {
            fs::write(&partial, &bytes[..bytes.len() / 2]).unwrap();
            followed(|say| {
                say(&record);
                // What is no layer at all, and what never comes.
                fs::write(dir.path().join("other"), &other).unwrap();
                say(&arriving(&dir.path().join("other"), other.len()));
                say(&arriving(&dir.path().join("none"), 7));
                File::options().append(true).open(&partial).unwrap().write_all(&bytes[bytes.len() / 2..]).unwrap();
                // It is decoded by now, and only so can what has been spoilt since be right.
                thread::sleep(Duration::from_millis(pause));
                if spoil {
                    fs::write(&partial, vec![0; bytes.len()]).unwrap();
                }
                fs::rename(&partial, &blob).unwrap();
                [&image, layer, &end].into_iter().for_each(say);
            })
        };
        let holds_it = |got: Result<Vec<u8>, Error>| {
            got.unwrap().windows(tar.len() - 1024).any(|window| window == &tar[..tar.len() - 1024])
        };
        assert!(holds_it(run(&layer, true, 700)), "it is not read as it arrives");

        // What says how a layer is read, or that it should have other content, has it read again.
        let diff_id = Digest::sha256(&tar).to_string();
        let other_diff_id =
            layer.replace(&format!("\"diffId\":\"{diff_id}\""), &format!("\"diffId\":\"{}\"", Digest::sha256(b"")));
        let no_diff_id = layer.replace(&format!("\"diffId\":\"{diff_id}\","), "");
        let foreign = layer.replace("vnd.oci.image.layer.v1.tar", "x");
        let stargz =
            layer.replace("\"index\"", "\"annotations\":{\"containerd.io/snapshot/stargz/toc.digest\":\"\"},\"index\"");
        for changed in [&other_diff_id, &no_diff_id, &foreign, &stargz] {
            assert_ne!(*changed, layer);
            assert!(matches!(run(changed, true, 200), Err(Error::Layer { .. })), "{changed}");
        }
        for changed in [&foreign, &stargz] {
            assert!(holds_it(run(changed, false, 20)), "{changed}");
        }
        assert!(matches!(run(&other_diff_id, false, 20), Err(Error::Layer { source: LayerError::DiffId { .. }, .. })));
    }
}
