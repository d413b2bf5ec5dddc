//! The man page says what `--help` says. `SNAPSHOTS=overwrite cargo test` writes it anew.

use snapbox::data::DataFormat;
use snapbox::{Data, assert_data_eq};

use crate::bench::Bench;

#[test]
fn the_man_page_has_the_texts_of_help() {
    let help = |command: Option<&str>| {
        let output = Bench::new().run(command.into_iter().chain(["--help"])).code(0).get_output().stdout.clone();
        String::from_utf8(output).unwrap()
    };
    let page = legacy_cli::man::page("cbt-util", "8", help);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/cbt-util.8");
    assert_data_eq!(page, Data::read_from(path.as_ref(), Some(DataFormat::Text)).raw());
}
