//! Pulling from a registry that is slow, rude or broken (R1, R2, S3, S4).

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::registry::{
    Image, Layer, Puller, Registry, Reply, Request, any, digest, get, head, parts_in_flight,
};

fn blob(layer: &Layer) -> String {
    format!("/blobs/{}", layer.digest)
}

/// A registry with one image `demo` of one layer of about 200 KB, and a puller.
fn one_layer() -> (Image, Registry, Puller) {
    let image = Image::of([Layer::noise(1, 200_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    (image, registry, Puller::new())
}

#[test]
fn an_image_is_pulled_whole_and_described() {
    let image = Image::of([Layer::noise(1, 100_000), Layer::file("a", "b"), Layer::noise(2, 3000)]);
    let registry = Registry::start();
    registry.push("team/demo", "1.0", &image);
    let puller = Puller::new();
    let pulled = puller.pull(registry.name("team/demo:1.0")).run().quietly().gets_exactly(&image);
    let first = &pulled.records()[0];
    assert_eq!(first["reference"], registry.name("team/demo:1.0"));
    assert_eq!(first["platform"]["os"], "linux");
    assert_eq!(registry.asked(get("/blobs/")).len(), 4, "each blob is fetched once");
}

#[test]
fn an_image_without_layers_is_an_image() {
    let image = Image::of([]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    Puller::new().pull(registry.name("demo")).run().gets_exactly(&image);
}

#[test]
fn a_layer_that_occurs_twice_is_fetched_once() {
    let layer = Layer::noise(1, 50_000);
    let image = Image::of([layer.clone(), Layer::file("a", "b"), layer.clone()]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    Puller::new().pull(registry.name("demo")).run().gets_exactly(&image);
    assert_eq!(registry.asked(get(blob(&layer))).len(), 1);
}

#[test]
fn a_layer_is_announced_while_the_next_is_still_on_the_wire() {
    let image = Image::of([Layer::noise(1, 50_000), Layer::noise(2, 50_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get(blob(&image.layers[1])), |reply| reply.stall_at(1000));
    let puller = Puller::new();
    let out = puller.path("manifest");
    let running = puller.pull(registry.name("demo")).retries(100).timeout(1).stdout_file(&out).spawn();
    let start = Instant::now();
    while fs::read_to_string(&out).unwrap_or_default().lines().count() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "no record of layer 0");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(fs::read_to_string(&out).unwrap().contains(&image.layers[0].digest));
    registry.heal();
    assert!(running.wait().status.success());
    assert!(fs::read_to_string(&out).unwrap().ends_with("{\"type\":\"end\"}\n"));
}

#[test]
fn layers_come_in_parallel_as_many_as_jobs_says() {
    let layers: Vec<Layer> = (0..4).map(|seed| Layer::noise(seed, 20_000)).collect();
    for (jobs, parallel) in [("4", true), ("1", false)] {
        let image = Image::of(layers.clone());
        let registry = Registry::start();
        registry.push("demo", "latest", &image);
        // Each first answer hangs: whoever waits for it before the next asks for the same layer again.
        for layer in &layers {
            registry.when(get(blob(layer)).once(), |reply| reply.stall_at(10));
        }
        Puller::new().pull(registry.name("demo")).args(["-j", jobs]).timeout(1).retries(3).run().gets(&image);
        let config = format!("/blobs/{}", digest(&image.config()));
        let asked = registry.asked(get("/blobs/"));
        let mut paths: Vec<&str> = asked.iter().map(Request::path).collect();
        paths.retain(|path| !path.ends_with(&config));
        let mut first: Vec<&str> = paths[..4].to_vec();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len() == 4, parallel, "with --jobs {jobs}: {paths:?}");
    }
}

#[test]
fn a_dropped_transfer_goes_on_where_it_stopped() {
    let (image, registry, puller) = one_layer();
    let path = blob(&image.layers[0]);
    registry.when(get(&*path).once(), |reply| reply.cut_at(120_000));
    puller.pull(registry.name("demo")).run().gets(&image);
    let asked = registry.asked(get(path));
    assert_eq!(asked.len(), 2);
    let range = asked[1].header("Range").expect("a Range");
    let from: u64 = range.strip_prefix("bytes=").and_then(|range| range.split('-').next()).unwrap().parse().unwrap();
    assert!((60_000..=120_000).contains(&from), "{range}");
}

#[test]
fn a_chunked_transfer_that_is_dropped_goes_on_too() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])).once(), |reply| reply.chunked().cut_at(120_000));
    puller.pull(registry.name("demo")).run().gets(&image);
    assert!(registry.asked(get("/blobs/")).iter().any(|request| request.header("Range").is_some()));
}

#[test]
fn progress_between_drops_does_not_use_up_the_retries_of_others() {
    let image = Image::of([Layer::noise(1, 100_000), Layer::noise(2, 100_000), Layer::noise(3, 100_000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    for layer in &image.layers {
        registry.when(get(blob(layer)).times(2), |reply| reply.cut_at(30_000));
    }
    Puller::new().pull(registry.name("demo")).retries(2).run().gets(&image);
}

#[test]
fn a_transfer_that_is_always_dropped_fails_in_the_end() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])), |reply| reply.cut_at(0));
    puller.pull(registry.name("demo")).retries(2).run().fails(&[&image.layers[0].digest[..19]]);
    assert_eq!(registry.asked(get(blob(&image.layers[0]))).len(), 3, "one attempt and two further");
}

#[test]
fn a_connection_that_breaks_inside_the_manifest_is_tried_again() {
    let (image, registry, puller) = one_layer();
    registry.when(get("/manifests/").once(), |reply| reply.cut_at(40));
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_stalled_body_is_given_up_and_resumed() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])).once(), |reply| reply.stall_at(100_000));
    puller.pull(registry.name("demo")).timeout(1).retries(3).run().gets(&image);
    assert!(registry.asked(get(blob(&image.layers[0])))[1].header("Range").is_some());
}

#[test]
fn a_body_that_always_stalls_fails_and_says_so() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])), |reply| reply.stall_at(10));
    puller.pull(registry.name("demo")).timeout(1).run().fails(&["timed out|timeout|stall|no byte"]);
}

#[test]
fn a_stalled_manifest_fails_and_says_so() {
    let (_, registry, puller) = one_layer();
    registry.when(get("/manifests/"), |reply| reply.stall_at(10));
    puller.pull(registry.name("demo")).timeout(1).run().fails(&["timed out|timeout|stall|no byte"]).says_nothing();
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (image, registry, puller) = one_layer();
    registry.when(get("/manifests/").once(), Reply::never);
    registry.when(get("/blobs/").once(), Reply::never);
    puller.pull(registry.name("demo")).timeout(1).retries(3).run().gets(&image);
    registry.when(any("/manifests/"), Reply::never);
    puller.pull(registry.name("demo:other")).timeout(1).run().fails(&["no answer|timed out|timeout"]).says_nothing();
}

#[test]
fn a_header_without_end_is_not_read_to_its_end() {
    let (_, registry, puller) = one_layer();
    registry.when(any("/manifests/"), |reply| reply.header("X-Long", &"x".repeat(64 << 20)));
    puller.pull(registry.name("demo")).run().fails(&["header|parse|large|broke|error"]).says_nothing();
}

#[test]
fn a_plain_server_that_waits_for_a_line_is_spoken_to_in_the_end() {
    let (image, registry, puller) = one_layer();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let behind = registry.host();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let behind = behind.clone();
            thread::spawn(move || {
                let mut first = [0];
                if client.peek(&mut first).is_err() || first == [0x16] {
                    // TLS: it says nothing, and waits for more.
                    let mut rest = Vec::new();
                    let _ = std::io::Read::read_to_end(&mut &client, &mut rest);
                    return;
                }
                let server = std::net::TcpStream::connect(behind).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut &from, &mut &to));
                let _ = std::io::copy(&mut &server, &mut &client);
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    puller.pull(format!("{host}/demo")).timeout(2).run().gets(&image);
}

#[test]
fn a_slow_body_is_no_stalled_body() {
    let (image, registry, puller) = one_layer();
    // Slower in all than --timeout, but never without a byte for so long.
    registry.when(get(blob(&image.layers[0])), |reply| reply.slow(20_000, Duration::from_millis(300)));
    puller.pull(registry.name("demo")).timeout(2).retries(0).run().gets(&image);
}

#[test]
fn a_short_body_is_refused() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])), |reply| reply.short(1000));
    puller.pull(registry.name("demo")).run().fails(&["sha256:", "byte|size|short|ended"]);
}

#[test]
fn a_long_body_is_refused() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])), |reply| reply.long(1));
    puller.pull(registry.name("demo")).run().fails(&["sha256:", "byte|size|long"]);
}

#[test]
fn an_endless_chunked_body_is_cut_off_at_its_size() {
    let (image, registry, puller) = one_layer();
    let path = blob(&image.layers[0]);
    registry.when(get(path), |reply| reply.endless().chunked());
    puller.pull(registry.name("demo")).retries(0).run().fails(&["sha256:", "byte|size|long"]);
    for part in parts_in_flight(&puller.store()) {
        assert!(fs::metadata(&part).unwrap().len() < 1 << 20, "{} took it all", part.display());
    }
}

#[test]
fn wrong_bytes_are_refused() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])), |reply| reply.flipped(1000));
    puller.pull(registry.name("demo")).run().fails(&["digest|sha256", &image.layers[0].digest[7..19]]);
}

#[test]
fn wrong_bytes_once_cost_one_retry() {
    let (image, registry, puller) = one_layer();
    registry.when(get(blob(&image.layers[0])).once(), |reply| reply.flipped(1000));
    puller.pull(registry.name("demo")).run().gets(&image);
    let asked = registry.asked(get(blob(&image.layers[0])));
    assert_eq!(asked.len(), 2);
    assert!(asked[1].header("Range").is_none_or(|range| range.starts_with("bytes=0-")), "wrong bytes were kept");
}

#[test]
fn a_good_layer_above_a_bad_one_is_not_announced() {
    let image = Image::of([Layer::noise(1, 5000), Layer::noise(2, 5000), Layer::noise(3, 5000)]);
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    registry.when(get(blob(&image.layers[1])), |reply| reply.flipped(100));
    let puller = Puller::new();
    let pulled = puller.pull(registry.name("demo")).run().fails(&["sha256:"]);
    let indexes: Vec<_> = pulled.records().iter().filter_map(|record| record["index"].as_u64()).collect();
    assert!(indexes.is_empty() || indexes == [0], "{indexes:?}");
    registry.heal();
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn bodies_without_a_length_are_read() {
    let (image, registry, puller) = one_layer();
    registry.when(get("/manifests/").once(), Reply::chunked);
    registry.when(get(blob(&image.layers[0])).once(), Reply::until_close);
    registry.when(get("/blobs/").once(), Reply::chunked);
    puller.pull(registry.name("demo")).retries(0).run().gets(&image);
}

#[test]
fn too_many_requests_wait_as_long_as_the_server_says() {
    let (image, registry, puller) = one_layer();
    registry.when(any("/manifests/").once(), |_| {
        Reply::error(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", "1")
    });
    puller.pull(registry.name("demo")).run().gets(&image);
    let asked = registry.asked(any("/manifests/"));
    assert!(asked[1].at - asked[0].at >= Duration::from_secs(1), "it came back too soon");
}

#[test]
fn a_throttled_blob_waits_too() {
    let (image, registry, puller) = one_layer();
    let path = blob(&image.layers[0]);
    registry.when(get(&*path).once(), |_| Reply::error(503, "UNAVAILABLE", "busy").header("Retry-After", "1"));
    puller.pull(registry.name("demo")).run().gets(&image);
    let asked = registry.asked(get(path));
    assert!(asked[1].at - asked[0].at >= Duration::from_secs(1), "it came back too soon");
}

#[test]
fn a_date_in_retry_after_is_understood() {
    let (image, registry, puller) = one_layer();
    registry.when(any("/manifests/").once(), |_| {
        Reply::error(503, "UNAVAILABLE", "back soon").header("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")
    });
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn servers_in_trouble_are_asked_again() {
    for status in [500, 502, 503, 504, 429] {
        let (image, registry, puller) = one_layer();
        registry.when(any("/v2/").times(2), move |_| Reply::new(status, *b"trouble"));
        puller.pull(registry.name("demo")).retries(2).run().gets(&image);
    }
}

#[test]
fn a_server_in_lasting_trouble_is_quoted() {
    let (_, registry, puller) = one_layer();
    registry.when(get("/manifests/"), |_| Reply::error(500, "UNKNOWN", "the disk is on fire"));
    let pulled = puller.pull(registry.name("demo")).run().fails(&["500", "the disk is on fire"]).says_nothing();
    assert_eq!(registry.asked(get("/manifests/")).len(), 2, "{}", pulled.ran.report());
}

#[test]
fn what_is_not_there_is_named_and_not_asked_for_again() {
    let (_, registry, puller) = one_layer();
    puller.pull(registry.name("no/such")).retries(5).run().fails(&["no/such", "404|not found|unknown"]).says_nothing();
    assert_eq!(registry.asked(any("/manifests/")).len(), 1);
    puller.pull(registry.name("demo:nosuchtag")).run().fails(&["nosuchtag", "404|not found|unknown"]).says_nothing();
}

#[test]
fn a_blob_that_is_not_there_is_named() {
    let (image, registry, puller) = one_layer();
    registry.remove(&format!("/v2/demo{}", blob(&image.layers[0])));
    let cause = &image.layers[0].digest[..19];
    puller.pull(registry.name("demo")).retries(5).run().fails(&[cause, "404|not found|unknown"]);
    assert_eq!(registry.asked(get(blob(&image.layers[0]))).len(), 1);
}

#[test]
fn forbidden_is_quoted_and_not_tried_again() {
    let (_, registry, puller) = one_layer();
    registry.when(any("/manifests/"), |_| Reply::error(403, "DENIED", "your subscription ended"));
    puller.pull(registry.name("demo")).retries(5).run().fails(&["403|denied", "your subscription ended"]);
    assert_eq!(registry.asked(any("/manifests/")).len(), 1);
}

#[test]
fn a_page_full_of_control_bytes_cannot_drive_the_terminal() {
    let (_, registry, puller) = one_layer();
    let page = b"<html>\x1b]0;owned\x07\x1b[31m\r\n\xff\xfe<h1>Go away\x00</h1>\n</html>";
    registry.when(any("/manifests/"), |_| Reply::new(403, *page).header("Content-Type", "text/html"));
    puller.pull(registry.name("demo")).run().fails(&["403|forbidden"]).says_nothing();
    registry.heal();
    registry.when(any("/manifests/"), |_| Reply::error(403, "DENIED", "\u{1b}[2J\u{202e}gone\nsecond line\u{9b}31m"));
    puller.pull(registry.name("demo")).run().fails(&["gone"]).says_nothing();
}

#[test]
fn a_huge_error_page_is_not_read_to_its_end() {
    let (_, registry, puller) = one_layer();
    for status in [404, 500] {
        registry.heal();
        registry.when(any("/manifests/"), move |_| Reply::new(status, vec![b'x'; 64 << 20]));
        puller.pull(registry.name("demo")).run().fails(&[&status.to_string()]).says_nothing();
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let registry = Registry::start();
    let name = registry.name("demo");
    drop(registry);
    Puller::new().pull(&name).run().fails(&[name.split('/').next().unwrap(), "refused|connect"]).says_nothing();
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    Puller::new().pull("nosuchhost.invalid/demo").run().fails(&["nosuchhost.invalid"]).says_nothing();
}

#[test]
fn something_that_speaks_no_http_is_no_registry() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    Puller::new().pull(format!("{host}/demo")).run().fails(&[&host]).says_nothing();
}

#[test]
fn a_website_is_no_registry() {
    let registry = Registry::start();
    registry.when(any(""), |_| Reply::new(200, *b"<html>hello</html>").header("Content-Type", "text/html"));
    Puller::new().pull(registry.name("demo")).run().fails(&["manifest|json|registry"]).says_nothing();
}

#[test]
fn a_blob_may_stand_on_another_server() {
    let (image, registry, puller) = one_layer();
    let elsewhere = Registry::start_elsewhere();
    elsewhere.serve("/bucket/layer", "application/octet-stream", &*image.layers[0].bytes);
    for status in [301, 302, 303, 307, 308] {
        registry.heal();
        let to = elsewhere.url("/bucket/layer?X-Amz-Signature=SECRET-signature");
        registry.when(get(blob(&image.layers[0])), move |_| Reply::redirect(status, &to));
        fs::remove_dir_all(puller.store()).ok();
        puller.pull(registry.name("demo")).run().gets(&image);
    }
    assert_eq!(elsewhere.requests().len(), 5);
}

#[test]
fn a_relative_redirect_is_followed() {
    let (image, registry, puller) = one_layer();
    registry.serve("/bucket/layer", "application/octet-stream", &*image.layers[0].bytes);
    registry.when(get(blob(&image.layers[0])), |_| Reply::redirect(307, "/bucket/layer"));
    puller.pull(registry.name("demo")).run().gets(&image);
}

#[test]
fn a_transfer_from_elsewhere_goes_on_after_a_fresh_redirect() {
    let (image, registry, puller) = one_layer();
    let elsewhere = Registry::start_elsewhere();
    elsewhere.serve("/layer", "application/octet-stream", &*image.layers[0].bytes);
    elsewhere.when(get("/layer").once(), |reply| reply.cut_at(150_000));
    // The first signature is good for one request.
    elsewhere.when(get("SECRET-1"), |_| Reply::new(403, *b"Request has expired"));
    let path = blob(&image.layers[0]);
    let [first, second] = [1, 2].map(|n| elsewhere.url(&format!("/layer?sig=SECRET-{n}")));
    registry.when(get(&*path).once(), move |_| Reply::redirect(307, &first));
    registry.when(get(&*path), move |_| Reply::redirect(307, &second));
    puller.pull(registry.name("demo")).run().gets(&image);
    assert!(elsewhere.requests()[1].header("Range").is_some(), "it started over");
}

#[test]
fn an_error_elsewhere_does_not_tell_the_signature() {
    let (image, registry, puller) = one_layer();
    let elsewhere = Registry::start_elsewhere();
    let to = elsewhere.url("/layer?X-Amz-Signature=SECRET-signature&user=SECRET");
    registry.when(get(blob(&image.layers[0])), move |_| Reply::redirect(307, &to));
    for reply in [Reply::new(403, *b"AccessDenied"), Reply::new(500, *b""), Reply::new(200, *b"").cut_at(0)] {
        elsewhere.heal();
        elsewhere.when(get("/layer"), move |_| reply.clone());
        puller.pull(registry.name("demo")).arg("-v").run().fails_wordily(&["sha256"]);
    }
    drop(elsewhere);
    puller.pull(registry.name("demo")).arg("-vv").run().fails_wordily(&["sha256"]);
}

#[test]
fn a_redirect_in_a_circle_ends() {
    let (image, registry, puller) = one_layer();
    let path = format!("/v2/demo{}?s=SECRET", blob(&image.layers[0]));
    registry.when(get("/blobs/"), move |_| Reply::redirect(307, &path));
    puller.pull(registry.name("demo")).run().fails(&["redirect"]);
    assert!(registry.requests().len() < 100);
}

#[test]
fn a_redirect_to_a_file_is_not_followed() {
    let (image, registry, puller) = one_layer();
    for to in ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "::not a url::"] {
        registry.heal();
        registry.when(get(blob(&image.layers[0])), move |_| Reply::redirect(307, to));
        puller.pull(registry.name("demo")).run().fails(&["sha256:"]);
    }
}

#[test]
fn a_killed_pull_leaves_what_it_had_and_the_next_goes_on() {
    let (image, registry, puller) = one_layer();
    let path = blob(&image.layers[0]);
    registry.when(get(&*path).once(), |reply| reply.stall_at(150_000));
    let running = puller.pull(registry.name("demo")).timeout(60).spawn();
    let start = Instant::now();
    while parts_in_flight(&puller.store()).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is on disk");
        thread::sleep(Duration::from_millis(10));
    }
    // Everything that was sent is on its way to the disk by now.
    thread::sleep(Duration::from_millis(500));
    running.signal(rustix::process::Signal::KILL);
    drop(running.wait());
    puller.pull(registry.name("demo")).run().gets(&image);
    let asked = registry.asked(get(path));
    assert!(asked[1].header("Range").is_some(), "the second run started over");
    assert!(parts_in_flight(&puller.store()).is_empty(), "{:?}", parts_in_flight(&puller.store()));
}

#[test]
fn a_reader_that_leaves_makes_it_stop_quietly_and_not_successfully() {
    let image = Image::of((0..40).map(|seed| Layer::noise(seed, 2000)));
    let registry = Registry::start();
    registry.push("demo", "latest", &image);
    let puller = Puller::new();
    let script = format!(
        "{{ '{}' --dir '{}' {} ; echo $? >'{}'; }} | head -c 1",
        env!("CARGO_BIN_EXE_oci-fetch"),
        puller.store().display(),
        registry.name("demo"),
        puller.path("status").display()
    );
    registry.when(get(blob(&image.layers[39])).once(), |reply| reply.slow(500, Duration::from_millis(50)));
    crate::support::shell(&script).run().succeeds().quiet();
    let status = fs::read_to_string(puller.path("status")).unwrap_or_default();
    assert!(status.is_empty() || status == "1\n", "status {status}");
}

#[test]
fn head_need_not_be_supported() {
    let (image, registry, puller) = one_layer();
    registry.when(head(""), |_| Reply::error(405, "UNSUPPORTED", "no HEAD here"));
    puller.pull(registry.name("demo")).run().gets(&image);
    puller.pull(registry.name("demo")).run().gets(&image);
}
