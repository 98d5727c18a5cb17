//! Going on with a transfer in a later run, with servers that resume well, badly, or not at all (R2).

use std::fs;

use crate::support::registry::{Image, Layer, Puller, Ranges, Registry, Reply, any, get, parts_in_flight};

/// An image of one layer, its registry, and a puller whose first run was cut after about 120,000 bytes of it.
fn cut() -> (Image, Registry, Puller) {
    let image = Image::of([Layer::noise(7, 200_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get(&*image.layers[0].digest).times(1), |reply| reply.cut_at(120_000));
    let puller = Puller::new();
    puller.pull(registry.name("demo")).retries(0).run().fails(&["sha256:"]);
    assert_eq!(parts_in_flight(&puller.store()).len(), 1, "one part is kept");
    registry.heal();
    registry.forget();
    (image, registry, puller)
}

/// The ranges asked for the layer, `-` for none.
fn ranges(registry: &Registry, image: &Image) -> Vec<String> {
    let asked = registry.asked(get(&*image.layers[0].digest));
    asked.iter().map(|request| request.header("Range").unwrap_or("-").to_owned()).collect()
}

/// Changes the part that the first run left.
fn spoil(puller: &Puller, change: impl FnOnce(&mut Vec<u8>)) {
    let part = parts_in_flight(&puller.store()).pop().unwrap();
    let mut bytes = fs::read(&part).unwrap();
    change(&mut bytes);
    fs::write(part, bytes).unwrap();
}

#[test]
fn a_later_run_goes_on_where_the_first_stopped() {
    let (image, registry, puller) = cut();
    let length = fs::metadata(&parts_in_flight(&puller.store())[0]).unwrap().len();
    puller.pull(registry.name("demo")).retries(0).run().quietly().gets_exactly(&image);
    assert_eq!(ranges(&registry, &image), [format!("bytes={length}-{}", image.layers[0].bytes.len() - 1)]);
    assert!(parts_in_flight(&puller.store()).is_empty());
}

#[test]
fn it_goes_on_over_many_runs() {
    let (image, registry, puller) = cut();
    registry.when(get(&*image.layers[0].digest).times(3), |reply| reply.cut_at(20_000));
    for _ in 0..3 {
        puller.pull(registry.name("demo")).retries(0).run().fails(&["sha256:"]);
    }
    puller.pull(registry.name("demo")).retries(0).run().gets(&image);
    let asked = ranges(&registry, &image);
    let from = |text: &String| text["bytes=".len()..].split('-').next().unwrap().parse::<u64>().unwrap();
    assert!(asked.windows(2).all(|two| from(&two[0]) < from(&two[1])), "{asked:?}");
}

#[test]
fn a_server_that_ignores_ranges_sends_it_all_again() {
    let (image, registry, puller) = cut();
    registry.ranges(Ranges::Ignored);
    puller.pull(registry.name("demo")).retries(0).run().gets(&image);
    assert_eq!(ranges(&registry, &image).len(), 1, "the answer 200 has all that is needed");
}

#[test]
fn a_server_that_refuses_ranges_is_asked_for_all() {
    let (image, registry, puller) = cut();
    registry.ranges(Ranges::Refused);
    puller.pull(registry.name("demo")).run().gets(&image);
    assert_eq!(ranges(&registry, &image).last().unwrap(), "-");
}

#[test]
fn a_server_that_refuses_ranges_with_any_status_is_asked_for_all_in_the_same_run() {
    for status in [202, 204, 400, 403, 404, 405, 410, 412, 416, 501, 503] {
        let (image, registry, puller) = cut();
        registry.when_asked(get(&*image.layers[0].digest), move |request, reply| match request.header("Range") {
            Some(_) => Reply::error(status, "UNSUPPORTED", "no ranges here"),
            None => reply,
        });
        puller.pull(registry.name("demo")).retries(0).run().quietly().gets(&image);
        let asked = ranges(&registry, &image);
        assert!(asked.len() == 2 && asked[0] != "-" && asked[1] == "-", "{status}: {asked:?}");
    }
}

#[test]
fn a_server_that_gives_less_than_it_was_asked_for_is_asked_for_the_rest() {
    let image = Image::of([Layer::noise(7, 500_000)]);
    for (most, times) in [(150_000, 3), (1000, 2)] {
        let registry = Registry::start();
        registry.push("demo", "latest", &image);
        registry.when(get(&*image.layers[0].digest).times(1), |reply| reply.cut_at(120_000));
        let puller = Puller::new();
        puller.pull(registry.name("demo")).retries(0).run().fails(&["sha256:"]);
        registry.heal();
        registry.forget();
        registry.ranges(Ranges::AtMost(most));
        puller.pull(registry.name("demo")).retries(0).run().quietly().gets(&image);
        let asked = ranges(&registry, &image);
        assert_eq!(asked.len(), times, "{asked:?}");
        assert_eq!(asked.last().unwrap() == "-", most < 64 << 10, "small parts are left for the whole: {asked:?}");
    }
}

#[test]
fn a_store_of_blobs_that_refuses_ranges_is_asked_for_all() {
    for status in [400, 401, 403, 404, 416] {
        let (image, registry, puller) = cut();
        let store = Registry::start_elsewhere();
        store.serve("/blob", "application/octet-stream", image.layers[0].bytes.clone());
        store.when_asked(get("/blob"), move |request, reply| match request.header("Range") {
            Some(_) => Reply::new(status, *b"<Error><Code>InvalidArgument</Code></Error>"),
            None => reply,
        });
        let url = store.url("/blob?signature=SECRET");
        registry.when(get(&*image.layers[0].digest), move |_| Reply::redirect(307, &url));
        puller.pull(registry.name("demo")).retries(0).run().quietly().gets(&image);
        assert_eq!(store.requests().len(), 2, "{status}");
    }
}

#[test]
fn a_part_is_kept_while_nothing_better_is_to_be_had() {
    let (image, registry, puller) = cut();
    registry.when(get(&*image.layers[0].digest).times(2), |_| Reply::error(404, "BLOB_UNKNOWN", "not now"));
    puller.pull(registry.name("demo")).retries(0).run().fails(&["not now"]);
    registry.forget();
    puller.pull(registry.name("demo")).retries(0).run().gets(&image);
    assert!(ranges(&registry, &image)[0].starts_with("bytes="), "{:?}", ranges(&registry, &image));
}

#[test]
fn a_server_that_is_busy_is_asked_for_the_part_again() {
    let (image, registry, puller) = cut();
    registry.when(get(&*image.layers[0].digest).once(), |_| {
        Reply::error(503, "UNAVAILABLE", "busy").header("Retry-After", "0")
    });
    puller.pull(registry.name("demo")).retries(1).run().gets(&image);
    let asked = ranges(&registry, &image);
    assert!(asked.len() == 2 && asked.iter().all(|range| range != "-"), "{asked:?}");
}

#[test]
fn a_range_that_begins_elsewhere_does_not_corrupt() {
    let (image, registry, puller) = cut();
    registry.ranges(Ranges::Early(100));
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_range_that_begins_at_the_start_does_not_corrupt() {
    let (image, registry, puller) = cut();
    registry.ranges(Ranges::FromTheStart);
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_content_range_that_is_missing_or_lies_does_not_corrupt() {
    for lie in [None, Some("bytes 0-5/6"), Some("bytes */*"), Some("nonsense"), Some("bytes 99999999999999999999-1/2")]
    {
        let (image, registry, puller) = cut();
        registry.when(get(&*image.layers[0].digest).once(), move |reply| match lie {
            None => reply.without("Content-Range"),
            Some(lie) => reply.header("Content-Range", lie),
        });
        puller.pull(registry.name("demo")).run().gets(&image);
    }
}

#[test]
fn a_right_content_range_over_wrong_bytes_does_not_corrupt() {
    let (image, registry, puller) = cut();
    registry.when(get(&*image.layers[0].digest).once(), |reply| reply.flipped(10));
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_blob_is_whole_when_its_bytes_are_right_however_the_connection_ends() {
    let image = Image::of([Layer::noise(7, 200_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    // All chunks but the last one, which says that there are no more.
    registry.when_asked(get("/blobs/"), |_, reply| {
        let whole = reply.len();
        reply.chunked().cut_at(whole)
    });
    Puller::new().pull(registry.name("demo")).retries(0).run().quietly().gets(&image);
    assert_eq!(ranges(&registry, &image), ["-"]);
}

#[test]
fn a_spoilt_part_costs_one_retry() {
    let (image, registry, puller) = cut();
    spoil(&puller, |bytes| bytes[5000] ^= 1);
    puller.pull(registry.name("demo")).retries(1).run().gets(&image);
    let asked = ranges(&registry, &image);
    assert!(asked.len() == 2 && asked[0] != "-" && asked[1] == "-", "{asked:?}");
}

#[test]
fn a_part_that_is_too_long_is_no_part() {
    let (image, registry, puller) = cut();
    spoil(&puller, |bytes| bytes.resize(1 << 20, 0));
    puller.pull(registry.name("demo")).retries(1).run().gets(&image);
}

#[test]
fn a_part_that_is_whole_needs_no_byte() {
    let (image, registry, puller) = cut();
    let whole = image.layers[0].bytes.to_vec();
    spoil(&puller, |bytes| *bytes = whole);
    registry.when(get(&*image.layers[0].digest), |reply| reply.cut_at(0));
    puller.pull(registry.name("demo")).retries(0).run().gets(&image);
}

#[test]
fn a_part_of_full_length_and_wrong_bytes_is_fetched_again() {
    let (image, registry, puller) = cut();
    let mut wrong = image.layers[0].bytes.to_vec();
    wrong[70_000] ^= 1;
    spoil(&puller, |bytes| *bytes = wrong);
    puller.pull(registry.name("demo")).retries(1).run().gets(&image);
}

#[test]
fn a_part_serves_an_image_of_another_name() {
    let (image, registry, puller) = cut();
    registry.push("other/name", "v1", &image);
    puller.pull(registry.name("other/name:v1")).retries(0).run().gets(&image);
    assert!(ranges(&registry, &image)[0].starts_with("bytes="), "{:?}", ranges(&registry, &image));
}

#[test]
fn a_blob_named_by_sha512_is_resumed_too() {
    let image = Image::of([Layer::noise(7, 200_000).sha512()]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get("sha512:").times(1), |reply| reply.cut_at(120_000));
    Puller::new().pull(registry.name("demo")).run().gets_exactly(&image);
    assert!(registry.asked(any("sha512:"))[1].header("Range").is_some());
}
