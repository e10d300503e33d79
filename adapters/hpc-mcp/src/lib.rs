//! hpc-mcp
