//! What is wrong with definitions: all of it at once, each with file, line, column, a caret and what helps. Renders;
//! finds nothing itself.

use std::fmt;
use std::io::IsTerminal;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Level, Renderer, Snippet};

use super::place::Place;
use crate::error::Error;

/// A definition's text and its path relative to the repository's root.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub path: String,
    pub text: Arc<str>,
}

impl File {
    /// Nothing if it is not there or cannot be read: it was loaded before, so somebody is working on it right now.
    pub(super) fn read(root: &std::path::Path, path: String) -> Option<File> {
        let text = std::fs::read_to_string(root.join(&path)).ok()?;
        Some(File { path, text: text.into() })
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_and_column(at).0 + 1
    }

    /// Both counted from 0, the column in characters.
    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count(), before[line_start..].chars().count())
    }
}

/// Where a finding points.
#[derive(Clone, Debug)]
pub(super) enum At {
    /// By keys and indexes.
    Place(Place),
    /// Bytes of the file, where it could not be read as TOML.
    Bytes(Range<usize>),
}

impl From<Place> for At {
    fn from(place: Place) -> At {
        At::Place(place)
    }
}

impl From<Range<usize>> for At {
    fn from(range: Range<usize>) -> At {
        At::Bytes(range)
    }
}

/// Something that is wrong in one file, before anybody asked which bytes that is.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub at: At,
    pub message: String,
    pub label: String,
    pub also: Option<(Place, String)>,
    pub help: Option<String>,
}

impl Finding {
    pub(super) fn new(at: impl Into<At>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Finding { at: at.into(), message: message.into(), label: label.into(), also: None, help: None }
    }

    /// A second place of the same file that belongs to it.
    pub(super) fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also = Some((place, label.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The finding with its bytes. A place that is not in the file (it is what is missing) is shown by the nearest one
    /// above.
    pub(super) fn in_file(self, file: &File) -> Problem {
        let (table, _) = toml::de::DeTable::parse_recoverable(&file.text);
        let locate = |place: &Place| {
            let mut place = place.clone();
            loop {
                if let Some(range) = place.locate(&table, &file.text) {
                    return range;
                }
                place = place.parent();
            }
        };
        let range = match &self.at {
            At::Place(place) => locate(place),
            At::Bytes(range) => range.clone(),
        };
        let mut labels = vec![(range, self.label)];
        labels.extend(self.also.map(|(place, label)| (locate(&place), label)));
        Problem { message: self.message, help: self.help, file: Some(file.clone()), labels }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    help: Option<String>,
    file: Option<File>,
    labels: Vec<(Range<usize>, String)>,
}

impl Problem {
    /// A problem that stands in no file: one that is missing or cannot be read.
    pub(super) fn without_file(message: impl Into<String>, help: Option<String>) -> Self {
        Problem { message: message.into(), help, file: None, labels: Vec::new() }
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What helps.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file, relative to the repository's root, with line and column counted from 1 (the column in characters).
    pub fn position(&self) -> Option<(&str, usize, usize)> {
        let file = self.file.as_ref()?;
        let start = self.labels.first().map_or(0, |(range, _)| range.start);
        let (line, column) = file.line_and_column(start);
        Some((&file.path, line + 1, column + 1))
    }

    /// What is drawn below the message.
    fn elements(&self) -> Vec<Element<'_>> {
        let kind = |index| if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let snippet = self.file.as_ref().map(|file| {
            let label = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let annotation = |(index, (range, text)): (usize, &(Range<usize>, String))| {
                kind(index).span(range.clone()).label(label(text))
            };
            Snippet::source(&*file.text)
                .path(file.path.as_str())
                .annotations(self.labels.iter().enumerate().map(annotation))
        });
        let help = self.help.as_ref().map(|help| Level::HELP.message(help.as_str()));
        snippet.map(Element::from).into_iter().chain(help.map(Element::from)).collect()
    }

    fn sort_key(&self) -> (bool, &str, usize) {
        let start = self.labels.first().map_or(0, |(range, _)| range.start);
        (self.file.is_some(), self.file.as_ref().map_or("", |file| &file.path), start)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong, in the order of files and lines.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    problems: Vec<Problem>,
}

impl Diagnostics {
    /// Sorts them; files with many come as they are written.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        Diagnostics { problems }
    }

    /// `Ok` when nothing is wrong.
    pub(super) fn into_result(self) -> Result<(), Diagnostics> {
        if self.problems.is_empty() { Ok(()) } else { Err(self) }
    }

    /// One by one, for machine-readable output.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// As a person sees it. `colour` and `unicode` belong on a terminal only.
    pub fn render(&self, unicode: bool, colour: bool) -> String {
        let style = if unicode { DecorStyle::Unicode } else { DecorStyle::Ascii };
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        // A terminal wraps what is too long; nothing is cut off.
        let renderer = renderer.decor_style(style).term_width(usize::from(u16::MAX));
        let mut text = String::new();
        for problem in &self.problems {
            let report = Level::ERROR.primary_title(problem.message.as_str()).elements(problem.elements());
            text.push_str(&renderer.render(&[report]));
            text.push_str("\n\n");
        }
        text
    }

    /// `3 errors in 2 files`.
    fn count(&self) -> String {
        let mut files: Vec<_> = self.problems.iter().filter_map(|problem| Some(&problem.file.as_ref()?.path)).collect();
        files.dedup();
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let errors = plural(self.problems.len(), "error");
        if files.is_empty() { errors } else { format!("{errors} in {}", plural(files.len(), "file")) }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, false))
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Error {
        let is_terminal = std::io::stderr().is_terminal();
        let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Error::input(format!("definitions cannot be used: {}", diagnostics.count()))
            .details(diagnostics.render(is_terminal, colour))
    }
}
