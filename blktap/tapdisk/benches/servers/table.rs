//! The table, in Markdown.

use crate::args::Args;
use crate::figures::{Figures, Quantity, median};
use crate::machine::Machine;
use crate::rows::{Cache, Limit, Row};
use crate::server::{Programs, Server};

/// A line of the table, and whether ours kept what is promised.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) id: &'static str,
    /// What is promised and not kept, with what ours is.
    pub(crate) missed: Vec<String>,
    cells: Vec<String>,
    other_cores: Option<f64>,
}

/// Whether a promise is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Yes,
    /// Who it is compared with is not here.
    Unknown,
    No,
    NotYet,
}

pub(crate) fn line(row: &Row, figures: &Figures, programs: &Programs, machine: &Machine) -> Line {
    let cache = if row.cache == Cache::Direct { "direct" } else { "cached" };
    let mut cells = vec![format!("{} (`{}`)", row.work, row.id)];
    cells.push(format!("{cache}, {}", machine.file_system(row.place)));
    for server in Server::ALL {
        let shown = row.shown.iter().filter_map(|&quantity| Some(quantity.show(figures.median(server, quantity)?)));
        let shown: Vec<String> = shown.collect();
        let absent = if programs.is_yet_to_come(server, row) { "not yet" } else { "" };
        cells.push(if shown.is_empty() { absent.to_owned() } else { shown.join(", ") });
    }
    let ratios = row.shown.iter().filter_map(|&quantity| {
        let (ours, best) = (figures.median(Server::Ours, quantity)?, figures.best_peer(quantity)?);
        let ratio = if quantity.more_is_better() { ours / best } else { best / ours };
        Some(format!("{ratio:.2}"))
    });
    cells.push(ratios.collect::<Vec<_>>().join(", "));
    let (mut promised, mut missed) = (Vec::new(), Vec::new());
    let mut kept = if programs.is_yet_to_come(Server::Ours, row) { Kept::NotYet } else { Kept::Yes };
    for &(quantity, limit) in row.promises {
        let (words, this) = judge(quantity, limit, figures);
        kept = kept.max(this);
        if this == Kept::No {
            let ours = figures.median(Server::Ours, quantity).map(|ours| quantity.show(ours)).unwrap_or_default();
            missed.push(format!("{ours}, promised {words}"));
        }
        promised.push(if this == Kept::No { format!("**{words}**") } else { words });
    }
    let words = match kept {
        Kept::Yes => "yes",
        Kept::Unknown => "?",
        Kept::No => "**no**",
        Kept::NotYet => "not yet",
    };
    cells.extend([promised.join("; "), words.to_owned()]);
    Line { id: row.id, missed, cells, other_cores: figures.other_cores() }
}

/// The promise in words, and whether it is kept.
fn judge(quantity: Quantity, limit: Limit, figures: &Figures) -> (String, Kept) {
    let ours = figures.median(Server::Ours, quantity);
    let (words, bound) = match limit {
        Limit::AtMost(most) => (format!("<= {most}{}", quantity.unit()), Some(most)),
        Limit::TimesOf(times, server) => {
            let theirs = figures.median(server, quantity);
            (format!(">= {times} x {}'s rate", server.name()), theirs.map(|theirs| theirs * times))
        }
        Limit::PartOf(part, server) => {
            let theirs = figures.median(server, quantity);
            (format!("<= {part} x {}'s CPU", server.name()), theirs.map(|theirs| theirs * part))
        }
    };
    let kept = match (ours, bound) {
        (Some(ours), Some(bound)) if quantity.more_is_better() => ours >= bound,
        (Some(ours), Some(bound)) => ours <= bound,
        _ => return (words, Kept::Unknown),
    };
    (words, if kept { Kept::Yes } else { Kept::No })
}

/// The table with what it needs to be understood.
pub(crate) fn text(machine: &Machine, lines: &[Line], args: &Args) -> String {
    let mut text = String::new();
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let others = median(lines.iter().filter_map(|line| line.other_cores).collect());
    let others = others.map_or_else(String::new, |cores| format!("; other work took {cores:.1} processors meanwhile"));
    add(&format!("{}, at commit {}. {}.", machine.date, machine.commit, machine.description));
    add(&format!("Load average {} before{others}. {}.", machine.load, machine.versions));
    add("");
    add(&format!("```console\n$ cd blktap && {}\n```", args.command()));
    add("");
    let titles = Server::ALL.map(Server::name).join(" | ");
    add(&format!("| work | where | {titles} | to the best peer | promised | kept |"));
    add(&format!("|{}", "---|".repeat(Server::ALL.len() + 5)));
    for line in lines {
        add(&format!("| {} |", line.cells.join(" | ")));
    }
    text
}
