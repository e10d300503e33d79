//! What needs neither daemon nor context: error codes, completions, manual pages.

use std::path::Path;

use clap::CommandFactory as _;
use hpc_error::{HpcError, codes};

use crate::args::Cli;
use crate::output::{HEAD, Screen, paint};
use crate::table::Table;
use crate::text;

/// What a code means, or all of them.
pub(super) fn explain(code: Option<&str>, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let Some(code) = code else {
        if screen.format.is_json() {
            screen.values(codes::all())?;
        } else {
            let mut table = Table::new(&["code", ">exit", "what"]);
            for entry in codes::all() {
                table.row([entry.code.to_owned(), entry.exit_code.to_string(), entry.title.to_owned()]);
            }
            screen.text(&table.render())?;
        }
        return Ok(0);
    };
    let entry = codes::find(code).ok_or_else(|| {
        let message = format!("`{}` is no code of this version; see them all: hpc explain", text::line(code));
        HpcError::coded(&codes::USG_UNKNOWN_CODE, message)
    })?;
    if screen.format.is_json() {
        screen.value(entry)?;
    } else {
        let mut table = Table::plain().indent(2);
        table.row(["cause", entry.cause]);
        table.row(["try", entry.remedy]);
        table.row(["exit", &entry.exit_code.to_string()]);
        table.row(["retry", entry.retry().name()]);
        screen.text(&format!("{}  {}\n{}", paint(HEAD, entry.code), entry.title, table.render()))?;
    }
    Ok(0)
}

pub(super) fn completions(shell: clap_complete::Shell, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hpc", &mut script);
    screen.text(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

pub(super) fn man(directory: &Path, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let shown = directory.display();
    let mut command = Cli::command();
    command.build();
    clap_mangen::generate_to(command, directory).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => &codes::USG_FILE_MISSING,
            _ => &codes::USG_FILE_PERMISSION,
        };
        HpcError::coded(code, format!("no manual pages in `{shown}`: {error}; the folder must exist"))
    })?;
    screen.say(&format!("manual pages are in {shown}; read one: man -l {shown}/hpc.1"));
    Ok(0)
}
