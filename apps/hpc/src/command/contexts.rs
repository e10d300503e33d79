//! `hpc context`: list, show, use.

use hpc_error::HpcError;
use serde_json::{Value, json};

use crate::args::{ContextCommand, Global};
use crate::context::{self, Context};
use crate::output::Screen;
use crate::session::Surroundings;
use crate::table::Table;
use crate::text;

pub(super) fn run(
    command: ContextCommand,
    global: &Global,
    around: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<u8, HpcError> {
    let home = around.home()?;
    match command {
        ContextCommand::List => list(around, screen),
        ContextCommand::Show { name } => {
            let name = match name {
                Some(name) => name,
                None => around.context_name(global)?,
            };
            let found = context::read(home, &name)?;
            if screen.format.is_json() {
                screen.value(&found)?;
            } else {
                screen.text(&one(&found))?;
            }
            Ok(0)
        }
        ContextCommand::Use { name } => {
            context::choose(home, &name)?;
            screen.say(&format!("`hpc` now uses context `{name}`"));
            Ok(0)
        }
    }
}

fn list(around: &Surroundings, screen: &mut Screen<'_>) -> Result<u8, HpcError> {
    let home = around.home()?;
    let in_use = context::in_use(home).ok();
    let (mut documents, mut table) =
        (Vec::new(), Table::new(&["", "context", "endpoint", "daemon", "mode", "written"]));
    for name in context::list(home)? {
        let used = in_use.as_ref() == Some(&name);
        let mark = if used { "*" } else { "" };
        match context::read(home, &name) {
            Ok(found) => {
                table.row([
                    mark,
                    &name,
                    &text::line(&found.endpoint),
                    found.server_id.as_str(),
                    if found.dev { "dev" } else { "" },
                    &text::moment(found.written_at),
                ]);
                let mut document = serde_json::to_value(&found).unwrap_or(Value::Null);
                if let Some(fields) = document.as_object_mut() {
                    fields.insert("in_use".to_owned(), used.into());
                }
                documents.push(document);
            }
            Err(error) => {
                table.row([mark, &name, "cannot be read", &text::line(&error.to_string()), "", ""]);
                documents.push(json!({"name": name, "error": error.to_string()}));
            }
        }
    }
    if screen.format.is_json() {
        screen.values(&documents)?;
    } else if documents.is_empty() {
        screen.say("no context: no daemon has introduced itself; start one: hpcd dev");
    } else {
        screen.text(&table.render())?;
    }
    Ok(0)
}

fn one(context: &Context) -> String {
    let mut table = Table::plain();
    table.row(["context", &context.name]);
    table.row(["endpoint", &text::line(&context.endpoint)]);
    table.row(["daemon", context.server_id.as_str()]);
    table.row(["mode", if context.dev { "development" } else { "production" }]);
    table.row(["written", &text::moment(context.written_at)]);
    if let Some(data) = &context.data {
        table.row(["data", &text::line(&data.display().to_string())]);
    }
    if let Some(key) = &context.audit_key {
        table.row(["audit key", &text::line(key)]);
    }
    table.render()
}
