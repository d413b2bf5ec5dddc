//! The table in a page that people write around it.

use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- written by `cargo bench -p tapdisk --bench servers` -->";
const END: &str = "<!-- end of what is written by it -->";

/// Puts the table in the place of the last one. Everything else in the page stays.
pub(crate) fn write(page: &Path, table: &str) {
    let old = fs::read_to_string(page).unwrap_or_else(|_| format!("# Performance\n\n{BEGIN}\n{END}\n"));
    let (before, rest) = old.split_once(BEGIN).unwrap_or_else(|| panic!("no line `{BEGIN}` in {}", page.display()));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("no line `{END}` in {}", page.display()));
    fs::write(page, format!("{before}{BEGIN}\n{table}{END}{after}")).unwrap();
}
