//! toolcell mcp
