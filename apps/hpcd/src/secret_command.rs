//! `hpcd secret`: puts credentials into a data directory.

use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hpc_error::{HpcError, codes};
use hpcd::secrets::{self, Directory, SECRET_BYTES_MAX};
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub(crate) enum SecretCommand {
    /// Seal what standard input holds, up to 64 KiB, under a name. The daemon must not be running.
    Put {
        /// Name of the secret, such as aws/renting.
        name: String,
        /// Make the data directory if it is not there yet, for a daemon that will run over it.
        #[arg(long)]
        create: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Name the secrets that are there, each with its version. Nothing shows one.
    List {
        #[command(flatten)]
        place: Place,
        /// One JSON array instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Use a secret no longer. Its sealed records stay: rotate the credential where it was issued.
    Delete {
        /// Name of the secret.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
pub(crate) struct Place {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(crate) async fn run(command: SecretCommand) -> Result<u8, HpcError> {
    match command {
        SecretCommand::Put { name, create, place } => {
            let directory = if create { Directory::Created } else { Directory::Known };
            let put = secrets::put(&place.data, directory, &name, &from_stdin()?).await?;
            println!("{} version {}", put.name, put.version);
        }
        SecretCommand::List { place, json } => {
            let found = secrets::list(&place.data).await?;
            if json {
                let text = serde_json::to_string(&found);
                println!("{}", text.map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?);
            } else {
                for named in found {
                    println!("{} version {}", named.name, named.version);
                }
            }
        }
        SecretCommand::Delete { name, place } => secrets::delete(&place.data, &name).await?,
    }
    Ok(0)
}

fn from_stdin() -> Result<Zeroizing<Vec<u8>>, HpcError> {
    if stdin().is_terminal() {
        let message = "give the secret on standard input, from a file or a program: what is typed is shown";
        return Err(HpcError::coded(&codes::USG_MISSING_FIELD, message));
    }
    let most = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    // As much room as it may need: a buffer that grows leaves copies behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX.saturating_add(64)));
    stdin().lock().take(most).read_to_end(&mut secret).map_err(|error| {
        HpcError::coded(&codes::USG_FILE_MISSING, format!("standard input cannot be read: {error}"))
    })?;
    Ok(secret)
}
