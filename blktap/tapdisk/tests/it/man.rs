//! The man pages say what `--help` says. `SNAPSHOTS=overwrite cargo test` writes them anew.

use clap_mangen::Man;
use snapbox::data::DataFormat;
use snapbox::{Data, assert_data_eq};

fn check(name: &str, command: clap::Command) {
    let mut page = Vec::new();
    Man::new(command).section("8").date("").source("").render(&mut page).unwrap();
    let path = format!("{}/../man/{name}.8", env!("CARGO_MANIFEST_DIR"));
    let page = String::from_utf8(page).unwrap();
    assert_data_eq!(page, Data::read_from(path.as_ref(), Some(DataFormat::Text)).raw());
}

#[test]
fn the_man_pages_have_the_texts_of_help() {
    // Versions change more often than pages.
    let command = tapdisk::command().version("").disable_help_subcommand(true);
    let serve = command.find_subcommand("serve").unwrap().clone().name("tapdisk-serve").bin_name("tapdisk serve");
    check("tapdisk", command);
    check("tapdisk-serve", serve);
}
