//! Man pages, made of the texts that `--help` prints: one source, and nothing that a page can forget. Tests of the
//! commands compare them with the pages in `man/`.

use roff::{Roff, bold, roman};

/// The page of a program. `help` gives what it prints with `--help`, after the name of a command or after none.
pub fn page(program: &str, section: &str, help: impl Fn(Option<&str>) -> String) -> String {
    let main = help(None);
    let (summary, rest) = main.split_once('\n').unwrap_or((&main, ""));
    let mut page = Roff::new();
    page.control("TH", [program.to_uppercase().as_str(), section]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{program} - {}", lower(summary)))]);
    body(&mut page, "SH", rest);
    page.control("SH", ["COMMANDS IN DETAIL"]);
    for command in commands(&main) {
        let text = help(Some(command));
        let (summary, rest) = text.split_once('\n').unwrap_or((&text, ""));
        page.control("SS", [command]);
        page.text([roman(format!("{summary}."))]);
        body(&mut page, "PP", rest);
    }
    page.render()
}

/// The names below `Commands:`.
fn commands(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|&line| line != "Commands:").skip(1);
    listed.map_while(|line| line.strip_prefix("  ")).filter_map(|line| line.split(' ').next()).collect()
}

/// Paragraphs: what is set in columns stays as it is, with a heading where one stands over it.
fn body(page: &mut Roff, heading: &str, text: &str) {
    for paragraph in text.split("\n\n").map(|paragraph| paragraph.trim_matches('\n')).filter(|text| !text.is_empty()) {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let is_set = rest.lines().all(|line| line.starts_with("  "));
        match (paragraph.strip_prefix("usage: "), first.strip_suffix(':')) {
            (Some(_), _) => {
                title(page, heading, "Synopsis");
                set(page, &paragraph.replace("usage: ", "").replace("\n       ", "\n"));
            }
            (None, Some(name)) if is_set && !rest.is_empty() && !first.starts_with(' ') => {
                title(page, heading, name);
                set(page, rest);
            }
            _ if first.starts_with("  ") => {
                page.control("PP", []);
                set(page, paragraph);
            }
            _ => {
                page.control("PP", []);
                mixed(page, paragraph);
            }
        }
    }
}

/// Text, which is filled, around columns.
fn mixed(page: &mut Roff, paragraph: &str) {
    let lines: Vec<&str> = paragraph.lines().collect();
    for part in lines.chunk_by(|line, next| line.starts_with("  ") == next.starts_with("  ")) {
        if part[0].starts_with("  ") {
            set(page, &part.join("\n"));
        } else {
            page.text([roman(part.join(" "))]);
        }
    }
}

/// A section's heading, or a line in bold where there are no sections.
fn title(page: &mut Roff, heading: &str, name: &str) {
    if heading == "SH" {
        page.control("SH", [name.to_uppercase().as_str()]);
    } else {
        page.control("PP", []);
        page.text([bold(name)]);
    }
}

fn set(page: &mut Roff, text: &str) {
    page.control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_every_command_in_full() {
        let help = |command: Option<&str>| match command {
            None => "Do things\n\nusage: do COMMAND\n\nCommands:\n  it  Do it\n\nTwo\nlines.\n".to_owned(),
            Some(_) => "Do it\n\nusage: do it -n FILE\n\n  -n FILE  .This\n\nExample:\n  do it -n x\n".to_owned(),
        };
        let page = page("do", "1", help);
        let lines: Vec<&str> = page.lines().collect();
        for line in [".TH DO 1", "do \\- do things", ".SH SYNOPSIS", ".SS it", "Two lines."] {
            assert!(lines.contains(&line), "{line} is not in\n{page}");
        }
        assert!(page.contains("  \\-n FILE  .This"), "{page}");
    }

    #[test]
    fn columns_inside_a_paragraph_stay_columns() {
        let help = |_: Option<&str>| "Do\n\nKeys of\nall:\n  a  1\n  b  2\nThat\nwas it.\n".to_owned();
        let page = page("do", "1", help);
        assert!(page.contains("Keys of all:\n.nf\n  a  1\n  b  2\n.fi\nThat was it.\n"), "{page}");
    }
}
