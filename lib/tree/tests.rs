#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::meta::{Entry, Metadata, Named, NodeKind, Timestamp, Xattrs};

/// Applies layers written one member a line: `name/`, `name = content`, `name -> symlink target`,
/// `name == hard link target`, each perhaps with ` @mode`.
fn merge(layers: &[&str]) -> Result<SealedTree<String>, Error> {
    let mut tree = MergeTree::new();
    for (number, layer) in layers.iter().enumerate() {
        let members: Vec<Member> = layer.lines().map(str::trim).filter(|l| !l.is_empty()).map(member).collect();
        let mut whiteouts = Whiteouts::new(WhiteoutFormat::Names);
        for (position, member) in (0u32..).zip(&members) {
            whiteouts.collect(position, member.path.as_bytes())?;
        }
        tree.look_up(&mut whiteouts);
        for member in &members {
            whiteouts.see(member.path.as_bytes(), matches!(member.entry, Entry::Node(NodeKind::Directory)));
        }
        let mut layer = tree.layer(whiteouts)?;
        for member in &members {
            let mtime = Timestamp::from_secs(i64::try_from(number).unwrap() + 1);
            let meta = Metadata { mode: member.mode, uid: 0, gid: 0, mtime };
            let entry = member.entry.clone();
            layer.apply(Named { path: member.path.as_bytes(), entry, meta, xattrs: Xattrs::NONE })?;
        }
        layer.finish()?;
    }
    Ok(tree.seal())
}

struct Member {
    path: String,
    entry: Entry<String>,
    mode: u16,
}

fn member(line: &str) -> Member {
    let (line, mode) = line.split_once(" @").map_or((line, 0o644), |(l, m)| (l, u16::from_str_radix(m, 8).unwrap()));
    let (path, entry) = if let Some((path, target)) = line.split_once(" -> ") {
        (path, Entry::Node(NodeKind::Symlink(target.as_bytes().into())))
    } else if let Some((path, target)) = line.split_once(" == ") {
        (path, Entry::HardLink(target.as_bytes().into()))
    } else if let Some((path, content)) = line.split_once(" = ") {
        (path, Entry::Node(NodeKind::File(content.into())))
    } else {
        (line, Entry::Node(if line.ends_with('/') { NodeKind::Directory } else { NodeKind::Fifo }))
    };
    Member { path: path.into(), entry, mode }
}

/// The tree as text, in the language of [`merge`]; modes only of directories: an implied one has none.
fn show(tree: &SealedTree<String>) -> String {
    let mut out = String::new();
    let mut walk = tree.walk();
    while let Some(Visit { path, inode, is_first }) = walk.step() {
        let path = String::from_utf8_lossy(path).into_owned();
        let view = tree.inode(inode);
        let line = match view.kind {
            NodeKind::Directory if path.is_empty() => continue,
            NodeKind::Directory if *view.meta == Metadata::IMPLIED_DIRECTORY => format!("{path}/"),
            NodeKind::Directory => format!("{path}/ @{:o} layer {}", view.meta.mode, view.meta.mtime.secs),
            _ if !is_first => {
                let mut first = Vec::new();
                tree.first_path(inode, &mut first);
                format!("{path} == {}", String::from_utf8_lossy(&first))
            }
            NodeKind::File(content) => format!("{path} = {content}"),
            NodeKind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
            _ => path,
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[track_caller]
fn becomes(layers: &[&str], expected: &str) {
    let expected: String =
        expected.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
    assert_eq!(show(&merge(layers).unwrap()), expected);
}

#[track_caller]
fn fails(layers: &[&str], message: &str) {
    let error = merge(layers).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn f1_whiteouts_act_on_lower_layers_wherever_they_stand() {
    becomes(&["a = 1\nb = 1", ".wh.a\na = 2"], "a = 2\nb = 1");
    becomes(&["a = 1\nb = 1", "a = 2\n.wh.a"], "a = 2\nb = 1");
    for layer in [".wh.d\nd/new = 2", "d/new = 2\n.wh.d"] {
        becomes(&["d/ @700\nd/old = 1", layer], "d/\nd/new = 2");
    }
    for layer in [".wh.d\nd/ @711\nd/new = 2", "d/ @711\nd/new = 2\n.wh.d"] {
        becomes(&["d/ @700\nd/old = 1", layer], "d/ @711 layer 2\nd/new = 2");
    }
    for layer in [".wh.l\nl/new = 2", "l/new = 2\n.wh.l"] {
        becomes(&["d/ @700\nd/old = 1\nl -> d", layer], "d/ @700 layer 1\nd/old = 1\nl/\nl/new = 2");
    }
}

#[test]
fn f1_whiteouts_are_looked_up_in_lower_layers_never_through_a_symlink_of_their_own() {
    let lower = "app/x = 1\napp/d/z = 1\nopt/x = 1\nopt/d/z = 1";
    let app_is_emptied = "app -> opt\nopt/\nopt/d/\nopt/d/z = 1\nopt/x = 1";
    for layer in [
        "app/.wh.x\napp -> opt",
        "app -> opt\napp/.wh.x",
        "app/.wh..wh..opq\napp -> opt",
        "app/d/.wh.z\napp/.wh.d\napp -> opt",
        "app/d/.wh..wh..opq\napp -> opt",
    ] {
        becomes(&[lower, layer], app_is_emptied);
    }
    // Nothing there below: the layer's own symlink leads nowhere.
    becomes(&["opt/x = 1", "app -> opt\napp/.wh.x"], "app -> opt\nopt/\nopt/x = 1");
    // A symlink of a lower layer counts, whatever the layer makes of it but a directory.
    for layer in ["app -> other\napp/.wh.x", "app/.wh.x\napp -> other", "app/.wh..wh..opq\napp -> other"] {
        becomes(&["opt/x = 1\napp -> opt", layer], "app -> other\nopt/");
    }
    becomes(&["opt/x = 1\napp -> opt", "app/.wh.x\napp = 2"], "app = 2\nopt/");
    // Further up and by way of another one.
    let lower = "a/b/x = 1\nc/b/x = 1";
    becomes(&[lower, "a/b/.wh.x\na -> c"], "a -> c\nc/\nc/b/\nc/b/x = 1");
    becomes(&[lower, "a/.wh..wh..opq\na -> c"], "a -> c\nc/\nc/b/\nc/b/x = 1");
}

#[test]
fn f2_opaque_hides_lower_children_only() {
    for layer in ["d/.wh..wh..opq\nd/new = 2", "d/new = 2\nd/.wh..wh..opq"] {
        becomes(&["d/ @700\nd/old = 1\nd/sub/x = 1", layer], "d/ @700 layer 1\nd/new = 2");
    }
    becomes(&["a = 1", "no/where/.wh..wh..opq\na/.wh..wh..opq"], "a = 1");
    becomes(&["a = 1\nd/b = 1", ".wh..wh..opq\nc = 2"], "c = 2");
    // The layer makes a directory of a symlink: what that led to is another directory.
    for layer in ["l/ @711\nl/.wh..wh..opq\nl/.wh.x", "l/.wh.x\nl/.wh..wh..opq\nl/ @711"] {
        becomes(&["d/x = 1\nl -> d", layer], "d/\nd/x = 1\nl/ @711 layer 2");
    }
    becomes(&["d/x = 1\nd/y = 1\nl -> d", "l/.wh.x"], "d/\nd/y = 1\nl -> d");
    becomes(&["d/x = 1\nl -> d", ".wh.l\nl/.wh.x"], "d/\nd/x = 1");
    becomes(&["d/x = 1\ne/l -> ../d", ".wh.e\ne/l/.wh.x"], "d/\nd/x = 1");
}

#[test]
fn f3_whiteouts_count_by_name_and_hide_subtrees() {
    becomes(&["d/e/f = 1\ng = 1", ".wh.d == .wh..wh.aufs\n.wh.nothing = \n.wh.g/"], "");
    fails(&[".wh."], "corrupt whiteout");
    fails(&["a/.wh.."], "corrupt whiteout");
    fails(&["a/.wh..."], "corrupt whiteout");
    fails(&[".wh.a/b = 1"], "below a whiteout");
    becomes(&[".opq = 1\nb = 1", ".wh..opq"], "b = 1");
}

#[test]
fn f4_bookkeeping_is_dropped_but_may_be_linked() {
    let layer = ".wh..wh.plnk/\n.wh..wh.plnk/1.2 = x\na == .wh..wh.plnk/1.2\nb == .wh..wh.plnk/1.2\n.wh..wh.aufs = y";
    becomes(&[layer], "a = x\nb == a");
    becomes(&["a == .wh..wh.plnk/1.2\n.wh..wh.plnk/1.2 = x\n.wh..wh.orph/3 == gone"], "a = x");
    fails(&["a == .wh..wh.plnk/1.2"], "does not exist");
}

#[test]
fn f5_directories_merge_and_everything_else_replaces() {
    becomes(&["d/ @700\nd/a = 1", "d/ @711\nd/b = 2"], "d/ @711 layer 2\nd/a = 1\nd/b = 2");
    becomes(&["d/a = 1\nf = 1\nl -> d", "d = 2\nf/ @700\nl/ @700"], "d = 2\nf/ @700 layer 2\nl/ @700 layer 2");
    let tree = merge(&["./ @700", "./ @711"]).unwrap();
    assert_eq!(tree.inode(InodeId::ROOT).meta.mode, 0o711);
    fails(&[". = 1"], "root must be a directory");
}

#[test]
fn f7_symlinked_parents_stay_inside_the_root() {
    becomes(&["d/\nl -> /d\nl/x = 1"], "d/ @644 layer 1\nd/x = 1\nl -> /d");
    becomes(&["l -> ../../../d\nl/x = 1"], "d/\nd/x = 1\nl -> ../../../d");
    becomes(&["l -> no/where/\nl/x = 1"], "l -> no/where/\nno/\nno/where/\nno/where/x = 1");
    becomes(&["a/b/l -> ../c\na/b/l/x = 1"], "a/\na/b/\na/b/l -> ../c\na/c/\na/c/x = 1");
    becomes(&["f = 1\nl -> f", "l/x = 2"], "f/\nf/x = 2\nl -> f");
    becomes(&["d/f = 1\nl -> d\nh == l/f"], "d/\nd/f = 1\nh == d/f\nl -> d");
    becomes(&["p\np/x = 1"], "p/\np/x = 1");
    fails(&["l -> .wh.d\nl/x = 1"], "l/x: leads through a symlink to a name that starts with '.wh.'");
    fails(&["a -> b\nb -> a", "a/x = 1"], "symlinks");
    fails(&["a -> b\nb -> a", "a/.wh.x"], "symlinks");
    fails(&["a -> b\nb -> a", "h == a/x"], "symlinks");
    let chain = |links: u32| {
        let links = (0..links).map(|i| format!("l{i:02} -> l{:02}\n", i + 1)).collect::<String>();
        links + "l00/x = 1"
    };
    assert!(merge(&[&chain(40)]).is_ok());
    assert!(merge(&[&chain(41)]).is_err());
}

#[test]
fn f16_directories_that_exist_are_kept() {
    let stack = |lower: &str, upper: &str, existing| {
        let mut tree = MergeTree::new();
        for (number, (layer, existing)) in
            [(lower, ExistingDirectories::TakeAttributes), (upper, existing)].into_iter().enumerate()
        {
            let mut layer_ = tree.layer(Whiteouts::new(WhiteoutFormat::Names)).unwrap().existing_directories(existing);
            for Member { path, entry, mode } in layer.lines().map(member) {
                let mtime = Timestamp::from_secs(i64::try_from(number).unwrap() + 1);
                let meta = Metadata { mode, uid: 0, gid: 0, mtime };
                layer_.apply(Named { path: path.as_bytes(), entry, meta, xattrs: Xattrs::NONE }).unwrap();
            }
            layer_.finish().unwrap();
        }
        show(&tree.seal())
    };
    let (take, behind, stay) =
        (ExistingDirectories::TakeAttributes, ExistingDirectories::BehindSymlinks, ExistingDirectories::Stay);
    let lower = "usr/ @755\nusr/sbin/ @711\nusr/sbin/init = 1\nsbin -> usr/sbin";
    let upper = "sbin/ @700\nsbin/my-init = 2\nusr/ @700";
    assert!(
        stack(lower, upper, take).starts_with("sbin/ @700 layer 2\nsbin/my-init = 2\nusr/ @700 layer 2\nusr/sbin/")
    );
    let merged = |usr, sbin| {
        format!("sbin -> usr/sbin\nusr/ @{usr}\nusr/sbin/ @{sbin}\nusr/sbin/init = 1\nusr/sbin/my-init = 2\n")
    };
    assert_eq!(stack(lower, upper, behind), merged("700 layer 2", "700 layer 2"));
    assert_eq!(stack(lower, upper, stay), merged("755 layer 1", "711 layer 1"));
    // By way of another symlink, an absolute one, and one below another.
    for link in ["l -> /d", "m -> d\nl -> m", "l -> ../../d/.", "l -> x/..\nx -> d/e"] {
        let shown = stack(&format!("d/e/f = 1\n{link}"), "l/ @700\nl/e/ @700\nl/e/g = 2", stay);
        assert!(shown.contains("d/e/g = 2\n") && shown.contains("d/e/f = 1\n") && shown.contains("\nl -> "), "{shown}");
    }
    // What leads to no directory is replaced, and what is new has its own attributes.
    for lower in ["l -> no", "l -> l", "l -> f\nf = 1", "l = 1"] {
        assert!(stack(lower, "l/ @700\nl/x = 2", stay).contains("l/ @700 layer 2\nl/x = 2\n"), "{lower}");
    }
    assert_eq!(stack("d/ @711", "d/ @700\nd/n/ @700", stay), "d/ @711 layer 1\nd/n/ @700 layer 2\n");
    // A symlink over a directory still replaces it: that is what its entry says.
    assert_eq!(stack("d/e = 1", "d -> x", stay), "d -> x\n");
}

#[test]
fn f8_links_join_the_inode_of_their_moment() {
    becomes(&["a = 1", "b == a\na = 2"], "a = 2\nb = 1");
    becomes(&["a = 1", "b == a\n.wh.a"], "b = 1");
    becomes(&["d/a = 1", "b == d/a\nd/.wh..wh..opq"], "b = 1\nd/");
    becomes(&["d/e/a = 1", "d/new = 2\nb == d/e/a\n.wh.d"], "b = 1\nd/\nd/new = 2");
    fails(&["a = 1", ".wh.a\nb == a"], "b: hard link to a, which does not exist");
    becomes(&["a = 1", ".wh.a\nb == a\na = 2"], "a = 2\nb == a");
    // A directory that takes a replaced one's place in memory does not take over what was hidden in that.
    fails(&["x/y = 1\nx/k = 1", "x = 2\nz/\nh == z/y\nx/\nx/.wh.y"], "h: hard link to z/y, which does not exist");
    // A link in a directory that is replaced waits for nothing any more.
    becomes(&["x/y = 1\nx/k = 1", "x/h == no\nx = 2\nx/\nx/.wh.y"], "x/ @644 layer 2");
    fails(&["d/e/a = 1", "d = 2\nb == d/e/a\n.wh.d"], "does not exist");
    // What is hidden is seen neither behind its own whiteout, nor once an entry has replaced it, nor in a directory that
    // came after the one it stood in.
    fails(&["d/a = 1", "d/.wh.a\nb == d/a\n.wh.d"], "does not exist");
    becomes(&["d/a = 1", "b == d/a\nd/.wh.a\n.wh.d"], "b = 1");
    fails(&["d/e/a = 1", "d/e = 2\nd/e/\nb == d/e/a\n.wh.d"], "does not exist");
    fails(&["d/\nd/e/\nd/a = 1", "d = 2\nf/\nb == f/a\nd/\nd/.wh.a"], "f/a, which does not exist");
    becomes(&["a = 1\nb == a", "a = 2"], "a = 2\nb = 1");
    becomes(&["a = 1\nb == a", ".wh.a"], "b = 1");
    becomes(&["a = 1\nb == a\nc == b", ".wh.a\nd == c"], "b = 1\nc == b\nd == b");
    becomes(&["b == a\nc == b\na = 1"], "a = 1\nb == a\nc == a");
    becomes(&["b == c\nc == a\na = 1"], "a = 1\nb == a\nc == a");
    becomes(&["b == a\nb = 2\na = 1"], "a = 1\nb = 2");
    becomes(&["b = 2\nb == a\na = 1"], "a = 1\nb == a");
    becomes(&["l -> t\nh == l"], "h -> t\nl == h");
    becomes(&["a = 1\na == a"], "a = 1");
    becomes(&["a = 1\na/b == a"], "a/\na/b = 1");
    becomes(&["d/a = 1\nd == d/a"], "d = 1");
    fails(&["d/\nh == d"], "h: hard link to d, which is a directory");
    fails(&["h == d\nd/"], "h: hard link to d, which is a directory");
    fails(&["h == no"], "h: hard link to no, which does not exist");
    fails(&["a == b\nb == a"], "does not exist");
    fails(&["a == a"], "does not exist");
}

#[test]
fn f9_the_last_of_a_name_wins() {
    becomes(&["a = 1\na = 2"], "a = 2");
    becomes(&["d/\nd/a = 1\nd/ @700"], "d/ @700 layer 1\nd/a = 1");
    becomes(&["d/\nd/a = 1\nd = 2\nd/b = 3"], "d/\nd/b = 3");
}

#[test]
fn f11_names_that_climb_are_refused() {
    for layer in ["../a = 1", "a/../b = 1", "/.. = 1", "a == ../b", "a == b/../c"] {
        fails(&[layer], "'..'");
    }
}

#[test]
fn order_is_by_component() {
    becomes(&["a.b = 1\na/b = 1\na0 = 1\na-b/c = 1"], "a/\na/b = 1\na-b/\na-b/c = 1\na.b = 1\na0 = 1");
}

#[test]
fn depth_is_bounded_by_memory_alone() {
    let deep = vec!["d"; 10_000].join("/");
    let layers = [format!("{deep}/f = 1"), format!("{deep}/g = 2"), ".wh.d".to_owned()];
    let tree = merge(&[&layers[0], &layers[1]]).unwrap();
    assert_eq!(tree.inode_count(), 10_003);
    assert_eq!(merge(&[&layers[0], &layers[1], &layers[2]]).unwrap().inode_count(), 1);
}

#[test]
fn names_are_bounded_with_all_symlinks_resolved() {
    let long = "d/".repeat(40_000);
    fails(&[&format!("{long}f = 1")], "longer than 65536 bytes");
    fails(&[&format!("h == {long}f")], "longer than 65536 bytes");
    // Each name is short, the paths are not.
    let deep = "d".repeat(250);
    let mut layer = String::new();
    for at in 0..400 {
        layer += &format!("l{} -> l{at}/{deep}\nl{}/f = 1\n", at + 1, at + 1);
    }
    let layer = layer.replace("l0/", "");
    assert!(merge(&[&layer]).is_err());
}

#[test]
fn implied_directories_are_bounded_in_bytes_of_the_result() {
    // The deeper, the longer the path of each: these would be half a gigabyte of tar.
    let deep = "a/".repeat(32_000);
    fails(&[&format!("{deep}f = 1")], "the paths of missing parents");
    // As deep as Linux allows, and as many as there are entries.
    let layer: String = (0..100).map(|at| format!("{at}/{}f = 1\n", "a/".repeat(2000))).collect();
    fails(&[&layer], "missing parent");
    let layer: String = (0..1000).map(|at| format!("{at}/{}f = 1\n", "a/".repeat(60))).collect();
    assert_eq!(merge(&[&layer]).unwrap().inode_count(), 1 + 1000 * 62);
}

#[test]
fn ways_through_symlinks_are_remembered() {
    // Forty symlinks, each by a long way round, and many names behind the first.
    let way = "d/../".repeat(700);
    let mut layer = String::from("d/\nl40/\n");
    for at in 0..40 {
        layer += &format!("l{at} -> {way}l{}\n", at + 1);
    }
    let names: String = (0..10_000).map(|at| format!("l0/{at} = 1\n")).collect();
    let links: String = (0..10_000).map(|at| format!("h{at} == l0/{at}\n")).collect();
    assert_eq!(merge(&[&layer, &names, &links]).unwrap().inode_count(), 1 + 2 + 40 + 10_000);
    // When something goes on the way, they are gone again and again, up to a bound.
    let names: String = (0..10_000).map(|at| format!("l0/{at} = 1\ns -> {at}\n")).collect();
    fails(&[&layer, &names], "the ways through symlinks are too long");
    let whiteouts: String = (0..10_000).map(|at| format!("l0/.wh.{at} = \n")).collect();
    fails(&[&layer, &whiteouts], "the ways through symlinks are too long");
    // What is remembered is forgotten in time.
    becomes(
        &["a/\nb/\nl -> a\nl/x = 1\nl -> b\nl/y = 1"],
        "a/ @644 layer 1\na/x = 1\nb/ @644 layer 1\nb/y = 1\nl -> b",
    );
    becomes(&["a/\nl -> a\nl/x = 1\na = 2\nl/y = 1"], "a/\na/y = 1\nl -> a");
}

#[test]
fn targets_without_components_are_paid_for() {
    let way = "./".repeat(2000);
    let links: String = (0..40).map(|at| format!("l{at} -> {way}l{}\n", at + 1)).collect();
    let layer = format!("l40/\n{links}");
    let names: String = (0..10_000).map(|at| format!("l0/{at} = 1\n")).collect();
    assert_eq!(merge(&[&layer, &names]).unwrap().inode_count(), 1 + 1 + 40 + 10_000);
    let names: String = (0..10_000).map(|at| format!("l0/{at} = 1\ns -> {at}\n")).collect();
    fails(&[&layer, &names], "the ways through symlinks are too long");
    let whiteouts: String = (0..10_000).map(|at| format!("l0/.wh.{at} = \n")).collect();
    fails(&[&layer, &whiteouts], "the ways through symlinks are too long");
}

#[test]
fn names_that_are_gone_take_no_memory() {
    // Each pair of short names makes a long one behind a symlink, and removes it again.
    let mut layer = format!("s -> d/{}\n", "n".repeat(4000));
    for at in 0..3000 {
        layer += &format!("s/x = 1\nd = 1\nkept{at} = {at}\n");
    }
    let hidden: String = (0..1000).map(|at| format!("h{at} == kept{at}\n")).collect();
    let whiteouts: String = (0..1000).map(|at| format!(".wh.kept{at} = \n")).collect();
    let tree = merge(&[&layer, &[&*hidden, &layer, &whiteouts].concat()]).unwrap();
    assert!(tree.arena.names_size() < 4 << 20, "{} bytes of names", tree.arena.names_size());
    let expected =
        (0..3000).flat_map(|at| [(at < 1000).then(|| format!("h{at} = {at}")), Some(format!("kept{at} = {at}"))]);
    let mut expected: Vec<String> = expected.flatten().collect();
    expected.sort_unstable();
    let shown = show(&tree);
    let shown: Vec<&str> = shown.lines().filter(|line| line.starts_with(['h', 'k'])).collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_way_up_is_paid_for_by_the_way_down() {
    // One deep name and many that are not: the directory of the last entry is left only once.
    let layer =
        format!("{}f = 1\n", "d/".repeat(10_000)) + &(0..20_000).map(|at| format!("{at} = 1\n")).collect::<String>();
    let start = std::time::Instant::now();
    merge(&[&layer]).unwrap();
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn whiteouts_take_no_more_than_their_names() {
    let whiteouts: Vec<String> = (0..200).map(|at| format!("{at}/{}.wh.x", "a/".repeat(2000))).collect();
    let mut list = Whiteouts::new(WhiteoutFormat::Names);
    for (position, name) in (0..).zip(&whiteouts) {
        list.collect(position, name.as_bytes()).unwrap();
    }
    let names: usize = whiteouts.iter().map(String::len).sum();
    assert!(list.size() <= 2 * names + 200 * 64, "{}", list.size());
    assert_eq!(merge(&["a = 1", &whiteouts.join("\n")]).unwrap().inode_count(), 2);
}

#[test]
fn a_node_is_small() {
    // Name, inode and their share of the hash table, for a content of 32 bytes (S5).
    assert!(arena::size_per_node::<[u64; 4]>() <= 150, "{}", arena::size_per_node::<[u64; 4]>());
}

#[test]
fn retain_removes_subtrees() {
    let mut tree = MergeTree::new();
    let mut layer = tree.layer(Whiteouts::new(WhiteoutFormat::Other)).unwrap();
    for path in ["a/b/c", "a/b/d", "a/e", "f", "g/h", ".wh.x"] {
        let (entry, meta) = (Entry::Node(NodeKind::File(())), Metadata::IMPLIED_DIRECTORY);
        layer.apply(Named { path: path.as_bytes(), entry, meta, xattrs: Xattrs::NONE }).unwrap();
    }
    layer.finish().unwrap();
    let mut seen = Vec::new();
    tree.retain(|path, is_dir| {
        seen.push((String::from_utf8_lossy(path).into_owned(), is_dir));
        !matches!(path, b"a/b" | b"g/h")
    });
    assert_eq!(seen.len(), 7);
    assert!(seen.contains(&("a/b".into(), true)));
    let tree = tree.seal();
    let names: Vec<_> =
        tree.children(InodeId::ROOT).map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, [".wh.x", "a", "f", "g"]);
    assert_eq!(tree.inode_count(), 6);
}
