//! `--from` and `--to`: which parts of a stack are made, and that they hold no more than an overlay needs (F17).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::script::items;
use crate::support::stack::{self, Manifest};
use crate::support::{
    Compression, Filter, Layout, LoopMount, Overlay, Ran, assert_text, debian, e2fsck_clean, listing, members, needs,
    needs_root, repository, scratch, shell,
};

/// Runs `oci-flatten` with these flags on layers, bottom first.
fn part(layers: &[&str], flags: &[&str], dir: &Path) -> Ran {
    let mut manifest = Manifest::default();
    for (number, layer) in layers.iter().enumerate() {
        let tar = stack::tar(&items(layer));
        manifest.blob(dir.join(number.to_string()), &tar, &tar, serde_json::json!({}));
    }
    Filter::oci_flatten().args(flags).stdin(manifest.text()).run()
}

/// The upper directory above the first of two layers is this.
#[track_caller]
fn upper(layers: [&str; 2], expected: &str) {
    let scratch = scratch();
    let ran = part(&layers, &["--from", "1"], scratch.path()).succeeds().quiet();
    let expected: String =
        expected.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
    assert_text("the upper directory", &expected, &members(&ran.stdout));
}

const BASE: &str = "
    dir . 0755 0:0 @1
    dir d 0700 1:2 @3
    file d/a \"a\"
    file d/b \"b\"
    dir e 0755 0:0 @1
    dir e/f 0755 0:0 @1
    file e/f/g
    file x \"x\"
    link y -> x
    symlink s -> d";

#[test]
fn what_did_not_change_is_not_in_it() {
    upper([BASE, "dir e 0755 0:0 @1"], "5 ./ 0755 0:0 @1");
    // A parent comes with the attributes that it has; a directory that changed alone comes without what is in it.
    upper([BASE, "file d/new"], "5 ./ 0755 0:0 @1\n5 d/ 0700 1:2 @3\n0 d/new 0644 0:0 @0 0");
    upper([BASE, "dir d 0711 1:2 @3"], "5 ./ 0755 0:0 @1\n5 d/ 0711 1:2 @3");
    upper([BASE, "dir . 0700 0:0 @1"], "5 ./ 0700 0:0 @1");
}

#[test]
fn what_is_gone_is_a_device_and_only_then() {
    upper([BASE, "file d/.wh.a\nfile .wh.no"], "5 ./ 0755 0:0 @1\n5 d/ 0700 1:2 @3\n3 d/a 0000 0:0 @0");
    upper([BASE, "file .wh.e\nfile .wh.s"], "5 ./ 0755 0:0 @1\n3 e 0000 0:0 @0\n3 s 0000 0:0 @0");
    // What comes in its place hides it by itself.
    upper([BASE, "file .wh.e\nfile e"], "5 ./ 0755 0:0 @1\n0 e 0644 0:0 @0 0");
    upper([BASE, "dir x 0700 0:0 @9\nfile .wh.y"], "5 ./ 0755 0:0 @1\n5 x/ 0700 0:0 @9\n3 y 0000 0:0 @0");
}

#[test]
fn a_directory_is_opaque_only_where_nothing_of_it_is_left() {
    let emptied = "5 ./ 0755 0:0 @1\n5 d/ 0700 1:2 @3 trusted.overlay.opaque=y";
    upper([BASE, "file d/.wh..wh..opq"], emptied);
    upper([BASE, "file d/.wh.a\nfile d/.wh.b"], emptied);
    upper([BASE, "file d/.wh..wh..opq\nfile d/new"], &format!("{emptied}\n0 d/new 0644 0:0 @0 0"));
    // Both names are there again, so nothing is gone.
    let both = "0 d/a 0644 0:0 @0 1\n0 d/b 0644 0:0 @0 1";
    let layer = "file d/.wh..wh..opq\nfile d/a \"A\"\nfile d/b \"B\"";
    upper([BASE, layer], &format!("5 ./ 0755 0:0 @1\n5 d/ 0700 1:2 @3\n{both}"));
    // A directory in it merges still, so names that are gone are told one by one.
    upper(
        [BASE, "file e/x\nfile e/f/.wh.g"],
        "
        5 ./ 0755 0:0 @1
        5 e/ 0755 0:0 @1
        5 e/f/ 0755 0:0 @1 trusted.overlay.opaque=y
        0 e/x 0644 0:0 @0 0",
    );
}

#[test]
fn link_groups_are_whole() {
    let all = "0 x 0644 0:0 @0 1\n1 y -> x\n1 z -> x";
    upper([BASE, "link z -> y"], &format!("5 ./ 0755 0:0 @1\n{all}"));
    // With fewer names it is another file to stat(2).
    upper([BASE, "file .wh.y"], "5 ./ 0755 0:0 @1\n0 x 0644 0:0 @0 1\n3 y 0000 0:0 @0");
    upper([BASE, "file x \"new\""], "5 ./ 0755 0:0 @1\n0 x 0644 0:0 @0 3\n0 y 0644 0:0 @0 1");
    upper([BASE, "link d/z -> d/a"], "5 ./ 0755 0:0 @1\n5 d/ 0700 1:2 @3\n0 d/a 0644 0:0 @0 1\n1 d/z -> d/a");
}

#[test]
fn an_upper_is_hardly_larger_than_what_its_layers_bring() {
    let scratch = scratch();
    let content = "x".repeat(3000);
    let file = |at: usize| format!("file usr/d{}/f{at} \"{content}\"\n", at % 50);
    let base: String = (0..2000).map(file).collect();
    // As an installation does: new files, changed ones, some that go, and a directory of its own.
    let layer: String = (0..100).map(|at| file(at * 20)).chain((3000..3100).map(file)).collect();
    let layer = layer + "dir usr/own 0755\nfile usr/own/f\nfile usr/d1/.wh.f1\nfile usr/d2/.wh.f2\n";
    let brought = stack::tar(&items(&layer)).len();
    let upper = part(&[&base, &layer], &["--from", "1"], scratch.path()).succeeds().quiet().stdout.len();
    assert!(upper <= brought + brought / 10, "{upper} bytes for a layer of {brought}");
}

/// The same of an installation: Debian's packages of nginx over a minimal Debian.
#[test]
fn an_upper_of_nginx_is_hardly_larger_than_its_layer() {
    needs(&["jq", "tar"]);
    let scratch = scratch();
    let script = r#"
        set -e
        oci-fetch -q "oci:$0:nginx" >"$1/layers"
        test "$(jq -r 'select(.type == "image").layers' "$1/layers")" = 2
        layer=$(jq -r 'select(.type == "layer" and .index == 1).path' "$1/layers")
        oci-flatten -q --from 1 "$1/layers" >"$1/upper.tar"
        echo "$(gzip -dc <"$layer" | wc -c) $(wc -c <"$1/upper.tar")"
    "#;
    let ran = shell(script).arg(debian().layout).arg(scratch.path()).run().succeeds().quiet();
    let sizes: Vec<u64> = ran.text().split_whitespace().map(|size| size.parse().unwrap()).collect();
    let [brought, upper] = sizes[..] else { panic!("{}", ran.report()) };
    println!("the layer of nginx has {brought} bytes, the upper directory {upper}");
    assert!(brought > 1 << 20, "a real layer: {brought} bytes");
    assert!(upper <= brought + brought / 10, "{upper} bytes for a layer of {brought}");
}

#[test]
fn layers_are_counted_from_the_bottom() {
    let scratch = scratch();
    let layers = ["file a", "file b", "file c"];
    let names = |flags: &[&str]| {
        let ran = part(&layers, flags, scratch.path()).succeeds().quiet();
        members(&ran.stdout)
            .lines()
            .filter_map(|line| line.split(' ').nth(1).map(str::to_owned))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&["--to", "0"]), "./ a");
    assert_eq!(names(&["--to", "1"]), "./ a b");
    assert_eq!(names(&["--from", "0"]), "./ a b c");
    assert_eq!(names(&["--from", "1"]), "./ b c");
    assert_eq!(names(&["--from", "1", "--to", "1"]), "./ b");
    assert_eq!(names(&["--from", "2", "--to", "2"]), "./ c");
    // Layers given with -l count too, and what is left out is left out of both states.
    let extra = scratch.path().join("extra.tar");
    fs::write(&extra, stack::tar(&items("file d\nfile e"))).unwrap();
    let extra = extra.display().to_string();
    assert_eq!(names(&["--from", "3", "-l", &extra]), "./ d e");
    assert_eq!(names(&["--from", "2", "-l", &extra, "--exclude", "d", "--exclude", "a"]), "./ c e");
    for flags in [&["--from", "3"][..], &["--to", "3"], &["--from", "1", "--to", "7"]] {
        part(&layers, flags, scratch.path()).fails_with(1, "there is no layer").one_line();
    }
    part(&layers, &["--from", "2", "--to", "1"], scratch.path()).fails_with(2, "no layers are left").one_line();
}

#[test]
fn images_share_the_disk_of_their_base_as_the_readme_has_it() {
    needs_root("mount images and overlays");
    needs(&["make", "jq", "mount", "umount"]);
    let scratch = scratch();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks = readme.split("```make\n").skip(1).map(|part| part.split("```").next().unwrap());
    fs::write(scratch.path().join("Makefile"), blocks.collect::<String>()).unwrap();
    let base = stack::tar(&items(BASE));
    for (name, layer) in [("web", "file d/.wh.a\nfile web"), ("db", "dir e 0700 0:0 @7\nfile db")] {
        let layout = Layout::new(scratch.path().join(format!("layout-{name}")));
        let layout = layout.layer(&base, Compression::Gzip).layer(&stack::tar(&items(layer)), Compression::Gzip);
        let image = format!("oci:{}\n", layout.finish().display());
        fs::write(scratch.path().join(format!("{name}.image")), image).unwrap();
    }
    let make = || {
        let script = "cd \"$0\" && make -j2 web.upper.ext4 db.upper.ext4 web.ext4 && stat -c '%n %Y %i' base-*.ext4";
        // The same moment for what e2fsck wants in each of them.
        shell(script).arg(scratch.path()).env("SOURCE_DATE_EPOCH", "1700000000").run().succeeds()
    };
    let bases = |ran: &Ran| ran.text().lines().filter(|line| line.starts_with("base-")).collect::<Vec<_>>().join("\n");
    let first = make();
    let second = make();
    assert_eq!(bases(&first).lines().count(), 1, "{}", first.report());
    assert_eq!(bases(&first), bases(&second), "the base is made once");
    let base = scratch.path().join(bases(&first).split(' ').next().unwrap());
    let upper = scratch.path().join("web.upper.ext4");
    let whole = scratch.path().join("web.ext4");
    [&base, &upper, &whole].into_iter().for_each(e2fsck_clean);
    let (base, upper, whole) = (LoopMount::read_only(base), LoopMount::read_only(upper), LoopMount::read_only(whole));
    let shown = on_an_overlay(&upper, &base, scratch.path(), listing);
    assert_text("the overlay", &listing(whole.path()), &shown);
}

/// What `look` sees on an overlay of two parts.
fn on_an_overlay<T>(upper: &LoopMount, base: &LoopMount, dir: &Path, look: impl FnOnce(&Path) -> T) -> T {
    look(Overlay::mount(dir, &[base.path(), upper.path()], None, "ro").path())
}

/// The limits of overlayfs that the page names: directories of both parts have one link, and inodes numbers of the overlay's.
#[test]
fn an_overlay_counts_links_of_directories_and_numbers_inodes_in_its_own_way() {
    needs_root("mount images and overlays");
    let layers =
        ["dir both 0755 0:0 @1\ndir both/old 0755 0:0 @1\nfile both/base", "dir both/new 0755 0:0 @1\nfile both/upper"];
    let scratch = scratch();
    let mounted = |name: &str, flags: &[&str]| {
        let image = scratch.path().join(name);
        let part = part(&layers, flags, scratch.path()).succeeds().quiet();
        Filter::tar2ext4().arg("-o").arg(&image).stdin(part.stdout).run().succeeds();
        e2fsck_clean(&image);
        LoopMount::read_only(&image)
    };
    let whole = mounted("whole", &[]);
    let (upper, base) = (mounted("upper", &["--from", "1"]), mounted("base", &["--to", "0"]));
    let stat = |root: &Path, name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    let links = |root: &Path| ["both", "both/old", "both/new"].map(|name| stat(root, name).nlink());
    let numbers = |root: &Path, names: &[&str]| {
        names.iter().map(|name| (stat(root, name).dev(), stat(root, name).ino())).collect::<Vec<_>>()
    };
    let (shown, files) = on_an_overlay(&upper, &base, scratch.path(), |root| {
        (links(root), numbers(root, &["both", "both/old", "both/new", "both/base", "both/upper"]))
    });
    assert_eq!(links(whole.path()), [4, 2, 2]);
    assert_eq!(shown, [1, 2, 2], "what is of one part alone is as it stands there");
    let parts =
        [numbers(base.path(), &["both", "both/old", "both/base"]), numbers(upper.path(), &["both", "both/new"])];
    assert!(parts.iter().flatten().all(|part| !files.contains(part)), "{files:?} {parts:?}");
    let distinct: BTreeSet<_> = files.iter().collect();
    assert_eq!(distinct.len(), files.len(), "{files:?}");
}

/// What overlayfs would take for its own is refused, in the part below too: the overlay would not show it.
#[test]
fn what_no_overlay_can_show_is_refused() {
    let scratch = scratch();
    let refused = |layers: &[&str], says: &str| {
        part(layers, &["--from", "1"], scratch.path()).fails_with(1, says).one_line();
    };
    let device = "null: a device 0/0, which overlayfs takes for a whiteout, so that no overlay can show it";
    refused(&["file a", "char null 0:0"], device);
    refused(&["char null 0:0", "file a"], device);
    let attribute = "d: an attribute trusted.overlay.*, which overlayfs takes for its own";
    refused(&["file a", "dir d 0755 trusted.overlay.opaque=\"y\""], attribute);
    // Other devices, and attributes of other users, are as they are; so is all of it in a part from the bottom.
    upper(
        ["file a", "char null 1:3\nfile b user.overlay.x=\"y\""],
        "
        5 ./ 0755 0:0 @0
        0 b 0644 0:0 @0 0 user.overlay.x=y
        3 null 0644 0:0 @0",
    );
    part(&["file a", "char null 0:0"], &["--to", "1"], scratch.path()).succeeds().quiet();
}
