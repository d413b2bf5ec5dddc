//! `.config` in the root of the checkout, in the form that Xen's own is read in: make's assignments of one line.

use crate::error::{Error, Result};

/// Line, name and value of every assignment. `?=` and `:=` are as `=`: nothing is assigned before and nothing is expanded.
pub fn read(text: &str) -> Result<Vec<(usize, String, String)>> {
    let mut read = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong =
            |why: &str| Error::input(format!("cannot read `.config`, line {number}: `{line}`")).because(why.to_owned());
        let line_ = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line_.split_once('=').ok_or_else(|| wrong("NAME=VALUE is wanted"))?;
        if name.ends_with('+') {
            return Err(wrong("`+=` has nothing that it could add to; write the whole value"));
        }
        let name = name.trim_end_matches([':', '?']).trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(wrong("NAME=VALUE is wanted"));
        }
        // make takes the blanks in front of a comment as part of the value; nobody means them.
        let value = value.split(" #").next().unwrap_or_default().trim();
        if value.contains("$(") || value.contains("${") {
            return Err(wrong("nothing is expanded here; write the value itself"));
        }
        read.push((number, name.to_owned(), value.to_owned()));
    }
    Ok(read)
}
