#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::image::{Descriptor, media_type};

const OPTIONS: Options = Options { access: Access::Private, patience: Duration::from_secs(20) };

fn digest() -> Digest {
    Digest::sha256(b"hello world")
}

fn partial(store: &Store) -> Box<PartialBlob> {
    match store.claim(&digest(), 11).unwrap() {
        Claim::Partial(partial) => partial,
        Claim::Present(path) => panic!("{} is there", path.display()),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("a/b"), OPTIONS).unwrap();
    (dir, store)
}

#[test]
fn a_blob_gets_its_name_only_when_it_is_whole_and_right() {
    let (_dir, store) = store();
    let mut first = partial(&store);
    first.write(b"hello ").unwrap();
    drop(first);
    assert_eq!(store.blob(&digest(), 11).unwrap(), None);
    let mut second = partial(&store);
    assert_eq!(second.offset(), 6);
    assert!(second.verify().is_err());
    second.write(b"world").unwrap();
    let path = second.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hello world");
    assert!(matches!(store.claim(&digest(), 11).unwrap(), Claim::Present(p) if p == path));
    assert_eq!(fs::read_dir(store.root().join("partial")).unwrap().count(), 0);
}

#[test]
fn wrong_and_surplus_bytes_are_refused_and_thrown_away() {
    let (_dir, store) = store();
    let mut wrong = partial(&store);
    assert!(wrong.write(b"twelve bytes").is_err());
    wrong.write(b"hallo world").unwrap();
    let error = wrong.commit().unwrap_err().to_string();
    assert!(error.contains(&digest().to_string()), "{error}");
    assert_eq!(store.blob(&digest(), 11).unwrap(), None);
    assert_eq!(partial(&store).offset(), 0);
    assert!(store.put(&digest(), b"something").is_err());
    assert_eq!(store.blob(&digest(), 11).unwrap(), None);
}

#[test]
fn the_second_of_two_writers_waits_and_finds_the_blob() {
    let (_dir, store) = store();
    let mut first = partial(&store);
    let other = store.clone();
    let second = std::thread::spawn(move || matches!(other.claim(&digest(), 11).unwrap(), Claim::Present(_)));
    std::thread::sleep(Duration::from_millis(50));
    first.write(b"hello world").unwrap();
    first.commit().unwrap();
    assert!(second.join().unwrap());
}

#[test]
fn an_import_finds_its_digest_and_replaces_a_broken_blob() {
    let (_dir, store) = store();
    fs::write(store.blob_path(&digest()), "broken").unwrap();
    for _ in 0..2 {
        let mut import = store.import().unwrap();
        import.write(b"hello ").unwrap();
        import.write(b"world").unwrap();
        let (found, size, path) = import.finish().unwrap();
        assert_eq!((found, size), (digest(), 11));
        assert_eq!(fs::read(path).unwrap(), b"hello world");
    }
    assert_eq!(fs::read_dir(store.root().join("partial")).unwrap().count(), 0);
}

#[test]
fn names_replace_names_and_leave_others_alone() {
    let (_dir, store) = store();
    let foreign = r#"{"schemaVersion":2,"x":[1],"manifests":[{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"y":2}]}"#;
    fs::write(store.root().join("index.json"), foreign).unwrap();
    // Docker's manifest is listed in an index of OCI's.
    let cases =
        [(media_type::OCI_MANIFEST, media_type::OCI_MANIFEST), (media_type::DOCKER_MANIFEST, media_type::OCI_INDEX)];
    for (kind, listed) in cases {
        let bytes = kind.as_bytes();
        let target = Descriptor::new(kind, Digest::sha256(bytes), bytes.len() as u64);
        store.remember("a/b:c", &target, bytes, None).unwrap();
        assert_eq!(store.lookup("a/b:c").unwrap().unwrap(), target);
        let entries = store.entries().unwrap();
        assert_eq!((entries.len(), entries[1].media_type.as_str()), (2, listed));
        if listed == media_type::OCI_INDEX {
            let index = store.document(&entries[1].digest, entries[1].size).unwrap().unwrap();
            assert!(String::from_utf8(index).unwrap().contains(&target.digest.to_string()));
        }
    }
    let text = fs::read_to_string(store.root().join("index.json")).unwrap();
    assert!(text.contains(r#""x":[1]"#) && text.contains(r#""y":2"#), "{text}");
}

#[test]
fn a_directory_of_others_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    assert!(matches!(Store::create(dir.path(), OPTIONS), Err(Error::NotEmpty { .. })));
    assert!(matches!(Store::open(dir.path(), OPTIONS), Err(Error::NotALayout { .. })));
    assert!(Store::open(Path::new("/nowhere/at/all"), OPTIONS).is_err());
}
