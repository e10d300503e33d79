//! Where results and talk go: data to standard output, everything else to standard error.

use std::io::{BufRead, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use hpc_error::{ErrorReport, HpcError, codes};
use hpc_types::control::v1::Document;
use serde::Serialize;

use crate::args::Format;
use crate::text;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
pub(crate) const HEAD: Style = Style::new().bold();

/// Longest answer to a question, in bytes.
const ANSWER_BYTES_MAX: u64 = 1_024;

/// Text in a style. Whoever writes to something that is not a terminal strips it again.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Where a command reads and writes. Styles are written always: wrap the writers in `anstream` to have them stripped
/// for pipes and `NO_COLOR`.
pub struct Io<'a> {
    /// Data.
    pub out: &'a mut dyn Write,
    /// Talk: progress, questions, errors.
    pub err: &'a mut dyn Write,
    /// A person who can answer; `None` when there is no terminal.
    pub input: Option<&'a mut dyn BufRead>,
}

/// What commands write to.
pub(crate) struct Screen<'a> {
    io: Io<'a>,
    pub(crate) format: Format,
    no_input: bool,
    /// The reader of standard output has gone, as `head` does; nothing more is written and nothing is wrong.
    gone: bool,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(io: Io<'a>, format: Format, no_input: bool) -> Self {
        Self { io, format, no_input, gone: false }
    }

    /// Writes data.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), HpcError> {
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), HpcError> {
        if self.gone {
            return Ok(());
        }
        match self.io.out.write_all(bytes).and_then(|()| self.io.out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => {
                other.map_err(|error| HpcError::io(format!("standard output cannot be written: {error}")))
            }
        }
    }

    /// Writes a line of talk. It is never what a command fails for.
    pub(crate) fn say(&mut self, line: &str) {
        drop(writeln!(self.io.err, "{line}"));
        drop(self.io.err.flush());
    }

    /// Writes a document as the daemon sent it.
    pub(crate) fn document(&mut self, document: &Document) -> Result<(), HpcError> {
        let mut line = one_line(document)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Writes a list of documents: an array, or a line each.
    pub(crate) fn documents(&mut self, documents: &[Document]) -> Result<(), HpcError> {
        if self.format == Format::Ndjson {
            return documents.iter().try_for_each(|document| self.document(document));
        }
        let mut whole = vec![b'['];
        for (position, document) in documents.iter().enumerate() {
            whole.extend_from_slice(if position == 0 { b"" } else { b",\n " });
            whole.extend_from_slice(&one_line(document)?);
        }
        whole.extend_from_slice(b"]\n");
        self.bytes(&whole)
    }

    /// Writes a result that was made here.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), HpcError> {
        let mut line = serde_json::to_vec(value).map_err(unwritable)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Writes a list that was made here.
    pub(crate) fn values<T: Serialize>(&mut self, values: &[T]) -> Result<(), HpcError> {
        if self.format == Format::Ndjson {
            return values.iter().try_for_each(|value| self.value(value));
        }
        self.value(values)
    }

    /// Refuses early what will need a yes when nobody can give one.
    ///
    /// # Errors
    /// `HPC-USG-0014`.
    pub(crate) fn needs_person(&self, flag: &str) -> Result<(), HpcError> {
        if self.io.input.is_some() && !self.no_input {
            return Ok(());
        }
        let message = format!("this needs a yes, and there is no terminal to ask; pass `{flag}` to go ahead");
        Err(HpcError::coded(&codes::USG_NEEDS_CONFIRMATION, message).with("flag", flag))
    }

    /// Asks a question that is answered with `y` or, by anything else, with no.
    ///
    /// # Errors
    /// `HPC-USG-0014` when nobody can answer; `flag` is what to pass then.
    pub(crate) fn confirm(&mut self, question: &str, flag: &str) -> Result<bool, HpcError> {
        self.needs_person(flag)?;
        let Some(input) = self.io.input.as_mut() else { return Ok(false) };
        drop(write!(self.io.err, "{question} [y/N] "));
        drop(self.io.err.flush());
        let mut answer = String::new();
        std::io::Read::take(input, ANSWER_BYTES_MAX).read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Writes an error to standard error: for a person, or as a document.
    pub(crate) fn error(&mut self, error: &HpcError) {
        if self.format.is_json() {
            let report = serde_json::to_string(&ErrorReport::from(error));
            return self.say(&report.unwrap_or_else(|_| "{}".to_owned()));
        }
        let code = error.code_text().map(|code| format!(" ({})", text::line(code))).unwrap_or_default();
        self.say(&format!("{}: {}", paint(BAD, &format!("error{code}")), text::line(error.message())));
        if let Some(known) = error.registered() {
            self.say(&format!("  try: {}", known.remedy));
        }
    }
}

/// The JSON of a document on one line, byte for byte if it is on one already.
fn one_line(document: &Document) -> Result<Vec<u8>, HpcError> {
    let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&document.json);
    if whole.is_err() {
        let schema = text::line(&document.schema);
        let message = format!("the daemon's document of schema `{schema}` is not JSON");
        return Err(HpcError::coded(&codes::NET_VERSION, message));
    }
    // Only white space between tokens can be a line break: inside strings JSON has none.
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    Ok(document.json.iter().copied().filter(|byte| !breaks(byte)).collect())
}

fn unwritable(error: serde_json::Error) -> HpcError {
    HpcError::coded(&codes::INT_BUG, format!("a result cannot be written: {error}"))
}
