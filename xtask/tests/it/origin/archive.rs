//! The archive origin: addresses, digests, files that people bring.

use std::fs;
use std::path::PathBuf;

use xtask::error::Kind;
use xtask::origin::{self, CheckedOut};

use super::servers::{Fault, Server, dead};
use super::world::{World, digest_of, origin, write_tar_gz};
use crate::tier;

/// `thing-1.0.tar.gz` with one file, in a directory to serve.
fn archive(world: &World, text: &str) -> (PathBuf, PathBuf) {
    let served = world.path("served");
    let file = served.join("thing-1.0.tar.gz");
    write_tar_gz(&file, &[("thing-1.0/src/a", text)]);
    (served, file)
}

fn archive_origin(urls: &[String]) -> String {
    format!("archive = {{ urls = {urls:?} }}")
}

#[test]
fn an_archive_comes_from_http_file_and_plain_paths() {
    let world = World::new();
    let (served, file) = archive(&world, "one\n");
    let server = Server::http(served, |_| Fault::None);
    for url in
        [server.url("http", "thing-1.0.tar.gz"), format!("file://{}", file.display()), file.display().to_string()]
    {
        let mut world = World::new();
        let from = origin(&archive_origin(&[url]));
        let pin = world.update(&from);
        assert_eq!(pin.epoch, 1_600_000_000);
        assert_eq!((pin.files[0].path.as_str(), pin.files[0].sha256), ("thing-1.0.tar.gz", digest_of(&file).hash));
        assert_eq!(world.read("src/a"), "one\n");
        assert_eq!(world.fetch(&from, Some(&pin)).unwrap(), CheckedOut::Already);
        // From the store, nothing asked.
        world.offline = true;
        fs::remove_dir_all(world.tree()).unwrap();
        assert_eq!(world.fetch(&from, Some(&pin)).unwrap(), CheckedOut::Fetched);
        assert_eq!(world.said(), [""; 0]);
    }
}

#[test]
fn the_next_address_is_taken_when_one_is_dead_busy_missing_or_cut_off() {
    let world = World::new();
    let (served, _) = archive(&world, &"long and dull\n".repeat(10_000));
    let busy = Server::http(served.clone(), |_| Fault::Answers(503));
    let cut = Server::http(served.clone(), |_| Fault::ClosesAfter(100));
    let good = Server::http(served, |connection| if connection == 0 { Fault::ClosesAfter(50) } else { Fault::None });
    let name = "thing-1.0.tar.gz";
    let urls = [
        dead("http"),
        busy.url("http", name),
        cut.url("http", name),
        good.url("http", "missing.tar.gz"),
        good.url("http", name),
    ];
    let pin = world.update(&origin(&archive_origin(&urls)));
    assert_eq!(pin.files.len(), 1);
    assert_eq!((busy.connections(), cut.connections()), (1, 1));
    let said = world.said().join("\n");
    for reason in ["503", "404", "instead"] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    if xtask::origin::download_program() != Some("curl") {
        return tier::skip("there is no curl; wget is never asked to go on, apt's helper decides that itself");
    }
    let world = World::new();
    let (served, file) = archive(&world, &super::mirrors::large_text(3));
    let local = origin(&archive_origin(&[file.display().to_string()]));
    let pin = world.resolve(&local, None).unwrap();
    let size = fs::metadata(&file).unwrap().len() as usize;
    for (second, expected) in [(Fault::None, 2 * size - 20_000), (Fault::NoRanges, 3 * size)] {
        let faults = [Fault::ClosesAfter(20_000), second];
        let server =
            Server::http(served.clone(), move |connection| faults.get(connection).copied().unwrap_or(Fault::None));
        let fresh = World::new();
        fresh.fetch(&origin(&archive_origin(&[server.url("http", "thing-1.0.tar.gz")])), Some(&pin)).unwrap();
        assert_eq!(server.sent(), expected, "{second:?}");
    }
}

#[test]
fn wrong_content_is_not_kept_and_both_digests_are_shown() {
    let world = World::new();
    let (served, file) = archive(&world, "one\n");
    let server = Server::http(served, |_| Fault::None);
    let from = origin(&archive_origin(&[server.url("http", "thing-1.0.tar.gz")]));
    let pin = world.resolve(&from, None).unwrap();
    archive(&world, "something else\n");
    let fresh = World::new();
    let error = fresh.fetch(&from, Some(&pin)).unwrap_err();
    let (wanted, found) = (pin.files[0].sha256.to_string(), digest_of(&file).hash.to_string());
    let report = error.report();
    assert!(report.contains(&wanted) && report.contains(&found) && report.contains("--from FILE"), "{report}");
    assert_eq!(error.kind(), Kind::Machine);
    assert!(!fresh.tree().exists());
    assert_eq!(fs::read_dir(fresh.layout.files()).unwrap().count(), 0);
    // `update` takes it, and says that it changed under its name.
    let new = world.resolve(&from, Some(&pin)).unwrap();
    assert_eq!(new.files[0].sha256.to_string(), found);
    assert!(world.said().iter().any(|line| line.contains(&wanted) && line.contains(&found)));
}

#[test]
fn a_damaged_file_in_the_store_is_a_miss_and_said() {
    let world = World::new();
    let (_, file) = archive(&world, "one\n");
    let from = origin(&archive_origin(&[file.display().to_string()]));
    let pin = world.update(&from);
    fs::write(world.layout.files().join(pin.files[0].sha256.to_string()), "rubbish").unwrap();
    fs::remove_dir_all(world.tree()).unwrap();
    assert_eq!(world.fetch(&from, Some(&pin)).unwrap(), CheckedOut::Fetched);
    assert!(world.said().iter().any(|line| line.contains("damaged in the store")));
    assert_eq!(world.read("src/a"), "one\n");
}

#[test]
fn a_file_that_a_person_has_is_taken_if_it_is_the_locked_one() {
    let world = World::new();
    let (_, file) = archive(&world, "one\n");
    let from = origin(&archive_origin(&[file.display().to_string()]));
    let pin = world.resolve(&from, None).unwrap();
    let other = world.path("other.tar.gz");
    write_tar_gz(&other, &[("x/a", "other")]);
    let unreachable = origin(&archive_origin(&[dead("http")]));
    let mut late = World::new();
    late.offline = true;
    let place = |path: &PathBuf| late.with(|ctx| origin::place_file(ctx, &late.source, Some(&pin), path));
    let report = place(&other).unwrap_err().report();
    assert!(report.contains(&digest_of(&other).hash.to_string()) && report.contains("thing-1.0.tar.gz"), "{report}");
    assert!(place(&world.path("nothing")).is_err());
    let report = late.fetch(&unreachable, Some(&pin)).unwrap_err().report();
    assert!(report.contains("--offline") && report.contains(&pin.files[0].sha256.to_string()), "{report}");
    place(&file).unwrap();
    assert_eq!(late.fetch(&unreachable, Some(&pin)).unwrap(), CheckedOut::Fetched);
    // Or put there beforehand by its name.
    let mut early = World::new();
    early.offline = true;
    let by_name = early.layout.files().join("by-name");
    fs::create_dir_all(&by_name).unwrap();
    fs::copy(&other, by_name.join("thing-1.0.tar.gz")).unwrap();
    early.fetch(&unreachable, Some(&pin)).unwrap_err();
    assert!(early.said().iter().any(|line| line.contains("is not the locked file")));
    fs::copy(&file, by_name.join("thing-1.0.tar.gz")).unwrap();
    assert_eq!(early.fetch(&unreachable, Some(&pin)).unwrap(), CheckedOut::Fetched);
}

#[test]
fn edits_in_an_unpacked_archive_are_found_and_kept() {
    let mut world = World::new();
    let (_, file) = archive(&world, "one\n");
    let from = origin(&archive_origin(&[file.display().to_string()]));
    let old = world.update(&from);
    archive(&world, "two\n");
    let new = world.resolve(&from, Some(&old)).unwrap();
    fs::write(world.tree().join("src/a"), "mine\n").unwrap();
    let report = world.fetch(&from, Some(&new)).unwrap_err().report();
    assert!(report.contains("src/a (edited)"), "{report}");
    assert_eq!(world.read("src/a"), "mine\n");
    world.discard = true;
    assert_eq!(world.fetch(&from, Some(&new)).unwrap(), CheckedOut::Moved);
    assert_eq!(world.read("src/a"), "two\n");
}

#[test]
fn a_tree_that_is_not_the_locked_one_is_refused() {
    let world = World::new();
    let (_, file) = archive(&world, "one\n");
    let pin = world.resolve(&origin(&archive_origin(&[file.display().to_string()])), None).unwrap();
    // The manifest changed after the lock was written.
    let changed = origin(&format!("archive = {{ urls = [{:?}], strip = 2 }}", file.display().to_string()));
    let world = World::new();
    let report = world.fetch(&changed, Some(&pin)).unwrap_err().report();
    assert!(report.contains(&pin.tree.to_string()) && report.contains("cargo xtask update thing"), "{report}");
    assert!(!world.tree().exists());
}

#[test]
fn the_manifest_may_say_what_an_archive_must_be_before_it_is_locked() {
    let world = World::new();
    let (_, file) = archive(&world, "one\n");
    let with = |sha256: &str| {
        origin(&format!("archive = {{ urls = [{:?}], sha256 = {sha256:?} }}", file.display().to_string()))
    };
    let good = digest_of(&file).hash.to_string();
    let world = World::new();
    assert_eq!(world.update(&with(&good)).files[0].sha256.to_string(), good);
    let bad = "0".repeat(64);
    let error = world.resolve(&with(&bad), None).unwrap_err().report();
    assert!(error.contains(&format!("its sha256 is {good}, manifest `test` wants {bad}")), "{error}");
}

#[test]
fn an_archive_may_be_compressed_by_bzip2() {
    let world = World::new();
    let (_, file) = archive(&world, "one\n");
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(fs::File::open(&file).unwrap()), &mut tar).unwrap();
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    let packed = world.path("thing-1.0.tar.bz2");
    fs::write(&packed, encoder.finish().unwrap()).unwrap();
    let world = World::new();
    world.update(&origin(&archive_origin(&[packed.display().to_string()])));
    assert_eq!(world.read("src/a"), "one\n");
}
