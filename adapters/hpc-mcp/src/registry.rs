//! Tools and their handlers, checked once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::observe::CallObserver;
use crate::schema::Compiled;
use crate::tool::Tool;
use crate::{McpError, ToolHandler};

/// Most tools of one server.
pub const TOOLS_MAX: usize = 16 * 1024;

/// Tools in one page of `tools/list`.
pub const TOOLS_PER_PAGE: usize = 100;

/// Bounds of every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a call's arguments; 256 KiB by default.
    pub arguments_bytes_max: usize,
    /// Bytes of a result; 1 MiB by default.
    pub result_bytes_max: usize,
    /// Calls that run at once, over all connections; 64 by default.
    pub calls_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { arguments_bytes_max: 256 << 10, result_bytes_max: 1 << 20, calls_max: 64 }
    }
}

impl Limits {
    /// Takes arguments of up to `bytes`.
    #[must_use]
    pub fn arguments_bytes_max(mut self, bytes: usize) -> Self {
        self.arguments_bytes_max = bytes;
        self
    }

    /// Sends results of up to `bytes`.
    #[must_use]
    pub fn result_bytes_max(mut self, bytes: usize) -> Self {
        self.result_bytes_max = bytes;
        self
    }

    /// Runs up to `calls` at once.
    #[must_use]
    pub fn calls_max(mut self, calls: usize) -> Self {
        self.calls_max = calls;
        self
    }

    fn check(self) -> Result<(), McpError> {
        let bounds = [
            ("arguments_bytes_max", self.arguments_bytes_max, crate::MESSAGE_BYTES_MAX),
            ("result_bytes_max", self.result_bytes_max, crate::MESSAGE_BYTES_MAX),
            ("calls_max", self.calls_max, 64 * 1024),
        ];
        for (name, value, max) in bounds {
            if value == 0 || value > max {
                return Err(McpError::InvalidSetting {
                    reason: format!("`{name}` is {value}, not 1 to {max}"),
                });
            }
        }
        Ok(())
    }
}

/// A set of tools, ready to serve any number of connections; clones share it.
#[derive(Clone)]
pub struct McpServer {
    pub(crate) inner: Arc<Registry>,
}

pub(crate) struct Registry {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) instructions: Option<String>,
    pub(crate) tools: BTreeMap<String, Registered>,
    pub(crate) limits: Limits,
    pub(crate) running: Arc<Semaphore>,
    pub(crate) observer: Option<Arc<dyn CallObserver>>,
}

pub(crate) struct Registered {
    pub(crate) tool: Tool,
    pub(crate) input: Compiled,
    pub(crate) output: Option<Compiled>,
    pub(crate) handler: Arc<dyn ToolHandler>,
}

impl McpServer {
    /// A server without tools.
    #[must_use]
    pub fn builder() -> McpServerBuilder {
        McpServerBuilder {
            name: "hpc-mcp".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: None,
            tools: Vec::new(),
            limits: Limits::default(),
            observer: None,
        }
    }

    /// Names of all tools, in order.
    pub fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.inner.tools.keys().map(String::as_str)
    }
}

impl std::fmt::Debug for McpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpServer")
            .field("name", &self.inner.name)
            .field("tools", &self.inner.tools.len())
            .finish_non_exhaustive()
    }
}

/// Collects tools; everything is checked by [`build`](Self::build).
pub struct McpServerBuilder {
    name: String,
    version: String,
    instructions: Option<String>,
    tools: Vec<(Tool, Arc<dyn ToolHandler>)>,
    limits: Limits,
    observer: Option<Arc<dyn CallObserver>>,
}

impl McpServerBuilder {
    /// The name and version that clients are told.
    #[must_use]
    pub fn identity(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.name = name.into();
        self.version = version.into();
        self
    }

    /// A text for the model about how to use these tools.
    #[must_use]
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.instructions = Some(text.into());
        self
    }

    /// Adds a tool and what runs it.
    #[must_use]
    pub fn register_tool(self, tool: Tool, handler: impl ToolHandler + 'static) -> Self {
        self.register_shared(tool, Arc::new(handler))
    }

    /// Adds a tool that shares its handler with others.
    #[must_use]
    pub fn register_shared(mut self, tool: Tool, handler: Arc<dyn ToolHandler>) -> Self {
        self.tools.push((tool, handler));
        self
    }

    /// Sets the bounds of every call.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Is told of every call.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn CallObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Checks names, schemas, capabilities and limits, and compiles the schemas.
    ///
    /// # Errors
    /// [`McpError::InvalidTool`], [`McpError::DuplicateTool`], [`McpError::TooManyTools`],
    /// [`McpError::InvalidSetting`].
    pub fn build(self) -> Result<McpServer, McpError> {
        self.limits.check()?;
        if self.tools.len() > TOOLS_MAX {
            return Err(McpError::TooManyTools { count: self.tools.len(), limit: TOOLS_MAX });
        }
        let mut tools = BTreeMap::new();
        for (tool, handler) in self.tools {
            tool.check()?;
            let compile = |schema: &serde_json::Value| {
                Compiled::new(schema.clone()).map_err(|reason| tool.refusal(reason))
            };
            let input = compile(&tool.input)?;
            let output = tool.output.as_ref().map(compile).transpose()?;
            let name = tool.name.clone();
            if tools.insert(name.clone(), Registered { tool, input, output, handler }).is_some() {
                return Err(McpError::DuplicateTool { name });
            }
        }
        let inner = Registry {
            name: self.name,
            version: self.version,
            instructions: self.instructions,
            tools,
            running: Arc::new(Semaphore::new(self.limits.calls_max)),
            limits: self.limits,
            observer: self.observer,
        };
        Ok(McpServer { inner: Arc::new(inner) })
    }
}
