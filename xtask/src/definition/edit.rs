//! Changes that commands make to a file that people write: everything else in it, comments too, stays as it is.

use std::collections::BTreeMap;

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::{Name, Origin};

#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary has gates"))]
/// A manifest's file in which a source comes from somewhere else.
pub fn with_origin(text: &str, source: &Name, origin: &Origin) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let written = toml::to_string(&BTreeMap::from([(source, origin)])).map_err(|error| error.to_string())?;
    let written: DocumentMut = written.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let sources = document.entry("sources").or_insert_with(|| Item::Table(Table::new()));
    let sources = sources.as_table_like_mut().ok_or("`sources` is no table")?;
    let mut entry = Table::new();
    for (kind, said) in written[source.as_str()].as_table_like().into_iter().flat_map(|table| table.iter()) {
        let said = said.clone().into_table().map_err(|_| "an origin is a table")?;
        entry.insert(kind, toml_edit::value(said.into_inline_table()));
    }
    if let Some(old) = sources.get(source.as_str()).and_then(Item::as_table) {
        // With the comment and the empty line above it, at its place.
        *entry.decor_mut() = old.decor().clone();
        entry.set_position(old.position());
    }
    sources.insert(source.as_str(), Item::Table(entry));
    Ok(document.to_string())
}

/// A component's file with these patches listed, in this order. Entries that stay keep the comments above and behind them.
pub fn with_patches(text: &str, patches: &[String]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let item = document.entry("patches").or_insert_with(|| toml_edit::value(Array::new()));
    let array = item.as_array_mut().ok_or("`patches` is no list")?;
    // What stands behind an entry in its line is in front of the next one for the parser.
    let mut between: Vec<String> = array.iter().map(|value| raw(value.decor().prefix())).collect();
    between.push(raw(Some(array.trailing())));
    let entries: Vec<(Value, &str, &str)> = array
        .iter()
        .enumerate()
        .map(|(index, value)| (value.clone(), split(&between[index]).1, split(&between[index + 1]).0))
        .collect();
    let mut listed = Array::new();
    let mut behind = split(&between[0]).0.to_owned();
    for patch in patches {
        let known = entries.iter().find(|(value, ..)| value.as_str() == Some(patch));
        let (value, above, after) = known.cloned().unwrap_or((Value::from(patch.as_str()), "\n  ", ""));
        listed.push_formatted(value.decorated(format!("{behind}{above}"), ""));
        behind = after.to_owned();
    }
    let end = split(&between[entries.len()]).1;
    let is_long = listed.iter().any(|value| raw(value.decor().prefix()).contains('\n'));
    let end = if is_long && !end.contains('\n') { "\n" } else { end };
    listed.set_trailing(format!("{behind}{end}"));
    listed.set_trailing_comma(is_long || array.trailing_comma());
    *array = listed;
    Ok(document.to_string())
}

fn raw(text: Option<&toml_edit::RawString>) -> String {
    text.and_then(|text| text.as_str()).unwrap_or_default().to_owned()
}

/// What ends a line, and what comes then.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find('\n').unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, patches: &[&str], expected: &str) {
        let patches: Vec<String> = patches.iter().map(|patch| (*patch).to_owned()).collect();
        assert_eq!(with_patches(text, &patches).unwrap(), expected);
    }

    #[test]
    fn a_list_is_made_where_there_is_none() {
        check(
            "# top\nsummary = 'x' # s\n\n[build.make]\n# m\n",
            &["c/1", "c/2"],
            "# top\nsummary = 'x' # s\npatches = [\n  \"c/1\",\n  \"c/2\",\n]\n\n[build.make]\n# m\n",
        );
    }

    #[test]
    fn a_source_comes_from_elsewhere_and_the_others_stay() {
        let origin: BTreeMap<String, Origin> = toml::from_str("it.apt = { package = 'xen', version = '2' }").unwrap();
        let moved = |text: &str| with_origin(text, &"xen".parse().unwrap(), &origin["it"]).unwrap();
        let rest = "\n# b\n[sources.b]\npath = { dir = 'b' }\n";
        let text = |xen: &str| format!("summary = 's'\n\n# x\n[sources.xen]\n{xen}{rest}");
        let wanted = text("apt = { package = \"xen\", version = \"2\" }\n");
        assert_eq!(moved(&text("apt = { package = 'xen', version = '1' }\n")), wanted);
        let long = text("").replace(".xen]\n", ".xen.archive]\nurls = ['u']\nstrip = 0\n");
        let read: toml::Table = toml::from_str(&moved(&long)).unwrap();
        assert_eq!(read, toml::from_str(&wanted).unwrap());
        let read: toml::Table = toml::from_str(&moved("[sources]\nxen.archive.urls = ['u']\n")).unwrap();
        assert_eq!(read["sources"]["xen"]["apt"]["version"].as_str(), Some("2"));
    }

    #[test]
    fn entries_that_stay_keep_their_comments() {
        let text = "patches = [\n  # why\n  'c/1', # because\n  'c/2',\n]\nsummary = 'x'\n";
        check(text, &["c/1", "c/3"], "patches = [\n  # why\n  'c/1', # because\n  \"c/3\",\n]\nsummary = 'x'\n");
        check(text, &["c/1", "c/2"], text);
        check(text, &["c/2"], "patches = [\n  'c/2',\n]\nsummary = 'x'\n");
        check("patches = ['c/1', 'c/2']\n", &["c/2", "c/3"], "patches = [ 'c/2',\n  \"c/3\",\n]\n");
    }
}
