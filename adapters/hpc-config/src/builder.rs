use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::document::read_tree;
use crate::env;
use crate::error::{ConfigError, Place, Problem};
use crate::explain::{Explanation, KeySource};
use crate::file;
use crate::tree::Step;
use crate::value::{Context, Origin, leaves};
use crate::{FILE_BYTES_MAX, Format};

/// Most layers of one configuration.
pub const LAYERS_MAX: usize = 64;

/// Collects layers and reads them into a type. Later layers win.
///
/// Files are read when they are added, the environment and secret files when it is built.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ConfigBuilder {
    layers: Vec<Layer>,
    credentials_directory: Option<PathBuf>,
}

#[derive(Clone)]
enum Layer {
    Tree(Dict, Origin),
    /// Variables given by the caller, or those of the process.
    Env(String, Option<Vec<(String, String)>>),
    Set(String, String),
}

impl ConfigBuilder {
    /// No layers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value of any type as a layer: what holds when nobody says otherwise.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when the value is not a struct or map that can be written as keys.
    pub fn add_defaults<T: Serialize>(mut self, defaults: &T) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::of_source("defaults", Problem::Invalid { rule: None });
        let Value::Dict(_, root) = Value::serialize(defaults).map_err(|_| invalid())? else {
            return Err(invalid());
        };
        self.layers.push(Layer::Tree(root, Origin { label: "defaults".to_owned(), ..Origin::default() }));
        Ok(self)
    }

    /// Adds a file; its extension says the format.
    ///
    /// # Errors
    /// [`Problem::Missing`] and everything a reader can find wrong with a file.
    pub fn add_file(self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let format = Format::of_path(path)
            .ok_or_else(|| ConfigError::of_source(name.as_str(), Problem::UnknownFormat))?;
        let text = file::read(path)?;
        self.add_bytes(&name, &text, format)
    }

    /// Adds a file if it exists.
    ///
    /// # Errors
    /// Those of [`add_file`](Self::add_file), except [`Problem::Missing`].
    pub fn add_optional_file(self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        match self.clone().add_file(path) {
            Err(error) if *error.problem() == Problem::Missing => Ok(self),
            other => other,
        }
    }

    /// Adds a text, such as an embedded default; `name` stands for it in errors.
    ///
    /// # Errors
    /// Everything a reader can find wrong with a text.
    pub fn add_text(self, name: &str, text: &str, format: Format) -> Result<Self, ConfigError> {
        self.add_bytes(name, text.as_bytes(), format)
    }

    fn add_bytes(mut self, name: &str, text: &[u8], format: Format) -> Result<Self, ConfigError> {
        let tree = read_tree(name, text, format)?;
        let origin = Origin { label: name.to_owned(), positions: tree.positions, ..Origin::default() };
        self.layers.push(Layer::Tree(tree.root, origin));
        Ok(self)
    }

    /// Adds the variables of this process that start with `PREFIX_`; see the [crate documentation](crate).
    ///
    /// They are read when the configuration is built. Variables that are not UTF-8 are left out.
    pub fn add_env_prefix(mut self, prefix: &str) -> Self {
        self.layers.push(Layer::Env(prefix.to_owned(), None));
        self
    }

    /// The same with the variables given, for tests and for programs that keep their own list.
    pub fn add_env_from<N: Into<String>, T: Into<String>>(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
        self.layers.push(Layer::Env(prefix.to_owned(), Some(variables)));
        self
    }

    /// Sets one key (`tls.key_path`) to a text, which becomes what the field asks for: the command line's layer.
    pub fn set(mut self, key: &str, text: impl Into<String>) -> Self {
        self.layers.push(Layer::Set(key.to_owned(), text.into()));
        self
    }

    /// Where `secret://credential/NAME` looks, instead of in `$CREDENTIALS_DIRECTORY`.
    pub fn credentials_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials_directory = Some(path.into());
        self
    }

    /// Reads the layers into a type.
    ///
    /// # Errors
    /// [`ConfigError`], which names file, line or variable and never the value.
    pub fn build<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        self.build_with_warnings().map(|(value, _)| value)
    }

    /// The same, and the keys that nothing wanted: stray variables, and keys of files whose type takes unknown ones.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_with_warnings<T: DeserializeOwned>(&self) -> Result<(T, Vec<KeySource>), ConfigError> {
        let mut merged = self.merge()?;
        let context = Context::layered(&merged.origins, &merged.figment);
        self.put_secrets(&context, &mut merged.root)?;
        let value = context.deserialize(&merged.root)?;
        let places = Context::layered(&merged.origins, &merged.figment);
        let ignored = context.into_ignored();
        Ok((value, ignored.iter().map(|path| key_source(places.place(&merged.root, path))).collect()))
    }

    /// Where each key comes from. Opens no secret file that is only referred to by `secret://`.
    ///
    /// # Errors
    /// Those of reading the environment.
    pub fn explain(&self) -> Result<Explanation, ConfigError> {
        let merged = self.merge()?;
        let context = Context::layered(&merged.origins, &merged.figment);
        let paths = match &merged.root {
            Value::Dict(_, dict) => leaves(dict),
            _ => Vec::new(),
        };
        Ok(Explanation {
            layers: merged.origins.iter().map(|origin| origin.label.clone()).collect(),
            keys: paths.iter().map(|path| key_source(context.place(&merged.root, path))).collect(),
        })
    }

    fn merge(&self) -> Result<Merged, ConfigError> {
        if self.layers.len() > LAYERS_MAX {
            return Err(ConfigError::of_source("", Problem::TooMany));
        }
        let mut figment = Figment::new();
        let mut origins = Vec::new();
        for layer in &self.layers {
            let (root, origin) = match layer {
                Layer::Tree(root, origin) => (root.clone(), origin.clone()),
                Layer::Env(prefix, Some(variables)) => env_layer(prefix, variables)?,
                Layer::Env(prefix, None) => {
                    let variables: Vec<(String, String)> = std::env::vars_os()
                        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
                        .collect();
                    env_layer(prefix, &variables)?
                }
                Layer::Set(key, text) => {
                    let mut root = Dict::new();
                    let keys: Vec<String> = key.split('.').map(str::to_owned).collect();
                    env::insert(&mut root, &keys, text.clone());
                    (root, Origin { label: "command line".to_owned(), text: true, ..Origin::default() })
                }
            };
            figment = figment.merge(Numbered { index: origins.len(), root });
            origins.push(origin);
        }
        let mut profiles =
            figment.data().map_err(|_| ConfigError::of_source("", Problem::Invalid { rule: None }))?;
        let root = profiles.remove(&Profile::Default).unwrap_or_default();
        Ok(Merged { figment, origins, root: root.into() })
    }

    /// Replaces every `secret://` reference by the content of its file.
    fn put_secrets(&self, context: &Context<'_>, root: &mut Value) -> Result<(), ConfigError> {
        let directory = self
            .credentials_directory
            .clone()
            .or_else(|| std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
        put_secrets(root, &mut Vec::new(), &mut |path, tag, reference| {
            let bare = || Place { key: crate::tree::render(path), ..Place::default() };
            let place = || context.origin(tag).map_or_else(bare, |origin| origin.place(path));
            read_reference(reference, directory.as_deref())
                .map_err(|problem| ConfigError::new(place(), problem))
        })
    }
}

/// The usual two layers: a file and the environment.
///
/// # Errors
/// Those of [`ConfigBuilder::add_file`] and [`ConfigBuilder::build`].
pub fn load_with_env<T: DeserializeOwned>(path: impl AsRef<Path>, prefix: &str) -> Result<T, ConfigError> {
    ConfigBuilder::new().add_file(path)?.add_env_prefix(prefix).build()
}

struct Merged {
    figment: Figment,
    origins: Vec<Origin>,
    root: Value,
}

/// A layer whose metadata is its number, by which its origin is found again.
struct Numbered {
    index: usize,
    root: Dict,
}

impl Provider for Numbered {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.index.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.root.clone()))
    }
}

fn env_layer(prefix: &str, variables: &[(String, String)]) -> Result<(Dict, Origin), ConfigError> {
    let read = env::read(prefix, variables)?;
    let label = format!("environment {}_*", prefix.trim_end_matches('_'));
    Ok((read.root, Origin { label, text: true, names: read.names, ..Origin::default() }))
}

fn key_source(place: Place) -> KeySource {
    KeySource { key: place.key, source: place.source, line: place.line, column: place.column }
}

type Replace<'r> = dyn FnMut(&[Step], figment::value::Tag, &str) -> Result<Option<String>, ConfigError> + 'r;

fn put_secrets(
    value: &mut Value,
    path: &mut Vec<Step>,
    replace: &mut Replace<'_>,
) -> Result<(), ConfigError> {
    match value {
        Value::String(tag, text) => {
            if let Some(secret) = replace(path, *tag, text)? {
                *text = secret;
            }
        }
        Value::Dict(_, dict) => {
            for (key, value) in dict {
                path.push(Step::Key(key.clone()));
                put_secrets(value, path, replace)?;
                path.pop();
            }
        }
        Value::Array(_, list) => {
            for (index, value) in list.iter_mut().enumerate() {
                path.push(Step::Index(index));
                put_secrets(value, path, replace)?;
                path.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

/// The content a reference stands for; `None` for an ordinary text.
fn read_reference(text: &str, credentials_directory: Option<&Path>) -> Result<Option<String>, Problem> {
    const FORM_BYTES_MAX: usize = 4096; // the longest path
    let Some(rest) = text.strip_prefix("secret://") else { return Ok(None) };
    if rest.len() > FORM_BYTES_MAX {
        return Err(Problem::SecretReference);
    }
    let path = if let Some(path) = rest.strip_prefix("file/") {
        PathBuf::from(format!("/{}", path.trim_start_matches('/')))
    } else if let Some(name) = rest.strip_prefix("credential/") {
        if name.is_empty() || name.contains('/') || name == ".." || name == "." {
            return Err(Problem::SecretReference);
        }
        let Some(directory) = credentials_directory else {
            let reason = "cannot be found, because $CREDENTIALS_DIRECTORY is not set".to_owned();
            return Err(Problem::SecretFile { path: name.to_owned(), reason });
        };
        directory.join(name)
    } else {
        return Err(Problem::SecretReference);
    };
    match file::read_secret(&path) {
        Ok(secret) => Ok(Some(secret.to_string())),
        Err(reason) => Err(Problem::SecretFile { path: path.display().to_string(), reason }),
    }
}

// The size limit of a text is the size limit of a file; a builder holds at most so many of them.
const _: () = assert!(LAYERS_MAX * FILE_BYTES_MAX <= 64 * 1024 * 1024);
